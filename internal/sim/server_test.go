package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/promote/servertest"
	"github.com/failoverd/failoverd/internal/topology"
)

// TestServer proves that the fake agrees with what real servers were seen to do.
func TestServer(t *testing.T) {
	t.Parallel()
	servertest.Run(t, func(t *testing.T) servertest.World {
		w := newWorld(1, Options{})
		w.chain()
		a, b, c := w.servers[0], w.servers[1], w.servers[2]
		a.sourceSync, b.replicaSync = true, true
		for _, pair := range [][2]*server{{b, a}, {c, b}} {
			pair[0].link = newLink(pair[0], pair[1])
			pair[0].link.established()
		}
		a.closed = false
		real := startRealTime(w)
		t.Cleanup(real.end)
		values := map[string]*write{}
		node := func(s *server) servertest.Node {
			return &realNode{t, s, real, values, &control{w: w, s: s, owner: 1, node: firstWatcher, real: real}}
		}
		return servertest.World{A: node(a), B: node(b), C: node(c)}
	})
}

// realNode is a fake server in real time.
type realNode struct {
	t      *testing.T
	s      *server
	real   *realTime
	values map[string]*write // guarded by real
	c      *control
}

func (n *realNode) Server() promote.Server { return n.c }
func (n *realNode) Place() topology.Server { return n.s.info }

func (n *realNode) Write(value string) <-chan servertest.Outcome {
	out := make(chan servertest.Outcome, 1)
	n.real.do(func() {
		n.values[value] = n.s.w.begin(webNode, n.s, time.Hour, func(o Outcome) {
			out <- map[Outcome]servertest.Outcome{Acked: servertest.Acked, Refused: servertest.Refused, Lost: servertest.Lost}[o]
		})
	})
	return out
}

func (n *realNode) Visible(value string) (visible bool) {
	n.real.do(func() {
		x := n.values[value]
		visible = x != nil && x.t.n > 0 && n.s.executed.has(x.t)
	})
	return visible
}

func (n *realNode) StopApplier() { n.real.do(func() { n.s.link.sqlOn = false }) }
func (n *realNode) Kill()        { n.real.do(func() { n.s.kill(false); n.s.w.linksChanged() }) }

func (n *realNode) Start() {
	n.real.do(func() { n.s.start(); n.s.w.linksChanged() })
	require.Eventually(n.t, func() bool { _, err := n.c.Look(n.t.Context()); return err == nil }, 10*time.Second, time.Millisecond)
}

func (n *realNode) Freeze() { n.real.do(n.s.freeze) }
func (n *realNode) Thaw()   { n.real.do(n.s.thaw) }
