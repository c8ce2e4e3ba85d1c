package servertest

import (
	"context"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

func fence(b *bench) {
	b.becomes(Acked, b.A.Write("before"))
	b.revoke(b.B)
	write := b.waiting(b.A, "v")
	began := time.Now()
	b.ok(b.A.Server().SetOffline(b.ctx(), true))
	b.becomes(Lost, write)
	b.ok(b.A.Server().SetSourceSemiSync(b.ctx(), 0))
	require.Eventually(b, func() bool { return b.A.Server().SetSuperReadOnly(b.ctx(), true) == nil }, soon, tick)
	assert.Less(b, time.Since(began), 5*time.Second)

	fenced := b.look(b.A)
	assert.True(b, fenced.Offline)
	assert.True(b, fenced.SuperReadOnly)
	assert.False(b, fenced.Open())
	b.becomes(Lost, b.A.Write("w"))
	errant := fenced.Executed.Minus(b.look(b.B).Held())
	assert.EqualValues(b, 1, errant.Count(), "the commit that waited stays behind as an errant transaction")
	assert.True(b, b.A.Visible("v"))

	b.ok(b.A.Server().SetOffline(b.ctx(), false))
	b.becomes(Refused, b.A.Write("x"))
}

func crashKeepsCommit(b *bench) {
	b.revoke(b.B)
	write := b.waiting(b.A, "v")
	b.A.Kill()
	b.becomes(Lost, write)
	b.A.Start()
	crashed := b.look(b.A)
	assert.False(b, crashed.Open())
	assert.EqualValues(b, 1, crashed.Executed.Minus(b.look(b.B).Held()).Count())
	assert.True(b, b.A.Visible("v"))
}

func followingShowsErrant(b *bench) {
	crashKeepsCommit(b)
	// B takes over without waiting for anybody.
	b.ok(b.B.Server().SetSuperReadOnly(b.ctx(), false))
	b.becomes(Acked, b.B.Write("w"))
	b.ok(b.A.Server().Follow(b.ctx(), b.B.Place()))
	b.sees(b.A, "w")
	errant := b.look(b.A).Executed.Minus(b.look(b.B).Executed)
	assert.EqualValues(b, 1, errant.Count())
	assert.True(b, b.A.Visible("v"))
	assert.False(b, b.B.Visible("v"))
}

func relayLogIsKept(b *bench) {
	b.caughtUp(b.B, b.A)
	b.B.StopApplier()
	b.becomes(Acked, b.A.Write("v"))
	received := b.look(b.B).Link.Received
	require.ErrorIs(b, b.B.Server().Follow(b.ctx(), b.A.Place()), promote.ErrNotYet)
	require.ErrorIs(b, b.B.Server().ForgetSource(b.ctx()), promote.ErrNotYet)
	kept := b.look(b.B)
	require.NotNil(b, kept.Link)
	assert.Equal(b, received.String(), kept.Link.Received.String())

	b.ok(b.B.Server().StartApplier(b.ctx()))
	b.ok(b.B.Server().WaitExecuted(b.ctx(), received, soon))
	b.ok(b.B.Server().ForgetSource(b.ctx()))
	assert.Nil(b, b.look(b.B).Link)
	assert.True(b, b.B.Visible("v"))
	b.ok(b.B.Server().Follow(b.ctx(), b.A.Place()))
	b.eventually(b.B, "it should follow A", func(f topology.Facts) bool { return f.Link != nil && f.Link.IO == topology.On })
	b.becomes(Acked, b.A.Write("w"))
}

func opensAttached(b *bench) {
	b.opened()
	b.becomes(Acked, b.B.Write("w"))
	open := b.look(b.B)
	assert.True(b, open.Open())
	require.NotNil(b, open.Link)
	assert.Equal(b, topology.On, open.Link.IO)
	assert.Equal(b, topology.On, open.Link.SQL)
	b.sees(b.C, "w")
	assert.False(b, b.A.Visible("w"))

	b.ok(b.B.Server().ForgetSource(b.ctx()))
	assert.Nil(b, b.look(b.B).Link)
	b.becomes(Acked, b.B.Write("x"))
	b.ok(b.A.Server().SetSourceSemiSync(b.ctx(), 0))
	b.ok(b.A.Server().Follow(b.ctx(), b.B.Place()))
	b.sees(b.A, "x")
	assert.True(b, b.look(b.A).Executed.Minus(b.look(b.B).Executed).Empty(), "a switchover leaves nothing errant")
}

// ownComesRound: until the link of a new master to the old one is taken down, they are
// a ring.
func ownComesRound(b *bench) {
	b.opened()
	b.B.StopApplier()
	b.ok(b.A.Server().SetSourceSemiSync(b.ctx(), 0))
	b.ok(b.A.Server().Follow(b.ctx(), b.C.Place()))
	b.becomes(Acked, b.B.Write("w"))
	b.sees(b.A, "w")
	assert.Never(b, func() bool { // it would come now
		facts, err := b.B.Server().Look(b.ctx())
		return err == nil && (facts.Link == nil || facts.Link.IO != topology.On)
	}, still, tick, "B stays attached to A")
	b.ok(b.B.Server().ForgetSource(b.ctx()))
	assert.Nil(b, b.look(b.B).Link)
	b.becomes(Acked, b.B.Write("x"))
}

// opened hands over from A to B, which stays attached.
func (b *bench) opened() {
	b.becomes(Acked, b.A.Write("v"))
	// The next acker is armed ahead of time, while its source does not wait yet.
	b.ok(b.C.Server().SetReplicaSemiSync(b.ctx(), true))
	b.ok(b.C.Server().StopReceiver(b.ctx()))
	b.ok(b.C.Server().StartReceiver(b.ctx()))
	b.eventually(b.B, "B should count its acker", func(f topology.Facts) bool { return f.Source.Clients == 1 })
	assert.False(b, b.look(b.B).Source.On)
	b.ok(b.B.Server().SetSourceSemiSync(b.ctx(), 1))
	assert.True(b, b.look(b.B).Source.On)
	assert.Equal(b, 1, b.look(b.B).Source.Clients)

	b.ok(b.A.Server().SetSuperReadOnly(b.ctx(), true))
	b.caughtUp(b.B, b.A)
	b.ok(b.B.Server().SetSuperReadOnly(b.ctx(), false))
}

func notYet(b *bench) {
	b.becomes(Acked, b.A.Write("v"))
	master := b.look(b.A)
	b.caughtUp(b.B, b.A)
	b.ok(b.B.Server().WaitExecuted(b.ctx(), master.Executed, 0))
	b.ok(b.B.Server().WaitExecuted(b.ctx(), topology.GTIDSet{}, 0))
	future := topology.GTIDSpan(master.UUID, 1, master.Executed.Last(master.UUID)+1)
	assert.ErrorIs(b, b.B.Server().WaitExecuted(b.ctx(), future, 0), promote.ErrNotYet)
	began := time.Now()
	assert.ErrorIs(b, b.B.Server().WaitExecuted(b.ctx(), future, 300*time.Millisecond), promote.ErrNotYet)
	assert.GreaterOrEqual(b, time.Since(began), 250*time.Millisecond)
	assert.Less(b, time.Since(began), 3*time.Second)

	came := make(chan error, 1)
	go func() { came <- b.B.Server().WaitExecuted(b.ctx(), future, soon) }()
	b.becomes(Acked, b.A.Write("w"))
	b.ok(<-came)
}

func frozenIsSilent(b *bench) {
	b.eventually(b.B, "an idle link has heartbeats", func(f topology.Facts) bool {
		return f.Link.Silence > 0 && f.Link.Silence.Std() < time.Second
	})
	b.A.Freeze()
	b.eventually(b.B, "the link of a frozen source falls silent", func(f topology.Facts) bool {
		if f.Link.Silence.Std() < 1500*time.Millisecond {
			return false
		}
		assert.Equal(b, topology.On, f.Link.IO)
		return true
	})
	b.A.Thaw()
	b.eventually(b.B, "the link of a thawed source is heard again", func(f topology.Facts) bool { return f.Link.Silence.Std() < time.Second })
}

func repeated(b *bench) {
	b.caughtUp(b.B, b.A)
	b.caughtUp(b.C, b.B)
	calls := []struct {
		name string
		call func(context.Context) error
	}{
		{"stop receiver", b.C.Server().StopReceiver},
		{"start receiver", b.C.Server().StartReceiver},
		{"start applier", b.C.Server().StartApplier},
		{"follow", func(ctx context.Context) error { return b.C.Server().Follow(ctx, b.B.Place()) }},
		{"forget source", b.C.Server().ForgetSource},
		{"stop receiver without a link", b.C.Server().StopReceiver},
		{"replica semi-sync on", func(ctx context.Context) error { return b.C.Server().SetReplicaSemiSync(ctx, true) }},
		{"replica semi-sync off", func(ctx context.Context) error { return b.C.Server().SetReplicaSemiSync(ctx, false) }},
		{"source semi-sync on", func(ctx context.Context) error { return b.C.Server().SetSourceSemiSync(ctx, 1) }},
		{"source semi-sync off", func(ctx context.Context) error { return b.C.Server().SetSourceSemiSync(ctx, 0) }},
		{"open", func(ctx context.Context) error { return b.C.Server().SetSuperReadOnly(ctx, false) }},
		{"close", func(ctx context.Context) error { return b.C.Server().SetSuperReadOnly(ctx, true) }},
		{"offline", func(ctx context.Context) error { return b.C.Server().SetOffline(ctx, true) }},
		{"online", func(ctx context.Context) error { return b.C.Server().SetOffline(ctx, false) }},
		{"kill older sessions", b.C.Server().KillOlderSessions},
	}
	for _, c := range calls {
		for range 2 {
			require.NoError(b, c.call(b.ctx()), c.name)
		}
	}
	err := b.C.Server().StartReceiver(b.ctx())
	require.Error(b, err, "there is no link to start")
	assert.NotErrorIs(b, err, promote.ErrUnreachable)
}

func unreachable(b *bench) {
	b.look(b.C)
	b.C.Freeze()
	began := time.Now()
	_, err := b.C.Server().Look(b.ctx())
	assert.ErrorIs(b, err, promote.ErrUnreachable, "frozen")
	assert.ErrorIs(b, b.C.Server().SetSuperReadOnly(b.ctx(), true), promote.ErrUnreachable, "frozen")
	assert.Less(b, time.Since(began), 10*time.Second)
	b.C.Thaw()
	b.eventually(b.C, "it answers again", func(topology.Facts) bool { return true })

	b.B.Kill()
	s, ctx := b.B.Server(), b.ctx()
	_, err = s.Look(ctx)
	assert.ErrorIs(b, err, promote.ErrUnreachable)
	assert.ErrorIs(b, s.StopReceiver(ctx), promote.ErrUnreachable)
	assert.ErrorIs(b, s.StartReceiver(ctx), promote.ErrUnreachable)
	assert.ErrorIs(b, s.StartApplier(ctx), promote.ErrUnreachable)
	assert.ErrorIs(b, s.Follow(ctx, b.A.Place()), promote.ErrUnreachable)
	assert.ErrorIs(b, s.ForgetSource(ctx), promote.ErrUnreachable)
	assert.ErrorIs(b, s.SetSuperReadOnly(ctx, false), promote.ErrUnreachable)
	assert.ErrorIs(b, s.SetOffline(ctx, false), promote.ErrUnreachable)
	assert.ErrorIs(b, s.SetSourceSemiSync(ctx, 0), promote.ErrUnreachable)
	assert.ErrorIs(b, s.SetReplicaSemiSync(ctx, false), promote.ErrUnreachable)
	assert.ErrorIs(b, s.KillOlderSessions(ctx), promote.ErrUnreachable)
	assert.ErrorIs(b, s.WaitExecuted(ctx, topology.GTIDSpan("00000000-0000-0000-0000-000000000001", 1, 1), time.Second), promote.ErrUnreachable)
}

func olderSessions(b *bench) {
	b.look(b.B)
	b.ok(b.B.Server().KillOlderSessions(b.ctx()))
	b.look(b.B)
	b.becomes(Acked, b.A.Write("v"))
}
