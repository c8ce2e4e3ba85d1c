package mysql

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"testing"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/promote/servertest"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

// realServers are three mysqlds, a, b and c, shared by the tests of this package,
// which do not run in parallel; each test rearranges them.
var realServers testenv.Shared

// credentials are accounts that have exactly what Grants gives, so that every
// test here proves that it suffices. The passwords need quoting.
var credentials = Credentials{
	Probe:       Account{"fd_probe", `probe'secret`},
	Control:     Account{"fd_control", `control\'"secret`},
	Replication: Replication{Account: Account{"fd_repl", `repl'\secret`}},
}

func TestMain(m *testing.M) { os.Exit(realServers.Run(m)) }

// chain returns the three servers: alone, closed, empty, semi-sync off.
func chain(t *testing.T) *testenv.Chain {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real MySQL servers")
	}
	c, err := realServers.Chain(testenv.Options{Bare: true, Config: []string{"binlog_row_metadata=FULL"}, Servers: []testenv.ServerSpec{
		{Name: "a", Seat: testenv.Master}, {Name: "b", Seat: testenv.Candidate}, {Name: "c", Seat: testenv.Slave},
	}}, func(ctx context.Context, c *testenv.Chain) (err error) {
		for _, s := range c.Servers {
			for _, statement := range append([]string{"SET GLOBAL read_only = OFF"}, Grants(credentials)...) {
				err = errors.Join(err, s.Exec(ctx, statement))
			}
		}
		return err
	})
	require.NoError(t, err)
	for _, s := range c.Servers {
		blank(t, s)
	}
	return c
}

func blank(t *testing.T, s *testenv.Server) {
	t.Helper()
	_ = s.Thaw() // only a frozen server needs it
	if !s.Running() {
		require.NoError(t, s.Start(t.Context()))
	}
	for _, statement := range []string{
		"SET GLOBAL rpl_semi_sync_source_enabled = OFF", "SET GLOBAL offline_mode = OFF",
		"STOP REPLICA", "RESET REPLICA ALL", "SET GLOBAL rpl_semi_sync_replica_enabled = OFF",
		"SET GLOBAL read_only = OFF",
		"CREATE TABLE IF NOT EXISTS shop.facts (v VARCHAR(100) PRIMARY KEY)", "TRUNCATE TABLE shop.facts",
		"RESET BINARY LOGS AND GTIDS", "SET GLOBAL super_read_only = ON",
	} {
		require.NoError(t, s.Exec(t.Context(), statement))
	}
}

// control is a Server for s with the control account, closed with the test.
func control(t *testing.T, s *testenv.Server) *Server {
	t.Helper()
	server, err := Open(Config{
		Addr:        s.Addr(),
		Account:     credentials.Control,
		Replication: credentials.Replication,
	})
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	return server
}

func place(s *testenv.Server) topology.Server {
	return topology.Server{Name: s.Name, Host: s.Host, Port: s.Port}
}

// world arranges a ← b ← c as the conformance suite wants it.
func world(t *testing.T) servertest.World {
	t.Helper()
	c := chain(t)
	var nodes []*realNode
	for _, s := range c.Servers {
		nodes = append(nodes, &realNode{t: t, mysqld: s, server: control(t, s)})
	}
	a, b, cc := nodes[0], nodes[1], nodes[2]
	ctx := t.Context()
	require.NoError(t, b.server.SetReplicaSemiSync(ctx, true))
	require.NoError(t, b.server.Follow(ctx, a.Place()))
	require.NoError(t, cc.server.Follow(ctx, b.Place()))
	require.NoError(t, b.mysqld.AwaitReplicating(ctx))
	require.NoError(t, cc.mysqld.AwaitReplicating(ctx))
	require.NoError(t, a.server.SetSourceSemiSync(ctx, 1))
	require.Eventually(t, func() bool {
		facts, err := a.server.Look(ctx)
		return err == nil && facts.Source.Clients == 1
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, a.server.SetSuperReadOnly(ctx, false))
	return servertest.World{A: a, B: b, C: cc}
}

// realNode is a mysqld as the conformance suite handles it.
type realNode struct {
	t      *testing.T
	mysqld *testenv.Server
	server *Server
}

func (n *realNode) Server() promote.Server { return n.server }
func (n *realNode) Place() topology.Server { return place(n.mysqld) }
func (n *realNode) Kill()                  { n.mysqld.Kill() }
func (n *realNode) Start()                 { require.NoError(n.t, n.mysqld.Start(n.t.Context())) }
func (n *realNode) Freeze()                { require.NoError(n.t, n.mysqld.Freeze()) }
func (n *realNode) Thaw()                  { require.NoError(n.t, n.mysqld.Thaw()) }
func (n *realNode) StopApplier() {
	require.NoError(n.t, n.mysqld.Exec(n.t.Context(), "STOP REPLICA SQL_THREAD"))
}

// Clones implements servertest.Cloner.
func (n *realNode) Clones() {}

// CreateEvent implements servertest.Scheduler.
func (n *realNode) CreateEvent(name string, enabled bool) {
	status := "DISABLE"
	if enabled {
		status = "ENABLE"
	}
	for _, statement := range []string{
		"CREATE TABLE IF NOT EXISTS shop.beats (at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6))",
		"CREATE EVENT " + name + " ON SCHEDULE EVERY 1 SECOND " + status + " DO INSERT INTO shop.beats () VALUES ()",
	} {
		require.NoError(n.t, n.mysqld.Exec(n.t.Context(), statement))
	}
	n.t.Cleanup(func() {
		for _, s := range realServers.Started().Servers {
			for _, statement := range []string{"SET GLOBAL rpl_semi_sync_source_enabled = OFF", "SET GLOBAL read_only = OFF", "DROP EVENT IF EXISTS " + name} {
				assert.NoError(n.t, s.Exec(context.Background(), statement))
			}
		}
	})
}

// EventStatus implements servertest.Scheduler.
func (n *realNode) EventStatus(name string) (status string) {
	err := n.mysqld.DB().QueryRowContext(n.t.Context(), "SELECT STATUS FROM information_schema.EVENTS WHERE CONCAT(EVENT_SCHEMA, '.', EVENT_NAME) = ?", name).Scan(&status)
	require.NoError(n.t, err)
	return status
}

func (n *realNode) Visible(value string) bool {
	var rows int
	err := n.mysqld.DB().QueryRowContext(n.t.Context(), "SELECT COUNT(*) FROM shop.facts WHERE v = ?", value).Scan(&rows)
	require.NoError(n.t, err)
	return rows == 1
}

func (n *realNode) Write(value string) <-chan servertest.Outcome {
	cfg := mysqldriver.NewConfig()
	cfg.User, cfg.Passwd = testenv.Accounts.App.User, testenv.Accounts.App.Password
	cfg.Net, cfg.Addr, cfg.Logger = "tcp", n.mysqld.Addr(), &mysqldriver.NopLogger{}
	connector, err := mysqldriver.NewConnector(cfg)
	require.NoError(n.t, err)
	db := sql.OpenDB(connector)
	outcome := make(chan servertest.Outcome, 1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(n.t.Context()))
	n.t.Cleanup(cancel)
	go func() {
		defer db.Close()
		_, err := db.ExecContext(ctx, "INSERT INTO shop.facts VALUES ('"+value+"')")
		var refusal *mysqldriver.MySQLError
		switch {
		case err == nil:
			outcome <- servertest.Acked
		case errors.As(err, &refusal) && refusal.Number == 1290:
			outcome <- servertest.Refused
		default:
			outcome <- servertest.Lost
		}
	}()
	return outcome
}

func TestServerConformsOnRealMySQL(t *testing.T) { servertest.Run(t, world) }
