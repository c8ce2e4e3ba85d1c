package sim

import (
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// The rhythm of probes, as in the watcher.
const (
	pingDeadline   = time.Second
	lookEvery      = time.Second
	askPatience    = 400 * time.Millisecond
	answerPatience = 700 * time.Millisecond
	exchangeEvery  = 250 * time.Millisecond
	probeEvery     = 250 * time.Millisecond
)

// sighter is one watcher's prober of one server.
type sighter struct {
	scout       *scout
	s           *server
	contact     topology.Contact
	err         string
	missedSince time.Duration // -1 while it answers
	facts       *topology.Facts
	factsAt     time.Duration
	pinging     time.Duration // -1 between pings
	wanted      []func()
	timer       int // counts the timers, so that an old one does nothing
}

// schedule sets the time of the next ping.
func (g *sighter) schedule(d time.Duration) {
	g.timer++
	timer, life := g.timer, g.scout.life
	g.scout.w.after(d, func() {
		if g.timer == timer && g.scout.life == life {
			g.scout.run(g.once)
		}
	})
}

// once pings, and looks when that is due, asked for, or new.
func (g *sighter) once() {
	w, life := g.scout.w, g.scout.life
	asked := g.wanted
	g.wanted = nil
	sent := w.now
	g.pinging = sent
	w.ping(g.scout, g.s, func(contact topology.Contact) {
		if g.scout.life != life {
			return
		}
		g.scout.run(func() { g.pinged(sent, contact, asked) })
	})
}

func (g *sighter) pinged(sent time.Duration, contact topology.Contact, asked []func()) {
	w := g.scout.w
	was := g.contact
	g.pinging, g.contact, g.err = -1, contact, ""
	if contact != topology.Answered {
		g.err = "ping: " + string(contact)
	}
	switch {
	case !contact.Missed():
		g.missedSince = -1
	case g.missedSince < 0:
		g.missedSince = sent
	}
	end := func() {
		if was != contact {
			g.scout.wakeMind()
		}
		for _, done := range asked {
			done()
		}
		if len(g.wanted) > 0 {
			g.once()
			return
		}
		g.schedule(probeEvery - probeEvery/10 + w.between(0, probeEvery/5))
	}
	if contact != topology.Answered || (len(asked) == 0 && was == contact && w.now-g.factsAt < lookEvery) {
		end()
		return
	}
	g.look(end)
}

func (g *sighter) look(end func()) {
	w, life, at := g.scout.w, g.scout.life, g.scout.w.now
	over := false
	finish := func(facts *topology.Facts) {
		if over || g.scout.life != life {
			return
		}
		over = true
		g.scout.run(func() {
			if facts == nil {
				g.err = "look: no answer"
			} else {
				g.facts, g.factsAt = facts, at
			}
			end()
		})
	}
	node := g.scout.node()
	w.after(w.latency(), func() {
		if w.isCut(node, g.s.node()) {
			return
		}
		g.s.receive(func() {
			facts := g.s.facts()
			if !w.isCut(g.s.node(), node) {
				w.after(w.latency(), func() { finish(facts) })
			}
		})
	})
	w.after(lookTimeout, func() { finish(nil) })
}

// ask asks for a full look at once; a server that is silent is not asked again.
func (g *sighter) ask(done func()) {
	if g.contact == topology.Silent || (g.pinging >= 0 && g.scout.w.now-g.pinging > 200*time.Millisecond) {
		done()
		return
	}
	g.wanted = append(g.wanted, done)
	if g.pinging < 0 {
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
	return out
}

// ping has done called once with how the server answered.
func (w *World) ping(from *scout, s *server, done func(topology.Contact)) {
	node := from.node()
	cut := func() bool { return w.isCut(node, s.node()) || w.isCut(s.node(), node) }
	over := false
	finish := func(contact topology.Contact) {
		if !over {
			over = true
			done(contact)
		}
	}
	answer := func() {
		switch {
		case cut() || s.gone:
		case s.denied:
			finish(topology.Denied)
		default:
			finish(topology.Answered)
		}
	}
	if w.chance(500) && !cut() && s.up() { // a slow reply on a busy machine
		w.after(w.between(50*time.Millisecond, 600*time.Millisecond), func() { s.receive(answer) })
		w.after(pingDeadline, func() { finish(topology.Silent) })
		return
	}
	w.after(2*w.latency(), func() {
		switch {
		case cut() || s.gone:
		case !s.alive:
			finish(topology.Refused)
		default:
			s.receive(answer)
		}
		if !over {
			w.after(pingDeadline-16*time.Millisecond, func() { finish(topology.Silent) })
		}
	})
}
