package mysql

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote/servertest"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

// halved stops b's receiver in the middle of a transaction that the applier has
// begun, while a is written to.
func halved(t *testing.T, w servertest.World) {
	t.Helper()
	ctx := t.Context()
	app, err := realServers.Started().Open(testenv.Clients, "a", testenv.Accounts.App, testenv.Database)
	require.NoError(t, err)
	enough := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-enough:
				return
			default:
			}
			tx, err := app.BeginTx(ctx, nil)
			if err != nil {
				return
			}
			for part := range 10 {
				var values []string
				for row := range 400 {
					values = append(values, fmt.Sprintf("('%d-%d-%d-%s')", n, part, row, strings.Repeat("x", 80)))
				}
				_, _ = tx.ExecContext(ctx, "INSERT INTO facts VALUES "+strings.Join(values, ","))
			}
			_ = tx.Commit()
		}
	})
	defer app.Close()
	defer writing.Wait()
	defer close(enough)
	b := realServers.Started().Server("b")
	require.NoError(t, b.Exec(ctx, "SET GLOBAL rpl_semi_sync_replica_enabled = OFF")) // a is not to wait
	require.NoError(t, w.A.Server().SetSourceSemiSync(ctx, 0))
	require.Eventually(t, func() bool {
		require.NoError(t, w.B.Server().StopReceiver(ctx))
		<-time.After(50 * time.Millisecond)
		var half int
		require.NoError(t, b.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM performance_schema.replication_connection_status WHERE QUEUEING_TRANSACTION <> ''").Scan(&half))
		if half == 0 {
			require.NoError(t, w.B.Server().StartReceiver(ctx))
			<-time.After(30 * time.Millisecond)
		}
		return half == 1
	}, 60*time.Second, time.Millisecond, "no receiver was stopped in the middle of a transaction")
}

func TestAnApplierWithHalfATransactionHoldsNothingUp(t *testing.T) {
	t.Run("a new source", func(t *testing.T) {
		w, ctx := world(t), t.Context()
		halved(t, w)
		before, err := w.B.Server().Look(ctx)
		require.NoError(t, err)
		require.NoError(t, w.A.Server().SetSuperReadOnly(ctx, true))
		start := time.Now()
		require.Eventually(t, func() bool { return w.B.Server().Follow(ctx, w.A.Place()) == nil }, time.Minute, 10*time.Millisecond)
		t.Logf("it followed after %s", time.Since(start))
		master, err := w.A.Server().Look(ctx)
		require.NoError(t, err)
		require.NoError(t, w.B.Server().WaitExecuted(ctx, master.Executed, 30*time.Second))
		after, err := w.B.Server().Look(ctx)
		require.NoError(t, err)
		assert.True(t, after.Executed.Contains(before.Held()))
		assert.Equal(t, topology.On, after.Link.SQL)
		assert.Empty(t, after.Link.SQLError)
		var rows [2]string
		for i, name := range []string{"a", "b"} {
			require.NoError(t, realServers.Started().Server(name).DB().QueryRowContext(ctx, "SELECT CONCAT(COUNT(*), ' ', BIT_XOR(CRC32(v))) FROM shop.facts").Scan(&rows[i]))
		}
		assert.Equal(t, rows[0], rows[1])
	})
	t.Run("a receiver that was started again in vain", func(t *testing.T) {
		w, ctx := world(t), t.Context()
		halved(t, w)
		require.NoError(t, w.B.Server().StartReceiver(ctx))
		require.NoError(t, w.B.Server().StopReceiver(ctx))
		require.NoError(t, w.B.Server().Follow(ctx, w.A.Place()))
	})
	t.Run("no source", func(t *testing.T) {
		w, ctx := world(t), t.Context()
		halved(t, w)
		require.Eventually(t, func() bool { return w.B.Server().ForgetSource(ctx) == nil }, time.Minute, 10*time.Millisecond)
	})
	t.Run("a clone", func(t *testing.T) {
		w, ctx := world(t), t.Context()
		halved(t, w)
		start := time.Now()
		require.NoError(t, w.B.Server().Clone(ctx, w.A.Place()))
		assert.Less(t, time.Since(start), 20*time.Second)
		facts, _ := cloned(t, w.B.(*realNode))
		assert.Equal(t, topology.CloneCompleted, facts.Clone.State, facts.Clone.Error)
	})
}
