package sim

import "time"

// fault is one thing that goes wrong.
type fault struct {
	name string
	// harmless faults are no reason to promote anybody.
	harmless bool
	// begin lets it happen and returns its mending, nil when only the end of the run mends it.
	begin func(w *World) (mend func())
}

var faults = []fault{
	{"master killed", false, func(w *World) func() { return killed(w, w.masterNow(), false) }},
	{"master's host lost", false, func(w *World) func() { return killed(w, w.masterNow(), true) }},
	{"master frozen", false, func(w *World) func() { return frozen(w.masterNow()) }},
	{"master frozen briefly", true, func(w *World) func() {
		s := w.masterNow()
		s.freeze()
		w.after(w.between(100*time.Millisecond, 2*time.Second), s.thaw)
		return nil
	}},
	{"candidate killed", true, func(w *World) func() { return killed(w, w.servers[1], false) }},
	{"candidate frozen", true, func(w *World) func() { return frozen(w.servers[1]) }},
	{"candidate's host lost", true, func(w *World) func() { return killed(w, w.servers[1], true) }},
	{"slave killed", true, func(w *World) func() { return killed(w, w.servers[2], false) }},
	{"slave frozen", true, func(w *World) func() { return frozen(w.servers[2]) }},
	{"dump slave killed", true, func(w *World) func() { return killed(w, w.servers[3], false) }},
	{"dump slave frozen", true, func(w *World) func() { return frozen(w.servers[3]) }},
	{"master and acker killed", false, func(w *World) func() {
		a, b := killed(w, w.masterNow(), w.chance(2)), killed(w, w.servers[1], w.chance(2))
		if w.chance(2) {
			a, b = b, a
		}
		return func() { a(); w.after(w.between(0, 5*time.Second), b) }
	}},
	{"all killed", false, func(w *World) func() {
		for _, s := range w.servers {
			w.after(w.between(0, 300*time.Millisecond), func() { s.kill(false) })
		}
		return func() {
			for _, s := range w.servers {
				w.after(w.between(0, 6*time.Second), s.start)
			}
		}
	}},
	{"master flaps", false, func(w *World) func() {
		s := w.masterNow()
		var flap func(n int)
		flap = func(n int) {
			if n == 0 {
				return
			}
			s.kill(false)
			w.after(w.between(200*time.Millisecond, 4*time.Second), func() {
				s.start()
				w.after(w.between(500*time.Millisecond, 4*time.Second), func() { flap(n - 1) })
			})
		}
		flap(3)
		return nil
	}},
	{"master cut off with its clients", false, func(w *World) func() {
		return w.isolate(w.masterNow().node(), oldNode, webNode)
	}},
	{"master cut off with a watcher and clients", false, func(w *World) func() {
		return w.isolate(w.masterNow().node(), oldNode, firstWatcher+w.rng.IntN(3))
	}},
	{"master cut from the watchers", true, func(w *World) func() {
		return w.cutPairs(w.masterNow().node(), []int{firstWatcher, firstWatcher + 1, firstWatcher + 2}, 0)
	}},
	{"master cut from its candidate", true, func(w *World) func() {
		return w.cutPairs(w.masterNow().node(), []int{w.servers[1].node()}, w.rng.IntN(3))
	}},
	{"one link cut", true, func(w *World) func() {
		a, b := w.rng.IntN(len(w.servers)), w.rng.IntN(len(w.servers)-1)
		if b >= a {
			b++
		}
		return w.cutPairs(a, []int{b}, w.rng.IntN(3))
	}},
	{"one watcher cut off", true, func(w *World) func() { return w.isolate(firstWatcher + w.rng.IntN(3)) }},
	{"watchers cut from each other", true, func(w *World) func() {
		x := firstWatcher + w.rng.IntN(3)
		return w.cutPairs(x, []int{firstWatcher + (x-firstWatcher+1)%3}, w.rng.IntN(3))
	}},
	{"leader crashes", true, func(w *World) func() { return crashed(w, w.leaderNow()) }},
	{"leader stopped", true, func(w *World) func() {
		x := w.leaderNow()
		x.pause()
		return x.unpause
	}},
	{"leader steps down", true, func(w *World) func() { w.raft.stepDown(); return nil }},
	{"a watcher crashes", true, func(w *World) func() { return crashed(w, w.watchers[w.rng.IntN(3)]) }},
	{"two watchers down", true, func(w *World) func() {
		k := w.rng.IntN(3)
		a, b := crashed(w, w.watchers[k]), crashed(w, w.watchers[(k+1)%3])
		return func() { a(); b() }
	}},
	{"applier of the candidate stopped", true, func(w *World) func() { return applierStopped(w.servers[1]) }},
	{"applier of the slave stopped", true, func(w *World) func() { return applierStopped(w.servers[2]) }},
	{"applier of the candidate slow", true, func(w *World) func() {
		w.servers[1].slowUntil = w.now + w.between(time.Second, 30*time.Second)
		return nil
	}},
	{"applier of the dump slave slow", true, func(w *World) func() {
		w.servers[3].slowUntil = w.now + w.between(time.Second, 30*time.Second)
		return nil
	}},
	{"candidate receives slowly", true, func(w *World) func() { return receivesSlowly(w, w.servers[1]) }},
	{"slave receives slowly", true, func(w *World) func() { return receivesSlowly(w, w.servers[2]) }},
	{"receiver stopped by hand", true, func(w *World) func() {
		s := w.servers[1+w.rng.IntN(3)]
		if s.up() && s.link != nil {
			w.note("receiver stopped by hand", s.id, 0, 0)
			s.link.stopIO()
		}
		return nil
	}},
	{"replica opened by hand", true, func(w *World) func() {
		s := w.servers[1+w.rng.IntN(3)]
		if !s.up() || s == w.masterNow() || !s.closed {
			return nil
		}
		s.open(true)
		if w.chance(2) {
			w.begin(oldNode, s, time.Second, nil)
		}
		return nil
	}},
	{"store away", true, func(w *World) func() {
		w.store.away = true
		return func() { w.store.away = false }
	}},
	{"store loses replies", true, func(w *World) func() {
		w.store.losesReplies = true
		return func() { w.store.losesReplies = false }
	}},
	{"probe account refused", true, func(w *World) func() {
		for _, s := range w.servers {
			s.denied = true
		}
		return func() {
			for _, s := range w.servers {
				s.denied = false
			}
		}
	}},
	{"master refuses the probe account, and its replicas lose it", true, func(w *World) func() {
		m := w.masterNow()
		m.denied = true
		mend := w.cutPairs(m.node(), w.otherServers(m), w.rng.IntN(3))
		return func() { m.denied = false; mend() }
	}},
	{"one watcher and the replicas lose the master", true, func(w *World) func() {
		m := w.masterNow()
		return w.cutPairs(m.node(), append(w.otherServers(m), firstWatcher+w.rng.IntN(3)), 0)
	}},
	{"leader crashes in a promotion", true, func(w *World) func() {
		w.ambush(func(x *scout) { w.after(w.between(time.Second, 6*time.Second), x.start); x.crash() })
		return nil
	}},
	{"leader stopped in a promotion", true, func(w *World) func() {
		w.ambush(func(x *scout) { w.later(x.pause); w.after(w.between(100*time.Millisecond, 8*time.Second), x.unpause) })
		return nil
	}},
	{"leader cut off in a promotion", true, func(w *World) func() {
		w.ambush(func(x *scout) {
			w.later(func() {
				mend := w.cutPairs(x.node(), others(x.node()), w.rng.IntN(3))
				w.linksChanged()
				w.after(w.between(100*time.Millisecond, 8*time.Second), func() { mend(); w.linksChanged() })
			})
		})
		return nil
	}},
	{"server frozen in a promotion", false, func(w *World) func() {
		s := w.servers[w.rng.IntN(4)]
		w.ambush(func(*scout) { w.later(s.freeze); w.after(w.between(100*time.Millisecond, 8*time.Second), s.thaw) })
		return nil
	}},
	{"server killed in a promotion", false, func(w *World) func() {
		s := w.servers[w.rng.IntN(4)]
		w.ambush(func(*scout) {
			w.later(func() { s.kill(false) })
			w.after(w.between(100*time.Millisecond, 8*time.Second), s.start)
		})
		return nil
	}},
	{"server cut off in a promotion", false, func(w *World) func() {
		s := w.servers[w.rng.IntN(4)]
		w.ambush(func(*scout) {
			w.later(func() {
				mend := w.isolate(s.node(), oldNode)
				w.linksChanged()
				w.after(w.between(100*time.Millisecond, 8*time.Second), func() { mend(); w.linksChanged() })
			})
		})
		return nil
	}},
	{"switchover", true, func(w *World) func() { w.switchover(); return nil }},
	{"two operators race", false, func(w *World) func() {
		w.askAnything()
		w.after(w.between(0, 50*time.Millisecond), w.askAnything)
		w.after(w.between(0, 3*time.Second), w.askAnything)
		return nil
	}},
	{"maintenance", true, func(w *World) func() {
		w.maintain(w.servers[1+w.rng.IntN(3)])
		return w.bringBack
	}},
	{"master flaps every ten seconds", false, func(w *World) func() {
		s := w.masterNow()
		for n := range 2 + w.rng.IntN(4) {
			w.breakAfter(time.Duration(n)*10*time.Second, func() { s.kill(false) })
			w.after(time.Duration(n)*10*time.Second+w.between(500*time.Millisecond, 8*time.Second), s.start)
		}
		return nil
	}},
	{"master freezes again and again", false, func(w *World) func() {
		s := w.masterNow()
		for n := range 2 + w.rng.IntN(3) {
			w.breakAfter(time.Duration(n)*10*time.Second, s.freeze)
			w.after(time.Duration(n)*10*time.Second+w.between(500*time.Millisecond, 8*time.Second), s.thaw)
		}
		return nil
	}},
	{"master and acker lost one after the other", false, func(w *World) func() {
		a, b := w.masterNow(), w.servers[1]
		if w.chance(2) {
			a, b = b, a
		}
		breakThem := []func(*server){func(s *server) { s.kill(false) }, func(s *server) { s.kill(true) }, func(s *server) { s.freeze() }}
		first, second := breakThem[w.rng.IntN(3)], breakThem[w.rng.IntN(3)]
		first(a)
		w.breakAfter(w.between(0, 4*time.Second), func() { second(b) })
		back := func(s *server) func() { return func() { s.thaw(); s.start() } }
		return func() {
			if w.chance(2) {
				a, b = b, a
			}
			back(a)()
			w.after(w.between(0, 6*time.Second), back(b))
		}
	}},
	{"candidate killed, then the master", false, func(w *World) func() {
		s, m := w.servers[1], w.masterNow()
		s.kill(w.chance(2))
		w.breakAfter(w.between(time.Second, 8*time.Second), func() { m.kill(w.chance(2)) })
		return func() { w.after(w.between(0, 20*time.Second), s.start); w.after(w.between(0, 20*time.Second), m.start) }
	}},
	{"candidate's applier breaks, then the master dies", false, func(w *World) func() {
		s, m := w.servers[1], w.masterNow()
		if l := s.link; l != nil && s.up() {
			l.sqlErr, l.sqlOn = "error 1062: duplicate entry", false
		}
		w.breakAfter(w.between(0, 8*time.Second), func() { m.kill(w.chance(2)) })
		return func() { w.after(w.between(200*time.Millisecond, 10*time.Second), m.start) }
	}},
	{"cut in two for 43 s", false, func(w *World) func() {
		group := []int{oldNode}
		for _, s := range w.servers {
			if w.chance(2) {
				group = append(group, s.node())
			}
		}
		if w.chance(2) {
			group = append(group, firstWatcher+w.rng.IntN(3))
		}
		mend := w.isolate(group...)
		w.after(43*time.Second, func() { mend(); w.linksChanged() })
		w.lasting = w.now + 43*time.Second
		return nil
	}},
	{"master's disk full", false, func(w *World) func() { return diskStuck(w, w.masterNow()) }},
	{"acker's disk stalls", true, func(w *World) func() { return diskStuck(w, w.servers[1+w.rng.IntN(3)]) }},
	{"leader's disk hangs", true, func(w *World) func() {
		x := w.leaderNow()
		x.diskHangs = true
		w.raft.check()
		w.after(w.between(2*time.Second, 10*time.Second), func() { // its own watchdog ends it
			if x.diskHangs {
				x.crash()
			}
		})
		return func() { x.diskHangs = false; x.start(); w.raft.check() }
	}},
	{"a watcher's clock is set", true, func(w *World) func() {
		x := w.watchers[w.rng.IntN(3)]
		x.nextSkew = []time.Duration{time.Hour, -time.Hour, 3 * time.Second, -3 * time.Second}[w.rng.IntN(4)]
		w.skewed = true
		return nil
	}},
	{"dump slave's host lost, master's disk full", false, func(w *World) func() {
		w.servers[3].kill(true)
		return diskStuck(w, w.masterNow())
	}},
	{"power cut", false, func(w *World) func() {
		for _, s := range w.servers {
			s.kill(true)
		}
		for _, x := range w.watchers {
			x.crash()
		}
		return func() {
			for _, s := range w.servers {
				w.after(w.between(0, 10*time.Second), s.start)
			}
			for _, x := range w.watchers {
				w.after(w.between(0, 5*time.Second), x.start)
			}
		}
	}},
}
