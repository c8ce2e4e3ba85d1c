package promote

import (
	"fmt"
	"slices"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// planReform makes the acker set what it should be. The journal's set grows
// before a server may acknowledge and shrinks after it stopped; the number that
// the master waits for grows at the master first and shrinks in the journal
// first. Ackers that do not answer and are not proven dead stay in the set.
func planReform(p *topology.Picture, v topology.Verdict) Plan {
	change := p.AckerChange(v.Rule)
	return Plan{Kind: Reform, Target: v.Server, Steps: reform(p, change)}
}

func reform(p *topology.Picture, change topology.AckerChange) []Step {
	chain, master := p.Chain, p.Chain.Master()
	need, set := chain.AcksNeeded(), chain.Ackers
	var steps []Step
	if len(change.Grow) > 0 {
		set = topology.AckerChange{Grow: change.Grow}.Set(set)
		steps = append(steps, Step{Goal: Ackers, Others: set, Need: need})
		for _, name := range change.Grow {
			steps = append(steps, Step{Goal: Following, Server: name, Source: master}, Step{Goal: Armed, Server: name, Source: master})
		}
		steps = append(steps, Step{Goal: Released, Server: master, Lenient: true})
	}
	if change.Acks < need {
		steps = append(steps, Step{Goal: Ackers, Others: set, Need: change.Acks}, Step{Goal: Acks, Server: master, Need: change.Acks})
	}
	if change.Acks > need {
		steps = append(steps, Step{Goal: Acks, Server: master, Need: change.Acks})
	}
	if len(change.Drop) == 0 && change.Acks <= need {
		return steps
	}
	after := change.Set(chain.Ackers)
	var got []Step
	for _, name := range union(p.Whole(after), change.Grow...) {
		got = append(got, Step{Goal: Received, Server: name, Source: master})
	}
	if len(change.Drop) > len(change.Gone) {
		steps = append(steps, got...) // those who stay must be well before another is switched off
	}
	for _, name := range change.Drop {
		if !slices.Contains(change.Gone, name) {
			steps = append(steps, Step{Goal: Disarmed, Server: name})
		}
	}
	if len(change.Drop) > 0 && need > 1 {
		// A commit that waits keeps the receipts of those who left: a later one, which
		// has none of theirs, shows that it is at enough of the others.
		steps = append(steps, Step{Goal: Confirmed, Server: master})
	}
	// What was acknowledged by fewer, or by those that leave, must be at the others too.
	steps = append(steps, got...)
	return append(steps, Step{Goal: Ackers, Others: after, Need: change.Acks})
}

// ForRaise plans that the named slave and the candidate change places, without
// touching the writes: the step before a switchover to that slave.
func ForRaise(c topology.Case, name, actor, reason string) (*Plan, error) {
	p, chain := c.Digest(), c.Chain
	server, known := chain.Server(name)
	switch {
	case !known:
		return nil, Refusal{[]string{fmt.Sprintf("product %s has no server %s: it has %s", chain.Product, name, names(chain))}}
	case server.Seat != topology.Slave:
		return nil, Refusal{[]string{fmt.Sprintf("%s is the %s; only a slave can change places with the candidate", name, server.Seat)}}
	case server.Standing != topology.In || !p.Up(name):
		return nil, Refusal{[]string{fmt.Sprintf("%s is not in rotation or does not answer (%s)", name, p.Contacts(name))}}
	case !p.Up(chain.Master()):
		return nil, Refusal{[]string{fmt.Sprintf("master %s does not answer (%s)", chain.Master(), p.Contacts(chain.Master()))}}
	}
	plan := raise(p, name)
	plan.Product, plan.Epoch, plan.Rule, plan.Why, plan.Actor, plan.Commit = chain.Product, chain.Epoch, "operator", reason, actor, len(plan.Steps)
	return &plan, nil
}

func planRaise(p *topology.Picture, v topology.Verdict) Plan { return raise(p, v.Server) }

func raise(p *topology.Picture, name string) Plan {
	chain, master := p.Chain, p.Chain.Master()
	candidate, _ := chain.At(topology.Candidate)
	after := chain
	after.Servers = slices.Clone(chain.Servers)
	for i, s := range after.Servers {
		switch s.Name {
		case name:
			after.Servers[i].Seat = topology.Candidate
		case candidate.Name:
			after.Servers[i].Seat = topology.Slave
		}
	}
	steps := []Step{{Goal: Following, Server: name, Source: master}, {Goal: Seats, Servers: after.Servers}}
	if chain.Policy.Durability == topology.SemiSync {
		change := topology.AckerChange{Grow: []string{name}, Acks: chain.AcksNeeded()}
		if chain.IsAcker(candidate.Name) && !chain.Policy.WantsAcker(topology.Slave) && (p.Up(candidate.Name) || p.Proven(candidate.Name)) {
			change.Drop = []string{candidate.Name}
			if !p.Up(candidate.Name) {
				change.Gone = change.Drop
			}
		}
		steps, after.Ackers = reform(p, change), change.Set(chain.Ackers)
		seats := Step{Goal: Seats, Servers: after.Servers}
		if n := len(steps); len(change.Drop) > 0 { // before the set shrinks, so that the candidate is an acker at any time
			steps = slices.Insert(steps, n-1, seats)
		} else {
			steps = append(steps, seats)
		}
	}
	if candidate.Standing == topology.In && p.Up(candidate.Name) {
		steps = append(steps, Step{Goal: Following, Server: candidate.Name, Source: after.SourceOf(candidate.Name), Lenient: true})
	}
	return Plan{Kind: Raise, Target: name, Steps: append(steps, Step{Goal: Published})}
}

// ForMaintenance plans that a server leaves rotation until a person, or the time
// given, brings it back. Nobody depends on it afterwards.
func ForMaintenance(c topology.Case, name, actor, reason string, until time.Time) (*Plan, error) {
	p, chain := c.Digest(), c.Chain
	server, known := chain.Server(name)
	switch {
	case !known:
		return nil, Refusal{[]string{fmt.Sprintf("product %s has no server %s: it has %s", chain.Product, name, names(chain))}}
	case server.Seat == topology.Master:
		return nil, Refusal{[]string{fmt.Sprintf("%s is the master: hand over first, \"failoverd switchover %s\"", name, chain.Product)}}
	case server.Standing == topology.Quarantined:
		return nil, Refusal{[]string{fmt.Sprintf("%s is quarantined and out of rotation already: %s", name, server.Why)}}
	}
	why := "maintenance by " + actor
	if reason != "" {
		why += ": " + reason
	}
	leave := Step{Goal: Standing, Server: name, Standing: topology.Maintenance, Why: why, Until: until}
	var steps []Step
	if chain.IsAcker(name) && chain.Policy.Durability == topology.SemiSync {
		change, ok := p.Without(name)
		if !ok {
			return nil, Refusal{[]string{fmt.Sprintf("%s acknowledges for %s and nobody can take over: every write would wait", name, chain.Master())}}
		}
		steps = reform(p, change)
	}
	if !slices.ContainsFunc(steps, func(s Step) bool { return s.Goal == Disarmed && s.Server == name }) && p.Up(name) {
		steps = append(steps, Step{Goal: Disarmed, Server: name}) // it may be armed ahead
	}
	steps = append(steps, leave)
	after := chain
	after.Servers = slices.Clone(chain.Servers)
	for i, s := range after.Servers {
		if s.Name == name {
			after.Servers[i].Standing = topology.Maintenance
		}
	}
	for _, s := range after.Servers {
		if source := after.SourceOf(s.Name); s.Standing == topology.In && p.Up(s.Name) && source != "" && source != chain.SourceOf(s.Name) {
			steps = append(steps, Step{Goal: Following, Server: s.Name, Source: source, Lenient: true})
		}
	}
	steps = append(steps, Step{Goal: Published})
	return &Plan{Product: chain.Product, Kind: Maintain, Epoch: chain.Epoch, Rule: "operator", Why: why, Actor: actor, Target: name, Steps: steps, Commit: len(steps)}, nil
}

// planReturn ends a maintenance. The rules then look at the server like at any
// other that was away: it comes back by proof, or is quarantined.
func planReturn(name string) Plan {
	return Plan{Kind: Maintain, Target: name, Steps: []Step{{Goal: Standing, Server: name, Standing: topology.Out, Why: "its maintenance is over"}}}
}

// ForReturn plans the end of a server's maintenance: it comes back by proof.
func ForReturn(c topology.Case, name, actor, reason string) (*Plan, error) {
	chain := c.Chain
	server, known := chain.Server(name)
	switch {
	case !known:
		return nil, Refusal{[]string{fmt.Sprintf("product %s has no server %s: it has %s", chain.Product, name, names(chain))}}
	case server.Standing != topology.Maintenance:
		return nil, Refusal{[]string{fmt.Sprintf("%s is not in maintenance, it is %s", name, server.Standing)}}
	}
	plan := planReturn(name)
	plan.Product, plan.Epoch, plan.Rule, plan.Why, plan.Actor, plan.Commit = chain.Product, chain.Epoch, "operator", reason, actor, len(plan.Steps)
	return &plan, nil
}

// planRebuild replaces the server's data with a donor's, after what only it holds
// was saved, and takes it in by proof.
func planRebuild(p *topology.Picture, v topology.Verdict) Plan {
	donor, _ := p.Donor(v.Server)
	facts, _ := p.Facts(v.Server)
	broken := facts != nil && facts.Link != nil && facts.Link.SQLError != "" // it can apply no more
	return Plan{Kind: Rebuild, Target: v.Server, Steps: []Step{
		{Goal: Disarmed, Server: v.Server},
		// What is only in its relay log cannot be saved, and more may come from where it was.
		{Goal: Revoked, Server: v.Server},
		{Goal: Drained, Server: v.Server, Lenient: broken},
		{Goal: Saved, Server: v.Server},
		{Goal: Cloned, Server: v.Server, Source: donor},
		{Goal: Following, Server: v.Server, Source: p.SourceFor(v.Server).Name},
		{Goal: Standing, Server: v.Server, Standing: topology.In},
		{Goal: Published},
	}}
}

// planBurn comes after the rebuilt server is in rotation, for it may be the only
// one that can acknowledge; it is not promoted before.
func planBurn(p *topology.Picture, name string) Plan {
	return Plan{Kind: Mend, Steps: []Step{{Goal: Sole, Server: name}, {Goal: Burned, Server: p.Chain.Master(), Source: name}}}
}

// ForRebuild plans the rebuild that a person asks for, from the named donor or
// the least useful healthy server.
func ForRebuild(c topology.Case, name, donor, actor, reason string) (*Plan, error) {
	p, chain := c.Digest(), c.Chain
	server, known := chain.Server(name)
	switch {
	case !known:
		return nil, Refusal{[]string{fmt.Sprintf("product %s has no server %s: it has %s", chain.Product, name, names(chain))}}
	case server.Standing != topology.Quarantined:
		return nil, Refusal{[]string{fmt.Sprintf("%s is %s: only what is quarantined is rebuilt", name, server.Standing)}}
	case chain.Policy.Rebuild == topology.RebuildNever:
		return nil, Refusal{[]string{fmt.Sprintf("the policy of %s says rebuild: never", chain.Product)}}
	case !p.Up(name):
		return nil, Refusal{[]string{fmt.Sprintf("%s does not answer (%s)", name, p.Contacts(name))}}
	}
	best, why := p.Donor(name)
	if donor == "" {
		donor = best
	}
	if s, ok := chain.Server(donor); donor == "" || !ok || s.Standing != topology.In || !p.Up(donor) || donor == name {
		return nil, Refusal{[]string{fmt.Sprintf("no server can be copied: %s", why)}}
	}
	plan := planRebuild(p, topology.Verdict{Server: name})
	for i, s := range plan.Steps {
		if s.Goal == Cloned {
			plan.Steps[i].Source = donor
		}
	}
	plan.Product, plan.Epoch, plan.Rule, plan.Why, plan.Actor, plan.Commit = chain.Product, chain.Epoch, "operator", reason, actor, len(plan.Steps)
	return &plan, nil
}

// ForRestored plans that a server comes back which a person set up anew from a copy in
// the object store. What kept it out was its old data; like any that was away it is
// taken in by proof, or quarantined for what it holds now.
func ForRestored(c topology.Case, name, snapshot, was, actor, reason string) (*Plan, error) {
	p, chain := c.Digest(), c.Chain
	server, known := chain.Server(name)
	facts, _ := p.Facts(name)
	switch {
	case !known:
		return nil, Refusal{[]string{fmt.Sprintf("product %s has no server %s: it has %s", chain.Product, name, names(chain))}}
	case server.Standing != topology.Quarantined && server.Standing != topology.Maintenance:
		return nil, Refusal{[]string{fmt.Sprintf("%s is %s: only what is quarantined or in maintenance is taken in after a restore", name, server.Standing)}}
	case !p.Up(name) || facts == nil:
		return nil, Refusal{[]string{fmt.Sprintf("%s has not answered since it was restored (%s)", name, p.Contacts(name))}}
	case was != "" && facts.UUID == was && server.Standing == topology.Quarantined:
		// As a master it would give GTIDs again that stood for what it was quarantined for.
		return nil, Refusal{[]string{fmt.Sprintf("%s still has the UUID %s of the server that was quarantined", name, was)}}
	case facts.Open():
		return nil, Refusal{[]string{fmt.Sprintf("%s is open for writes", name)}}
	case facts.Link != nil:
		return nil, Refusal{[]string{fmt.Sprintf("%s replicates from %s: it is not as a restore left it", name, facts.Link.SourceAddr)}}
	case facts.Executed.Empty():
		return nil, Refusal{[]string{fmt.Sprintf("%s holds no transaction: it is not restored", name)}}
	}
	return &Plan{Kind: Maintain, Product: chain.Product, Epoch: chain.Epoch, Rule: "operator", Why: reason, Actor: actor, Target: name, Commit: 1,
		Steps: []Step{{Goal: Standing, Server: name, Standing: topology.Out, Why: "was restored from snapshot " + snapshot}}}, nil
}
