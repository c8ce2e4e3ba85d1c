package scratch

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/mysql/load"
	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mysqld(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real MySQL server")
	}
	in, err := testenv.FindServer(t.Context(), nil)
	require.NoError(t, err)
	return in.Mysqld
}

const copied = "11111111-1111-1111-1111-111111111111:1-77"

// restoreInto fills a server with a snapshot of an account and a database.
func restoreInto(t *testing.T, s *Server, gtids string) {
	t.Helper()
	box, err := snapshot.NewBox()
	require.NoError(t, err)
	store := object.NewMemory()
	m := snapshot.Manifest{Format: 1, ID: snapshot.NewID(time.Now(), 1), Product: "shop", Version: "8.0.34", GTIDs: topology.MustGTIDSet(gtids),
		Server: "dump", UUID: "22222222-2222-2222-2222-222222222222", Started: time.Now(), Point: time.Now(), Finished: time.Now(), Full: true, Epoch: 1}
	put := func(name string, part any) snapshot.Ref {
		text, err := json.Marshal(part)
		require.NoError(t, err)
		ref, err := snapshot.PutSealed(t.Context(), store, box, snapshot.DataPrefix("shop", m.ID)+name, text)
		require.NoError(t, err)
		return ref
	}
	m.Catalog = put("catalog", snapshot.Catalog{})
	m.Schema = put("schema", snapshot.Schema{
		Databases: []snapshot.Database{{Name: "d", Create: "CREATE DATABASE `d`"}},
		Accounts: []snapshot.Account{{
			User: "app", Host: "127.0.0.1", Create: "CREATE USER `app`@`127.0.0.1` IDENTIFIED BY 'secret'",
			Grants: []string{"GRANT ALL PRIVILEGES ON *.* TO `app`@`127.0.0.1`"},
		}},
	})
	require.NoError(t, snapshot.PutManifest(t.Context(), store, box, m))
	target, err := load.New(s.Config(), load.Options{Passing: true})
	require.NoError(t, err)
	_, err = snapshot.Restore(t.Context(), snapshot.RestoreRequest{Store: store, Box: box, Manifest: m, Target: target})
	require.NoError(t, err)
	require.NoError(t, target.Close())
}

func TestANewServerStaysWithWhatItWasGiven(t *testing.T) {
	path := mysqld(t)
	dir := filepath.Join(t.TempDir(), "new")
	s, err := New(t.Context(), Options{Dir: dir, Mysqld: path, Memory: 128 << 20, Settings: map[string]string{
		"lower_case_table_names": "0", "character_set_server": "latin1", "collation_server": "latin1_german1_ci",
	}})
	require.NoError(t, err)
	t.Cleanup(func() { s.proc.kill() })
	restoreInto(t, s, copied)
	require.NoError(t, s.Stop(t.Context()))

	_, err = New(t.Context(), Options{Dir: dir, Mysqld: path})
	require.ErrorContains(t, err, "is not empty")

	s.account = mysql.Account{User: "app", Password: "secret"}
	require.NoError(t, s.start(t.Context(), nil), "its own my.cnf starts it")
	var facts []string
	for _, variable := range []string{"super_read_only", "gtid_executed", "collation_server", "innodb_doublewrite", "innodb_flush_log_at_trx_commit", "gtid_mode"} {
		var value string
		require.NoError(t, s.db.QueryRowContext(t.Context(), "SELECT @@GLOBAL."+variable).Scan(&value))
		facts = append(facts, value)
	}
	assert.Equal(t, []string{"1", copied, "latin1_german1_ci", "ON", "1", "ON"}, facts)
	var accounts int
	require.NoError(t, s.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM mysql.user WHERE User IN ('root', '"+accountName+"')").Scan(&accounts))
	assert.Zero(t, accounts, "nothing of ours is left, and no root without a password")
	require.NoError(t, s.Remove())
	_, err = os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestAServerThatDoesNotStartLeavesNothing(t *testing.T) {
	path := mysqld(t)
	dir := filepath.Join(t.TempDir(), "new")
	_, err := New(t.Context(), Options{Dir: dir, Mysqld: path, Settings: map[string]string{"innodb_page_size": "4711"}})
	require.ErrorContains(t, err, "initialize")
	require.ErrorContains(t, err, "[ERROR]", "the log says why")
	_, err = os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fmt.Errorf("given up"))
	_, err = New(ctx, Options{Dir: dir, Mysqld: path})
	require.ErrorContains(t, err, "given up")
}

func TestSettingsAreNoWayIn(t *testing.T) {
	_, err := configText(install{}, "/tmp/x", 1, 1, map[string]string{"sql_mode": "x\ninit_file=/etc/passwd"})
	require.Error(t, err)
}

// chain is a master and, made by hand, its dump slave's copy: an empty one.
func TestARestoredServerReplicates(t *testing.T) {
	path := mysqld(t)
	chain, err := testenv.NewChain(t.Context(), testenv.Options{Relaxed: true, Servers: []testenv.ServerSpec{{Name: "master", Seat: testenv.Master}}, Bare: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, chain.Close()) })
	master := chain.Servers[0]
	do := func(statement string) { require.NoError(t, master.Exec(t.Context(), statement), statement) }
	do("SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF")
	do("CREATE DATABASE d")
	var executed string
	require.NoError(t, master.DB().QueryRowContext(t.Context(), "SELECT @@GLOBAL.gtid_executed").Scan(&executed))

	s, err := New(t.Context(), Options{Dir: filepath.Join(t.TempDir(), "new"), Mysqld: path, Memory: 128 << 20})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Remove()) })
	db := restoredDB(t, s, executed)

	as := mysql.Replication{Account: mysql.Account(testenv.Accounts.Replication)}
	seen, err := s.Join(t.Context(), master.Addr(), as)
	require.NoError(t, err)
	assert.Equal(t, "heartbeat of the link, no transaction", seen)

	run(t, db, "STOP REPLICA")
	do("CREATE TABLE d.t (i INT PRIMARY KEY)")
	seen, err = s.Join(t.Context(), master.Addr(), as)
	require.NoError(t, err)
	assert.Contains(t, seen, "transactions ")

	run(t, db, "STOP REPLICA")
	for _, statement := range mysql.HeartbeatTable(mysql.Credentials{Probe: mysql.Account(testenv.Accounts.Probe)})[:2] {
		do(statement)
	}
	do("INSERT INTO failoverd.heartbeat VALUES ('w1', UTC_TIMESTAMP(6))")
	_, err = s.Join(t.Context(), master.Addr(), as)
	require.NoError(t, err)
	run(t, db, "STOP REPLICA")
	do("UPDATE failoverd.heartbeat SET written = UTC_TIMESTAMP(6)")
	seen, err = s.Join(t.Context(), master.Addr(), as)
	require.NoError(t, err)
	assert.Contains(t, seen, "row of failoverd.heartbeat")

	run(t, db, "STOP REPLICA")
	run(t, db, "SET GLOBAL super_read_only = OFF")
	run(t, db, "SET SESSION sql_log_bin = 0")
	run(t, db, "DROP TABLE d.t")
	do("INSERT INTO d.t VALUES (1)")
	_, err = s.Join(t.Context(), master.Addr(), as)
	require.ErrorContains(t, err, "the applier stopped")
}

// restoredDB restores with the account kept, and returns a session that it has.
func restoredDB(t *testing.T, s *Server, gtids string) *sql.DB {
	t.Helper()
	target, err := load.New(s.Config(), load.Options{})
	require.NoError(t, err)
	_, err = target.Begin(t.Context(), snapshot.Job{ID: "x", Version: "8.0.34", GTIDs: topology.MustGTIDSet(gtids), Schema: snapshot.Schema{
		Databases: []snapshot.Database{{Name: "d", Create: "CREATE DATABASE `d`"}},
	}})
	require.NoError(t, err)
	_, err = target.Finish(t.Context())
	require.NoError(t, err)
	require.NoError(t, target.Close())
	d := driver.NewConfig()
	d.Net, d.Addr, d.User, d.Passwd = "tcp", s.Addr(), s.account.User, s.account.Password
	connector, err := driver.NewConnector(d)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func run(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), statement)
	require.NoError(t, err, statement)
}
