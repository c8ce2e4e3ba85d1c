package servertest

import (
	"context"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

func acknowledged(b *bench) {
	before := b.look(b.A)
	assert.True(b, before.Open())
	assert.True(b, before.Source.Installed)
	assert.True(b, before.Source.On)
	assert.Equal(b, 1, before.Source.Clients)
	assert.Nil(b, before.Link)

	b.becomes(Acked, b.A.Write("v"))
	after := b.look(b.A)
	assert.EqualValues(b, 1, after.Executed.Minus(before.Executed).Count())
	assert.True(b, b.look(b.B).Held().Contains(after.Executed), "an acknowledged write is on two servers")
	b.sees(b.B, "v")
	b.sees(b.C, "v")

	link := b.look(b.B).Link
	assert.Equal(b, b.A.Place().Addr(), link.SourceAddr)
	assert.Equal(b, after.UUID, link.SourceUUID)
	assert.Equal(b, topology.On, link.IO)
	assert.Equal(b, topology.On, link.SQL)
	assert.True(b, link.AutoPosition)
	assert.Less(b, link.Silence.Std(), 5*time.Second)
	assert.LessOrEqual(b, link.Heartbeat.Std(), time.Second)
	assert.Empty(b, link.IOError)
	assert.Empty(b, link.SQLError)
	b.becomes(Refused, b.B.Write("refused"))
}

func waitsUnseen(b *bench) {
	b.revoke(b.B)
	write := b.waiting(b.A, "v")
	assert.False(b, b.A.Visible("v"))
	b.ok(b.B.Server().StartReceiver(b.ctx()))
	b.becomes(Acked, write)
	assert.True(b, b.A.Visible("v"))
	b.sees(b.C, "v")
}

func receiptAcknowledges(b *bench) {
	b.B.StopApplier()
	b.becomes(Acked, b.A.Write("v"))
	source, replica := b.look(b.A), b.look(b.B)
	assert.Equal(b, topology.Off, replica.Link.SQL)
	assert.True(b, replica.Link.Received.Contains(source.Executed.Minus(replica.Executed)))
	assert.False(b, replica.Executed.Contains(source.Executed))
	assert.False(b, b.B.Visible("v"))

	b.revoke(b.B)
	b.ok(b.B.Server().StartApplier(b.ctx()))
	b.ok(b.B.Server().WaitExecuted(b.ctx(), replica.Held(), soon))
	drained := b.look(b.B)
	assert.True(b, drained.Executed.Contains(source.Executed))
	assert.Equal(b, topology.Off, drained.Link.IO, "starting the applier leaves the receiver alone")
	assert.True(b, b.B.Visible("v"))
}

func bootsClosed(b *bench) {
	b.becomes(Acked, b.A.Write("before"))
	b.B.Kill()
	write := b.waiting(b.A, "v")
	b.B.Start()
	b.eventually(b.B, "the link should come back by itself", func(f topology.Facts) bool {
		return f.Link != nil && f.Link.IO == topology.On
	})
	facts := b.look(b.B)
	assert.False(b, facts.Open())
	assert.True(b, facts.SuperReadOnly)
	assert.False(b, facts.ReplicaSemiSync)
	assert.False(b, facts.Source.Enabled)
	b.waits(write)
	assert.Zero(b, b.look(b.A).Source.Clients)

	// The flag alone does nothing to a link that is up.
	b.ok(b.B.Server().SetReplicaSemiSync(b.ctx(), true))
	b.waits(write)
	b.rearm(b.B, b.A)
	b.waits(write)
	b.becomes(Acked, b.A.Write("w"))
	b.becomes(Acked, write)

	b.A.Kill()
	b.A.Start()
	master := b.look(b.A)
	assert.False(b, master.Open(), "a master that was open boots closed too")
	assert.False(b, master.Source.Enabled)
}

// lateAcker: a commit is acknowledged only by a server that was an acker when it received it. One
// that had it before is never asked again, since auto-position sends it nothing
// twice; the next commit, once acknowledged, releases all before it.
func lateAcker(b *bench) {
	b.caughtUp(b.C, b.B)
	b.ok(b.C.Server().Follow(b.ctx(), b.A.Place()))
	b.eventually(b.C, "it should follow A", func(f topology.Facts) bool { return f.Link != nil && f.Link.IO == topology.On })
	b.revoke(b.B)
	write := b.waiting(b.A, "v")
	b.sees(b.C, "v")
	b.ok(b.C.Server().SetReplicaSemiSync(b.ctx(), true))
	b.rearm(b.C, b.A)
	b.waits(write)
	b.becomes(Acked, b.A.Write("w"))
	b.becomes(Acked, write)
}

func revokedThenThawed(b *bench) {
	b.becomes(Acked, b.A.Write("before"))
	b.A.Freeze()
	write := b.A.Write("v")
	b.ok(b.B.Server().StopReceiver(b.ctx()))
	assert.Equal(b, topology.Off, b.look(b.B).Link.IO)
	held := b.look(b.B).Held()
	b.A.Thaw()
	b.eventually(b.A, "the thawed source should execute what it was sent", func(f topology.Facts) bool { return f.Source.Waiting == 1 })
	b.waits(write)
	assert.False(b, b.A.Visible("v"))
	assert.Equal(b, held.String(), b.look(b.B).Held().String())
}

func asyncRunsAhead(b *bench) {
	b.caughtUp(b.C, b.B)
	b.ok(b.C.Server().Follow(b.ctx(), b.A.Place()))
	b.eventually(b.C, "it should follow A", func(f topology.Facts) bool {
		return f.Link != nil && f.Link.IO == topology.On && f.Link.SourceAddr == b.A.Place().Addr()
	})
	b.revoke(b.B)
	write := b.waiting(b.A, "v")
	b.sees(b.C, "v")
	b.waits(write)
	ahead := b.look(b.C).Executed.Minus(b.look(b.B).Held())
	assert.EqualValues(b, 1, ahead.Count())
	assert.False(b, b.A.Visible("v"))
}

func closingGivesUp(b *bench) {
	b.revoke(b.B)
	write := b.waiting(b.A, "v")
	began := time.Now()
	err := b.A.Server().SetSuperReadOnly(b.ctx(), true)
	require.Error(b, err)
	assert.NotErrorIs(b, err, promote.ErrUnreachable, "the server answered")
	assert.Less(b, time.Since(began), 3*time.Second)

	hurried, cancel := context.WithTimeout(b.ctx(), 200*time.Millisecond)
	defer cancel()
	require.ErrorIs(b, b.A.Server().SetSuperReadOnly(hurried, true), promote.ErrUnreachable, "no answer in time")
	b.ok(b.B.Server().StartReceiver(b.ctx()))
	b.becomes(Acked, write)
	assert.True(b, b.look(b.A).Open(), "the order was given up, so it takes no effect later")
	b.becomes(Acked, b.A.Write("w"))
	b.ok(b.A.Server().SetSuperReadOnly(b.ctx(), true))
	b.becomes(Refused, b.A.Write("x"))
	b.ok(b.A.Server().SetSuperReadOnly(b.ctx(), false))
	b.becomes(Acked, b.A.Write("y"))
}
