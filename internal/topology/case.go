package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Case is everything a verdict may depend on. It is plain data, so a verdict can
// be replayed from its file.
type Case struct {
	Chain Chain `json:"chain"`
	// Watchers is how many watchers vote in the cluster.
	Watchers int `json:"watchers"`
	// Views has at most one view per watcher.
	Views []View `json:"views"`
	// Now is the leader's clock. It is used for pauses and the hold-down alone.
	Now time.Time `json:"now"`
	// Settled is the time since the chain was last changed by a plan, or since the
	// leader came to lead. Facts from before say nothing about the chain as it is
	// now and do not count. 0 means for ever.
	Settled Duration `json:"settled,omitempty"`
	// Published says that the newest published document shows the chain as it is.
	Published bool `json:"published"`
	// Resting are the repairs that failed a moment ago, as "rule/server": Judge
	// passes over them, so that they do not stand in the way of others.
	Resting []string `json:"resting,omitempty"`
}

// ViewTooOld is the age from which a view is not a witness any more.
const ViewTooOld = Duration(1500 * time.Millisecond)

// Picture is a case digested: what all fresh views say together.
type Picture struct {
	Case
	fresh  []View
	master Server
	// servers, by name, in rotation or not
	seen map[string]*seen
}

// seen is what the fresh views say of one server.
type seen struct {
	server                                   Server
	answered, refused, silent, alive, absent int
	// offline are those of alive who were told that it is in offline mode.
	offline int
	// unanswered is how long a majority has missed it, or while fewer miss it, the shortest of theirs.
	unanswered Duration
	misses     []Duration
	// hanging is how long the write probes of a majority have hung.
	hanging Duration
	hangs   []Duration
	// stalled is how long commits wait there, as every view has it that can tell.
	stalled      Duration
	stalledKnown bool
	// facts are the youngest of all views, and facts Age is their age.
	facts    *Facts
	factsAge Duration
	lastErr  string
}

// Digest puts the fresh views of a case together.
func (c Case) Digest() *Picture {
	p := &Picture{Case: c, seen: make(map[string]*seen, len(c.Chain.Servers)), fresh: make([]View, 0, len(c.Views))}
	p.master, _ = c.Chain.At(Master)
	all := make([]seen, len(c.Chain.Servers))
	for i, s := range c.Chain.Servers {
		all[i].server = s
		p.seen[s.Name] = &all[i]
	}
	for _, v := range c.Views {
		if v.Age <= ViewTooOld {
			p.fresh = append(p.fresh, v)
		}
	}
	slices.SortFunc(p.fresh, func(a, b View) int { return strings.Compare(a.Watcher, b.Watcher) })
	for _, s := range c.Chain.Servers {
		seen := p.seen[s.Name]
		for _, v := range p.fresh {
			seen.add(v, c.Settled)
		}
		if n := len(seen.misses); n > 0 {
			slices.SortFunc(seen.misses, func(a, b Duration) int { return cmp.Compare(b, a) })
			seen.unanswered = seen.misses[min(n, p.quorum())-1]
		}
		if len(seen.hangs) >= p.quorum() {
			slices.SortFunc(seen.hangs, func(a, b Duration) int { return cmp.Compare(b, a) })
			seen.hanging = seen.hangs[p.quorum()-1]
		}
	}
	return p
}

func (s *seen) add(v View, settled Duration) {
	sighting, ok := v.Sightings[s.server.Name]
	if !ok {
		s.absent++
		return
	}
	switch sighting.Contact {
	case Answered:
		s.answered++
	case Refused:
		s.refused++
	case Silent:
		s.silent++
	default:
		s.alive++
	}
	if sighting.Contact == Offline {
		s.offline++
	}
	if sighting.Hanging > 0 && !sighting.Contact.Missed() { // what holds up the pings holds up the writes
		s.hangs = append(s.hangs, sighting.Hanging)
	}
	if sighting.Contact.Missed() {
		s.misses = append(s.misses, sighting.Unanswered+v.Age)
	}
	if sighting.Contact != Answered && sighting.Error != "" {
		s.lastErr = sighting.Error
	}
	age := sighting.FactsAge + v.Age
	if sighting.Facts == nil || (settled > 0 && age >= settled) {
		return
	}
	if sighting.Contact == Answered && (!s.stalledKnown || sighting.Stalled < s.stalled) {
		s.stalled, s.stalledKnown = sighting.Stalled, true
	}
	if s.facts == nil || age < s.factsAge {
		s.facts, s.factsAge = sighting.Facts, age
	}
}

func (s *seen) missed() int { return s.refused + s.silent }

// up says that some watcher can talk to the server.
func (s *seen) up() bool { return s != nil && s.answered > 0 }

func (p *Picture) quorum() int { return p.Watchers/2 + 1 }

// rests says that the rule's repair of this server is given a rest.
func (p *Picture) rests(rule, server string) bool {
	for _, r := range p.Resting {
		if r == rule+"/"+server {
			return true
		}
	}
	return false
}

// Rests says that the rule's repair of this server failed lately and is given a rest.
func (p *Picture) Rests(rule, server string) bool { return p.rests(rule, server) }

// factsBeforeMaster are the youngest facts of a server that are not younger than
// the master's: what they hold, the master has had time to show.
func (p *Picture) factsBeforeMaster(s *seen) *Facts {
	limit := p.seen[p.master.Name].factsAge
	if s.facts == nil || s.factsAge >= limit {
		return s.facts
	}
	var best *Facts
	bestAge := Duration(0)
	for _, v := range p.fresh {
		sighting := v.Sightings[s.server.Name]
		age := sighting.FactsAge + v.Age
		if sighting.Facts == nil || age < limit || (p.Settled > 0 && age >= p.Settled) || (best != nil && age >= bestAge) {
			continue
		}
		best, bestAge = sighting.Facts, age
	}
	return best
}

// masterMissed says that a majority of all watchers cannot reach the master.
func (p *Picture) masterMissed() bool {
	return p.seen[p.master.Name].missed() >= p.quorum()
}

// masterRefused says that a majority was told by the kernel that nobody is
// there, and no watcher has any sign of life.
func (p *Picture) masterRefused() bool {
	m := p.seen[p.master.Name]
	return m.refused >= p.quorum() && m.answered == 0 && m.alive == 0
}

// directReplicas are the servers in rotation whose source is the master, or should be.
func (p *Picture) directReplicas() []*seen {
	var out []*seen
	for _, s := range p.Chain.Servers {
		if s.Standing == In && s.Name != p.master.Name && (p.Chain.SourceOf(s.Name) == p.master.Name || p.follows(p.seen[s.Name], p.master)) {
			out = append(out, p.seen[s.Name])
		}
	}
	return out
}

// follows says that the server was last seen to replicate from source: a slave
// whose candidate is lost follows the master for a while.
func (p *Picture) follows(s *seen, source Server) bool {
	return s.facts != nil && s.facts.Link != nil && s.facts.Link.SourceAddr == source.Addr()
}

// stillHears says that the replica was seen to receive from the master after
// the watchers lost it. Facts from before the loss say nothing.
func (p *Picture) stillHears(r *seen, patience Duration) (hears, known bool) {
	if !r.up() || r.facts == nil || r.factsAge >= p.seen[p.master.Name].unanswered {
		return false, false
	}
	link := r.facts.Link
	if link == nil || link.IO != On || link.SourceAddr != p.master.Addr() {
		return false, true
	}
	return link.Silence < patience, true
}

// replicasAgree says whether every direct replica that can be asked has lost the
// master too, with at least one that can be asked. The sentence says how.
func (p *Picture) replicasAgree(patience Duration) (bool, string) {
	agreed := 0
	for _, r := range p.directReplicas() {
		if !r.up() {
			continue
		}
		hears, known := p.stillHears(r, patience)
		switch {
		case !known:
			return false, fmt.Sprintf("no look at %s since the master went away", r.server.Name)
		case hears:
			return false, fmt.Sprintf("%s still hears the master (%s ago)", r.server.Name, r.facts.Link.Silence.Std().Round(time.Millisecond))
		}
		agreed++
	}
	if agreed == 0 {
		return false, "no direct replica can be asked"
	}
	return true, fmt.Sprintf("%d of its direct replicas lost it too", agreed)
}

// missingEverywhere are the transactions below the high-water mark that no
// server in rotation that answers holds.
func (p *Picture) missingEverywhere() GTIDSet {
	var held GTIDSet
	for _, s := range p.seen {
		if s.up() && s.facts != nil && s.server.Standing == In {
			held = held.Union(s.facts.Held())
		}
	}
	return p.Chain.HighWater.Minus(held)
}

// MissingEverywhere are the transactions below the high-water mark that no server
// in rotation that answers holds.
func (p *Picture) MissingEverywhere() GTIDSet { return p.missingEverywhere() }

func (p *Picture) masterFacts() *Facts {
	m := p.seen[p.master.Name]
	if !m.up() {
		return nil
	}
	return m.facts
}

// contacts says in a few words how the watchers see a server.
func (s *seen) contacts(watchers int) string {
	var parts []string
	for _, part := range []struct {
		n    int
		word string
	}{{s.answered, "answered"}, {s.refused, "refused"}, {s.silent, "silent"}, {s.alive, "alive but closed to probes"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%s for %d of %d watchers", part.word, part.n, watchers))
		}
	}
	if len(parts) == 0 {
		return "not seen"
	}
	return strings.Join(parts, ", ")
}

// Up says that some watcher can talk to the named server.
func (p *Picture) Up(name string) bool { return p.seen[name].up() }

// Missed says that a majority of all watchers cannot reach the named server.
func (p *Picture) Missed(name string) bool {
	s := p.seen[name]
	return s != nil && s.missed() >= p.quorum()
}

// MissedFor is how long a majority of all watchers could not reach the named server, 0 while it can.
func (p *Picture) MissedFor(name string) Duration {
	if !p.Missed(name) {
		return 0
	}
	return p.seen[name].unanswered
}

// Facts are the youngest facts of the named server, nil when no watcher that can
// be asked has any, and their age.
func (p *Picture) Facts(name string) (*Facts, Duration) {
	s := p.seen[name]
	if s == nil {
		return nil, 0
	}
	return s.facts, s.factsAge
}

// Contacts says in a few words how the watchers see the named server.
func (p *Picture) Contacts(name string) string {
	s := p.seen[name]
	if s == nil {
		return "not in the chain"
	}
	return s.contacts(p.Watchers)
}

// Errant are the errant transactions of the named replica, as it was last seen.
func (p *Picture) Errant(name string) GTIDSet { return p.errantAt(p.seen[name]) }
