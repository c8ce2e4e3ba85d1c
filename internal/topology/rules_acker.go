package topology

import (
	"fmt"
	"time"
)

// ackerFor is the server that should acknowledge for the present master: one
// that already receives from it, and among these the candidate, slave, dump.
func (p *Picture) ackerFor() string {
	best, bestRank := "", 0
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Name == p.master.Name || s.Standing != In || !seen.up() || seen.facts == nil || p.behind(seen) || p.rests("ackers-lost", s.Name) {
			continue
		}
		rank := map[Seat]int{Candidate: 3, Slave: 2, Dump: 1}[s.Seat]
		if link := seen.facts.Link; link != nil && link.IO == On && link.SourceAddr == p.master.Addr() {
			rank += 3
		}
		if rank > bestRank {
			best, bestRank = s.Name, rank
		}
	}
	return best
}

func ackersLost(p *Picture) (found, bool) {
	if p.Chain.Policy.Durability != SemiSync || p.masterFacts() == nil {
		return found{}, false
	}
	for _, acker := range p.Chain.Ackers {
		a := p.seen[acker]
		if a == nil {
			continue
		}
		// Standing in, and not proven missing by a majority: it acks, or will in a moment.
		answers := a.missed() < p.quorum() || (!p.refusedByAll(a) && a.unanswered < ackerPatience)
		if a.server.Standing == In && answers && !p.behind(a) {
			return found{}, false
		}
	}
	stand := p.ackerFor()
	if stand == "" {
		return found{}, false
	}
	return found{server: stand, why: fmt.Sprintf("no acker of {%s} answers or is up to date, commits at %s wait: %s takes over acknowledging", join(p.Chain.Ackers), p.master.Name, stand)}, true
}

// AckerBehind is how many transactions an acker may have still to receive before
// it is as good as lost: a commit is acknowledged only behind all of them.
const AckerBehind = 1000

// behind says that so much that the master committed has not reached the server.
func (p *Picture) behind(s *seen) bool {
	mf := p.masterFacts()
	return mf != nil && s.facts != nil && mf.Executed.Minus(s.facts.Held()).Count() > AckerBehind
}

// ackerPatience is how long a silent acker is waited for. Much shorter than
// DeadAfter: the writes stall meanwhile, and taking in another acker harms nobody.
const ackerPatience = Duration(900 * time.Millisecond)

func (p *Picture) refusedByAll(s *seen) bool { return s.refused >= p.quorum() && s.answered == 0 }

func masterUnprotected(p *Picture) (found, bool) {
	mf := p.masterFacts()
	if p.Chain.Policy.Durability != SemiSync || mf == nil {
		return found{}, false
	}
	if !mf.Source.Enabled || !mf.Source.On {
		return found{server: p.master.Name, why: fmt.Sprintf("%s does not wait for acknowledgements", p.master.Name)}, true
	}
	for _, acker := range p.Chain.Ackers {
		a := p.seen[acker]
		if a == nil || !a.up() || a.facts == nil || a.server.Standing != In || p.rests("master-unprotected", acker) {
			continue
		}
		if !a.facts.ReplicaSemiSync && p.Chain.SourceOf(acker) == p.master.Name {
			return found{server: acker, why: fmt.Sprintf("acker %s does not offer acknowledgements", acker)}, true
		}
	}
	return found{}, false
}

func ackersSurplus(p *Picture) (found, bool) {
	if p.Chain.Policy.Durability != SemiSync || p.masterFacts() == nil {
		return found{}, false
	}
	candidate, ok := p.Chain.At(Candidate)
	if !ok || candidate.Standing != In || (len(p.Chain.Ackers) == 1 && p.Chain.Ackers[0] == candidate.Name) {
		return found{}, false
	}
	s := p.seen[candidate.Name]
	if !s.up() || s.facts == nil || s.facts.Link == nil || s.facts.Link.IO != On || s.facts.Link.SourceAddr != p.master.Addr() || p.behind(s) {
		return found{}, false
	}
	// The servers that stop acknowledging must answer, for they are switched off first.
	for _, acker := range p.Chain.Ackers {
		if a := p.seen[acker]; a != nil && acker != candidate.Name && !a.up() {
			return found{}, false
		}
	}
	return found{server: candidate.Name, why: fmt.Sprintf("candidate %s receives again and takes acknowledging back from {%s}", candidate.Name, join(p.Chain.Ackers))}, true
}

func ackerBehind(p *Picture) (found, bool) {
	for _, acker := range p.Chain.Ackers {
		if a := p.seen[acker]; a != nil && a.up() && p.behind(a) && p.Chain.Policy.Durability == SemiSync {
			return found{server: acker, why: fmt.Sprintf("acker %s has more than %d transactions still to receive: commits at %s wait for it", acker, AckerBehind, p.master.Name)}, true
		}
	}
	return found{}, false
}
