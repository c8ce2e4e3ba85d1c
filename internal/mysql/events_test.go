package mysql

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/testenv"
)

// eventsAt are the events of a server as "name status definer mode zone comment".
func eventsAt(t *testing.T, s *testenv.Server) map[string]string {
	t.Helper()
	rows, err := s.DB().QueryContext(t.Context(), `SELECT EVENT_NAME, STATUS, CONCAT_WS(' ', DEFINER, SQL_MODE LIKE '%ANSI_QUOTES%', TIME_ZONE, EVENT_COMMENT)
 FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'shop'`)
	require.NoError(t, err)
	defer rows.Close()
	events := map[string]string{}
	for rows.Next() {
		var name, status, rest string
		require.NoError(t, rows.Scan(&name, &status, &rest))
		events[name] = status + " " + rest
	}
	require.NoError(t, rows.Err())
	return events
}

func runs(t *testing.T, s *testenv.Server) (n int) {
	t.Helper()
	require.NoError(t, s.DB().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM shop.runs WHERE server = @@server_id AND at > NOW(6) - INTERVAL 1500000 MICROSECOND").Scan(&n))
	return n
}

// Scheduled events run on the master alone, before and after it changes.
func TestEventsMoveWithTheMaster(t *testing.T) {
	w, ctx := world(t), t.Context()
	servers := realServers.Started().Servers
	a, b := servers[0], servers[1]
	t.Cleanup(func() {
		for _, s := range servers {
			for _, statement := range []string{"SET GLOBAL rpl_semi_sync_source_enabled = OFF", "SET GLOBAL super_read_only = OFF", "DROP TABLE IF EXISTS shop.runs", "DROP EVENT IF EXISTS shop.`every second`",
				"DROP EVENT IF EXISTS shop.disabled", "DROP EVENT IF EXISTS shop.side", "DROP EVENT IF EXISTS shop.roots", "DROP EVENT IF EXISTS shop.nobodys"} {
				assert.NoError(t, s.Exec(context.Background(), statement))
			}
		}
	})
	session, err := a.DB().Conn(ctx)
	require.NoError(t, err)
	defer session.Close()
	for _, statement := range []string{
		"CREATE TABLE shop.runs (at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6), server INT, who VARCHAR(50))",
		"SET sql_mode = 'ANSI', time_zone = '+03:00'",
		"CREATE DEFINER = app@'%' EVENT shop.\"every second\" ON SCHEDULE EVERY 1 SECOND COMMENT 'it''s' DO INSERT INTO shop.runs (server, who) SELECT @@server_id, current_user()",
		"CREATE DEFINER = app@'%' EVENT shop.disabled ON SCHEDULE EVERY 1 SECOND DISABLE DO INSERT INTO shop.runs (server, who) SELECT @@server_id, 'disabled'",
		"CREATE DEFINER = app@'%' EVENT shop.side ON SCHEDULE EVERY 1 SECOND DISABLE ON REPLICA DO SELECT 1",
		"CREATE EVENT shop.roots ON SCHEDULE EVERY 1 HOUR DO SELECT 1",
		"CREATE DEFINER = nobody@nowhere EVENT shop.nobodys ON SCHEDULE EVERY 1 HOUR DO SELECT 1",
	} {
		_, err := session.ExecContext(ctx, statement)
		require.NoError(t, err, statement)
	}
	before := eventsAt(t, a)
	assert.Equal(t, "ENABLED app@% 1 +03:00 it's", before["every second"])
	require.Eventually(t, func() bool { return runs(t, a) > 0 }, time.Minute, 50*time.Millisecond)

	master, err := w.A.Server().Look(ctx)
	require.NoError(t, err)
	assert.Zero(t, master.AsleepEvents)
	assert.ElementsMatch(t, []string{"shop.disabled", "shop.side"}, master.DisabledEvents)
	require.NoError(t, w.B.Server().WaitExecuted(ctx, master.Executed, time.Minute))
	replica, err := w.B.Server().Look(ctx)
	require.NoError(t, err)
	assert.Equal(t, 5, replica.AsleepEvents, "the disabled ones cannot be told from the others here")
	assert.NotNil(t, replica.DisabledEvents)
	assert.Empty(t, replica.DisabledEvents)
	for name, event := range eventsAt(t, b) {
		assert.Contains(t, event, "REPLICA_SIDE_DISABLED", name)
	}

	// The candidate is promoted, the old master closed.
	require.NoError(t, w.A.Server().SetSuperReadOnly(ctx, true))
	closed, err := w.A.Server().Look(ctx)
	require.NoError(t, err)
	require.NoError(t, w.B.Server().WaitExecuted(ctx, closed.Executed, time.Minute))
	require.NoError(t, w.B.Server().ForgetSource(ctx))
	require.NoError(t, w.B.Server().SetSuperReadOnly(ctx, false))
	require.NoError(t, b.Exec(ctx, "SET GLOBAL super_read_only = ON"))
	_, err = w.B.Server().WakeEvents(ctx, master.DisabledEvents)
	require.Error(t, err, "a closed server cannot")
	require.NoError(t, w.B.Server().SetSuperReadOnly(ctx, false))
	woken, err := w.B.Server().WakeEvents(ctx, master.DisabledEvents)
	require.NoError(t, err)
	assert.Equal(t, 3, woken)
	want := map[string]string{}
	for name, event := range before {
		want[name] = event
	}
	want["side"] = "DISABLED app@% 1 +03:00 "
	assert.Equal(t, want, eventsAt(t, b), "definer, mode, zone and comment are kept")
	require.Eventually(t, func() bool { return runs(t, b) > 0 }, time.Minute, 50*time.Millisecond)
	require.Eventually(t, func() bool { return runs(t, a) == 0 }, time.Minute, 50*time.Millisecond)
	woken, err = w.B.Server().WakeEvents(ctx, nil)
	require.NoError(t, err)
	assert.Zero(t, woken, "repeated")

	// The old master, as a replica, puts them to sleep; nothing of it is errant.
	promoted, err := w.B.Server().Look(ctx)
	require.NoError(t, err)
	assert.Equal(t, []string{"shop.disabled", "shop.side"}, promoted.DisabledEvents)
	for _, n := range []string{"a", "c"} {
		node := map[string]*realNode{"a": w.A.(*realNode), "c": w.C.(*realNode)}[n]
		if n == "a" {
			require.NoError(t, node.Server().SetSourceSemiSync(ctx, 0))
			require.NoError(t, node.Server().Follow(ctx, w.B.Place()))
		}
		require.NoError(t, node.Server().WaitExecuted(ctx, promoted.Executed, time.Minute))
		facts, err := node.Server().Look(ctx)
		require.NoError(t, err)
		assert.Equal(t, 5, facts.AsleepEvents, n)
		assert.Empty(t, facts.DisabledEvents, n)
	}
	facts, err := w.A.Server().Look(ctx)
	require.NoError(t, err)
	end, err := w.B.Server().Look(ctx)
	require.NoError(t, err)
	assert.True(t, end.Executed.Contains(facts.Executed))

	// Closed and opened again, as after a fence that was not needed: the scheduler runs on by itself.
	require.NoError(t, w.B.Server().SetSuperReadOnly(ctx, true))
	require.Eventually(t, func() bool { return runs(t, b) == 0 }, time.Minute, 100*time.Millisecond)
	require.NoError(t, w.B.Server().SetSuperReadOnly(ctx, false))
	require.Eventually(t, func() bool { return runs(t, b) > 0 }, time.Minute, 50*time.Millisecond)
}

func TestAProbeWithoutThePrivilegeKnowsNothingOfEvents(t *testing.T) {
	a := chain(t).Server("a")
	ctx := t.Context()
	probe, err := NewProbe(Config{Addr: a.Addr(), Account: credentials.Probe})
	require.NoError(t, err)
	defer probe.Close()
	facts, err := probe.Look(ctx)
	require.NoError(t, err)
	assert.Equal(t, []string{}, facts.DisabledEvents)
	require.NoError(t, a.Exec(ctx, "SET GLOBAL super_read_only = OFF"))
	require.NoError(t, a.Exec(ctx, "REVOKE EVENT ON *.* FROM fd_probe@'%'"))
	t.Cleanup(func() {
		assert.NoError(t, a.Exec(context.Background(), "SET GLOBAL super_read_only = OFF"))
		assert.NoError(t, a.Exec(context.Background(), "GRANT EVENT ON *.* TO fd_probe@'%'"))
	})
	facts, err = probe.Look(ctx)
	require.NoError(t, err)
	assert.Nil(t, facts.DisabledEvents, "unknown is not none")
}

func TestDefinersAreQuoted(t *testing.T) {
	for account, want := range map[string]string{
		"app@%": "'app'@'%'", "a@b@c": "'a@b'@'c'", `o'hara\@localhost`: `'o''hara\\'@'localhost'`,
	} {
		assert.Equal(t, want, definer(account))
	}
	assert.Equal(t, "`a``b`", identifier("a`b"))
	assert.Equal(t, "ALTER DEFINER = 'app'@'%' EVENT `s`.`e` ENABLE", fmt.Sprintf(alterEventSQL, definer("app@%"), identifier("s")+"."+identifier("e"), "ENABLE"))
}
