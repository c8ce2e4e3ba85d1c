package promote

import (
	"fmt"
	"slices"

	"github.com/failoverd/failoverd/internal/topology"
)

// planFailover is revoke, drain, feed, open (SAFETY: the protocol, 3): only what
// data depends on stands before the publish, the rewiring comes after.
func planFailover(p *topology.Picture, _ topology.Verdict) Plan {
	target, _ := p.Target()
	return failover(p, target)
}

func failover(p *topology.Picture, target string) Plan {
	chain, old := p.Chain, p.Chain.Master()
	after := chain.Promoted(target, topology.Out, fmt.Sprintf("was the master of epoch %d when that failed", chain.Epoch))
	after.Last = &topology.Promotion{Epoch: after.Epoch, Kind: string(Failover), From: old, To: target}
	var survivors, orphans []string
	for _, s := range chain.Servers {
		if s.Name == old || s.Name == target || s.Standing != topology.In || !p.Up(s.Name) {
			continue
		}
		survivors = append(survivors, s.Name)
		if follows(p, s.Name, old) {
			orphans = append(orphans, s.Name)
		}
	}
	// A quarantined acker holds what nobody may be fed with: it does not count.
	ackers := slices.DeleteFunc(slices.Clone(chain.Ackers), func(name string) bool {
		s, known := chain.Server(name)
		return !known || name == old || s.Standing != topology.In
	})
	need := chain.RevokeNeeded()
	if need == 0 {
		ackers = nil
	}
	return opening(p, Plan{Kind: Failover, From: old, Target: target, Steps: []Step{
		// The target too when it does not acknowledge: a thawed master must not go on feeding it.
		{Goal: Revoked, Server: target, Others: orphans, Ackers: ackers, Need: need},
		{Goal: Drained, Server: target},
		{Goal: Fed, Server: target, Others: survivors, Ackers: ackers, Need: need, Floor: floor(chain)},
	}}, after)
}

// ForFailover plans the failover that a person asks for: to the named heir, to
// the best one when empty. Nothing is lost by it unless acceptLoss is given and
// something has to be; then the Loss in the plan says how much that may be.
func ForFailover(c topology.Case, to, actor, reason string, acceptLoss bool) (*Plan, error) {
	p := c.Digest()
	chain := c.Chain
	target, why := p.Target()
	if to != "" {
		server, known := chain.Server(to)
		switch {
		case !known:
			return nil, Refusal{[]string{fmt.Sprintf("product %s has no server %s: it has %s", chain.Product, to, names(chain))}}
		case server.Seat == topology.Master:
			return nil, Refusal{[]string{to + " is the master already"}}
		case server.Seat == topology.Dump:
			return nil, Refusal{[]string{to + " is the dump slave and is never promoted"}}
		case server.Standing != topology.In || !p.Up(to):
			return nil, Refusal{[]string{fmt.Sprintf("%s is not in rotation or does not answer (%s, %s)", to, server.Standing, p.Contacts(to))}}
		}
		if target != "" {
			target = to // whoever can be fed from the same ackers
		}
	}
	if facts, _ := p.Facts(chain.Master()); target != "" && p.Up(chain.Master()) && facts != nil && facts.Open() && p.Hanging() == 0 && p.Stalled() == 0 {
		return nil, Refusal{[]string{fmt.Sprintf("master %s answers and is open: \"failoverd switchover %s\" hands over without cutting anybody off", chain.Master(), chain.Product)}}
	}
	var plan Plan
	missing := p.MissingEverywhere()
	switch {
	case target != "" && (missing.Empty() || chain.Policy.Durability == topology.Async):
		plan = failover(p, target)
	case !acceptLoss:
		if target != "" {
			why = fmt.Sprintf("no server that answers holds %d transactions that %s had committed: %s", missing.Count(), chain.Master(), missing)
		}
		return nil, Refusal{[]string{why}}
	default:
		if target = to; target == "" {
			target = p.Fullest()
		}
		if target == "" {
			return nil, Refusal{[]string{"no candidate or slave in rotation answers: there is nobody to promote"}}
		}
		plan = lossy(p, target)
	}
	plan.Product, plan.Rule, plan.Why, plan.Actor = chain.Product, "operator", reason, actor
	return &plan, nil
}

// lossy is the failover that goes on without what cannot be reached.
func lossy(p *topology.Picture, target string) Plan {
	plan := failover(p, target)
	loss := Loss{Known: p.MissingEverywhere()}
	_, loss.SeenAgo = p.Facts(p.Chain.Master())
	for _, acker := range p.Chain.Ackers {
		if s, _ := p.Chain.Server(acker); !p.Up(acker) || s.Standing != topology.In {
			loss.Absent = append(loss.Absent, acker)
		}
	}
	plan.Loss = &loss
	for i, s := range plan.Steps[:plan.Commit] {
		switch s.Goal {
		case Revoked, Fed:
			plan.Steps[i].Need, plan.Steps[i].Floor, plan.Steps[i].Lossy = 0, topology.GTIDSet{}, true
		case Drained:
			plan.Steps[i].Lenient = true
		}
	}
	return plan
}

// follows says whether the server replicates from source at the moment. The
// slaves under the candidate do not follow the old master and are left alone:
// the next acker would need a second to be heard again after a reconnect.
func follows(p *topology.Picture, name, source string) bool {
	facts, _ := p.Facts(name)
	s, _ := p.Chain.Server(source)
	return facts != nil && facts.Link != nil && facts.Link.SourceAddr == s.Addr()
}

// floor is the set the new master must hold, nothing where the policy accepts loss.
func floor(chain topology.Chain) topology.GTIDSet {
	if chain.Policy.Durability == topology.Async {
		return topology.GTIDSet{}
	}
	return chain.HighWater
}

// opening appends what both promotions share: arm the new acker, open, publish,
// rewire. The new master waits for one acknowledgement until more ackers are
// whole, whatever the policy wants.
func opening(p *topology.Picture, plan Plan, after topology.Chain) Plan {
	ackers, arm, adopt := newAckers(p, after)
	after.Ackers, after.Acks = ackers, min(1, len(ackers))
	plan.After, plan.Epoch = &after, after.Epoch
	var before []Step
	if adopt {
		before = append(before, Step{Goal: Following, Server: arm, Source: plan.Target, Lenient: true})
	}
	if arm != "" {
		before = append(before, Step{Goal: Armed, Server: arm, Source: plan.Target, Lenient: true})
	}
	if arm != "" && !adopt && plan.Kind == Switchover {
		// What it has not received, the new master's first commits would wait for.
		before = append(before, Step{Goal: CaughtUp, Server: arm, Source: plan.From})
	}
	if plan.Kind == Switchover {
		plan.Steps = append(before, plan.Steps...) // while writes still go on
	} else {
		if p.Reusable(plan.Target) {
			plan.Steps = append(plan.Steps, Step{Goal: Sole, Server: plan.Target}, Step{Goal: Burned, Server: plan.Target, Source: plan.Target})
		}
		plan.Steps = append(plan.Steps, before...)
	}
	plan.Commit = len(plan.Steps)
	plan.Steps = append(plan.Steps,
		Step{Goal: Writable, Server: plan.Target},
		Step{Goal: Published},
		Step{Goal: Detached, Server: plan.Target, Lenient: true},
		Step{Goal: Awake, Server: plan.Target, Others: p.Chain.DisabledEvents, Lenient: true})
	for _, s := range after.Servers {
		source := after.SourceOf(s.Name)
		if s.Standing != topology.In || s.Name == plan.Target || !p.Up(s.Name) || (s.Name == arm && adopt) {
			continue
		}
		if p.Chain.SourceOf(s.Name) != source {
			plan.Steps = append(plan.Steps, Step{Goal: Following, Server: s.Name, Source: source, Lenient: true})
		}
	}
	return plan
}

// newAckers is the acker set of the chain after a promotion, the server of it
// that will really acknowledge at once, and whether that must first be moved
// under the new master. A slave that does not answer stays in the set: it may be
// frozen, still attached and armed, and the set must cover every server that can acknowledge.
func newAckers(p *topology.Picture, after topology.Chain) (ackers []string, arm string, adopt bool) {
	if after.Policy.Durability != topology.SemiSync {
		return nil, "", false
	}
	master := after.Master()
	candidate, _ := after.At(topology.Candidate)
	for _, s := range after.Servers { // whoever else is attached and armed, in quarantine or not
		facts, _ := p.Facts(s.Name)
		switch {
		case s.Name == candidate.Name || s.Name == master || s.Name == p.Chain.Master():
		case (facts == nil || !p.Up(s.Name)) && mayFollow(p.Chain, s.Name, master),
			facts != nil && facts.ReplicaSemiSync && follows(p, s.Name, master):
			ackers = append(ackers, s.Name)
		}
	}
	if old := p.Chain.Master(); p.Chain.Attached == old {
		ackers = union(ackers, old) // its old link may lead to the new master
	}
	next := candidate.Name
	if next == p.Chain.Master() {
		next = "" // it is the one that failed, or hands over
	}
	if next != "" && candidate.Standing == topology.In && p.Up(next) && !lags(p, after, next) {
		return union(ackers, next), next, !follows(p, next, master)
	}
	if facts, _ := p.Facts(next); next != "" && ((facts == nil || !p.Up(next)) && mayFollow(p.Chain, next, master) || follows(p, next, master)) {
		ackers = union(ackers, next) // silent, and perhaps armed
	}
	if dump, ok := after.At(topology.Dump); ok && dump.Standing == topology.In && p.Up(dump.Name) && !lags(p, after, dump.Name) {
		return union(ackers, dump.Name), dump.Name, true
	}
	if next != "" && candidate.Standing == topology.In && p.Up(next) {
		return union(ackers, next), next, !follows(p, next, master) // late, but nobody else is there
	}
	if len(ackers) == 0 && candidate.Name != "" {
		ackers = []string{candidate.Name} // whoever is back first acknowledges
	}
	return ackers, "", false
}

// mayFollow says that a server of which nothing is known, or nothing new, may be
// attached to the one that becomes master, and armed: it should be, and a frozen
// one may read the order for it late; or it acknowledges, and a switchover that was
// taken back had moved it there already; or nobody knows that it is not armed.
func mayFollow(chain topology.Chain, name, master string) bool {
	s, _ := chain.Server(name)
	inChain := s.Standing == topology.In || s.Standing == topology.Maintenance
	return slices.Contains(chain.Armed, name) || (inChain && (chain.SourceOf(name) == master || chain.IsAcker(name)))
}

// lags says that the server has so much still to receive of what the new master
// holds that commits would wait for it longer than another takes to be attached.
func lags(p *topology.Picture, after topology.Chain, name string) bool {
	theirs, _ := p.Facts(name)
	ours, _ := p.Facts(after.Master())
	return theirs != nil && ours != nil && ours.Held().Minus(theirs.Held()).Count() > topology.AckerBehind
}

// ForSwitchover plans a planned change of master to the named server, the
// candidate when empty. Every reason against it is listed in the Refusal.
func ForSwitchover(c topology.Case, to, actor, reason string) (*Plan, error) {
	p := c.Digest()
	chain := c.Chain
	candidate, _ := chain.At(topology.Candidate)
	if to == "" {
		to = candidate.Name
	}
	target, known := chain.Server(to)
	if !known {
		return nil, Refusal{[]string{fmt.Sprintf("product %s has no server %s: it has %s", chain.Product, to, names(chain))}}
	}
	if reasons := preflight(p, target, candidate); len(reasons) > 0 {
		return nil, Refusal{reasons}
	}
	old := chain.Master()
	after := chain.Promoted(target.Name, topology.In, "")
	after.Last = &topology.Promotion{Epoch: after.Epoch, Kind: string(Switchover), From: old, To: target.Name}
	plan := opening(p, Plan{
		Product: chain.Product, Kind: Switchover, Rule: "operator", Why: reason, Actor: actor, From: old, Target: target.Name,
		Steps: []Step{
			{Goal: CaughtUp, Server: target.Name, Source: old},
			{Goal: Closed, Server: old, Source: target.Name},
		},
		Undo: []Step{{Goal: Writable, Server: old}},
	}, after)
	return &plan, nil
}

// preflight lists everything that speaks against handing over to target now.
func preflight(p *topology.Picture, target, candidate topology.Server) []string {
	chain := p.Chain
	var reasons []string
	say := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	old := chain.Master()
	mf, _ := p.Facts(old)
	switch {
	case target.Name == old:
		say("%s is the master already", target.Name)
		return reasons
	case target.Seat == topology.Dump:
		say("%s is the dump slave and is never promoted", target.Name)
		return reasons
	case target.Name != candidate.Name:
		say("%s is a slave: let it change places with the candidate first: \"failoverd raise %s %s\"", target.Name, chain.Product, target.Name)
	}
	if !p.Up(old) || mf == nil {
		say("master %s does not answer (%s): this is a case for failover, not switchover", old, p.Contacts(old))
	} else if !mf.Open() {
		say("master %s is not open for writes: see \"failoverd explain %s\"", old, chain.Product)
	}
	tf, _ := p.Facts(target.Name)
	switch {
	case p.Reusable(target.Name):
		say("%s was rebuilt a moment ago and would give GTIDs again that it gave before: wait until they are out of use", target.Name)
	case target.Standing != topology.In:
		say("%s is %s: %s", target.Name, target.Standing, target.Why)
	case !p.Up(target.Name) || tf == nil:
		say("%s does not answer (%s)", target.Name, p.Contacts(target.Name))
	case tf.Link == nil || tf.Link.IO != topology.On:
		say("%s does not receive from its source: see \"failoverd doctor %s\"", target.Name, chain.Product)
	case tf.Link.SQL != topology.On:
		say("%s does not apply what it receives: %s", target.Name, orNone(tf.Link.SQLError))
	}
	if errant := p.Errant(target.Name); !errant.Empty() {
		say("%s holds %d errant transactions: %s", target.Name, errant.Count(), errant)
	}
	if mf != nil && tf != nil {
		if behind := mf.Executed.Minus(tf.Executed).Count(); behind > maxBehind {
			say("%s is %d transactions behind, more than %d: wait until it caught up", target.Name, behind, maxBehind)
		}
	}
	if chain.Policy.Durability == topology.SemiSync && len(reasons) == 0 {
		if _, arm, _ := newAckers(p, chain.Promoted(target.Name, topology.In, "")); arm == "" {
			say("no server could acknowledge for %s: neither a slave nor the dump slave answers", target.Name)
		}
	}
	return reasons
}

// maxBehind is how many transactions a switchover waits for, while writes go on.
const maxBehind = 100_000
