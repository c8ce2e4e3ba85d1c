package sim

import (
	"context"
	"errors"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/internal/watcher"
)

// scout is one watcher of the trio: its probes, its copy of the journal, and its
// mind while it leads. It implements watcher.Around.
type scout struct {
	w        *World
	id       int
	name     string
	alive    bool
	paused   bool // stopped like SIGSTOP, or stuck
	pausedAt time.Duration
	doomed   bool // what is wrong with it stays wrong
	// diskHangs keeps it from writing its log: raft goes on without it.
	diskHangs      bool
	skew, nextSkew time.Duration // of its clock, and of that which its next mind is told
	backlog        []func()
	life           int // counts the starts

	sighters   []*sighter
	storeTimer int // counts the rounds of keepStored
	state      *journal.State
	applied    int // how many entries of the log
	heard      [3]heard
	asking     [3]bool

	term      *term
	termNo    int
	owner     int // of its sessions: a new one for each term
	sessions  [maxServers]*session
	proc      *proc
	mind      *watcher.Mind
	ticket    int
	ticking   *term
	old       []map[string]topology.Sighting // of views that will not be read after this tick
	exchanges int                            // counts them, so that an old timer does nothing
	again     func()                         // the next exchange
	dozes     bool                           // its mind sleeps for longer than usual, see calm
}

// heard is another watcher's latest view.
type heard struct {
	view topology.View
	at   time.Duration
	ok   bool
}

var _ watcher.Around = (*scout)(nil)

func newScout(w *World, id int) *scout {
	x := &scout{w: w, id: id, name: "w" + string(rune('1'+id)), state: journal.New()}
	for _, s := range w.servers {
		x.sighters = append(x.sighters, newSighter(x, s))
	}
	return x
}

func (x *scout) node() int { return firstWatcher + x.id }

// run has the watcher's own code called, later when the watcher is stopped.
func (x *scout) run(do func()) {
	if x.paused {
		x.backlog = append(x.backlog, do)
		return
	}
	do()
}

func (x *scout) start() {
	if x.alive || x.doomed {
		return
	}
	x.alive, x.paused = true, false
	x.life++
	x.backlog = nil
	x.heard, x.asking = [3]heard{}, [3]bool{}
	for _, g := range x.sighters {
		g.reset()
		g.schedule(x.w.between(0, probeEvery))
	}
	life := x.life
	x.w.after(x.w.between(0, storeEvery), func() { x.ifLives(life, x.keepStored) })
	x.w.raft.check()
}

// crash ends the watcher's process where it is. What it has sent still arrives.
func (x *scout) crash() {
	if !x.alive {
		return
	}
	x.w.note("watcher crash", x.id, 0, 0)
	x.alive, x.paused = false, false
	x.life++
	for _, g := range x.sighters {
		g.timer++ // its rounds end
	}
	x.term, x.mind, x.ticking = nil, nil, nil
	p := x.proc
	x.proc = nil
	x.w.raft.check()
	if p != nil {
		p.kill()
	}
}

func (x *scout) pause() {
	if x.alive && !x.paused {
		x.w.note("watcher stopped", x.id, 0, 0)
		x.paused, x.pausedAt = true, x.w.now
		x.w.raft.check()
	}
}

func (x *scout) unpause() {
	if !x.alive || !x.paused || x.doomed {
		return
	}
	x.w.note("watcher goes on", x.id, 0, 0)
	x.paused = false
	backlog, life := x.backlog, x.life
	x.backlog = nil
	if x.proc != nil {
		x.proc.release()
	}
	// Its mind may go on before the rest of it notices what it missed.
	x.w.after(x.w.between(0, 20*time.Millisecond), func() {
		for _, do := range backlog {
			if x.life == life {
				x.run(do)
			}
		}
	})
	x.w.raft.check()
}

// lead begins a term: a new mind, and views from the others.
func (x *scout) lead(termNo int) {
	x.w.note("leads", x.id, termNo, 0)
	x.catchUp(len(x.w.raft.log))
	t := &term{}
	x.term, x.termNo, x.skew = t, termNo, x.nextSkew
	x.w.owners++
	x.owner, x.sessions = x.w.owners, [maxServers]*session{}
	x.heard = [3]heard{}
	x.mind = watcher.NewMind(Product, x, func(e watcher.Event) { x.w.tell(x, e) })
	mind, life := x.mind, x.life
	x.exchange(t, life)
	x.proc = x.w.spawn(func(*proc) bool { return x.paused }, func(p *proc) {
		for t.Err() == nil {
			x.forgetOld()
			tick := &term{parent: t}
			x.ticking = tick
			x.guard(tick)
			again, _ := mind.Tick(tick)
			x.ticking = nil
			if again {
				continue
			}
			x.ticket = p.ticket()
			x.dozes = x.w.calm(x)
			pause := probeEvery
			if x.dozes {
				pause = calmEvery
			}
			x.w.afterNumber(pause, p.wakes, x.ticket)
			p.pause()
		}
	})
}

// resign ends the term.
func (x *scout) resign(t *term) {
	if x.term == t {
		x.w.note("resigns", x.id, x.termNo, 0)
		x.term = nil
	}
	t.cancel(errLostLeadership)
}

var (
	errLostLeadership = errors.New("the leadership is lost")
	errUrgent         = errors.New("something more urgent came up")
)

func (x *scout) wakeMind() {
	if p := x.proc; p != nil && x.term != nil && x.ticking == nil {
		p.wake(x.ticket)
	}
}

// guard ends a tick that is busy with a plan when something more urgent comes up.
func (x *scout) guard(tick *term) {
	x.w.after(exchangeEvery, func() {
		if x.ticking != tick || tick.Err() != nil {
			return
		}
		if !x.paused && x.mind.Urgent(tick, x) {
			tick.cancel(errUrgent)
			return
		}
		x.guard(tick)
	})
}

// exchange asks the others for their views, again and again, while the term lasts.
func (x *scout) exchange(t *term, life int) {
	if x.term != t || x.life != life {
		return
	}
	for _, other := range x.w.watchers {
		if other != x && !x.asking[other.id] {
			x.asking[other.id] = true
			x.askOther(other, false, func() { x.asking[other.id] = false })
		}
	}
	pause := exchangeEvery
	if x.w.calm(x) {
		pause = calmEvery
	}
	x.exchanges++
	n := x.exchanges
	x.again = func() {
		x.run(func() {
			if x.exchanges == n {
				x.exchange(t, life)
			}
		})
	}
	x.w.after(pause, x.again)
}

// askOther asks one watcher for its view and has done called when it came, failed or took too long.
func (x *scout) askOther(other *scout, look bool, done func()) {
	w, life, over := x.w, x.life, false
	asked := w.now
	finish := func(v topology.View, ok bool) {
		if over || x.life != life {
			return
		}
		over = true
		if ok {
			if was := &x.heard[other.id]; was.ok {
				x.old = append(x.old, was.view.Sightings)
			}
			x.heard[other.id] = heard{v, w.now, true}
		}
		done()
	}
	giveUp := func() {
		w.after(asked+answerPatience-w.now, func() { x.run(func() { finish(topology.View{}, false) }) })
	}
	reply := func() {
		if w.isCut(other.node(), x.node()) {
			giveUp()
			return
		}
		v := other.view()
		w.after(w.latency(), func() { x.run(func() { finish(v, true) }) })
	}
	if w.isCut(x.node(), other.node()) {
		giveUp()
		return
	}
	w.after(w.latency(), func() {
		switch {
		case !other.alive:
			w.after(w.latency(), func() { x.run(func() { finish(topology.View{}, false) }) })
		case look:
			giveUp()
			other.run(func() { other.lookAnew(reply) })
		case other.paused:
			giveUp()
			other.run(reply)
		default:
			reply()
		}
	})
}

// lookAnew has every sighter look and calls done when all have, or patience ends.
func (x *scout) lookAnew(done func()) {
	open, over := len(x.sighters), false
	finish := func() {
		if !over {
			over = true
			done()
		}
	}
	for _, g := range x.sighters {
		g.ask(func() {
			if open--; open == 0 {
				finish()
			}
		})
	}
	life := x.life
	x.w.after(askPatience, func() {
		if x.life == life {
			x.run(finish)
		}
	})
}

func (x *scout) view() topology.View {
	v := topology.View{Watcher: x.name, Product: Product, Sightings: x.w.sightings()}
	for _, g := range x.sighters {
		v.Sightings[g.s.info.Name] = g.sighting()
	}
	return v
}

// sightings is the memory of a view: that of one that nobody reads any more, if there is one.
func (w *World) sightings() map[string]topology.Sighting {
	if n := len(w.unread) - 1; n >= 0 {
		m := w.unread[n]
		w.unread = w.unread[:n]
		return m
	}
	return make(map[string]topology.Sighting, len(w.servers))
}

// forgetOld gives back the memory of views that earlier ticks had: a mind keeps none.
func (x *scout) forgetOld() {
	x.w.unread = append(x.w.unread, x.old...)
	x.old = x.old[:0]
}

// Now implements watcher.Around.
func (x *scout) Now() time.Time { return x.w.wallClock().Add(x.skew) }

// Product implements watcher.Around.
func (x *scout) Product(name string) (journal.Product, bool) {
	x.learn()
	p, ok := x.state.Products[name]
	if !ok {
		return journal.Product{}, false
	}
	return *p, true
}

// Watchers implements watcher.Around.
func (x *scout) Watchers() int { return len(x.w.watchers) }

// Views implements watcher.Around.
func (x *scout) Views(ctx context.Context, _ string, look bool) []topology.View {
	if look {
		p := x.w.running
		ticket := p.ticket()
		open := len(x.w.watchers)
		done := func() {
			if open--; open == 0 {
				p.wake(ticket)
			}
		}
		x.lookAnew(done)
		for _, other := range x.w.watchers {
			if other != x {
				x.askOther(other, true, done)
			}
		}
		if open > 0 {
			p.pause()
		}
	}
	views := append(make([]topology.View, 0, len(x.heard)), x.view())
	x.old = append(x.old, views[0].Sightings)
	for i, h := range x.heard {
		if i != x.id && h.ok {
			h.view.Age += topology.Duration(x.w.now - h.at)
			views = append(views, h.view)
		}
	}
	return views
}

// Published implements watcher.Around.
func (x *scout) Published(chain topology.Chain) bool { return x.w.doc(x.state.Head).shows(chain) }
