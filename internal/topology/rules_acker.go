package topology

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ackerFor is the server that should acknowledge for the present master beside
// those that do: one that already receives from it, and among these the
// candidate, slave, dump.
func (p *Picture) ackerFor() string { return p.standIn("") }

// standIn is ackerFor when one server is about to leave.
func (p *Picture) standIn(leaving string) string {
	best, bestRank := "", 0
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Name == p.master.Name || s.Standing != In || !seen.up() || seen.facts == nil || p.behind(seen) || p.rests("ackers-lost", s.Name) {
			continue
		}
		if s.Name == leaving || (p.Chain.IsAcker(s.Name) && p.acks(s.Name)) {
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
	r, why := p.rescue()
	switch {
	case why == "":
		return found{}, false
	case len(r.Grow) > 0:
		return found{server: r.Grow[0], why: why}, true
	}
	return found{server: p.master.Name, why: why}, true
}

func (p *Picture) lost(live, need int, stalled bool, then string) string {
	if live >= need && stalled {
		return fmt.Sprintf("commits at %s wait for %s, although the ackers {%s} answer: %s",
			p.master.Name, p.seen[p.master.Name].stalled.Std().Round(100*time.Millisecond), join(p.Chain.Ackers), then)
	}
	return fmt.Sprintf("%d of the ackers {%s} answer and are up to date, %d are needed, commits at %s wait: %s", live, join(p.Chain.Ackers), need, p.master.Name, then)
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

// stallPatience is how long commits may wait for ackers that seem well. A disk
// that hangs under an acker shows only in this.
const stallPatience = Duration(1200 * time.Millisecond)

func (p *Picture) refusedByAll(s *seen) bool { return s.refused >= p.quorum() && s.answered == 0 }

func masterUnprotected(p *Picture) (found, bool) {
	mf := p.masterFacts()
	if mf != nil && p.Chain.Policy.Durability == Async && mf.Source.Enabled {
		return found{server: p.master.Name, why: fmt.Sprintf("%s waits for acknowledgements that the policy does not ask for and nobody gives", p.master.Name)}, true
	}
	if p.Chain.Policy.Durability != SemiSync || mf == nil {
		return found{}, false
	}
	if !mf.Source.Enabled || !mf.Source.On {
		return found{server: p.master.Name, why: fmt.Sprintf("%s does not wait for acknowledgements", p.master.Name)}, true
	}
	if need := p.Chain.AcksNeeded(); mf.Source.Acks > 0 && mf.Source.Acks != need {
		return found{server: p.master.Name, why: fmt.Sprintf("%s waits for %d acknowledgements instead of %d", p.master.Name, mf.Source.Acks, need)}, true
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

func ackersAstray(p *Picture) (found, bool) {
	if p.Chain.Policy.Durability != SemiSync || p.masterFacts() == nil {
		return found{}, false
	}
	r := p.tidy()
	say := func(name, format string, args ...any) (found, bool) {
		return found{server: name, why: fmt.Sprintf(format, args...)}, true
	}
	switch {
	case len(r.Grow) > 0:
		return say(r.Grow[0], "%s is whole and should acknowledge for %s as well as {%s}", join(r.Grow), p.master.Name, join(p.Chain.Ackers))
	case len(r.Gone) > 0:
		return say(r.Gone[0], "acker %s is dead and cannot acknowledge before it is armed again: {%s} do without it", join(r.Gone), join(r.Set(p.Chain.Ackers)))
	case len(r.Drop) > 0 && p.Stalled() > 0:
		return found{}, false // some acker answers and acknowledges nothing: it may be one of those that would stay
	case len(r.Drop) > 0:
		return say(r.Drop[0], "%s need not acknowledge any more: {%s} do", join(r.Drop), join(r.Set(p.Chain.Ackers)))
	case r.Acks != p.Chain.AcksNeeded():
		return say(p.master.Name, "%s can wait for %d acknowledgements again", p.master.Name, r.Acks)
	}
	return found{}, false
}

// durabilityWeak looks at every server in rotation whose receipt counts now, or
// will without anybody being asked.
func durabilityWeak(p *Picture) (found, bool) {
	if p.Chain.Policy.Durability != SemiSync {
		return found{}, false
	}
	next := p.Chain.NextAcker()
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Standing != In || !seen.up() || seen.facts == nil {
			continue
		}
		mayAck := s.Name != p.master.Name && (p.Chain.IsAcker(s.Name) || p.wanted(s) || s.Name == next)
		if weak := seen.facts.Weakness(mayAck, s.Name == p.master.Name); len(weak) > 0 {
			return found{server: s.Name, why: fmt.Sprintf("%s (%s): %s. \"failoverd doctor %s --fix\" mends what can be mended", s.Name, s.Seat, weak[0], p.Chain.Product)}, true
		}
	}
	return found{}, false
}

// commitsStalled is what is left when nobody can take over.
func commitsStalled(p *Picture) (found, bool) {
	if p.Chain.Policy.Durability != SemiSync || p.masterFacts() == nil {
		return found{}, false
	}
	if !slices.ContainsFunc(p.Chain.Ackers, p.acks) {
		var others []string
		for _, s := range p.Chain.Servers {
			if s.Name == p.master.Name {
				continue
			}
			how := p.seen[s.Name].contacts(p.Watchers)
			if s.Standing != In {
				how = string(s.Standing)
			}
			others = append(others, fmt.Sprintf("%s is %s", s.Name, how))
		}
		return found{server: p.master.Name, why: fmt.Sprintf("no server can acknowledge, every write at %s waits for one: %s", p.master.Name, strings.Join(others, ", "))}, true
	}
	if p.Stalled() < stallPatience {
		return found{}, false
	}
	return found{server: p.master.Name, why: fmt.Sprintf("commits at %s wait for %s: {%s} answer and acknowledge nothing, and no other server can take over",
		p.master.Name, p.Stalled().Std().Round(100*time.Millisecond), join(p.Chain.Ackers))}, true
}

func ackerBehind(p *Picture) (found, bool) {
	for _, acker := range p.Chain.Ackers {
		if a := p.seen[acker]; a != nil && a.up() && p.behind(a) && p.Chain.Policy.Durability == SemiSync {
			return found{server: acker, why: fmt.Sprintf("acker %s has more than %d transactions still to receive: commits at %s wait for it", acker, AckerBehind, p.master.Name)}, true
		}
	}
	return found{}, false
}
