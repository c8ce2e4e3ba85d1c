package mysql

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

// bad are the findings that are not OK, as "server requirement level".
func bad(findings []Finding) []string {
	out := []string{}
	for _, f := range findings {
		if f.Level != OK {
			out = append(out, fmt.Sprintf("%s %s %s", f.Server, f.Requirement, f.Level))
		}
	}
	return out
}

func finding(t *testing.T, findings []Finding, server, requirement string) Finding {
	t.Helper()
	for _, f := range findings {
		if f.Server == server && f.Requirement == requirement {
			return f
		}
	}
	require.Fail(t, "no such finding", "%s %s in %+v", server, requirement, findings)
	return Finding{}
}

func TestExamineFindsWhatIsBroken(t *testing.T) {
	world(t)
	c, ctx := realServers.Started(), t.Context()
	persist := []string{"SET PERSIST_ONLY super_read_only = ON", "SET PERSIST_ONLY rpl_semi_sync_replica_enabled = OFF", "SET GLOBAL max_connect_errors = 1000000"}
	t.Cleanup(func() {
		for _, s := range c.Servers {
			for _, statement := range append([]string{"RESET PERSIST"}, persist...) {
				assert.NoError(t, s.Exec(context.Background(), statement))
			}
		}
	})
	for _, s := range c.Servers {
		for _, statement := range []string{"RESET PERSIST", "SET GLOBAL max_connect_errors = 100"} {
			require.NoError(t, s.Exec(ctx, statement))
		}
	}
	a := place(c.Server("a"))
	assert.Equal(t, []string{"a boots-closed warn", "a boots-unarmed warn", "a max-connect-errors warn"}, bad(Examine(ctx, a, credentials).Findings),
		"what was set at run time hides the file")
	for _, s := range c.Servers {
		for _, statement := range persist {
			require.NoError(t, s.Exec(ctx, statement))
		}
	}
	chain := topology.Chain{Servers: []topology.Server{
		{Name: "a", Seat: topology.Master}, {Name: "b", Seat: topology.Candidate}, {Name: "c", Seat: topology.Slave},
	}}
	for i, s := range c.Servers {
		chain.Servers[i].Host, chain.Servers[i].Port, chain.Servers[i].Standing = s.Host, s.Port, topology.In
	}
	require.Empty(t, bad(ExamineChain(ctx, chain, credentials)))

	exec := func(server string, statements ...string) {
		t.Helper()
		for _, statement := range statements {
			require.NoError(t, c.Server(server).Exec(ctx, statement))
		}
	}
	t.Run("settings", func(t *testing.T) {
		exec("a", "SET GLOBAL sync_binlog = 0", "SET GLOBAL replica_net_timeout = 60", "SET GLOBAL sync_relay_log = 10000",
			"SET PERSIST_ONLY super_read_only = OFF", "SET PERSIST_ONLY rpl_semi_sync_replica_enabled = ON")
		x := Examine(ctx, a, credentials)
		assert.Equal(t, []string{"a sync-binlog fail", "a sync-relay-log warn", "a boots-closed fail", "a boots-unarmed fail", "a replica-net-timeout warn"}, bad(x.Findings))
		for _, f := range x.Findings {
			if f.Level != OK {
				assert.NotEmpty(t, f.Why, f.Requirement)
				exec("a", f.Mend)
			}
		}
		assert.Empty(t, bad(Examine(ctx, a, credentials).Findings), "the mends mend")
	})
	t.Run("links and errant transactions", func(t *testing.T) {
		exec("c", "SET GLOBAL read_only = OFF", "INSERT INTO shop.facts VALUES ('errant')", "STOP REPLICA",
			"CHANGE REPLICATION SOURCE TO SOURCE_HEARTBEAT_PERIOD = 30, SOURCE_AUTO_POSITION = 0")
		findings := ExamineChain(ctx, chain, credentials)
		assert.Equal(t, []string{"c auto-position fail", "c heartbeat warn", "c receiver warn", "c applier warn", "c closed fail", "c errant fail"}, bad(findings))
		assert.Contains(t, finding(t, findings, "c", "errant").Found, ":1")
	})
	t.Run("seats", func(t *testing.T) {
		wrong := chain
		wrong.Servers = append([]topology.Server{}, chain.Servers...)
		wrong.Servers[0].Seat, wrong.Servers[1].Seat = topology.Candidate, topology.Master
		findings := ExamineChain(ctx, wrong, credentials)
		assert.Equal(t, Fail, finding(t, findings, "b", "source").Level)
		assert.Equal(t, Fail, finding(t, findings, "a", "source").Level)
		assert.Equal(t, Fail, finding(t, findings, "a", "closed").Level)
	})
	t.Run("accounts", func(t *testing.T) {
		wrong := credentials
		wrong.Control.Password, wrong.Probe.Password = "no-such-secret", "no-such-secret"
		x := Examine(ctx, a, wrong)
		assert.Equal(t, []string{"a accounts fail"}, bad(x.Findings))
		assert.Nil(t, x.Facts)
		assert.NotContains(t, fmt.Sprintf("%+v", x), "no-such-secret")
		wrong.Probe.Password = credentials.Probe.Password
		assert.Equal(t, []string{"a control-account fail"}, bad(Examine(ctx, a, wrong).Findings))
		exec("a", "REVOKE RELOAD ON *.* FROM fd_control@'%'", "REVOKE SELECT ON performance_schema.* FROM fd_probe@'%'")
		x = Examine(ctx, a, credentials)
		assert.Subset(t, bad(x.Findings), []string{"a probe-account fail", "a control-account fail"})
		exec("a", finding(t, x.Findings, "a", "control-account").Mend, finding(t, x.Findings, "a", "probe-account").Mend)
		assert.Empty(t, bad(Examine(ctx, a, credentials).Findings))
	})
	t.Run("reachable", func(t *testing.T) {
		c.Server("a").Kill()
		x := Examine(ctx, a, credentials)
		assert.Equal(t, []string{"a reachable fail"}, bad(x.Findings))
		require.NoError(t, c.Server("a").Start(ctx))
	})
}

func TestDiscoverWalksTheWholeChainFromAnyServer(t *testing.T) {
	world(t)
	c, ctx := realServers.Started(), t.Context()
	for _, from := range c.Servers {
		chain, findings, err := Discover(ctx, from.Addr(), credentials)
		require.NoError(t, err)
		require.Len(t, chain.Servers, 3, "from %s: %+v", from.Name, findings)
		for i, seat := range []topology.Seat{topology.Master, topology.Candidate, topology.Slave} {
			assert.Equal(t, c.Servers[i].Addr(), chain.Servers[i].Addr())
			assert.Equal(t, seat, chain.Servers[i].Seat)
		}
		for _, f := range findings {
			assert.NotEqual(t, Fail, f.Level, "%+v", f)
		}
		chain.Product = "shop"
		assert.NoError(t, chain.Validate())
	}
	_, _, err := Discover(ctx, "127.0.0.1:1", credentials)
	assert.Error(t, err)

	var circular testenv.Server = testenv.Server{Host: c.Server("c").Host, Port: c.Server("c").Port}
	require.NoError(t, c.Server("a").Follow(ctx, &circular, false))
	require.NoError(t, c.Server("a").AwaitReplicating(ctx))
	_, findings, err := Discover(ctx, c.Server("b").Addr(), credentials)
	require.NoError(t, err)
	assert.Equal(t, Fail, finding(t, findings, "", "one-master").Level)
}

func TestVersionsBefore8_0_26AndMariaDBAreRefused(t *testing.T) {
	for version, want := range map[string]bool{
		"9.7.4-2": true, "8.0.26": true, "8.0.25": false, "8.4.0-debug": true, "5.7.44-log": false, "26.1.0": true,
		"10.11.14-MariaDB-0+deb12u2": false, "5.5.5-10.11.4-MariaDB": false, "": false, "unknown": false,
	} {
		assert.Equal(t, want, versionSupported(version), version)
	}
}
