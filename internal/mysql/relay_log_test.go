package mysql

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote/servertest"
	"github.com/failoverd/failoverd/internal/topology"
)

// The master and both ackers are killed while the ackers have received and not
// executed. b boots with relay_log_recovery OFF, c with ON: only b still has the
// acknowledged writes, which is why the requirement is OFF.
func TestRelayLogRecoveryLosesAcknowledgedWrites(t *testing.T) {
	w, ctx := world(t), t.Context()
	c := realServers.chain.Server("c")
	require.NoError(t, c.Exec(ctx, "SET PERSIST_ONLY relay_log_recovery = ON"))
	t.Cleanup(func() {
		assert.NoError(t, c.Exec(context.Background(), "RESET PERSIST relay_log_recovery"))
		assert.NoError(t, c.Restart(context.Background()))
	})
	require.NoError(t, c.Restart(ctx))
	require.NoError(t, w.C.Server().SetReplicaSemiSync(ctx, true))
	require.NoError(t, w.C.Server().Follow(ctx, w.A.Place()))
	require.NoError(t, w.A.Server().SetSourceSemiSync(ctx, 2))
	require.Eventually(t, func() bool {
		facts, err := w.A.Server().Look(ctx)
		return err == nil && facts.Source.Clients == 2
	}, 10*time.Second, 10*time.Millisecond)
	w.B.StopApplier()
	w.C.StopApplier()
	const writes = 20
	for i := range writes {
		require.Equal(t, servertest.Acked, <-w.A.Write(fmt.Sprint(i)))
	}
	w.A.Kill()
	w.B.Kill()
	w.C.Kill()
	w.B.Start()
	w.C.Start()
	held := func(n servertest.Node) (topology.Facts, int) {
		require.NoError(t, n.Server().StartApplier(ctx)) // it started by itself, unless told not to
		var facts topology.Facts
		require.Eventually(t, func() (done bool) {
			var err error
			facts, err = n.Server().Look(ctx)
			return err == nil && facts.Link.Received.Minus(facts.Executed).Empty()
		}, 10*time.Second, 10*time.Millisecond)
		visible := 0
		for i := range writes {
			if n.Visible(fmt.Sprint(i)) {
				visible++
			}
		}
		return facts, visible
	}
	facts, visible := held(w.B)
	assert.Equal(t, writes, visible, "OFF keeps what was received: %s", facts.Link.Received)
	facts, visible = held(w.C)
	assert.Zero(t, visible, "ON throws it away, so MySQL might as well drop the requirement: received %s, executed %s", facts.Link.Received, facts.Executed)
}
