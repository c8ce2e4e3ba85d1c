package topology

import (
	"fmt"
	"slices"
	"time"
)

// candidatePatience is how long a candidate may be away before a slave takes its
// seat. Longer than a restart takes.
const candidatePatience = Duration(time.Minute)

// raisable is the slave that could take the candidate's seat now.
func (p *Picture) raisable(rule string) (Server, bool) {
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Seat == Slave && s.Standing == In && seen.up() && seen.facts != nil && !seen.broken() && !p.behind(seen) && !p.rests(rule, s.Name) {
			return s, true
		}
	}
	return Server{}, false
}

func candidateLost(p *Picture) (found, bool) {
	candidate, ok := p.Chain.At(Candidate)
	if !ok || p.masterFacts() == nil {
		return found{}, false
	}
	why := ""
	switch s := p.seen[candidate.Name]; {
	case candidate.Standing != In:
		why = fmt.Sprintf("candidate %s is %s", candidate.Name, candidate.Standing)
	case s.missed() >= p.quorum() && s.unanswered >= candidatePatience:
		why = fmt.Sprintf("candidate %s is %s for %s", candidate.Name, s.contacts(p.Watchers), s.unanswered.Std().Round(time.Second))
	default:
		return found{}, false
	}
	slave, ok := p.raisable("candidate-lost")
	return found{server: slave.Name, why: fmt.Sprintf("%s: slave %s takes its seat", why, slave.Name)}, ok
}

func candidateSameZone(p *Picture) (found, bool) {
	candidate, ok := p.Chain.At(Candidate)
	if !ok || p.masterFacts() == nil || candidate.Zone == "" || candidate.Zone != p.master.Zone || !p.receives(p.seen[candidate.Name]) {
		return found{}, false
	}
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Seat != Slave || s.Standing != In || s.Zone == "" || s.Zone == p.master.Zone || !seen.up() || seen.facts == nil || seen.broken() || p.behind(seen) ||
			p.rests("candidate-same-zone", s.Name) {
			continue
		}
		return found{server: s.Name, why: fmt.Sprintf("master %s and candidate %s are both in zone %s, slave %s is in zone %s", p.master.Name, candidate.Name, p.master.Zone, s.Name, s.Zone)}, true
	}
	return found{}, false
}

func gtidsReusable(p *Picture) (found, bool) {
	mf := p.masterFacts()
	if mf == nil || !mf.Open() {
		return found{}, false
	}
	for _, s := range p.Chain.Servers {
		if s.Standing != In || s.Name == p.master.Name || !p.Reusable(s.Name) || !p.seen[s.Name].up() || p.rests("gtids-reusable", s.Name) {
			continue
		}
		set := p.Chain.Retired.OfServer(s.UUID)
		if slices.ContainsFunc(p.Chain.Servers, func(o Server) bool {
			f := p.seen[o.Name].facts
			return o.Name != s.Name && o.Standing != In && p.seen[o.Name].up() && f != nil && !f.Held().Common(set.Minus(mf.Executed)).Empty()
		}) {
			continue // who holds them too is to be rebuilt first
		}
		return found{server: s.Name, why: fmt.Sprintf("%s was rebuilt, and as master would give %d GTIDs again that stood for its errant transactions", s.Name, set.Count())}, true
	}
	return found{}, false
}

func maintenanceOver(p *Picture) (found, bool) {
	if p.masterFacts() == nil {
		return found{}, false
	}
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Standing != Maintenance || s.Until.IsZero() || p.Now.Before(s.Until) || !seen.up() || seen.facts == nil || p.rests("maintenance-over", s.Name) {
			continue
		}
		return found{server: s.Name, why: fmt.Sprintf("the maintenance of %s was until %s", s.Name, s.Until.UTC().Format(time.RFC3339))}, true
	}
	return found{}, false
}

// Donor is the server to copy from: the least useful healthy one, for a copy
// costs it. The sentence says why there is none.
func (p *Picture) Donor(name string) (donor, why string) {
	for _, s := range p.Chain.Servers {
		if f := p.seen[s.Name].facts; s.Name != name && p.seen[s.Name].up() && f != nil && f.Clone != nil && f.Clone.State == CloneInProgress {
			return "", fmt.Sprintf("%s is being rebuilt from %s, one at a time", s.Name, f.Clone.Source)
		}
	}
	for _, seat := range []Seat{Dump, Slave, Candidate, Master} {
		for _, s := range p.Chain.Servers {
			seen := p.seen[s.Name]
			if s.Name == name || s.Seat != seat || s.Standing != In || !seen.up() || seen.facts == nil || seen.broken() || !p.errantAt(seen).Empty() {
				continue
			}
			if s.Name != p.master.Name && (seen.facts.Link == nil || seen.facts.Link.IO != On || p.behind(seen)) {
				continue
			}
			return s.Name, ""
		}
	}
	return "", "no server in rotation is healthy"
}

func serverRebuild(p *Picture) (found, bool) {
	if p.Chain.Policy.Rebuild != RebuildAuto || p.masterFacts() == nil {
		return found{}, false
	}
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Standing != Quarantined || !seen.up() || seen.facts == nil || seen.facts.Open() || p.rests("server-rebuild", s.Name) {
			continue
		}
		donor, why := p.Donor(s.Name)
		if why != "" {
			continue
		}
		return found{server: s.Name, why: fmt.Sprintf("%s is quarantined and is rebuilt from %s", s.Name, donor)}, true
	}
	return found{}, false
}
