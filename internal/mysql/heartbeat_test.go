package mysql

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

// beat is one heartbeat that may take a while.
func beat(t *testing.T, p *Probe, atMost time.Duration) (bool, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), atMost)
	defer cancel()
	return p.Beat(ctx, "w1")
}

// withHeartbeatTable makes the table at the master of the world, for the time of the test.
func withHeartbeatTable(t *testing.T, a *testenv.Server) {
	t.Helper()
	for _, statement := range HeartbeatTable(credentials) {
		require.NoError(t, a.Exec(t.Context(), statement))
	}
	t.Cleanup(func() { dropHeartbeatTable(t) })
}

// dropHeartbeatTable takes it from every server, also from replicas that are cut off by now.
func dropHeartbeatTable(t *testing.T) { everywhere(t, "DROP DATABASE IF EXISTS failoverd") }

// everywhere runs statements on every server without logging them, when a test is over.
func everywhere(t *testing.T, statements ...string) {
	for _, s := range realServers.Started().Servers {
		conn, err := s.DB().Conn(context.Background())
		if !assert.NoError(t, err) {
			continue
		}
		for _, statement := range slices.Concat([]string{"SET GLOBAL rpl_semi_sync_source_enabled = OFF", "SET GLOBAL super_read_only = OFF",
			"SET SESSION sql_log_bin = OFF"}, statements, []string{"SET SESSION sql_log_bin = ON", "SET GLOBAL super_read_only = ON"}) {
			_, err := conn.ExecContext(context.Background(), statement)
			assert.NoError(t, err)
		}
		conn.Close()
	}
}

func TestHeartbeatsTellAHangingMasterFromARefusingOne(t *testing.T) {
	w, ctx := world(t), t.Context()
	a, b := realServers.Started().Server("a"), realServers.Started().Server("b")
	p := newProbe(t, a.Addr(), credentials.Probe)
	answered, err := beat(t, p, 5*time.Second)
	assert.True(t, answered, "%v", err)
	assert.ErrorContains(t, err, "denied", "there is no table, nor a grant for it")
	withHeartbeatTable(t, a)
	answered, err = beat(t, p, 5*time.Second)
	require.NoError(t, err)
	assert.True(t, answered)

	t.Run("the lag of a replica is read from the row", func(t *testing.T) {
		replica := newProbe(t, b.Addr(), credentials.Probe)
		require.Eventually(t, func() bool { lag, err := replica.Lag(ctx); return err == nil && lag < 10*time.Second }, time.Minute, 10*time.Millisecond)
		first, err := replica.Lag(ctx)
		require.NoError(t, err)
		second, err := replica.Lag(ctx)
		require.NoError(t, err)
		assert.Greater(t, second, first, "nothing new arrives")
	})
	t.Run("a killed session is replaced within the same beat", func(t *testing.T) {
		kill(t, a, "user = ?", credentials.Probe.User)
		answered, err := beat(t, p, 5*time.Second)
		require.NoError(t, err)
		assert.True(t, answered)
	})
	t.Run("a read-only server answers", func(t *testing.T) {
		require.NoError(t, a.Exec(ctx, "SET GLOBAL super_read_only = ON"))
		answered, err := beat(t, p, 5*time.Second)
		assert.True(t, answered)
		assert.Equal(t, uint16(1290), serverNumber(err), "%v", err)
		require.NoError(t, a.Exec(ctx, "SET GLOBAL read_only = OFF"))
		answered, err = beat(t, p, 5*time.Second)
		require.NoError(t, err)
		assert.True(t, answered)
	})
	t.Run("a lock is an answer", func(t *testing.T) {
		for _, lock := range []string{"FLUSH TABLES WITH READ LOCK", "LOCK INSTANCE FOR BACKUP", "LOCK TABLES failoverd.heartbeat WRITE",
			"SELECT * FROM failoverd.heartbeat FOR UPDATE"} {
			conn, err := a.DB().Conn(ctx)
			require.NoError(t, err)
			if lock[0] == 'S' {
				_, err = conn.ExecContext(ctx, "BEGIN")
				require.NoError(t, err)
			}
			_, err = conn.ExecContext(ctx, lock)
			require.NoError(t, err)
			began := time.Now()
			answered, err := beat(t, p, 5*time.Second)
			assert.True(t, answered, "%s: %v", lock, err)
			t.Logf("%s: after %s: %v", lock, time.Since(began).Round(time.Millisecond), err)
			for _, statement := range []string{"ROLLBACK", "UNLOCK TABLES", "UNLOCK INSTANCE"} {
				_, err = conn.ExecContext(ctx, statement)
				require.NoError(t, err)
			}
			conn.Close()
		}
	})
	t.Run("a commit that waits for an acknowledgement hangs, and still does on a new session", func(t *testing.T) {
		require.NoError(t, w.B.Server().StopReceiver(ctx))
		answered, err := beat(t, p, 300*time.Millisecond)
		assert.False(t, answered, "%v", err)
		contact, err := pinged(t, p)
		assert.Equal(t, topology.Answered, contact, "%v", err)
		facts, err := p.Look(ctx)
		require.NoError(t, err)
		assert.Equal(t, 1, facts.Source.Waiting, "the heartbeat itself")
		answered, err = beat(t, p, 5*time.Second)
		assert.False(t, answered, "its row is still locked by the first")
		assert.Equal(t, uint16(errLockWait), serverNumber(err), "%v", err)
		require.NoError(t, w.B.Server().StartReceiver(ctx))
		require.Eventually(t, func() bool { answered, err := beat(t, p, 5*time.Second); return answered && err == nil }, time.Minute, 10*time.Millisecond)
	})
	t.Run("a frozen one does not answer, a killed one neither", func(t *testing.T) {
		w.A.Freeze()
		require.Eventually(t, func() bool { answered, _ := beat(t, p, 300*time.Millisecond); return !answered }, 5*time.Second, time.Millisecond)
		w.A.Thaw()
		require.Eventually(t, func() bool { answered, err := beat(t, p, 5*time.Second); return answered && err == nil }, time.Minute, 10*time.Millisecond)
		w.A.Kill()
		answered, err := beat(t, p, 5*time.Second)
		assert.False(t, answered, "%v", err)
		w.A.Start()
		answered, err = beat(t, p, 5*time.Second)
		assert.True(t, answered)
		assert.Equal(t, uint16(1290), serverNumber(err), "it boots closed: %v", err)
	})
}

// kill ends the sessions that fit.
func kill(t *testing.T, s *testenv.Server, where string, args ...any) {
	t.Helper()
	rows, err := s.DB().QueryContext(t.Context(), "SELECT id FROM performance_schema.processlist WHERE "+where, args...)
	require.NoError(t, err)
	var ids []int
	for rows.Next() {
		var id int
		require.NoError(t, rows.Scan(&id))
		ids = append(ids, id)
	}
	require.NoError(t, rows.Close())
	require.NotEmpty(t, ids)
	for _, id := range ids {
		require.NoError(t, s.Exec(t.Context(), fmt.Sprintf("KILL %d", id)))
	}
	require.Eventually(t, func() bool {
		var left int
		err := s.DB().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM performance_schema.processlist WHERE "+where, args...).Scan(&left)
		return err == nil && left == 0
	}, time.Minute, 10*time.Millisecond)
}
