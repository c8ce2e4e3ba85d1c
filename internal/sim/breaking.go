package sim

import "time"

// breakAfter lets something go wrong later, unless all is over by then.
func (w *World) breakAfter(d time.Duration, do func()) {
	w.after(d, func() {
		if !w.mended {
			do()
			w.linksChanged()
		}
	})
}

func diskStuck(w *World, s *server) func() {
	s.stickDisk()
	return s.freeDisk
}

// masterNow is the master as the journal has it.
func (w *World) masterNow() *server { return w.byName(w.product().Chain.Master()) }

func (w *World) leaderNow() *scout {
	if w.raft.leader != nil {
		return w.raft.leader
	}
	return w.watchers[0]
}

// ambush has do called at some point of the next promotion.
func (w *World) ambush(do func(leader *scout)) {
	w.ambushes = append(w.ambushes, ambush{w.points + 1 + w.rng.IntN(70), do})
}

// later has do called by the clock, not by the process that runs now.
func (w *World) later(do func()) { w.after(0, do) }

// others are all nodes but one.
func others(node int) []int {
	var out []int
	for n := range nodes {
		if n != node {
			out = append(out, n)
		}
	}
	return out
}

// otherServers are the nodes of all servers but one.
func (w *World) otherServers(s *server) []int {
	var out []int
	for _, other := range w.servers {
		if other != s {
			out = append(out, other.node())
		}
	}
	return out
}

func killed(w *World, s *server, host bool) func() {
	s.kill(host)
	return func() { w.after(w.between(200*time.Millisecond, 2*time.Second), s.start) }
}

func frozen(s *server) func() {
	s.freeze()
	return s.thaw
}

func crashed(w *World, x *scout) func() {
	x.crash()
	return func() { w.after(w.between(0, time.Second), x.start) }
}

func applierStopped(s *server) func() {
	if s.up() && s.link != nil {
		s.link.sqlOn = false
	}
	return nil
}

// isolate cuts a group of nodes off from all others.
func (w *World) isolate(group ...int) func() {
	in := map[int]bool{}
	for _, n := range group {
		in[n] = true
	}
	set := func(cut bool) {
		for a := range nodes {
			for b := range nodes {
				if in[a] && !in[b] {
					w.setCut(a, b, cut)
					w.setCut(b, a, cut)
				}
			}
		}
	}
	set(true)
	return func() { set(false); w.deliverKept() }
}

// cutPairs cuts a node from others: 0 both ways, 1 what it sends, 2 what it receives.
func (w *World) cutPairs(a int, others []int, way int) func() {
	set := func(cut bool) {
		for _, b := range others {
			if way != 2 {
				w.setCut(a, b, cut)
			}
			if way != 1 {
				w.setCut(b, a, cut)
			}
		}
	}
	set(true)
	return func() { set(false); w.deliverKept() }
}

// receivesSlowly keeps each transaction on its way for longer than the next takes to come.
func receivesSlowly(w *World, s *server) func() {
	s.slowWire = w.between(50*time.Millisecond, 400*time.Millisecond)
	return func() { s.slowWire = 0 }
}
