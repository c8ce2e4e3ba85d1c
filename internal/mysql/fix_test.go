package mysql

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote/servertest"
	"github.com/failoverd/failoverd/internal/topology"
)

// shop is the world as an inventory has it: a master, b candidate, c slave.
func shop(policy topology.Policy) topology.Chain {
	chain := topology.Chain{Product: "shop", Policy: policy}
	for i, seat := range []topology.Seat{topology.Master, topology.Candidate, topology.Slave} {
		s := place(realServers.Started().Servers[i])
		s.Seat, s.Standing = seat, topology.In
		chain.Servers = append(chain.Servers, s)
	}
	return chain
}

func TestFixMendsWhatCanBeMendedWhileTheServersWork(t *testing.T) {
	world(t)
	c, ctx := realServers.Started(), t.Context()
	exec := func(server string, statements ...string) {
		t.Helper()
		for _, statement := range statements {
			require.NoError(t, c.Server(server).Exec(ctx, statement))
		}
	}
	t.Cleanup(func() {
		everywhere(t, "DROP DATABASE IF EXISTS failoverd", "RESET PERSIST", "SET PERSIST_ONLY super_read_only = ON", "SET PERSIST_ONLY rpl_semi_sync_replica_enabled = OFF",
			"REVOKE IF EXISTS PERSIST_RO_VARIABLES_ADMIN ON *.* FROM fd_control@'%'", "REVOKE IF EXISTS CREATE ON failoverd.* FROM fd_control@'%'",
			"REVOKE IF EXISTS SELECT, INSERT, UPDATE ON failoverd.* FROM fd_probe@'%'")
	})
	policy := topology.DefaultPolicy()
	policy.WriteProbe = topology.Duration(time.Second)
	chain := shop(policy)
	broken := []string{"SET GLOBAL sync_binlog = 0", "SET GLOBAL innodb_flush_log_at_trx_commit = 2",
		"SET GLOBAL sync_relay_log = 10000", "SET GLOBAL max_connect_errors = 100", "SET GLOBAL binlog_row_metadata = MINIMAL", "SET GLOBAL replica_net_timeout = 60",
		"RESET PERSIST", "SET PERSIST_ONLY super_read_only = OFF", "SET PERSIST_ONLY rpl_semi_sync_replica_enabled = ON", "SET PERSIST_ONLY relay_log_recovery = ON"}
	for _, s := range c.Servers {
		exec(s.Name, broken...)
	}
	exec("a", "SET GLOBAL binlog_format = STATEMENT", "SET GLOBAL rpl_semi_sync_source_timeout = 10000", "SET GLOBAL rpl_semi_sync_source_wait_no_replica = OFF", "SET GLOBAL rpl_semi_sync_source_wait_point = AFTER_COMMIT",
		"SET GLOBAL replica_preserve_commit_order = OFF", "GRANT PERSIST_RO_VARIABLES_ADMIN ON *.* TO fd_control@'%'",
		"GRANT CREATE ON failoverd.* TO fd_control@'%'", "GRANT SELECT, INSERT, UPDATE ON failoverd.* TO fd_probe@'%'")
	exec("c", "STOP REPLICA", "SET GLOBAL binlog_format = STATEMENT", "SET GLOBAL replica_preserve_commit_order = OFF", "CHANGE REPLICATION SOURCE TO SOURCE_HEARTBEAT_PERIOD = 30", "START REPLICA")
	require.NoError(t, c.Server("c").AwaitReplicating(ctx))

	fixes, left := PlanFixes(ctx, chain, credentials)
	var names []string
	for _, f := range fixes {
		assert.NotEmpty(t, f.Statements, f.Requirement)
		names = append(names, f.Server.Name+" "+f.Requirement)
	}
	for _, l := range left {
		t.Logf("left: %s %s: %s: %s", l.Server, l.Requirement, l.Found, l.Reason)
	}
	assert.Subset(t, names, []string{"a semi-sync-lossless", "a commit-order", "a heartbeat-table", "a binlog-format", "c binlog-format", "c heartbeat", "c commit-order"})
	assert.Less(t, slices.Index(names, "c heartbeat"), slices.Index(names, "c replica-net-timeout"), "else the link would break")
	for _, f := range fixes {
		after, err := f.Apply(ctx, credentials)
		if assert.NoError(t, err, "%s %s", f.Server.Name, f.Requirement) {
			t.Logf("%s %s: %s → %s (%s)", f.Server.Name, f.Requirement, f.Before, after, strings.Join(f.Statements, "; "))
		}
	}
	require.NoError(t, c.Server("c").AwaitReplicating(ctx))
	executed, err := c.Server("a").Executed(ctx)
	require.NoError(t, err)
	require.NoError(t, c.Server("b").AwaitApplied(ctx, executed))
	require.NoError(t, c.Server("c").AwaitApplied(ctx, executed))
	for _, l := range left {
		assert.Contains(t, []string{"heartbeat-table"}, l.Requirement, "%s: %s", l.Server, l.Found)
	}
	assert.Empty(t, bad(ExamineChain(ctx, chain, credentials)), "what was left came by replication")
	fixes, left = PlanFixes(ctx, chain, credentials)
	assert.Empty(t, fixes)
	assert.Empty(t, left)
}

// What --fix does not do, and why not.
func TestFixLeavesAckersAndOpenServersAlone(t *testing.T) {
	settled := topology.Facts{SuperReadOnly: true, Link: &topology.Link{IO: topology.On, SQL: topology.On, Heartbeat: topology.Duration(30 * time.Second)}}
	with := func(change func(*examined)) examined {
		e := examined{facts: settled, boot: map[string]bootValue{}, place: alone(topology.Server{Name: "x"})}
		link := *settled.Link
		e.facts.Link = &link
		change(&e)
		return e
	}
	for _, c := range []struct {
		fact, requirement string
		e                 examined
		want              string // the statements, or the start of the reason
	}{
		{"a link that nobody waits for", "heartbeat", with(func(*examined) {}), stopReceiverSQL + "; " + heartbeatPeriodSQL + "; " + startReceiverSQL},
		{"a receiver that somebody stopped stays so", "heartbeat", with(func(e *examined) { e.facts.Link.IO = topology.Off }), heartbeatPeriodSQL},
		{"an armed server", "heartbeat", with(func(e *examined) { e.facts.ReplicaSemiSync = true }), "left: " + touchesAcker},
		{"an acker by its seat", "heartbeat", with(func(e *examined) { e.place.acks = true }), "left: " + touchesAcker},
		{"no applier keeps the relay log", "heartbeat", with(func(e *examined) { e.facts.Link.SQL = topology.Off }), "left: the applier does not run"},
		{"timeout after the heartbeat", "replica-net-timeout", with(func(*examined) {}), "SET PERSIST replica_net_timeout = 4"},
		{"timeout with a heartbeat that stays", "replica-net-timeout", with(func(e *examined) { e.place.acks = true }), "left: with a heartbeat of 30s"},
		{"an acker's applier", "commit-order", with(func(e *examined) { e.facts.ReplicaSemiSync = true }), "left: the applier would have to be stopped"},
		{"the master, without SET PERSIST_ONLY", "boots-closed", with(func(e *examined) { e.boot["super_read_only"] = bootValue{now: "OFF"} }), "left: the control account lacks"},
		{"a closed server, without SET PERSIST_ONLY", "boots-closed", with(func(e *examined) { e.boot["super_read_only"] = bootValue{now: "ON"} }), "SET PERSIST super_read_only = ON"},
		{"the master", "boots-closed", with(func(e *examined) {
			e.mayPersistOnly, e.boot["super_read_only"] = true, bootValue{now: "OFF"}
		}), "SET PERSIST_ONLY super_read_only = ON"},
		{"an acker keeps acknowledging", "boots-unarmed", with(func(e *examined) { e.boot["rpl_semi_sync_replica_enabled"] = bootValue{now: "ON"} }), "left: the control account lacks"},
		{"nobody acknowledges", "semi-sync-lossless", with(func(e *examined) { e.facts.Source.Acks = 1 }), "left: commits would wait at once"},
		{"commits wait already", "semi-sync-lossless", with(func(e *examined) { e.facts.Source = topology.SourceSemiSync{Acks: 1, Clients: 1, Waiting: 1} }), "left: commits would wait at once"},
		{"events", "event-scheduler", with(func(*examined) {}), "left: events would begin to run"},
		{"the relay log", "relay-log-recovery", with(func(*examined) {}), "left: it needs my.cnf and a restart"},
		{"the relay log, persisted", "relay-log-recovery", with(func(e *examined) { e.boot["relay_log_recovery"] = bootValue{persisted: "OFF"} }), "left: it needs a restart"},
		{"the heartbeat table at a replica", "heartbeat-table", with(func(*examined) {}), "left: the table comes from the master"},
		{"what is new", "no-such-requirement", with(func(*examined) {}), "left: only a person"},
	} {
		change, reason := repairOf(c.requirement, c.e)
		got := strings.Join(change.all(), "; ")
		if reason != "" {
			got = "left: " + reason
		}
		assert.True(t, strings.HasPrefix(got, c.want), "%s: %s, want %s", c.fact, got, c.want)
	}
}

func TestEveryRequirementIsFixedOrLeftForAReason(t *testing.T) {
	for _, r := range requirements {
		assert.True(t, (repairs[r.Name] != nil) != (leftToPeople[r.Name] != ""), r.Name)
	}
	for name := range repairs {
		assert.True(t, slices.ContainsFunc(requirements, func(r Requirement) bool { return r.Name == name }), name)
	}
}

// The receiver may be given another heartbeat while the applier still has work: the
// relay log stays, though the source is gone for good.
func TestChangingTheHeartbeatKeepsTheRelayLogWhileTheApplierRuns(t *testing.T) {
	w, ctx := world(t), t.Context()
	b := realServers.Started().Server("b")
	lock, err := b.DB().Conn(ctx)
	require.NoError(t, err)
	defer lock.Close()
	_, err = lock.ExecContext(ctx, "LOCK TABLES shop.facts READ") // the applier waits
	require.NoError(t, err)
	const writes = 10
	for i := range writes {
		require.Equal(t, servertest.Acked, <-w.A.Write(fmt.Sprint(i)))
	}
	w.A.Kill()
	before, err := w.B.Server().Look(ctx)
	require.NoError(t, err)
	require.False(t, before.Link.Received.Minus(before.Executed).Empty())
	cfg := Config{Addr: b.Addr(), Account: credentials.Control, Timeout: fixTimeout}
	began := time.Now()
	require.NoError(t, change{statements: []string{stopReceiverSQL, heartbeatPeriodSQL}, finally: []string{startReceiverSQL}}.run(ctx, cfg))
	t.Logf("stopped, changed and started in %s", time.Since(began))
	after, err := w.B.Server().Look(ctx)
	require.NoError(t, err)
	assert.True(t, after.Link.Received.Contains(before.Link.Received), "before %s, after %s", before.Link.Received, after.Link.Received)
	_, err = lock.ExecContext(ctx, "UNLOCK TABLES")
	require.NoError(t, err)
	require.NoError(t, w.B.Server().WaitExecuted(ctx, before.Link.Received, time.Minute))
	for i := range writes {
		assert.True(t, w.B.Visible(fmt.Sprint(i)))
	}
}
