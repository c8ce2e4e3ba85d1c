package topology

import (
	"fmt"
)

// errantAt is Chain.Errant by the youngest look at each of the two. Waiting for a
// look at the server that is older than the one at the master would find it out
// late, or never while chance has it that none is.
func (p *Picture) errantAt(s *seen) GTIDSet {
	mf := p.masterFacts()
	if mf == nil || !s.up() || s.facts == nil {
		return GTIDSet{}
	}
	return p.Chain.Errant(s.server, *s.facts, *mf)
}

func serverErrant(p *Picture) (found, bool) {
	for _, s := range p.Chain.Servers {
		if s.Name == p.master.Name || s.Standing == Maintenance || p.rests("server-errant", s.Name) {
			continue
		}
		if s.Standing == Quarantined {
			if f := p.seen[s.Name].facts; p.seen[s.Name].up() && f != nil && f.ReplicaSemiSync {
				return found{server: s.Name, why: fmt.Sprintf("%s is quarantined and still offers acknowledgements", s.Name)}, true
			}
			continue
		}
		if errant := p.errantAt(p.seen[s.Name]); !errant.Empty() {
			return found{server: s.Name, errant: errant, why: fmt.Sprintf("%s holds %d transactions that master %s never had: %s", s.Name, errant.Count(), p.master.Name, errant)}, true
		}
	}
	return found{}, false
}

// serverLeftBehind is about replicas in rotation; one that returns is told by its proof.
func serverLeftBehind(p *Picture) (found, bool) {
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Name == p.master.Name || (s.Standing != In && s.Standing != Out) || !seen.up() || seen.facts == nil || p.rests("server-left-behind", s.Name) {
			continue
		}
		if seen.facts.Link != nil && seen.facts.Link.IO == On {
			continue
		}
		source, _ := p.Facts(p.SourceFor(s.Name).Name)
		mf := p.masterFacts()
		if source == nil || mf == nil {
			continue
		}
		// Where the slave's usual source has purged too much, the master may still have it.
		if missing := source.Purged.Minus(seen.facts.Held()); !missing.Empty() && !mf.Purged.Minus(seen.facts.Held()).Empty() {
			return found{server: s.Name, why: fmt.Sprintf("%s lacks %d transactions that its source has purged: %s", s.Name, missing.Count(), missing)}, true
		}
	}
	return found{}, false
}

func serverReturned(p *Picture) (found, bool) {
	if p.masterFacts() == nil {
		return found{}, false
	}
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Standing != Out || !seen.up() || seen.facts == nil || seen.facts.Open() || p.rests("server-returned", s.Name) {
			continue
		}
		return found{server: s.Name, why: fmt.Sprintf("%s is back and holds nothing that master %s lacks", s.Name, p.master.Name)}, true
	}
	return found{}, false
}

func replicaAstray(p *Picture) (found, bool) {
	if p.masterFacts() == nil {
		return found{}, false
	}
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Standing != In || s.Name == p.master.Name || !seen.up() || seen.facts == nil || p.rests("replica-astray", s.Name) {
			continue
		}
		source := p.SourceFor(s.Name)
		if why := astray(seen.facts, source, p.Chain.MayAckUnder(s.Name, source.Name)); why != "" {
			return found{server: s.Name, why: s.Name + " " + why}, true
		}
	}
	return found{}, false
}

// SourceFor is the server that the named one should replicate from now: the
// master, while its proper source is away or has purged what it still needs, as a
// server does that was just rebuilt. Nor does MySQL let a replica follow a source
// that lacks GTIDs of its own which the replica holds (error 13114), as a rebuilt one
// does until it has executed those that the master took out of use.
func (p *Picture) SourceFor(name string) Server {
	source, _ := p.Chain.Server(p.Chain.SourceOf(name))
	s, replica := p.seen[source.Name], p.seen[name]
	switch {
	case s == nil:
	case s.missed() >= p.quorum() && s.unanswered >= p.Chain.Policy.DeadAfter:
		return p.master
	case s.facts == nil || replica == nil || replica.facts == nil:
	case !s.facts.Purged.Minus(replica.facts.Held()).Empty():
		return p.master
	case source.Name != p.master.Name && !replica.facts.Held().OfServer(s.facts.UUID).Minus(s.facts.Executed).Empty():
		return p.master
	}
	return source
}

func astray(f *Facts, source Server, mayAck bool) string {
	switch {
	case f.Link == nil:
		return "has no source, should follow " + source.Name
	case f.Link.SourceAddr != source.Addr():
		return fmt.Sprintf("follows %s, should follow %s (%s)", f.Link.SourceAddr, source.Name, source.Addr())
	case f.Link.IO == Off:
		return "does not receive from " + source.Name
	case f.Link.SQL == Off && f.Link.SQLError == "":
		return "receives but does not apply"
	case !f.Link.AutoPosition:
		return "follows without auto-position"
	case f.Offline:
		return "is in offline mode"
	case f.ReplicaSemiSync != mayAck && mayAck:
		return "should offer acknowledgements"
	case f.ReplicaSemiSync != mayAck:
		return "offers acknowledgements and should not"
	}
	return ""
}

func eventsAsleep(p *Picture) (found, bool) {
	mf := p.masterFacts()
	if mf == nil || !mf.Open() || mf.AsleepEvents == 0 || p.rests("events-asleep", p.master.Name) {
		return found{}, false
	}
	return found{server: p.master.Name, why: fmt.Sprintf("%d scheduled events do not run at master %s", mf.AsleepEvents, p.master.Name)}, true
}

func replicaBroken(p *Picture) (found, bool) {
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if seen.up() && seen.facts != nil && seen.facts.Link != nil && seen.facts.Link.SQLError != "" {
			return found{server: s.Name, why: fmt.Sprintf("%s: %s", s.Name, seen.facts.Link.SQLError)}, true
		}
	}
	return found{}, false
}

func serverMissing(p *Picture) (found, bool) {
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Standing == Maintenance {
			continue
		}
		if seen.up() {
			continue
		}
		why := fmt.Sprintf("%s (%s) is %s: %s", s.Name, s.Seat, seen.contacts(p.Watchers), seen.lastErr)
		if s.Standing == Quarantined {
			why += fmt.Sprintf("; it is quarantined: %s", s.Why)
		}
		return found{server: s.Name, why: why}, true
	}
	return found{}, false
}

func serverQuarantined(p *Picture) (found, bool) {
	for _, s := range p.Chain.Servers {
		if s.Standing == Quarantined {
			return found{server: s.Name, why: fmt.Sprintf("%s is quarantined: %s", s.Name, s.Why)}, true
		}
	}
	return found{}, false
}

func factsMissing(p *Picture) (found, bool) {
	for _, s := range p.Chain.Servers {
		if seen := p.seen[s.Name]; seen.up() && seen.facts == nil {
			return found{server: s.Name, why: s.Name + " has not been looked at since the chain was last changed"}, true
		}
	}
	return found{}, false
}
