package promote

import (
	"fmt"
	"slices"
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
	topology.Raise:      planRaise,
	topology.Rebuild:    planRebuild,
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
		if facts, _ := p.Facts(v.Server); facts != nil && facts.Open() && waitsForMore(*facts, p.Chain.AcksNeeded()) {
			return Plan{Kind: Protect, Steps: []Step{{Goal: Acks, Server: v.Server, Need: p.Chain.AcksNeeded()}}}
		}
		return Plan{Kind: Protect, Steps: []Step{{Goal: Writable, Server: v.Server}}}
	}
	return Plan{Kind: Protect, Steps: []Step{
		{Goal: Following, Server: v.Server, Source: p.Chain.Master()},
		{Goal: Armed, Server: v.Server, Source: p.Chain.Master()},
		{Goal: Released, Server: p.Chain.Master(), Lenient: true},
	}}
}

func planMend(p *topology.Picture, v topology.Verdict) Plan {
	switch {
	case v.Rule == "gtids-reusable":
		return planBurn(p, v.Server)
	case v.Rule == "events-asleep":
		return Plan{Kind: Mend, Steps: []Step{{Goal: Awake, Server: v.Server, Others: p.Chain.DisabledEvents}}}
	case v.Server == p.Chain.Master():
		return Plan{Kind: Mend, Steps: []Step{{Goal: Detached, Server: v.Server}}}
	}
	plan := Plan{Kind: Mend, Steps: []Step{{Goal: Following, Server: v.Server, Source: p.SourceFor(v.Server).Name}}}
	if p.Chain.IsAcker(v.Server) {
		plan.Steps = append(plan.Steps, Step{Goal: Released, Server: p.Chain.Master(), Lenient: true})
	}
	return plan
}

func planRejoin(p *topology.Picture, v topology.Verdict) Plan {
	if s, _ := p.Chain.Server(v.Server); s.Standing == topology.Maintenance {
		return planReturn(v.Server)
	}
	return Plan{Kind: Rejoin, Steps: []Step{
		{Goal: Following, Server: v.Server, Source: p.SourceFor(v.Server).Name},
		{Goal: Standing, Server: v.Server, Standing: topology.In},
		{Goal: Published},
	}}
}

// planQuarantine takes the server out of rotation and then its right to
// acknowledge: what only it received could not be promoted. The readers hear of it
// first, for a server whose disk hangs answers and cannot be disarmed.
func planQuarantine(p *topology.Picture, v topology.Verdict) Plan {
	plan := Plan{Kind: Quarantine}
	if s, _ := p.Chain.Server(v.Server); s.Standing != topology.Quarantined {
		plan.Steps = append(plan.Steps, Step{Goal: Standing, Server: v.Server, Standing: topology.Quarantined, Why: v.Why})
	}
	plan.Steps = append(plan.Steps, Step{Goal: Published}, Step{Goal: Disarmed, Server: v.Server})
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

func union(set []string, names ...string) []string {
	out := append([]string(nil), set...)
	for _, name := range names {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func orNone(text string) string {
	if text == "" {
		return "its SQL thread is off"
	}
	return text
}
