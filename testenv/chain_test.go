package testenv

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newChain(t *testing.T, o Options) *Chain {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	began := time.Now()
	o.Progress = func(line string) { t.Logf("%6.2fs %s", time.Since(began).Seconds(), line) }
	c, err := NewChain(ctx, o)
	require.NoError(t, err)
	t.Logf("%6.2fs up", time.Since(began).Seconds())
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestChainReplicatesToEveryServer(t *testing.T) {
	c, ctx := newChain(t, Options{}), testContext(t)
	app, err := c.Open(Clients, "db1", Accounts.App, Database)
	require.NoError(t, err)
	defer app.Close()
	_, err = app.ExecContext(ctx, "CREATE TABLE notes (id INT PRIMARY KEY)")
	require.NoError(t, err)
	_, err = app.ExecContext(ctx, "INSERT INTO notes VALUES (1)")
	require.NoError(t, err)
	executed, err := c.Server("db1").Executed(ctx)
	require.NoError(t, err)
	for _, s := range c.Servers {
		require.NoError(t, s.AwaitApplied(ctx, executed))
		var n int
		require.NoError(t, s.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM shop.notes").Scan(&n))
		assert.Equal(t, 1, n, s.Name)
	}
}

func TestServersBootReadOnlyAndUnableToAcknowledge(t *testing.T) {
	c, ctx := newChain(t, Options{Relaxed: true}), testContext(t)
	for _, name := range []string{"db1", "db2"} {
		s := c.Server(name)
		s.Kill()
		assert.False(t, s.Running())
		require.NoError(t, s.Start(ctx))
		var readOnly, source, replica bool
		var executed string
		require.NoError(t, s.DB().QueryRowContext(ctx, `SELECT @@super_read_only, @@rpl_semi_sync_source_enabled,
			@@rpl_semi_sync_replica_enabled, @@gtid_executed`).Scan(&readOnly, &source, &replica, &executed))
		assert.True(t, readOnly, name)
		assert.False(t, source, name)
		assert.False(t, replica, name)
		assert.Empty(t, executed, "the template brings no transaction")
	}
	app, err := c.Open(Clients, "db1", Accounts.App, Database)
	require.NoError(t, err)
	defer app.Close()
	_, err = app.ExecContext(ctx, "CREATE TABLE notes (id INT PRIMARY KEY)")
	require.ErrorContains(t, err, "1290")
}

func TestCommitWaitsForTheFrozenCandidate(t *testing.T) {
	c, ctx := newChain(t, Options{}), testContext(t)
	app, err := c.Open(Clients, "db1", Accounts.App, Database)
	require.NoError(t, err)
	defer app.Close()
	_, err = app.ExecContext(ctx, "CREATE TABLE notes (id INT PRIMARY KEY)")
	require.NoError(t, err)

	require.NoError(t, c.Server("db2").Freeze())
	committed := make(chan error, 1)
	go func() {
		_, err := app.ExecContext(ctx, "INSERT INTO notes VALUES (1)")
		committed <- err
	}()
	require.NoError(t, c.Server("db1").await(ctx, "waiting for the acknowledgement",
		`SELECT VARIABLE_VALUE > 0 FROM performance_schema.global_status
		WHERE VARIABLE_NAME = 'Rpl_semi_sync_source_wait_sessions'`))
	select {
	case err := <-committed:
		require.Fail(t, "the commit did not wait", "%v", err)
	default:
	}
	require.NoError(t, c.Server("db2").Thaw())
	require.NoError(t, <-committed)
}

func TestStopAndStartGoOnReplicating(t *testing.T) {
	c, ctx := newChain(t, Options{Relaxed: true}), testContext(t)
	slave := c.Server("db3")
	require.NoError(t, slave.Restart(ctx))
	require.NoError(t, slave.AwaitReplicating(ctx))
	assert.NotZero(t, slave.PID())
}

func TestBareServersAreStandalone(t *testing.T) {
	c, ctx := newChain(t, Options{Relaxed: true, Bare: true,
		Servers: []ServerSpec{{Name: "only", Zone: "a", Seat: Master}}}), testContext(t)
	var channels int
	require.NoError(t, c.At(Master).DB().QueryRowContext(ctx,
		"SELECT COUNT(*) FROM performance_schema.replication_connection_configuration").Scan(&channels))
	assert.Zero(t, channels)
}

func TestServerRestartsByItsOwnWish(t *testing.T) {
	c, ctx := newChain(t, Options{Relaxed: true, Bare: true,
		Servers: []ServerSpec{{Name: "only", Zone: "a", Seat: Master}}}), testContext(t)
	s := c.At(Master)
	before := s.PID()
	require.NoError(t, s.Exec(ctx, "RESTART"))
	require.Eventually(t, func() bool { return s.PID() != 0 && s.PID() != before }, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, s.await(ctx, "answering", "SELECT TRUE"))
}
