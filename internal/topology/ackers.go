package topology

import "slices"

// AckerChange is how the acker set should change.
type AckerChange struct {
	// Grow are the servers to take in, Drop those to let go.
	Grow, Drop []string
	// Gone are those of Drop that need not be asked to stop, for their process is dead.
	Gone []string
	// Acks is how many acknowledgements the master should wait for afterwards.
	Acks int
}

// Set is the acker set after the change.
func (r AckerChange) Set(before []string) []string {
	var out []string
	for _, name := range before {
		if !slices.Contains(r.Drop, name) {
			out = append(out, name)
		}
	}
	for _, name := range r.Grow {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// WantsAcker says whether the policy wants servers of this seat to acknowledge.
func (p Policy) WantsAcker(seat Seat) bool {
	if len(p.Ackers) == 0 {
		return seat == Candidate
	}
	return slices.Contains(p.Ackers, seat)
}

// wanted says whether the server should be in the acker set.
func (p *Picture) wanted(s Server) bool {
	return s.Standing == In && s.Name != p.master.Name && p.Chain.Policy.WantsAcker(s.Seat)
}

// acks says whether the acker answers and is up to date: it acknowledges, or will
// in a moment. The writes stall meanwhile, so little patience is had with it.
func (p *Picture) acks(name string) bool {
	a := p.seen[name]
	if a == nil || a.server.Standing != In || p.behind(a) {
		return false
	}
	return a.missed() < p.quorum() || (!p.refusedByAll(a) && a.unanswered < ackerPatience)
}

// receives says that the server could acknowledge for the master this moment.
func (p *Picture) receives(s *seen) bool {
	return s.up() && s.facts != nil && s.facts.Link != nil && s.facts.Link.IO == On && s.facts.Link.SourceAddr == p.master.Addr() && !p.behind(s)
}

// keepsUp says that the server holds all that the master had when one of the
// watchers looked last: one whose disk hangs answers, and lacks more and more of it.
func (p *Picture) keepsUp(s *seen) bool {
	held := s.facts.Held()
	for _, v := range p.fresh {
		m := v.Sightings[p.master.Name]
		if m.Facts != nil && (p.Settled == 0 || m.FactsAge+v.Age < p.Settled) && held.Contains(m.Facts.Executed) {
			return true
		}
	}
	return false
}

// proven says that an acker's process is dead, by two witnesses: a majority is
// refused by its host, and the master counts no semi-sync replica that is not
// one of the others. The right to acknowledge does not survive a restart, so it
// is out of the game until it is armed again.
func (p *Picture) proven(name string) bool {
	a, mf := p.seen[name], p.masterFacts()
	if a == nil || mf == nil || !p.refusedByAll(a) || a.alive > 0 {
		return false
	}
	others := 0
	for _, s := range p.Chain.Servers {
		if s.Name == name || s.Name == p.master.Name {
			continue
		}
		if f := p.seen[s.Name].facts; p.seen[s.Name].up() && f != nil && f.ReplicaSemiSync && f.Link != nil && f.Link.SourceAddr == p.master.Addr() {
			others++
		}
	}
	return mf.Source.Clients <= others
}

// rescue is the change without which commits at the master wait: another server
// takes over, or it waits for fewer. The sentence says why, empty when all is well.
func (p *Picture) rescue() (AckerChange, string) {
	live := 0
	for _, acker := range p.Chain.Ackers {
		if p.acks(acker) {
			live++
		}
	}
	need := p.Chain.AcksNeeded()
	stalled := p.seen[p.master.Name].stalled >= stallPatience
	if live >= need && !stalled {
		return AckerChange{}, ""
	}
	if stand := p.ackerFor(); stand != "" {
		return AckerChange{Grow: []string{stand}, Acks: need}, p.lost(live, need, stalled, stand+" takes over acknowledging")
	}
	if live >= need && need > 1 { // they answer, and too few of them acknowledge
		return AckerChange{Acks: need - 1}, p.lost(live, need, stalled, "nobody can take over, so it waits for fewer")
	}
	if live > 0 && live < need {
		return AckerChange{Acks: live}, p.lost(live, need, stalled, "nobody can take over, so it waits for fewer")
	}
	return AckerChange{}, ""
}

// MoreAcks is what rests at the master after a rescue had it wait for fewer: while
// the reason lasts, each try to wait for more again stalls the writes anew.
const MoreAcks = "more-acks"

// tidy is the change that makes the acker set what the policy wants, as far as
// that is possible now.
func (p *Picture) tidy() AckerChange {
	r := AckerChange{}
	for _, s := range p.Chain.Servers {
		if p.wanted(s) && !p.Chain.IsAcker(s.Name) && p.receives(p.seen[s.Name]) && !p.rests("ackers-astray", s.Name) {
			r.Grow = append(r.Grow, s.Name)
		}
	}
	need := p.Chain.AcksNeeded()
	for _, gone := range []bool{true, false} {
		for _, acker := range p.Chain.Ackers {
			a := p.seen[acker]
			if slices.Contains(r.Drop, acker) {
				continue
			}
			switch {
			case gone && !p.proven(acker):
				continue
			case !gone && (a == nil || p.wanted(a.server) || !a.up()):
				continue // those who stop acknowledging must answer, for they are switched off first
			}
			drop := AckerChange{Grow: r.Grow, Drop: append(slices.Clone(r.Drop), acker)}
			if p.whole(drop.Set(p.Chain.Ackers), r.Grow) < need {
				continue
			}
			r.Drop = drop.Drop
			if gone {
				r.Gone = append(r.Gone, acker)
			}
		}
	}
	r.Acks = min(max(p.Chain.Policy.Acks, 1), p.whole(r.Set(p.Chain.Ackers), r.Grow))
	if r.Acks < need { // lowering is for a rescue
		r.Acks = need
	}
	if r.Acks > need && (p.Stalled() > 0 || p.rests(MoreAcks, p.master.Name)) {
		r.Acks = need // ackers that answer and acknowledge nothing look whole until they are counted on
	}
	return r
}

// whole is how many of the servers acknowledge for the master, or will once they are armed.
func (p *Picture) whole(set, arming []string) int {
	n := 0
	for _, name := range set {
		s := p.seen[name]
		switch {
		case s == nil || s.server.Standing != In || !p.receives(s):
		case slices.Contains(arming, name), s.facts.ReplicaSemiSync && p.keepsUp(s):
			n++
		}
	}
	return n
}

// AckerChange is the change of the acker set that a rule asks for.
func (p *Picture) AckerChange(rule string) AckerChange {
	if rule == "ackers-lost" {
		change, _ := p.rescue()
		return change
	}
	return p.tidy()
}

// Without is the change that lets one acker go, with another in its place where
// that is needed; false when commits would wait.
func (p *Picture) Without(name string) (AckerChange, bool) {
	change := AckerChange{Drop: []string{name}, Acks: p.Chain.AcksNeeded()}
	if s := p.seen[name]; !s.up() {
		if !p.proven(name) {
			return AckerChange{Acks: change.Acks}, true // it may acknowledge when it is back, so the set keeps it
		}
		change.Gone = change.Drop
	}
	left := p.whole(change.Set(p.Chain.Ackers), nil)
	if left >= change.Acks {
		return change, true
	}
	if stand := p.standIn(name); stand != "" {
		change.Grow = []string{stand}
		return change, true
	}
	change.Acks = left
	return change, left > 0
}

// Proven says that an acker's process is dead for certain.
func (p *Picture) Proven(name string) bool { return p.proven(name) }

// Whole lists those of the set that receive from the master now.
func (p *Picture) Whole(set []string) []string {
	return slices.DeleteFunc(slices.Clone(set), func(name string) bool { return p.whole([]string{name}, nil) == 0 })
}
