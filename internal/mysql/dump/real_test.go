package dump

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/horrors"
)

// realServers are a master and a dump slave of it, shared by the tests of this package,
// which do not run in parallel. Both hold the horrors and an account with Grants.
var realServers struct {
	once  sync.Once
	chain *testenv.Chain
	err   error
}

var credentials = mysql.Account{User: "fd_dump", Password: `dump'\secret`}

func TestMain(m *testing.M) {
	code := m.Run()
	if c := realServers.chain; c != nil {
		if err := c.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// servers returns the master and the dump slave, which has executed what the master has.
func servers(t *testing.T) (master, slave *testenv.Server) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real MySQL servers")
	}
	realServers.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		realServers.err = func() (err error) {
			realServers.chain, err = testenv.NewChain(ctx, testenv.Options{Relaxed: true, Config: horrors.Config, Servers: []testenv.ServerSpec{
				{Name: "master", Seat: testenv.Master}, {Name: "slave", Seat: testenv.Dump, Source: "master"},
			}})
			if err != nil {
				return err
			}
			m := realServers.chain.Servers[0]
			for _, statement := range Grants(credentials) {
				if err := m.Exec(ctx, statement); err != nil {
					return err
				}
			}
			return horrors.Load(ctx, m)
		}()
	})
	require.NoError(t, realServers.err)
	master, slave = realServers.chain.Servers[0], realServers.chain.Servers[1]
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
