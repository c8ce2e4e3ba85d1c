package mysql

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

func TestReceiverOfAFrozenSourceStopsInBoundedTime(t *testing.T) {
	w, ctx := world(t), t.Context()
	w.A.Freeze()
	b := w.B.Server()
	require.Eventually(t, func() bool {
		began := time.Now()
		facts, err := b.Look(ctx)
		require.NoError(t, err)
		assert.Less(t, time.Since(began), 500*time.Millisecond, "a link that hangs must not hang Look")
		return facts.Link.IO == topology.Connecting
	}, time.Minute, 50*time.Millisecond)
	began := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- b.StopReceiver(ctx) }()
	looked := time.Now()
	_, err := b.Look(ctx)
	require.NoError(t, err)
	assert.Less(t, time.Since(looked), 500*time.Millisecond, "a stop that waits must not hang Look")
	err = <-stopped
	t.Logf("stopped a reconnecting receiver after %s: %v", time.Since(began), err)
	if err != nil {
		require.ErrorIs(t, err, promote.ErrNotYet)
	}
	assert.Less(t, time.Since(began), 6*time.Second)
	require.Eventually(t, func() bool {
		facts, err := b.Look(ctx)
		return err == nil && facts.Link.IO == topology.Off
	}, time.Minute, 50*time.Millisecond)
}

func TestOrderToOpenThatIsReadTooLateDoesNothing(t *testing.T) {
	s := control(t, chain(t).Server("a"))
	ctx := t.Context()
	conn, err := s.sessions.db.Conn(ctx)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.ExecContext(ctx, openSQL, "2001-01-01 00:00:00", "2001-01-01 00:00:00")
	require.NoError(t, err)
	facts, err := s.Look(ctx)
	require.NoError(t, err)
	assert.True(t, facts.SuperReadOnly)
	assert.False(t, facts.Open())
}

func TestOtherLeadersSessionsAreKilledAndReplaced(t *testing.T) {
	server := chain(t).Server("a")
	old, own, ctx := control(t, server), control(t, server), t.Context()
	conn, err := old.sessions.db.Conn(ctx)
	require.NoError(t, err)
	id := idOf(conn)
	ended := make(chan error, 1)
	go func() {
		defer conn.Close()
		_, err := conn.ExecContext(ctx, "DO SLEEP(60)")
		ended <- err
	}()
	require.Eventually(t, func() bool {
		var n int
		require.NoError(t, server.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM performance_schema.processlist WHERE ID = ? AND COMMAND = 'Query'", id).Scan(&n))
		return n == 1
	}, 5*time.Second, 10*time.Millisecond)
	require.NoError(t, own.KillOlderSessions(ctx))
	require.Error(t, <-ended)
	_, err = old.Look(ctx)
	assert.NoError(t, err, "where nobody is asked, the pool connects anew")
}

func TestWhoLedOnceDoesNotConnectAnew(t *testing.T) {
	server, ctx := chain(t).Server("a"), t.Context()
	next := control(t, server)
	var leads atomic.Bool
	leads.Store(true)
	errLeadsNoMore := errors.New("another leads")
	old, err := Open(Config{Addr: server.Addr(), Account: credentials.Control, Replication: credentials.Replication, Admit: func(context.Context) error {
		if leads.Load() {
			return nil
		}
		return errLeadsNoMore
	}})
	require.NoError(t, err)
	t.Cleanup(func() { old.Close() })
	require.NoError(t, old.SetSourceSemiSync(ctx, 1))

	for _, statement := range []string{"SET GLOBAL log_output = 'TABLE'", "SET GLOBAL general_log = ON"} {
		require.NoError(t, server.Exec(ctx, statement))
	}
	t.Cleanup(func() { assert.NoError(t, server.Exec(context.Background(), "SET GLOBAL general_log = OFF")) })
	leads.Store(false)
	require.NoError(t, next.KillOlderSessions(ctx))
	arrived := func() (statements int) {
		// Beside the settings of the session itself, which the driver sends while it logs in.
		require.NoError(t, server.DB().QueryRowContext(ctx, `SELECT COUNT(*) FROM mysql.general_log WHERE user_host LIKE '%fd_control%'
 AND command_type IN ('Query', 'Prepare', 'Execute') AND argument NOT LIKE 'SET %lock_wait_timeout%'`).Scan(&statements))
		return statements
	}
	before := arrived()
	for what, order := range map[string]func() error{
		"wait for other acknowledgements": func() error { return old.SetSourceSemiSync(ctx, 2) },
		"open":                            func() error { return old.SetSuperReadOnly(ctx, false) },
		"arm":                             func() error { return old.SetReplicaSemiSync(ctx, true) },
		"close":                           func() error { return old.SetSuperReadOnly(ctx, true) },
		"forget the source":               func() error { return old.ForgetSource(ctx) },
		"end the next leader's sessions":  func() error { return old.KillOlderSessions(ctx) },
		"look":                            func() error { _, err := old.Look(ctx); return err },
	} {
		assert.ErrorIs(t, order(), errLeadsNoMore, what)
	}
	assert.Equal(t, before, arrived(), "no statement of who led once arrives")
	facts, err := next.Look(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, facts.Source.Acks)
	assert.False(t, facts.Open() || facts.ReplicaSemiSync)

	before = arrived()
	leads.Store(true)
	_, err = old.Look(ctx)
	require.NoError(t, err, "who leads again connects again")
	assert.Greater(t, arrived(), before, "and that would have been seen")
}

func TestWaitEndsWithTheAppliersError(t *testing.T) {
	w, ctx := world(t), t.Context()
	b := w.B.(*realNode).mysqld
	require.NoError(t, b.Exec(ctx, "SET GLOBAL read_only = OFF"))
	require.NoError(t, b.Exec(ctx, "INSERT INTO shop.facts VALUES ('v')"))
	select {
	case <-w.A.Write("v"):
	case <-time.After(10 * time.Second):
		require.Fail(t, "the write should be acknowledged")
	}
	facts, err := w.A.Server().Look(ctx)
	require.NoError(t, err)
	began := time.Now()
	err = w.B.Server().WaitExecuted(ctx, facts.Executed, 30*time.Second)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "1062")
	assert.NotErrorIs(t, err, promote.ErrNotYet)
	assert.Less(t, time.Since(began), 10*time.Second)
}

func TestErrorsHoldNoSecrets(t *testing.T) {
	refusal := &mysqldriver.MySQLError{Number: 3000, Message: "near 'top secret'"}
	assert.Equal(t, "follow b: Error 3000: near '***'", failed("follow b", refusal, "top secret").Error())
	refusal.Number = errSyntax
	assert.NotContains(t, failed("follow b", refusal, "top secret and more").Error(), "secret")
	assert.Equal(t, "a", Account{"a", "secret"}.String())
	err := failed("look", context.DeadlineExceeded)
	assert.ErrorIs(t, err, promote.ErrUnreachable)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotErrorIs(t, failed("look", errors.New("refused")), promote.ErrUnreachable)
	assert.NoError(t, failed("look", nil))
	_, err = Open(Config{Addr: "no-port", Account: Account{"u", "secret"}})
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")
}
