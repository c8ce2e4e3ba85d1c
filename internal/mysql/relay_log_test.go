package mysql

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote/servertest"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

// The master and both ackers are killed while the ackers have received and not
// executed. b boots with relay_log_recovery OFF, c with ON: only b still has the
// acknowledged writes, which is why the requirement is OFF.
func TestRelayLogRecoveryLosesAcknowledgedWrites(t *testing.T) {
	w, ctx := world(t), t.Context()
	c := realServers.Started().Server("c")
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
	}, time.Minute, 10*time.Millisecond)
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
		}, time.Minute, 10*time.Millisecond)
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
	assert.Zero(t, visible, "ON threw away what it had acknowledged: received %s, executed %s", facts.Link.Received, facts.Executed)
}

// An acker is killed in the midst of receiving large transactions, with the master.
// With relay_log_recovery OFF it comes back with every one that it acknowledged, and
// with none in part.
func TestAKilledAckerKeepsWholeTransactionsAlone(t *testing.T) {
	for round := range 3 {
		w, ctx := world(t), t.Context()
		app, err := realServers.Started().Open(testenv.Clients, "a", testenv.Accounts.App, testenv.Database)
		require.NoError(t, err)
		const writers, rows = 4, 300
		acked := make([][]int, writers)
		enough := make(chan struct{})
		var began atomic.Int64
		var all sync.WaitGroup
		for writer := range writers {
			all.Go(func() {
				for n := 0; ; n++ {
					var values []string
					for row := range rows {
						values = append(values, fmt.Sprintf("('%d-%d-%d-%s')", writer, n, row, strings.Repeat("x", 80)))
					}
					if _, err := app.ExecContext(ctx, "INSERT INTO facts VALUES "+strings.Join(values, ",")); err != nil {
						return // the master is gone
					}
					acked[writer] = append(acked[writer], n)
					if began.Add(1) == int64(20*(round+1)) {
						close(enough)
					}
				}
			})
		}
		<-enough
		w.B.Kill()
		w.A.Kill()
		all.Wait()
		require.NoError(t, app.Close())
		w.B.Start()
		require.Eventually(t, func() bool {
			facts, err := w.B.Server().Look(ctx)
			return err == nil && facts.Link.SQL == topology.On && facts.Link.Received.Minus(facts.Executed).Empty()
		}, time.Minute, 10*time.Millisecond)
		whole := 0
		for writer := range writers {
			for n := range len(acked[writer]) + 1 {
				var found int
				require.NoError(t, realServers.Started().Server("b").DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM shop.facts WHERE v LIKE ?", fmt.Sprintf("%d-%d-%%", writer, n)).Scan(&found))
				if n < len(acked[writer]) {
					assert.Equal(t, rows, found, "transaction %d of %d was acknowledged", n, writer)
					whole++
				} else {
					assert.Contains(t, []int{0, rows}, found, "the last was not acknowledged")
				}
			}
		}
		t.Logf("%d acknowledged transactions are there", whole)
	}
}
