package watcher

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/publish"
	"github.com/failoverd/failoverd/internal/topology"
)

func TestLoopThatRestsOrGetsOnDoesNotStall(t *testing.T) {
	p := newPulse()
	a, b := p.begin("a", time.Minute), p.begin("b", time.Hour)
	what, _ := p.stalled(2 * time.Hour)
	assert.Empty(t, what, "they have not begun")
	a.beat()
	b.beat()
	p.stalled(time.Minute)
	what, _ = p.stalled(time.Second)
	assert.Equal(t, "a", what)
	a.beat()
	what, _ = p.stalled(time.Minute)
	assert.Empty(t, what)
	a.rest()
	what, _ = p.stalled(30 * time.Minute)
	assert.Empty(t, what)
	what, age := p.stalled(30 * time.Minute)
	assert.Equal(t, "b", what)
	assert.Greater(t, age, time.Hour)
	b.end()
	what, _ = p.stalled(time.Hour)
	assert.Empty(t, what)
}

// hangs says what hangs, whatever its context says, until release is closed.
type hangs struct {
	proposals, pings atomic.Bool
	release          chan struct{}
}

// lonely is the node of a cluster of one, which always leads.
type lonely struct {
	*hangs
	machine *Machine
	index   atomic.Uint64
}

func (l *lonely) Apply(_ context.Context, command []byte) (any, error) {
	if l.proposals.Load() {
		<-l.release
		return nil, errors.New("hung")
	}
	return l.machine.Apply(l.index.Add(1), command), nil
}

func (l *lonely) AwaitTerm(ctx context.Context) (context.Context, error) { return ctx, ctx.Err() }

func (l *lonely) Barrier(context.Context) error { return nil }

func (l *lonely) Voters() int { return 1 }

// slowStore never answers before its time is up.
type slowStore struct{}

func (slowStore) Announce(context.Context, publish.Input) (publish.Result, error) {
	return publish.Result{}, nil
}

func (slowStore) Publish(ctx context.Context, _ publish.Input) (publish.Result, error) {
	<-ctx.Done()
	return publish.Result{}, ctx.Err()
}

func (slowStore) Read(ctx context.Context) (*publish.Head, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (slowStore) Resign() {}

// stubborn is a probe that hangs, or else shows something to propose.
type stubborn struct {
	fakeProbe
	*hangs
}

func (s *stubborn) Ping(ctx context.Context) (topology.Contact, error) {
	if s.pings.Load() {
		<-s.release
	}
	return s.fakeProbe.Ping(ctx)
}

func (s *stubborn) Look(context.Context) (topology.Facts, error) {
	if s.proposals.Load() {
		return topology.Facts{UUID: "another server's"}, nil
	}
	return topology.Facts{UUID: "its own"}, nil
}

// leading runs a leading watcher with one product in a bubble. Its object store and both other watchers hang.
func leading(t *testing.T, test func(t *testing.T, w *Watcher, h *hangs)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &hangs{release: make(chan struct{})}
		w := New(Config{ID: "w1", Logger: hclog.NewNullLogger(), Peers: &fakePeers{members: []string{"w3"}},
			Dial: func(topology.Server) Probe {
				return &stubborn{fakeProbe{contact: topology.Answered}, h}
			},
			Open:         func(topology.Server, func(context.Context) error) promote.Server { return nil },
			NewPublisher: func(func(context.Context, *publish.Head) error) Publisher { return slowStore{} },
		})
		node := &lonely{hangs: h, machine: w.Machine()}
		chain := topology.Chain{Product: "shop", Mode: topology.Observe, Policy: topology.DefaultPolicy(), Servers: []topology.Server{
			{Name: "a", Host: "10.0.0.1", Port: 3306, Seat: topology.Master, Zone: "x"},
			{Name: "b", Host: "10.0.0.2", Port: 3306, Seat: topology.Candidate, Zone: "y"},
		}}
		refused, err := node.Apply(t.Context(), journal.Command{Inventory: &journal.Inventory{Chains: []topology.Chain{chain}}}.Encode())
		require.NoError(t, err)
		require.Nil(t, refused)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx, node) })
		test(t, w, h)
		cancel()
		close(h.release)
		running.Wait()
		what, _ := w.Stalled(24 * time.Hour)
		assert.Empty(t, what, "every loop has said that it ended")
	})
}

// pass lets time pass as the watchdog of a process sees it, until something stalls.
func pass(w *Watcher, atMost time.Duration) (what string, age, after time.Duration) {
	for ; after < atMost; after += time.Second {
		time.Sleep(time.Second)
		if what, age = w.Stalled(time.Second); what != "" {
			break
		}
	}
	return what, age, after
}

func TestSlowStoreAndSilentWatchersStallNothing(t *testing.T) {
	leading(t, func(t *testing.T, w *Watcher, _ *hangs) {
		what, age, _ := pass(w, 20*time.Minute)
		assert.Empty(t, what)
		assert.Zero(t, age)
		status, thinks := w.Mind("shop")
		assert.True(t, thinks)
		assert.WithinDuration(t, time.Now(), status.At, 5*time.Second)
	})
}

func TestMindThatHangsStalls(t *testing.T) {
	leading(t, func(t *testing.T, w *Watcher, h *hangs) {
		what, _, _ := pass(w, time.Minute)
		require.Empty(t, what)
		h.proposals.Store(true)
		what, age, after := pass(w, time.Hour)
		assert.Equal(t, "the mind of shop", what)
		assert.Greater(t, age, mindPatience)
		assert.Less(t, after, mindPatience+10*time.Second)
	})
}

func TestSighterThatHangsStalls(t *testing.T) {
	leading(t, func(t *testing.T, w *Watcher, h *hangs) {
		what, _, _ := pass(w, time.Minute)
		require.Empty(t, what)
		h.pings.Store(true)
		what, age, after := pass(w, time.Hour)
		assert.Contains(t, []string{"the sighter of a", "the sighter of b"}, what)
		assert.Greater(t, age, probePatience)
		assert.Less(t, after, probePatience+5*time.Second)
	})
}
