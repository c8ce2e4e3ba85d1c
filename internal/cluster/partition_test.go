package cluster

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bubble is a trio without disks and sockets, inside synctest's time.
type bubble struct {
	t          *testing.T
	nodes      []*Node
	transports []*raft.InmemTransport
}

func newBubble(t *testing.T) *bubble {
	b := &bubble{t: t}
	var founders []Peer
	for _, id := range []string{"a", "b", "c"} {
		addr, transport := raft.NewInmemTransport(raft.ServerAddress(id + ":1"))
		founders = append(founders, Peer{ID: id, Addr: string(addr)})
		b.transports = append(b.transports, transport)
	}
	for i := range founders {
		b.rejoin(i)
	}
	for i, p := range founders {
		n, err := Open(Config{
			ID: p.ID, Bootstrap: true, Peers: founders,
			testing: seams{transport: b.transports[i], inMemory: true},
		}, &ledger{})
		require.NoError(t, err)
		b.nodes = append(b.nodes, n)
	}
	return b
}

// rejoin links a node with both others.
func (b *bubble) rejoin(i int) {
	for j, other := range b.transports {
		if j != i {
			b.transports[i].Connect(other.LocalAddr(), other)
			other.Connect(b.transports[i].LocalAddr(), b.transports[i])
		}
	}
}

// part cuts a node off from both others.
func (b *bubble) part(i int) {
	for j, other := range b.transports {
		if j != i {
			b.transports[i].Disconnect(other.LocalAddr())
			other.Disconnect(b.transports[i].LocalAddr())
		}
	}
}

// leader waits for a current leader other than the excepted node.
func (b *bubble) leader(except int) (int, context.Context) {
	for range 100_000 {
		for i, n := range b.nodes {
			if term, ok := n.Term(); ok && i != except {
				return i, term
			}
		}
		time.Sleep(time.Millisecond)
	}
	require.Fail(b.t, "nobody leads")
	return 0, nil
}

func (b *bubble) close() {
	for i, n := range b.nodes {
		b.rejoin(i)
		assert.NoError(b.t, n.Close())
	}
	time.Sleep(time.Minute) // raft's last timers run out
}

// With the default timing a leader that is cut off notices before anybody takes its place, so that at most one
// term is alive at any moment; and the place is taken soon.
func TestPartitionedLeaderIsDoneBeforeTheNextOneBegins(t *testing.T) {
	const rounds = 40
	var took []time.Duration
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.close()
		for round := range rounds {
			old, term := b.leader(-1)
			ended := make(chan time.Time, 1)
			stop := context.AfterFunc(term, func() { ended <- time.Now() })

			parted := time.Now()
			b.part(old)
			next, _ := b.leader(old)
			began := time.Now()
			require.NotEqual(t, old, next)
			require.Error(t, term.Err(), "round %d: two terms are alive", round)
			at := <-ended
			stop()
			require.True(t, at.Before(began))
			require.ErrorIs(t, context.Cause(term), ErrLostLeadership)
			took = append(took, began.Sub(parted))

			_, err := b.nodes[next].Apply(t.Context(), fmt.Appendf(nil, "round %d", round))
			require.NoError(t, err)
			b.rejoin(old)
			time.Sleep(5 * time.Second)
		}
	})
	slices.Sort(took)
	t.Logf("lead taken over: p50 %s, max %s", took[rounds/2].Round(time.Millisecond), took[rounds-1].Round(time.Millisecond))
	assert.Less(t, took[rounds/2], 2*time.Second)
}
