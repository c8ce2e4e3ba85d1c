package sim

import (
	"time"
)

// heartbeat has one watcher commit to its row at the master, one write at a time.
type heartbeat struct {
	every time.Duration // 0 while there are none
	since time.Duration // when the oldest write without an answer was sent, -1
	n     int           // counts the changes, so that an old answer does nothing
}

// beatPatience is how long a lost connection may go unnoticed.
const beatPatience = 10 * time.Second

// heed starts and stops the heartbeats by what the watcher's journal says: only
// the master is written to.
func (g *sighter) heed() {
	x := g.scout
	if x.w.beats == 0 && g.beats.every == 0 {
		return
	}
	if x.w.raft.hears(x) {
		x.catchUp(len(x.w.raft.log))
	}
	every := time.Duration(0)
	if p := x.state.Products[Product]; p != nil && p.Chain.Master() == g.s.info.Name {
		every = p.Chain.Policy.WriteProbe.Std()
	}
	if every == g.beats.every {
		return
	}
	g.beats = heartbeat{every: every, since: -1, n: g.beats.n + 1}
	if every > 0 {
		g.beat(g.beats.n)
	}
}

func (g *sighter) beat(n int) {
	w, x := g.scout.w, g.scout
	if g.beats.n != n || !x.alive {
		return
	}
	if g.beats.since < 0 {
		g.beats.since = w.now
	}
	next := func(answered bool) {
		x.run(func() {
			if g.beats.n != n {
				return
			}
			if answered {
				g.beats.since = -1
			}
			w.after(g.beats.every, func() { x.run(func() { g.beat(n) }) })
		})
	}
	if g.s.gone || w.isCut(x.node(), g.s.node()) || w.isCut(g.s.node(), x.node()) {
		next(false)
		return
	}
	w.begin(x.node(), g.s, beatPatience, func(o Outcome) {
		answered := o == Acked || (o == Refused && g.s.alive)
		w.after(w.latency(), func() { next(answered && !w.isCut(g.s.node(), x.node())) })
	})
}
