package load

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/horrors"
)

// realServers are two mysqlds shared by the tests of this package, which do not run
// in parallel: what is copied, and what is filled.
var realServers testenv.Shared

// loader is an account that may do everything.
var loader = mysql.Account{User: "loader", Password: `load'\er`}

func TestMain(m *testing.M) { os.Exit(realServers.Run(m)) }

// servers returns the two servers: empty, the source open for writes, the target closed.
func servers(t *testing.T) (source, target *testenv.Server) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real MySQL servers")
	}
	chain, err := realServers.Chain(testenv.Options{Bare: true, Relaxed: true, Config: horrors.Config, Servers: []testenv.ServerSpec{
		{Name: "source", Seat: testenv.Master}, {Name: "target", Seat: testenv.Candidate},
	}}, nil)
	require.NoError(t, err)
	source, target = chain.Servers[0], chain.Servers[1]
	for _, s := range []*testenv.Server{source, target} {
		empty(t, s)
	}
	do(t, source, "SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF")
	return source, target
}

func do(t *testing.T, s *testenv.Server, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		require.NoError(t, s.Exec(t.Context(), statement), statement)
	}
}

// empty removes everything from a server but root and the loader.
func empty(t *testing.T, s *testenv.Server) {
	t.Helper()
	do(t, s, "STOP REPLICA", "RESET REPLICA ALL", "SET GLOBAL super_read_only = OFF", "SET GLOBAL foreign_key_checks = OFF")
	databases, err := column[string](t.Context(), s.DB(), databasesSQL)
	require.NoError(t, err)
	for _, name := range append(databases, stateDatabase) {
		do(t, s, "DROP DATABASE IF EXISTS "+quote(name))
	}
	accounts, err := column[string](t.Context(), s.DB(), "SELECT CONCAT(User, '@', Host) FROM mysql.user WHERE User NOT LIKE 'mysql.%' AND User <> 'root'")
	require.NoError(t, err)
	for _, name := range accounts {
		do(t, s, "DROP USER "+accountText(name))
	}
	do(t, s, "CREATE USER "+quoteAccount(loader.User, "%")+` IDENTIFIED BY 'load''\\er'`,
		"GRANT ALL ON *.* TO "+quoteAccount(loader.User, "%")+" WITH GRANT OPTION",
		"GRANT PROXY ON ''@'' TO "+quoteAccount(loader.User, "%")+" WITH GRANT OPTION",
		"RESET BINARY LOGS AND GTIDS", "SET GLOBAL local_infile = OFF", "SET GLOBAL super_read_only = ON")
}

// newTarget is the server that is filled, closed with the test.
func newTarget(t *testing.T, s *testenv.Server, opts Options) *Server {
	t.Helper()
	server, err := New(mysql.Config{Addr: s.Addr(), Account: loader}, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}
