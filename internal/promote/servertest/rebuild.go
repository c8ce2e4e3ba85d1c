package servertest

import (
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// Cloner is a Node that can be rebuilt, and that is started again by itself when
// its copy is complete. Facts about clones are left out for other nodes.
type Cloner interface {
	Clones()
}

// Scheduler is a Node with scheduled events. Facts about events are left out for
// other nodes.
type Scheduler interface {
	// CreateEvent makes an event on an open server; its name is schema.name.
	CreateEvent(name string, enabled bool)
	// EventStatus is ENABLED, DISABLED or REPLICA_SIDE_DISABLED.
	EventStatus(name string) string
}

// cloned waits for the end of a clone.
func (b *bench) cloned(n Node) topology.Facts {
	b.Helper()
	var facts topology.Facts
	require.Eventually(b, func() bool {
		f, err := n.Server().Look(b.ctx())
		if err == nil && f.Clone != nil && f.Clone.State == topology.CloneInProgress {
			assert.False(b, f.Open())
		}
		facts = f
		return err == nil && f.Clone != nil && f.Clone.State != topology.CloneInProgress
	}, 6*soon, tick)
	return facts
}

func clone(b *bench) {
	if _, can := b.C.(Cloner); !can {
		b.Skip("this server does not clone")
	}
	b.becomes(Acked, b.A.Write("v"))
	b.caughtUp(b.B, b.A)
	before := b.look(b.C)
	require.Error(b, b.A.Server().Clone(b.ctx(), b.B.Place()), "A is open")
	b.becomes(Acked, b.A.Write("w"))
	b.caughtUp(b.B, b.A)

	b.ok(b.C.Server().SetReplicaSemiSync(b.ctx(), true))
	b.ok(b.C.Server().Clone(b.ctx(), b.B.Place()))
	after := b.cloned(b.C)
	require.Equal(b, topology.CloneCompleted, after.Clone.State, after.Clone.Error)
	assert.False(b, after.Clone.Emptied)
	assert.Equal(b, before.UUID, after.UUID)
	assert.True(b, after.SuperReadOnly, "it boots closed")
	assert.False(b, after.ReplicaSemiSync, "and without the right to acknowledge")
	assert.True(b, after.Executed.Contains(b.look(b.B).Executed))
	assert.True(b, b.C.Visible("v"))
	require.NotNil(b, after.Link, "the donor's link comes along")
	assert.Equal(b, b.A.Place().Addr(), after.Link.SourceAddr)
	b.ok(b.C.Server().Follow(b.ctx(), b.B.Place()))
	b.becomes(Acked, b.A.Write("x"))
	b.sees(b.C, "x")
}

func cloneRefused(b *bench) {
	if _, can := b.C.(Cloner); !can {
		b.Skip("this server does not clone")
	}
	b.becomes(Acked, b.A.Write("v"))
	b.sees(b.C, "v")
	before := b.look(b.C)
	b.B.Kill()
	if b.C.Server().Clone(b.ctx(), b.B.Place()) == nil {
		assert.Equal(b, topology.CloneFailed, b.cloned(b.C).Clone.State)
	}
	after := b.look(b.C)
	assert.True(b, after.SuperReadOnly)
	assert.Equal(b, before.Executed.String(), after.Executed.String())
	assert.True(b, after.Clone == nil || !after.Clone.Emptied)
	assert.True(b, b.C.Visible("v"))
	b.B.Start()
	b.ok(b.C.Server().Clone(b.ctx(), b.B.Place()))
	assert.Equal(b, topology.CloneCompleted, b.cloned(b.C).Clone.State)
}

func eventsMove(b *bench) {
	master, can := b.A.(Scheduler)
	if !can {
		b.Skip("this server has no scheduled events")
	}
	next := b.B.(Scheduler)
	master.CreateEvent("shop.on", true)
	master.CreateEvent("shop.off", false)
	assert.Equal(b, []string{"shop.off"}, b.look(b.A).DisabledEvents)
	assert.Zero(b, b.look(b.A).AsleepEvents)
	b.caughtUp(b.B, b.A)
	assert.Equal(b, 2, b.look(b.B).AsleepEvents)
	assert.Empty(b, b.look(b.B).DisabledEvents)
	_, err := b.B.Server().WakeEvents(b.ctx(), nil)
	require.Error(b, err, "a closed server cannot")

	b.ok(b.A.Server().SetSuperReadOnly(b.ctx(), true))
	b.caughtUp(b.B, b.A)
	b.ok(b.B.Server().ForgetSource(b.ctx()))
	b.ok(b.B.Server().SetSuperReadOnly(b.ctx(), false))
	for _, want := range []int{1, 0} {
		woken, err := b.B.Server().WakeEvents(b.ctx(), []string{"shop.off", "shop.unknown"})
		b.ok(err)
		assert.Equal(b, want, woken)
		assert.Equal(b, "ENABLED", next.EventStatus("shop.on"))
		assert.Equal(b, "DISABLED", next.EventStatus("shop.off"))
	}
	assert.Zero(b, b.look(b.B).AsleepEvents)
	assert.Equal(b, []string{"shop.off"}, b.look(b.B).DisabledEvents)
	assert.Equal(b, "ENABLED", master.EventStatus("shop.on"), "the old master does not know yet")
	b.ok(b.A.Server().SetSourceSemiSync(b.ctx(), 0))
	b.ok(b.A.Server().Follow(b.ctx(), b.B.Place()))
	b.caughtUp(b.A, b.B)
	b.caughtUp(b.C, b.B)
	for _, n := range []Node{b.A, b.C} {
		assert.Equal(b, 2, b.look(n).AsleepEvents, n.Place().Name)
		assert.Empty(b, b.look(n).DisabledEvents, n.Place().Name)
	}
}

// closedRunsNoEvents is why an old master's enabled events do no harm.
func closedRunsNoEvents(b *bench) {
	master, can := b.A.(Scheduler)
	if !can {
		b.Skip("this server has no scheduled events")
	}
	master.CreateEvent("shop.on", true)
	b.ok(b.A.Server().SetSuperReadOnly(b.ctx(), true))
	before := b.look(b.A).Executed
	assert.Never(b, func() bool { return !b.look(b.A).Executed.Equal(before) }, 2*time.Second, 10*tick)
	b.ok(b.A.Server().SetSuperReadOnly(b.ctx(), false))
	b.eventually(b.A, "an open master's event runs again", func(f topology.Facts) bool { return !f.Executed.Equal(before) })
}

// burnt is why a rebuilt server may be master: nobody, itself included, gives the
// GTIDs again that were burned.
func burnt(b *bench) {
	b.becomes(Acked, b.A.Write("v"))
	b.caughtUp(b.C, b.B)
	uuid := b.look(b.C).UUID
	next := b.look(b.C).Executed.Last(uuid) + 1
	set := topology.GTIDSpan(uuid, next, next+2)
	b.ok(b.A.Server().Burn(b.ctx(), set))
	burned := b.look(b.A).Executed
	assert.True(b, burned.Contains(set))
	assert.True(b, b.look(b.B).Held().Contains(set), "it was acknowledged")
	b.ok(b.A.Server().Burn(b.ctx(), set))
	assert.Equal(b, burned.String(), b.look(b.A).Executed.String(), "what is taken is left alone")
	b.becomes(Acked, b.A.Write("w"))
	assert.EqualValues(b, 1, b.look(b.A).Executed.Minus(burned).Count(), "a later write has a GTID of its server's own")
	assert.True(b, b.look(b.A).Executed.Minus(burned).OfServer(uuid).Empty())

	// No acker is left: it comes back in time, and succeeds when there is one again.
	b.caughtUp(b.B, b.A)
	b.revoke(b.B)
	more := topology.GTIDSpan(uuid, next+3, next+3)
	began := time.Now()
	require.ErrorIs(b, b.A.Server().Burn(b.ctx(), more), promote.ErrNotYet)
	assert.Less(b, time.Since(began), 15*time.Second)
	b.rearm(b.B, b.A)
	require.Eventually(b, func() bool { return b.A.Server().Burn(b.ctx(), more) == nil }, soon, tick)
	b.becomes(Acked, b.A.Write("x"))
	b.sees(b.C, "x")
	assert.True(b, b.look(b.C).Executed.Contains(set.Union(more)))

	// The server whose GTIDs they were goes on behind them.
	b.ok(b.C.Server().ForgetSource(b.ctx()))
	b.ok(b.C.Server().SetSuperReadOnly(b.ctx(), false))
	b.becomes(Acked, b.C.Write("y"))
	assert.True(b, b.look(b.C).Executed.Contains(topology.GTIDSpan(uuid, next+4, next+4)))
}
