package promote

import (
	"fmt"
	"strings"

	"github.com/failoverd/failoverd/internal/topology"
)

// Refusal says why no plan was made. Each reason is a sentence, with the command
// or setting that helps where there is one.
type Refusal struct{ Reasons []string }

// Error joins the reasons.
func (r Refusal) Error() string { return strings.Join(r.Reasons, "; ") }

// For makes the plan that a verdict asks for. It is pure. Verdicts that ask for
// nothing, or for a person, have no plan: the result is nil.
func For(c topology.Case, v topology.Verdict) *Plan {
	make, ok := planners[v.Action]
	if !ok {
		return nil
	}
	p := make(c.Digest(), v)
	p.Product, p.Rule, p.Why, p.Actor = c.Chain.Product, v.Rule, v.Why, "failoverd"
	if p.Epoch == 0 {
		p.Epoch = c.Chain.Epoch
	}
	if !p.Kind.Promotes() {
		p.Commit = len(p.Steps)
	}
	return &p
}

var planners = map[topology.Action]func(*topology.Picture, topology.Verdict) Plan{
	topology.Failover:   planFailover,
	topology.Reopen:     planReopen,
	topology.Protect:    planProtect,
	topology.Reform:     planReform,
	topology.Mend:       planMend,
	topology.Rejoin:     planRejoin,
	topology.Quarantine: planQuarantine,
	topology.Fence:      planFence,
	topology.Publish:    planPublish,
}

// planFailover is revoke, drain, feed, open (SAFETY: the protocol, 3): only what
// data depends on stands before the publish, the rewiring comes after.
func planFailover(p *topology.Picture, v topology.Verdict) Plan {
	chain, old := p.Chain, p.Chain.Master()
	target, _ := chain.At(topology.Candidate)
	after := chain.Promoted(target.Name, topology.Out, fmt.Sprintf("was the master of epoch %d when that failed", chain.Epoch))
	after.Last = &topology.Promotion{Epoch: after.Epoch, Kind: string(Failover), From: old, To: target.Name}
	var survivors, orphans []string
	for _, s := range chain.Servers {
		if s.Name == old || s.Name == target.Name || s.Standing != topology.In || !p.Up(s.Name) {
			continue
		}
		survivors = append(survivors, s.Name)
		if follows(p, s.Name, old) && !chain.IsAcker(s.Name) {
			orphans = append(orphans, s.Name)
		}
	}
	var steps []Step
	// The target too when it does not acknowledge: a thawed master must not go on feeding it.
	for _, server := range union(chain.Ackers, target.Name) {
		if server != old {
			steps = append(steps, Step{Goal: Revoked, Server: server, Others: orphans})
		}
	}
	steps = append(steps,
		Step{Goal: Drained, Server: target.Name},
		Step{Goal: Fed, Server: target.Name, Others: survivors, Floor: floor(chain)})
	return opening(p, Plan{Kind: Failover, From: old, Target: target.Name, Steps: steps}, after)
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

// opening appends what both promotions share: arm the new acker, open, publish, rewire.
func opening(p *topology.Picture, plan Plan, after topology.Chain) Plan {
	ackers, arm, adopt := newAckers(p, after)
	after.Ackers = ackers
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
		plan.Steps = append(plan.Steps, before...)
	}
	plan.Commit = len(plan.Steps)
	plan.Steps = append(plan.Steps,
		Step{Goal: Writable, Server: plan.Target},
		Step{Goal: Published},
		Step{Goal: Detached, Server: plan.Target, Lenient: true})
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
	candidate, _ := after.At(topology.Candidate)
	for _, s := range after.Servers { // a server in quarantine may still offer acknowledgements
		facts, _ := p.Facts(s.Name)
		master, _ := after.At(topology.Master)
		if s.Name != candidate.Name && facts != nil && facts.ReplicaSemiSync && facts.Link != nil && facts.Link.SourceAddr == master.Addr() {
			ackers = append(ackers, s.Name)
		}
	}
	if candidate.Name != "" && p.Chain.Master() != candidate.Name {
		ackers = append(ackers, candidate.Name)
		if p.Up(candidate.Name) && !lags(p, after, candidate.Name) {
			return ackers, candidate.Name, false
		}
	}
	if dump, ok := after.At(topology.Dump); ok && dump.Standing == topology.In && p.Up(dump.Name) && !lags(p, after, dump.Name) {
		return union(ackers, dump.Name), dump.Name, true
	}
	if candidate.Name != "" && p.Up(candidate.Name) && p.Chain.Master() != candidate.Name {
		return ackers, candidate.Name, false // late, but nobody else is there
	}
	if len(ackers) == 0 && candidate.Name != "" {
		ackers = []string{candidate.Name} // the old master acknowledges when it is back
	}
	return ackers, "", false
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

// ForRaise plans that the named slave and the candidate change places, without
// touching the writes: the step before a switchover to that slave.
func ForRaise(c topology.Case, name, actor, reason string) (*Plan, error) {
	p, chain := c.Digest(), c.Chain
	server, known := chain.Server(name)
	candidate, _ := chain.At(topology.Candidate)
	switch {
	case !known:
		return nil, Refusal{[]string{fmt.Sprintf("product %s has no server %s: it has %s", chain.Product, name, names(chain))}}
	case server.Seat != topology.Slave:
		return nil, Refusal{[]string{fmt.Sprintf("%s is the %s; only a slave can change places with the candidate", name, server.Seat)}}
	case server.Standing != topology.In || !p.Up(name):
		return nil, Refusal{[]string{fmt.Sprintf("%s is not in rotation or does not answer (%s)", name, p.Contacts(name))}}
	case candidate.Standing != topology.In || !p.Up(candidate.Name):
		return nil, Refusal{[]string{fmt.Sprintf("candidate %s is not in rotation or does not answer (%s)", candidate.Name, p.Contacts(candidate.Name))}}
	}
	after := append([]topology.Server(nil), chain.Servers...)
	for i, s := range after {
		switch s.Name {
		case name:
			after[i].Seat = topology.Candidate
		case candidate.Name:
			after[i].Seat = topology.Slave
		}
	}
	steps := []Step{
		{Goal: Following, Server: name, Source: chain.Master()},
		{Goal: Seats, Servers: after},
	}
	if chain.Policy.Durability == topology.SemiSync {
		steps = []Step{
			{Goal: Ackers, Others: union(chain.Ackers, name)},
			{Goal: Following, Server: name, Source: chain.Master()},
			{Goal: Armed, Server: name, Source: chain.Master()},
			{Goal: Disarmed, Server: candidate.Name},
			// What the candidate alone received before must be here too.
			{Goal: CaughtUp, Server: name, Source: chain.Master()},
			{Goal: Seats, Servers: after},
			{Goal: Ackers, Others: []string{name}},
		}
	}
	steps = append(steps,
		Step{Goal: Following, Server: candidate.Name, Source: name, Lenient: true},
		Step{Goal: Published})
	return &Plan{Product: chain.Product, Kind: Raise, Epoch: chain.Epoch, Rule: "operator", Why: reason, Actor: actor, Target: name,
		Steps: steps, Commit: len(steps)}, nil
}

func planReopen(p *topology.Picture, v topology.Verdict) Plan {
	plan := Plan{Kind: Reopen, Target: v.Server}
	for _, acker := range p.Chain.Ackers {
		if p.Up(acker) && p.Chain.SourceOf(acker) == v.Server {
			plan.Steps = append(plan.Steps, Step{Goal: Armed, Server: acker, Source: v.Server, Lenient: true})
		}
	}
	plan.Steps = append(plan.Steps,
		Step{Goal: Detached, Server: v.Server, Lenient: true}, // it booted with the link it had
		Step{Goal: Writable, Server: v.Server})
	return plan
}

func planProtect(p *topology.Picture, v topology.Verdict) Plan {
	if v.Server == p.Chain.Master() {
		return Plan{Kind: Protect, Steps: []Step{{Goal: Writable, Server: v.Server}}}
	}
	return Plan{Kind: Protect, Steps: []Step{
		{Goal: Following, Server: v.Server, Source: p.Chain.Master()},
		{Goal: Armed, Server: v.Server, Source: p.Chain.Master()},
		{Goal: Released, Server: p.Chain.Master(), Lenient: true},
	}}
}

// planReform makes the subject an acker. The set grows in the journal before the
// server may acknowledge; others leave it only after they stopped, and only when
// the subject is the candidate, whose place this is. Ackers that do not answer
// stay in the set, for they may thaw.
func planReform(p *topology.Picture, v topology.Verdict) Plan {
	chain, master := p.Chain, p.Chain.Master()
	steps := []Step{
		{Goal: Ackers, Others: union(chain.Ackers, v.Server)},
		{Goal: Following, Server: v.Server, Source: master},
		{Goal: Armed, Server: v.Server, Source: master},
		{Goal: Released, Server: master, Lenient: true},
	}
	if candidate, _ := chain.At(topology.Candidate); candidate.Name == v.Server {
		for _, acker := range chain.Ackers {
			if acker != v.Server {
				steps = append(steps, Step{Goal: Disarmed, Server: acker})
			}
		}
		// What the others alone received before must be here too.
		steps = append(steps, Step{Goal: CaughtUp, Server: v.Server, Source: master}, Step{Goal: Ackers, Others: []string{v.Server}})
	}
	return Plan{Kind: Reform, Target: v.Server, Steps: steps}
}

func planMend(p *topology.Picture, v topology.Verdict) Plan {
	if v.Server == p.Chain.Master() {
		return Plan{Kind: Mend, Steps: []Step{{Goal: Detached, Server: v.Server}}}
	}
	plan := Plan{Kind: Mend, Steps: []Step{{Goal: Following, Server: v.Server, Source: p.SourceFor(v.Server).Name}}}
	if p.Chain.IsAcker(v.Server) {
		plan.Steps = append(plan.Steps, Step{Goal: Released, Server: p.Chain.Master(), Lenient: true})
	}
	return plan
}

func planRejoin(p *topology.Picture, v topology.Verdict) Plan {
	return Plan{Kind: Rejoin, Steps: []Step{
		{Goal: Following, Server: v.Server, Source: p.SourceFor(v.Server).Name},
		{Goal: Standing, Server: v.Server, Standing: topology.In},
		{Goal: Published},
	}}
}

// planQuarantine takes the server out of rotation and then its right to
// acknowledge: what only it received could not be promoted.
func planQuarantine(p *topology.Picture, v topology.Verdict) Plan {
	plan := Plan{Kind: Quarantine}
	if s, _ := p.Chain.Server(v.Server); s.Standing != topology.Quarantined {
		plan.Steps = append(plan.Steps, Step{Goal: Standing, Server: v.Server, Standing: topology.Quarantined, Why: v.Why})
	}
	plan.Steps = append(plan.Steps, Step{Goal: Disarmed, Server: v.Server}, Step{Goal: Published})
	return plan
}

func planFence(_ *topology.Picture, v topology.Verdict) Plan {
	return Plan{Kind: Fence, Steps: []Step{{Goal: Fenced, Server: v.Server}}}
}

func planPublish(*topology.Picture, topology.Verdict) Plan {
	return Plan{Kind: Publish, Steps: []Step{{Goal: Published}}}
}

func names(chain topology.Chain) string {
	var out []string
	for _, s := range chain.Servers {
		out = append(out, fmt.Sprintf("%s (%s)", s.Name, s.Seat))
	}
	return strings.Join(out, ", ")
}

func union(set []string, name string) []string {
	out := append([]string(nil), set...)
	for _, s := range out {
		if s == name {
			return out
		}
	}
	return append(out, name)
}

func orNone(text string) string {
	if text == "" {
		return "its SQL thread is off"
	}
	return text
}
