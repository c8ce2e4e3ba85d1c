package topology

import (
	"fmt"
	"slices"
	"strings"
)

// RevokeNeeded is how many of the committed ackers must be stopped before nothing
// more can be acknowledged, and before every acknowledged write is on one of
// those that were: N−W+1 of N. 0 when nothing is acknowledged by others.
func (c Chain) RevokeNeeded() int {
	if c.Policy.Durability != SemiSync || len(c.Ackers) == 0 {
		return 0
	}
	return max(len(c.Ackers)-c.AcksNeeded()+1, 1)
}

// heirs are the servers that may be promoted, best first: the candidate, then the slaves.
func (c Chain) heirs() []Server {
	var out []Server
	for _, seat := range []Seat{Candidate, Slave} {
		for _, s := range c.Servers {
			if s.Seat == seat {
				out = append(out, s)
			}
		}
	}
	return out
}

// target is the server to promote: the first heir in rotation that can be talked
// to and can be brought to hold every acknowledged write. The sentence says why
// there is none.
func (p *Picture) target() (*seen, string) {
	if why := p.tooFewToRevoke(); why != "" {
		return nil, why
	}
	var reasons []string
	var second []*seen // heirs with something against them
	for _, heir := range p.Chain.heirs() {
		s := p.seen[heir.Name]
		why := ""
		if heir.Standing == In && s.up() && s.facts == nil {
			return nil, fmt.Sprintf("%s %s has not been looked at yet", heir.Seat, heir.Name) // it is only a moment
		}
		switch {
		case heir.Standing != In:
			why = fmt.Sprintf("%s %s is %s", heir.Seat, heir.Name, heir.Standing)
		case !s.up():
			why = fmt.Sprintf("%s %s does not answer either (%s)", heir.Seat, heir.Name, s.lastErr)
		default:
			why = p.incomplete(s)
		}
		switch {
		case why == "" && p.rests("target", heir.Name):
			second = append(second, s) // it could not be made ready a moment ago
			continue
		case why == "" && p.Reusable(heir.Name):
			second = slices.Insert(second, 0, s) // it has to take GTIDs out of use first, which takes a moment longer
			continue
		case why == "":
			return s, ""
		}
		reasons = append(reasons, why)
	}
	if len(second) > 0 {
		return second[0], ""
	}
	if len(reasons) == 0 {
		return nil, "the chain has neither candidate nor slave"
	}
	return nil, strings.Join(reasons, ", ")
}

// tooFewToRevoke names the ackers that are waited for when too few of them answer.
func (p *Picture) tooFewToRevoke() string {
	need := p.Chain.RevokeNeeded()
	var absent []string
	for _, acker := range p.Chain.Ackers {
		s := p.seen[acker]
		switch {
		case s == nil:
			absent = append(absent, acker+" (not in the chain any more)")
		case s.server.Standing != In:
			absent = append(absent, fmt.Sprintf("%s (%s)", acker, s.server.Standing))
		case !s.up():
			absent = append(absent, fmt.Sprintf("%s (%s)", acker, s.contacts(p.Watchers)))
		}
	}
	if len(p.Chain.Ackers)-len(absent) >= need {
		return ""
	}
	return fmt.Sprintf("acknowledged writes may be at %s alone: %d of %d ackers must answer. It waits for them; or run \"failoverd failover %s --accept-data-loss --reason TEXT\"",
		strings.Join(absent, ", "), need, len(p.Chain.Ackers), p.Chain.Product)
}

// incomplete says what keeps the server from being brought to hold everything
// that the ackers hold, empty when nothing does.
func (p *Picture) incomplete(s *seen) string {
	if pending := s.facts.Held().Minus(s.facts.Executed); s.broken() && !pending.Empty() {
		return fmt.Sprintf("%s cannot apply %d transactions that it received: %s", s.server.Name, pending.Count(), s.facts.Link.SQLError)
	}
	for _, acker := range p.Chain.Ackers {
		a := p.seen[acker]
		if a == nil || a == s || !a.up() || a.facts == nil || a.server.Standing != In {
			continue
		}
		missing := a.facts.Held().Minus(s.facts.Held())
		switch {
		case missing.Empty():
		case a.broken() && !missing.Minus(a.facts.Executed).Empty():
			return fmt.Sprintf("%s lacks %d transactions that acker %s received and cannot apply: %s", s.server.Name, missing.Count(), acker, a.facts.Link.SQLError)
		case !a.facts.Purged.Minus(s.facts.Held()).Empty():
			return fmt.Sprintf("%s lacks transactions that acker %s has purged from its binary log", s.server.Name, acker)
		}
	}
	return ""
}

// Reusable says that the server was rebuilt and would give GTIDs again that stood
// for its errant transactions: it must not be master yet.
func (p *Picture) Reusable(name string) bool {
	s, known := p.Chain.Server(name)
	if !known || s.UUID == "" {
		return false
	}
	retired := p.Chain.Retired.OfServer(s.UUID)
	if facts, _ := p.Facts(name); facts != nil {
		retired = retired.Minus(facts.Executed) // what it holds, it does not give
	}
	return !retired.Empty()
}

// broken says that the server's applier stopped with an error.
func (s *seen) broken() bool { return s.facts.Link != nil && s.facts.Link.SQLError != "" }

// Target is the server to promote now, or why there is none.
func (p *Picture) Target() (string, string) {
	s, why := p.target()
	if s == nil {
		return "", why
	}
	return s.server.Name, ""
}

// Fullest is the heir in rotation that answers and holds most of what the master
// was seen to have committed, for a promotion that accepts loss; empty when none answers.
func (p *Picture) Fullest() string {
	best, most := "", int64(-1)
	for _, heir := range p.Chain.heirs() {
		s := p.seen[heir.Name]
		if heir.Standing != In || !s.up() || s.facts == nil {
			continue
		}
		if n := s.facts.Held().Count(); n > most {
			best, most = heir.Name, n
		}
	}
	return best
}

// second is the slave that should be the candidate beside this master: the first
// in rotation, if possible in another zone.
func (c Chain) second(master Server) (Server, bool) {
	first := -1
	for i, s := range c.Servers {
		switch {
		case s.Seat != Slave || s.Standing != In || s.Name == master.Name:
		case s.Zone != master.Zone:
			return s, true
		case first < 0:
			first = i
		}
	}
	if first < 0 {
		return Server{}, false
	}
	return c.Servers[first], true
}
