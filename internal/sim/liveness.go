package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// Mode is what a run is about.
type Mode string

const (
	// Safety: whatever goes wrong, no promise is broken, and all is well once it is mended.
	Safety Mode = "safety"
	// Liveness: a part stays broken for ever, and the rest gets on or says whom it waits for.
	Liveness Mode = "liveness"
)

// progressWithin is how long the rest may take. A candidate is missed for a
// minute before a slave takes its seat.
const progressWithin = 150 * time.Second

// stillFor is how long nothing must happen before that counts as the end.
const stillFor = 10 * time.Second

// dooms are the ways in which a server is broken for ever.
var dooms = []struct {
	name string
	// certain dooms show at once that the server is dead.
	certain bool
	fall    func(w *World, s *server)
}{
	{"killed", true, func(_ *World, s *server) { s.kill(false) }},
	{"host lost", false, func(_ *World, s *server) { s.kill(true) }},
	{"frozen", false, func(_ *World, s *server) { s.freeze() }},
	{"cut off with old clients", false, func(w *World, s *server) { w.isolate(s.node(), oldNode) }},
	{"disk stuck", false, func(_ *World, s *server) { s.stickDisk() }},
}

// breakForEver chooses what stays broken and mends the rest. A majority of the watchers works.
func (w *World) breakForEver(sc *scenario) {
	n := []int{0, 1, 1, 1, 1, 2, 2, 2, 3}[w.rng.IntN(9)]
	doomed := map[*server]int{}
	var names []string
	for len(doomed) < n {
		s, how := w.servers[w.rng.IntN(len(w.servers))], w.rng.IntN(len(dooms))
		if _, twice := doomed[s]; twice {
			continue
		}
		if dooms[how].name == "disk stuck" && (s == w.masterNow() || w.chance(2)) {
			how = 0 // without write probes nobody would know
		}
		doomed[s] = how
	}
	w.mended, w.oracle.harmless = true, w.oracle.harmless && len(doomed) == 0
	w.cut, w.ambushes, w.kept = [nodes]uint32{}, nil, nil
	for _, s := range w.servers {
		how, is := doomed[s]
		if !is {
			continue
		}
		s.start()
		s.thaw()
		s.freeDisk()
		dooms[how].fall(w, s)
		s.doomed, s.certain = true, dooms[how].certain
		w.doomed |= 1 << s.node()
		names = append(names, s.info.Name+" "+dooms[how].name)
	}
	if w.chance(3) {
		x := w.watchers[w.rng.IntN(3)]
		switch w.rng.IntN(3) {
		case 0:
			x.crash()
		case 1:
			x.pause()
		case 2:
			w.isolate(x.node())
		}
		x.doomed = true
		w.doomed |= 1 << x.node()
		names = append(names, x.name)
	}
	storeAway := w.chance(4)
	if storeAway {
		names = append(names, "the store")
	}
	sc.heal(w)
	w.store.away = storeAway
	w.linksChanged()
	w.say("broken for ever: %s", strings.Join(names, ", "))
	sc.name += " / for ever: " + strings.Join(names, ", ")
}

// requireProgress waits until the rest gets on, or waits for somebody it must wait for.
func (w *World) requireProgress() {
	began, still, changes := w.now, w.now, w.oracle.changes
	bound := progressWithin
	for w.failure == "" {
		w.run(w.now + 500*time.Millisecond)
		w.tidyUp()
		if w.oracle.changes != changes {
			still, changes = w.now, w.oracle.changes
		}
		if w.oracle.quarantines {
			bound = progressWithin + rebuildWithin
		}
		if w.now-still < stillFor {
			if w.now-began > bound+time.Minute {
				if w.mustWait() != "" && w.namesTheDoomed() { // and tries in vain what it can
					w.stats.Waits++
					return
				}
				w.fail("still busy after %s: %s", w.now-began, w.state())
			}
			continue
		}
		if on, _ := w.getsOn(); on && w.probeWrite() {
			w.checkOn()
			return
		}
		if why := w.mustWait(); why != "" && w.namesTheDoomed() {
			w.say("it waits: %s (%s)", w.state(), why)
			w.stats.Waits++
			return
		}
		if w.now-began > bound {
			if w.mustWait() != "" && w.namesTheDoomed() {
				w.stats.Waits++
				return
			}
			_, why := w.getsOn()
			if must := w.mustWait(); must != "" {
				why = fmt.Sprintf("it has to wait (%s) and does not say for whom", must)
			}
			w.fail("no progress in %s: %s; %s", bound, why, w.state())
		}
	}
}

// state is what the leader says.
func (w *World) state() string {
	x := w.raft.leader
	if x == nil || x.mind == nil {
		return "nobody leads"
	}
	status := x.mind.Status()
	out := fmt.Sprintf("verdict %s: %s (%s)", status.Verdict.Rule, status.Verdict.Why, status.Waiting)
	if open := w.product().Open; open != nil {
		out += fmt.Sprintf("; plan %d (%s) is open at step %d of %v; waiting: %s", open.Plan.ID, open.Plan.Kind, open.Next, open.Steps(), status.Waiting)
	}
	return out
}

// getsOn says whether the chain has a master that works, and nothing is left to do.
func (w *World) getsOn() (bool, string) {
	p := w.product()
	if p.Open != nil && !w.inVain(&p.Open.Plan) {
		return false, "a plan is open"
	}
	master := w.byName(p.Chain.Master())
	if master.doomed || !master.up() || master.closed {
		return false, "the master is " + master.info.Name
	}
	if x := w.raft.leader; x == nil || x.mind == nil {
		return false, "nobody leads"
	} else if !restful(x.mind.Status()) && !w.namesTheDoomed() {
		return false, "a repair is due"
	}
	for _, s := range w.servers {
		if s != master && !s.doomed && !s.closed {
			return false, s.info.Name + " is open too"
		}
	}
	for _, s := range p.Chain.Servers {
		if s.Standing != topology.In && !w.byName(s.Name).doomed && !w.store.away && !w.copiesForEver() && p.Chain.Policy.Rebuild != topology.RebuildNever {
			return false, fmt.Sprintf("%s is %s: %s", s.Name, s.Standing, s.Why)
		}
	}
	return true, "the master acknowledges nothing"
}

// copiesForEver says that a broken server hangs in its rebuild: they come one at a time.
func (w *World) copiesForEver() bool {
	for _, s := range w.servers {
		if s.doomed && s.clone != nil && s.clone.state == topology.CloneInProgress {
			return true
		}
	}
	return false
}

// checkOn is checkEnd for what is not broken.
func (w *World) checkOn() {
	p := w.product()
	master := w.byName(p.Chain.Master())
	if !master.executed.contains(w.oracle.acked) {
		w.fail("acknowledged writes are lost: master %s has %v of %v", master.info.Name, master.executed, w.oracle.acked)
	}
	w.checkData(master)
	d := w.doc(w.raft.state.Head)
	if !d.shows(p.Chain) {
		w.fail("the published document shows %v, not the chain", d)
	}
	for _, f := range w.followers {
		if !f.zombie && f.doc != d {
			w.fail("a web server still has version %d of %d", f.doc.version, d.version)
		}
	}
}

// mustWait says why nobody could get on without a server that is broken for ever,
// knowing everything; empty when somebody could.
func (w *World) mustWait() string {
	p := w.product()
	chain := p.Chain
	if open := p.Open; open != nil && open.Plan.After != nil && open.MayHaveOpened() {
		chain = *open.Plan.After
	}
	in := func(s topology.Server) bool { return s.Standing == topology.In && !w.byName(s.Name).doomed }
	master := w.byName(chain.Master())
	if !master.doomed {
		left, stuck := 0, false
		for _, s := range chain.Servers {
			if in(s) && s.Seat != topology.Master {
				left++
			}
			stuck = stuck || (w.byName(s.Name).disk.stuck && chain.IsAcker(s.Name))
		}
		switch {
		case left == 0:
			return "no replica is left to acknowledge"
		case stuck && left < chain.AcksNeeded():
			return "an acker answers and acknowledges nothing, and cannot be told from one that is slow"
		}
		return ""
	}
	heirs, ackers, witnesses := 0, 0, 0
	stuckHeir := false
	for _, s := range chain.Servers {
		stuckHeir = stuckHeir || (s.Seat != topology.Dump && s.Standing == topology.In && w.byName(s.Name).disk.stuck)
	}
	held := vec{}
	for _, s := range chain.Servers {
		if !in(s) {
			continue
		}
		has := w.byName(s.Name)
		if has.link != nil && has.link.source == master {
			witnesses++
		}
		held = held.union(has.executed)
		if has.link != nil {
			held = held.union(has.link.received)
		}
		if s.Seat == topology.Candidate || s.Seat == topology.Slave {
			heirs++
		}
		if chain.IsAcker(s.Name) {
			ackers++
		}
	}
	switch {
	case stuckHeir:
		return "the heir answers, and its disk hangs"
	case heirs == 0:
		return "there is nobody to promote"
	case witnesses == 0:
		return "no replica of the master is left to say that it is dead"
	case ackers < chain.RevokeNeeded():
		return fmt.Sprintf("%d of the ackers {%s} are left, %d are needed", ackers, strings.Join(chain.Ackers, ","), chain.RevokeNeeded())
	case w.protected() && !held.contains(vecOf(chain.HighWater)):
		return "nobody has all that was acknowledged"
	case w.protected() && !held.contains(w.oracle.acked):
		return "only the broken have all that was acknowledged"
	case !master.certain && w.oracle.promotedAt > 0 && w.now-w.oracle.promotedAt < chain.Policy.HoldDown.Std():
		return "the last failover was a moment ago"
	case w.skewed && !master.certain:
		return "by the leader's clock the last failover may have been a moment ago"
	}
	return ""
}

// namesTheDoomed says whether the leader's sentence names one of the broken servers.
func (w *World) namesTheDoomed() bool {
	x := w.raft.leader
	if x == nil || x.mind == nil {
		return false
	}
	status := x.mind.Status()
	if s, _ := w.product().Chain.Server(status.Verdict.Server); w.store.away && s.Standing == topology.Quarantined {
		return true // its rebuild waits for the store
	}
	for _, s := range w.servers {
		if name := s.info.Name; s.doomed && (status.Verdict.Server == name || named(status.Verdict.Why, name) || named(status.Waiting, name)) {
			return true
		}
	}
	return false
}

// named says whether a sentence has a server's name among its words.
func named(sentence, name string) bool {
	for _, word := range strings.FieldsFunc(sentence, func(r rune) bool { return strings.ContainsRune(" ,;:(){}", r) }) {
		if word == name {
			return true
		}
	}
	return false
}
