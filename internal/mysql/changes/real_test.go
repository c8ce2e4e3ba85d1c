package changes

import (
	"os"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/horrors"
)

// realServers are two mysqlds, shared by the tests of this package, which do not
// run in parallel; each test begins with databases of its own.
var realServers testenv.Shared

func TestMain(m *testing.M) { os.Exit(realServers.Run(m)) }

// account is the one that the readers of these tests log in with.
var account = mysql.Account{User: "copier", Password: "copier-secret"}

// mysqld returns a or b: alone, open for writes, without rows of other tests.
func mysqld(t *testing.T, name string) *testenv.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real MySQL servers")
	}
	chain, err := realServers.Chain(testenv.Options{Bare: true, Relaxed: true, Config: horrors.Config,
		Servers: []testenv.ServerSpec{{Name: "a", Seat: testenv.Master}, {Name: "b", Seat: testenv.Dump}}}, nil)
	require.NoError(t, err)
	s := chain.Server(name)
	for _, statement := range []string{
		"STOP REPLICA", "RESET REPLICA ALL", "SET GLOBAL read_only = OFF", "SET GLOBAL binlog_row_metadata = FULL", "SET GLOBAL binlog_row_image = FULL",
		"SET GLOBAL binlog_transaction_compression = OFF", "SET GLOBAL binlog_row_value_options = ''",
		"DROP DATABASE IF EXISTS work", "CREATE DATABASE work",
		"CREATE USER IF NOT EXISTS copier@'%' IDENTIFIED BY 'copier-secret'", "GRANT REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.* TO copier@'%'",
		"RESET BINARY LOGS AND GTIDS",
	} {
		require.NoError(t, s.Exec(t.Context(), statement))
	}
	return s
}

func configOf(s *testenv.Server) mysql.Config { return mysql.Config{Addr: s.Addr(), Account: account} }

func executed(t *testing.T, s *testenv.Server) topology.GTIDSet {
	t.Helper()
	var text string
	require.NoError(t, s.DB().QueryRowContext(t.Context(), "SELECT @@GLOBAL.gtid_executed").Scan(&text))
	set, err := topology.ParseGTIDSet(text)
	require.NoError(t, err)
	return set
}

func exec(t *testing.T, s *testenv.Server, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		require.NoError(t, s.Exec(t.Context(), statement), statement)
	}
}

// wires are the columns' types in the protocol by information_schema's DATA_TYPE; all others are strings.
var wires = map[string]snapshot.Wire{
	"tinyint": snapshot.WireTiny, "smallint": snapshot.WireShort, "mediumint": snapshot.WireInt24, "int": snapshot.WireLong, "bigint": snapshot.WireLongLong,
	"float": snapshot.WireFloat, "double": snapshot.WireDouble, "year": snapshot.WireYear, "date": snapshot.WireDate, "time": snapshot.WireTime,
	"datetime": snapshot.WireDatetime, "timestamp": snapshot.WireTimestamp, "enum": snapshot.WireLongLong, "set": snapshot.WireLongLong,
}

// schemaOf is what these tests need to know of database work.
func schemaOf(t *testing.T, s *testenv.Server) (schema snapshot.Schema) {
	t.Helper()
	rows, err := s.DB().QueryContext(t.Context(), `SELECT c.TABLE_NAME, c.COLUMN_NAME, c.COLUMN_TYPE, c.DATA_TYPE, c.COLUMN_KEY = 'PRI', c.EXTRA LIKE '%GENERATED%' AND c.EXTRA NOT LIKE '%DEFAULT_GENERATED%'
FROM information_schema.COLUMNS c JOIN information_schema.TABLES USING (TABLE_SCHEMA, TABLE_NAME) WHERE c.TABLE_SCHEMA = 'work' AND TABLE_TYPE = 'BASE TABLE' ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name, kind string
		var c snapshot.Column
		var isKey, isGenerated bool
		require.NoError(t, rows.Scan(&name, &c.Name, &c.Type, &kind, &isKey, &isGenerated))
		if len(schema.Tables) == 0 || schema.Tables[len(schema.Tables)-1].Name != name {
			schema.Tables = append(schema.Tables, snapshot.Table{Database: "work", Name: name})
		}
		if isGenerated {
			continue
		}
		table := &schema.Tables[len(schema.Tables)-1]
		c.Unsigned = strings.Contains(c.Type, "unsigned")
		c.Wire = wires[kind]
		if c.Wire == 0 {
			c.Wire = 253
		}
		switch kind {
		case "enum", "set", "bit", "json", "vector":
			c.Kind = kind
		case "point", "geometry":
			c.Kind = "geometry"
		}
		if isKey {
			table.Key = append(table.Key, len(table.Columns))
		}
		table.Columns = append(table.Columns, c)
	}
	require.NoError(t, rows.Err())
	for i := range schema.Tables {
		var name string
		table := &schema.Tables[i]
		require.NoError(t, s.DB().QueryRowContext(t.Context(), "SHOW CREATE TABLE work."+table.Name).Scan(&name, &table.Create))
	}
	return schema
}

// rowsOf are the canonical rows of a table as the server sends them.
func rowsOf(t *testing.T, s *testenv.Server, table snapshot.Table) (rows [][]byte) {
	t.Helper()
	conn, err := client.Connect(s.Addr(), account.User, account.Password, "")
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Execute("SET time_zone = '+00:00', character_set_results = NULL, sql_mode = ''")
	require.NoError(t, err)
	var columns []string
	for _, c := range table.Columns {
		name := "`" + c.Name + "`"
		if c.Kind == "enum" || c.Kind == "set" {
			name = "CAST(" + name + " AS UNSIGNED)"
		}
		columns = append(columns, name)
	}
	statement, err := conn.Prepare("SELECT " + strings.Join(columns, ", ") + " FROM work.`" + table.Name + "`")
	require.NoError(t, err)
	result, err := statement.Execute()
	require.NoError(t, err)
	for _, row := range result.RowDatas {
		rows = append(rows, append([]byte{}, row[1:]...))
	}
	return rows
}
