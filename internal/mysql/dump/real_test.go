package dump

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/horrors"
)

// realServers are a master and a dump slave of it, shared by the tests of this package,
// which do not run in parallel. Both hold the horrors and an account with Grants.
var realServers testenv.Shared

var credentials = mysql.Account{User: "fd_dump", Password: `dump'\secret`}

func TestMain(m *testing.M) { os.Exit(realServers.Run(m)) }

// servers returns the master and the dump slave, which has executed what the master has.
func servers(t *testing.T) (master, slave *testenv.Server) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real MySQL servers")
	}
	chain, err := realServers.Chain(testenv.Options{Relaxed: true, Config: horrors.Config, Servers: []testenv.ServerSpec{
		{Name: "master", Seat: testenv.Master}, {Name: "slave", Seat: testenv.Dump, Source: "master"},
	}}, func(ctx context.Context, c *testenv.Chain) error {
		for _, statement := range Grants(credentials) {
			if err := c.Servers[0].Exec(ctx, statement); err != nil {
				return err
			}
		}
		return horrors.Load(ctx, c.Servers[0])
	})
	require.NoError(t, err)
	master, slave = chain.Servers[0], chain.Servers[1]
	caughtUp(t, master, slave)
	return master, slave
}

func caughtUp(t *testing.T, master, slave *testenv.Server) {
	t.Helper()
	var executed string
	require.NoError(t, master.DB().QueryRowContext(t.Context(), "SELECT @@GLOBAL.gtid_executed").Scan(&executed))
	var late int
	require.NoError(t, slave.DB().QueryRowContext(t.Context(), "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 180)", executed).Scan(&late))
	require.Zero(t, late, "the dump slave does not catch up")
}

func config(s *testenv.Server) mysql.Config {
	return mysql.Config{Addr: s.Addr(), Account: credentials}
}
