package sim

import (
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// The rhythm of probes, as in the watcher.
const (
	pingDeadline = time.Second
	lookEvery    = time.Second
	// lookEveryStalled is the time between looks at a master whose commits wait.
	lookEveryStalled = 200 * time.Millisecond
	askPatience      = 400 * time.Millisecond
	answerPatience   = 700 * time.Millisecond
	exchangeEvery    = 250 * time.Millisecond
	probeEvery       = 250 * time.Millisecond
)

// sighter is one watcher's prober of one server.
type sighter struct {
	scout       *scout
	s           *server
	contact     topology.Contact
	err         string
	missedSince time.Duration // -1 while it answers
	reachedAt   time.Duration // when it last began to answer
	facts       *topology.Facts
	factsAt     time.Duration
	sentAt      time.Duration // of the ping under way, or of the next one
	wanted      []func()      // who waits for a look that has not begun
	asked       []func()      // who waits for the one under way
	changed     bool          // by the ping under way
	lookAt      time.Duration
	movedAt     time.Duration // of the latest look that saw commits get on, or wait for an acknowledgement
	waitedSince time.Duration // the first of the looks in a row that saw the same commits wait, -1
	beats       heartbeat
	seen        *topology.Facts // on their way back
	timer       int             // counts the timers, so that an old one does nothing

	answers, arrives, returns func(int) // the parts of a round, made once
}

func newSighter(x *scout, s *server) *sighter {
	g := &sighter{scout: x, s: s}
	g.answers, g.arrives, g.returns = g.answer, g.lookArrives, g.lookReturns
	return g
}

// reset forgets everything, as a new process has.
func (g *sighter) reset() {
	*g = sighter{scout: g.scout, s: g.s, missedSince: -1, factsAt: -never, waitedSince: -1, beats: heartbeat{since: -1, n: g.beats.n + 1}, timer: g.timer + 1, answers: g.answers, arrives: g.arrives, returns: g.returns}
}

// schedule sets the time of the next ping. What it meets is seen when it would be answered.
func (g *sighter) schedule(d time.Duration) {
	w := g.scout.w
	g.timer++
	g.sentAt = w.now + d
	w.afterNumber(d+2*w.latency(), g.answers, g.timer)
}

// probing says that a ping or a look is under way.
func (g *sighter) probing() bool { return g.scout.w.now >= g.sentAt }

// run has do called in the watcher, unless the round is over by then.
func (g *sighter) run(timer int, do func()) {
	if !g.scout.paused {
		if g.timer == timer {
			do()
		}
		return
	}
	g.scout.run(func() {
		if g.timer == timer {
			do()
		}
	})
}

func (g *sighter) answer(timer int) {
	w, x, s := g.scout.w, g.scout, g.s
	switch {
	case g.timer != timer:
	case x.paused && g.sentAt >= x.pausedAt: // it was never sent
		g.run(timer, func() { g.schedule(0) })
	case w.isCut(x.node(), s.node()) || w.isCut(s.node(), x.node()) || s.gone:
		w.after(g.sentAt+pingDeadline-w.now, func() { g.run(timer, func() { g.pinged(topology.Silent) }) })
	case !s.alive:
		g.run(timer, func() { g.pinged(topology.Refused) })
	case s.frozen:
		g.slowly(timer, 0)
	case w.chance(500): // on a busy machine
		g.slowly(timer, w.between(50*time.Millisecond, 600*time.Millisecond))
	default:
		g.replied(timer)
	}
}

func (g *sighter) replied(timer int) {
	contact := topology.Answered
	switch {
	case g.s.denied:
		contact = topology.Denied
	case g.s.offline:
		contact = topology.Offline
	}
	if !g.scout.paused {
		g.pinged(contact)
		return
	}
	g.run(timer, func() { g.pinged(contact) })
}

// slowly is a ping that the server answers late, if at all.
func (g *sighter) slowly(timer int, d time.Duration) {
	w, over := g.scout.w, false
	w.after(d, func() {
		g.s.receive(func() {
			if x := g.scout; !over && g.timer == timer && !g.s.gone && !w.isCut(x.node(), g.s.node()) && !w.isCut(g.s.node(), x.node()) {
				over = true
				g.replied(timer)
			}
		})
	})
	w.after(g.sentAt+pingDeadline-w.now, func() {
		if !over {
			over = true
			g.run(timer, func() { g.pinged(topology.Silent) })
		}
	})
}

// pinged looks when that is due, asked for, or new.
func (g *sighter) pinged(contact topology.Contact) {
	g.asked, g.wanted = g.wanted, nil
	g.changed = g.contact != contact
	g.contact, g.err = contact, ""
	if contact != topology.Answered {
		g.err = "ping: " + string(contact)
	}
	switch {
	case !contact.Missed():
		if g.missedSince >= 0 {
			g.reachedAt = g.scout.w.now
		}
		g.missedSince = -1
	case g.missedSince < 0:
		g.missedSince = g.sentAt
	}
	w := g.scout.w
	if contact != topology.Answered || (len(g.asked) == 0 && !g.changed && w.now-g.factsAt < g.lookEvery()) {
		g.end()
		return
	}
	g.lookAt = w.now
	w.afterNumber(w.latency(), g.arrives, g.timer)
}

func (g *sighter) lookEvery() time.Duration {
	if g.facts != nil && g.facts.Source.Waiting > 0 {
		return lookEveryStalled
	}
	return lookEvery
}

// end ends a round and sets the time of the next.
func (g *sighter) end() {
	if g.changed {
		g.scout.wakeMind()
	}
	g.heed()
	asked := g.asked
	g.asked = nil
	for _, done := range asked {
		done()
	}
	if len(g.wanted) > 0 {
		g.schedule(0)
		return
	}
	g.schedule(probeEvery - probeEvery/10 + g.scout.w.between(0, probeEvery/5))
}

func (g *sighter) lookArrives(timer int) {
	if g.timer != timer {
		return
	}
	w, node, s := g.scout.w, g.scout.node(), g.s
	if s.up() && !w.isCut(node, s.node()) && !w.isCut(s.node(), node) {
		g.seen = s.facts()
		w.afterNumber(w.latency(), g.returns, timer)
		return
	}
	over := false
	if !w.isCut(node, s.node()) {
		s.receive(func() {
			if over || g.timer != timer || w.isCut(s.node(), node) {
				return
			}
			over, g.seen = true, s.facts()
			w.afterNumber(w.latency(), g.returns, timer)
		})
	}
	w.after(g.lookAt+lookTimeout-w.now, func() {
		if !over {
			over = true
			g.run(timer, func() {
				g.err = "look: no answer"
				g.end()
			})
		}
	})
}

func (g *sighter) lookReturns(timer int) {
	if g.scout.paused {
		g.run(timer, func() { g.lookReturns(timer) })
		return
	}
	if g.timer != timer {
		return
	}
	if g.facts == nil || g.seen.Source.Waiting > 0 || !g.facts.Executed.Equal(g.seen.Executed) {
		g.movedAt = g.lookAt
	}
	switch {
	case g.seen.Source.Waiting == 0:
		g.waitedSince = -1
	case g.waitedSince < 0 || !g.facts.Executed.Equal(g.seen.Executed):
		g.waitedSince = g.lookAt
	}
	g.facts, g.factsAt, g.seen = g.seen, g.lookAt, nil
	g.end()
}

// ask asks for a full look at once; a server that is silent is not asked again.
func (g *sighter) ask(done func()) {
	if g.contact == topology.Silent || g.scout.w.now-g.sentAt > 200*time.Millisecond {
		done()
		return
	}
	g.wanted = append(g.wanted, done)
	if !g.probing() {
		g.schedule(0)
	}
}

func (g *sighter) sighting() topology.Sighting {
	now := g.scout.w.now
	out := topology.Sighting{Server: g.s.info.Name, Contact: g.contact, Error: g.err, Facts: g.facts}
	if g.contact == "" {
		out.Contact, out.Error = topology.Unclear, "not probed yet"
	}
	if g.missedSince >= 0 {
		out.Unanswered = topology.Duration(now - g.missedSince)
	}
	if g.facts != nil {
		out.FactsAge = topology.Duration(now - g.factsAt)
	}
	if g.waitedSince >= 0 {
		out.Stalled = topology.Duration(g.factsAt - g.waitedSince)
	}
	// What hung while the server could not be reached says nothing of its disk.
	if b := g.beats; b.since >= 0 && g.missedSince < 0 && now-max(b.since, g.reachedAt) >= b.every {
		out.Hanging = topology.Duration(now - max(b.since, g.reachedAt, g.movedAt))
	}
	return out
}
