package mysql

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/promote/servertest"
	"github.com/failoverd/failoverd/internal/topology"
)

// foreign are GTIDs of a server that is none of the chain's.
var foreign = topology.MustGTIDSet("00000000-0000-0000-0000-0000000000aa:3-5:9, 00000000-0000-0000-0000-0000000000bb:1")

func TestBurnWithoutAnAckerIsBoundedAndLeavesNothingBehind(t *testing.T) {
	w, ctx := world(t), t.Context()
	a := w.A.(*realNode)
	a.server.cfg.Timeout = 500 * time.Millisecond // the bound is five times that
	require.NoError(t, w.B.Server().StopReceiver(ctx))
	sessions := func() (waiting, all int) {
		require.NoError(t, a.mysqld.DB().QueryRowContext(ctx, `SELECT COALESCE(SUM(STATE LIKE 'Waiting for semi-sync ACK%'), 0), COUNT(*)
			FROM performance_schema.processlist WHERE USER = ? AND COMMAND <> 'Sleep'`, credentials.Control.User).Scan(&waiting, &all))
		return waiting, all
	}
	for range 3 {
		start := time.Now()
		err := a.server.Burn(ctx, foreign)
		require.ErrorIs(t, err, promote.ErrNotYet)
		assert.ErrorContains(t, err, "0 of 5 GTIDs")
		assert.Less(t, time.Since(start), 5*time.Second)
		// KILL does not end a wait for an acknowledgement, so the first commit goes on
		// waiting, as a client's would. The next try waits for its GTID, and is gone.
		require.Eventually(t, func() bool {
			waiting, all := sessions()
			return waiting == 1 && all == 1
		}, 5*time.Second, 10*time.Millisecond)
	}
	facts, err := a.server.Look(ctx)
	require.NoError(t, err)
	assert.True(t, facts.Executed.Common(foreign).Empty(), "what is executed was acknowledged")

	require.NoError(t, w.B.Server().StartReceiver(ctx))
	require.Eventually(t, func() bool {
		waiting, all := sessions()
		return waiting == 0 && all == 0
	}, 5*time.Second, 10*time.Millisecond)
	// No session of the pool keeps a gtid_next: other transactions have GTIDs of a's own.
	for range 8 {
		require.NoError(t, a.server.Nudge(ctx))
	}
	after, err := a.server.Look(ctx)
	require.NoError(t, err)
	assert.EqualValues(t, 1, after.Executed.Common(foreign).Count(), "the one that waited")
	require.NoError(t, a.server.Burn(ctx, foreign))
	require.NoError(t, w.B.Server().WaitExecuted(ctx, foreign, time.Minute))
}

func TestBurnThatIsInterruptedMayBeRepeated(t *testing.T) {
	w, ctx := world(t), t.Context()
	a := w.A.(*realNode)
	require.NoError(t, w.B.Server().StopReceiver(ctx))
	tick, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- a.server.Burn(tick, foreign) }()
	require.Eventually(t, func() bool {
		facts, err := a.server.Look(ctx)
		return err == nil && facts.Source.Waiting == 1
	}, 5*time.Second, 10*time.Millisecond)
	cancel()
	require.Error(t, <-done)
	require.NoError(t, w.B.Server().StartReceiver(ctx))
	require.Equal(t, servertest.Acked, <-w.A.Write("after"))
	require.NoError(t, a.server.Burn(ctx, foreign))
	require.NoError(t, w.B.Server().WaitExecuted(ctx, foreign, time.Minute))
}
