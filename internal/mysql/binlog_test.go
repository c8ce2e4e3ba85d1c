package mysql

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	program "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/errant"
	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

// replay gives SQL to the mysql client as root.
func replay(t *testing.T, c *testenv.Chain, s *testenv.Server, text []byte) {
	t.Helper()
	if c.Install.Mysql == "" || c.Install.Mysqlbinlog == "" {
		t.Skip("needs the client programs")
	}
	client := program.CommandContext(t.Context(), c.Install.Mysql, "--no-defaults", "--binary-mode", "-uroot", "-S", s.Socket)
	client.Stdin = bytes.NewReader(text)
	out, err := client.CombinedOutput()
	require.NoError(t, err, "%s\n%s", out, text)
}

// everything are the rows and tables of shop, in a form that shows each bit of
// them; the table without a key only if it is named.
func everything(t *testing.T, s *testenv.Server, nokey bool) string {
	t.Helper()
	var b strings.Builder
	for _, query := range []string{
		`SELECT CONCAT_WS('|', id, ti, bi, d, f+0e0, db, HEX(b), dt, UNIX_TIMESTAMP(ts), t, y, da, HEX(c), HEX(v), HEX(l1), HEX(u16), HEX(bin), HEX(vb), HEX(tx), HEX(bl), e, s, j, HEX(g), HEX(vec), gen, inv, ISNULL(v)) FROM shop.types ORDER BY id`,
		`SELECT CONCAT_WS('|', a, b, fl, late) FROM shop.nokey ORDER BY a, b`,
		`SELECT CONCAT_WS('|', n) FROM shop.made ORDER BY n`,
		`SELECT CONCAT_WS('|', TABLE_NAME, COLUMN_NAME, COLUMN_TYPE) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop' ORDER BY 1`,
		`SELECT ROUTINE_DEFINITION FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'shop'`,
	} {
		if !nokey && strings.Contains(query, "shop.nokey") {
			continue
		}
		rows, err := s.DB().QueryContext(t.Context(), query)
		require.NoError(t, err)
		for rows.Next() {
			var line string
			require.NoError(t, rows.Scan(&line))
			b.WriteString(line + "\n")
		}
		require.NoError(t, rows.Err())
		rows.Close()
	}
	return b.String()
}

var typesDDL = []string{
	"DROP TABLE IF EXISTS shop.types, shop.nokey, shop.made", "DROP PROCEDURE IF EXISTS shop.p",
	`CREATE TABLE shop.types (id INT AUTO_INCREMENT PRIMARY KEY, ti TINYINT UNSIGNED, bi BIGINT UNSIGNED, d DECIMAL(20,5), f FLOAT, db DOUBLE, b BIT(64),
 dt DATETIME(6), ts TIMESTAMP(3) NULL, t TIME(2), y YEAR, da DATE, c CHAR(10), v VARCHAR(200), l1 VARCHAR(50) CHARACTER SET latin1, u16 VARCHAR(50) CHARACTER SET utf16,
 bin BINARY(8), vb VARBINARY(100), tx TEXT, bl BLOB, e ENUM('x','y','it''s'), s SET('a','b','c'), j JSON, g POINT, vec VECTOR(3),
 gen INT GENERATED ALWAYS AS (ti + 1) STORED, inv INT INVISIBLE DEFAULT 7)`,
	"CREATE TABLE shop.nokey (a INT, b VARCHAR(20), fl FLOAT)",
	"INSERT INTO shop.types (ti, v) VALUES (1, 'old'), (2, 'older'), (3, 'oldest')",
	"INSERT INTO shop.nokey VALUES (1, 'one', 1.1), (2, 'two', 2.2), (2, 'two', 2.2)",
}

// errantWork is what a master does that nobody knows is none any more.
var errantWork = []string{
	`INSERT INTO shop.types (ti, bi, d, f, db, b, dt, ts, t, y, da, c, v, l1, u16, bin, vb, tx, bl, e, s, j, g, vec) VALUES
 (200, 18446744073709551615, -123456789012345.12345, 16777217.5, 0.1, b'1000000000000000000000000000000000000000000000000000000000000001',
 '2026-02-03 04:05:06.789012', '2026-07-01 12:00:00.123', '-838:59:59', 2026, '1000-01-01', 'char', 'it''s \\ "quoted"\n; -- ümläut 😀', 'für', 'Ünïcode 慡', x'00ff00', x'00deadbeef27', REPEAT('text; ', 50), x'0001020327', 'it''s', 'a,c',
 '{"k": [1, 1.0, null, "a''b\\\\"], "d": 1e100}', ST_GeomFromText('POINT(1 2)'), TO_VECTOR('[1,2.5,-3]'))`,
	"INSERT INTO shop.types (id, ti) VALUES (1000, 0)",
	"UPDATE shop.types SET v = 'new', ts = '2026-10-25 00:30:00', inv = 8 WHERE id = 1",
	"UPDATE shop.types SET v = NULL, j = '[]', f = -1.5e-30 WHERE id = 200 OR id = 4",
	"DELETE FROM shop.types WHERE id = 2",
	"UPDATE shop.nokey SET b = 'zwei' WHERE a = 2 LIMIT 1", "DELETE FROM shop.nokey WHERE a = 1",
	"ALTER TABLE shop.nokey ADD late INT DEFAULT 5", "INSERT INTO shop.nokey VALUES (3, 'three', 0.3, NULL)",
	"CREATE TABLE shop.made AS SELECT 7 AS n UNION SELECT 8",
	"CREATE PROCEDURE shop.p() BEGIN DECLARE x INT; SET x = 1; SELECT x; END",
	"CREATE USER IF NOT EXISTS errant@localhost IDENTIFIED BY 'top secret'",
}

func TestErrantTransactionsAreSavedAndReplay(t *testing.T) {
	for _, setting := range []string{"binlog_row_metadata = MINIMAL", "binlog_row_metadata = FULL", "binlog_transaction_compression = ON"} {
		t.Run(setting, func(t *testing.T) { saveAndReplay(t, setting) })
	}
}

func saveAndReplay(t *testing.T, setting string) {
	c, ctx := chain(t), t.Context()
	byBinlog, bad, bySQL := c.Server("a"), c.Server("b"), c.Server("c")
	t.Cleanup(func() {
		for _, statement := range []string{"SET GLOBAL binlog_row_metadata = MINIMAL", "SET GLOBAL binlog_transaction_compression = OFF"} {
			assert.NoError(t, bad.Exec(context.Background(), statement))
		}
	})
	source := control(t, bad)
	statements := append([]string{"SET GLOBAL super_read_only = OFF", "SET GLOBAL " + setting}, typesDDL...)
	for _, statement := range statements {
		require.NoError(t, bad.Exec(ctx, statement))
	}
	base, err := source.Look(ctx)
	require.NoError(t, err)
	for _, s := range []*testenv.Server{byBinlog, bySQL} {
		copied := control(t, s)
		require.NoError(t, copied.Follow(ctx, place(bad)))
		require.NoError(t, copied.WaitExecuted(ctx, base.Executed, time.Minute))
		require.NoError(t, copied.ForgetSource(ctx))
		require.NoError(t, copied.SetSuperReadOnly(ctx, false))
	}
	session, err := bad.DB().Conn(ctx)
	require.NoError(t, err)
	defer session.Close()
	for _, statement := range errantWork {
		_, err := session.ExecContext(ctx, statement)
		require.NoError(t, err, statement)
	}
	require.NoError(t, bad.Exec(ctx, "FLUSH BINARY LOGS"))
	_, err = session.ExecContext(ctx, "INSERT INTO shop.nokey VALUES (4, 'in the next log', 4, 4)")
	require.NoError(t, err)
	require.NoError(t, source.SetSuperReadOnly(ctx, true))
	now, err := source.Look(ctx)
	require.NoError(t, err)

	store := object.NewMemory()
	request := errant.Request{Product: "shop", Server: "b", Epoch: 7, Set: now.Executed.Minus(base.Executed)}
	began := time.Now()
	where, err := errant.Save(ctx, source, store, request)
	require.NoError(t, err)
	t.Logf("%d transactions saved in %s to %s", request.Set.Count(), time.Since(began), where)
	writes := store.Writes()
	again, err := errant.Save(ctx, source, store, request)
	require.NoError(t, err)
	assert.Equal(t, where, again)
	assert.Equal(t, writes, store.Writes(), "once is enough")

	m, joined := fetch(t, store, where)
	assert.Equal(t, request.Set.String(), m.Found.String())
	assert.True(t, m.Missing.Empty())
	assert.Equal(t, base.UUID, m.UUID)
	assert.NotContains(t, joined["sql"], "secret")
	assert.NotContains(t, joined["sql"], "$A$005$", "hashes of passwords are in the binary log only")
	assert.Contains(t, joined["sql"], "-- transaction "+base.UUID)
	isNamed := setting == "binlog_row_metadata = FULL"
	if isNamed {
		assert.NotContains(t, joined["sql"], "@1")
	} else {
		assert.Contains(t, joined["sql"], "-- UPDATE `shop`.`nokey` SET @1 = 2, @2 = 'zwei'", "the table has other columns now")
	}

	file := filepath.Join(t.TempDir(), "binlog.000001")
	require.NoError(t, os.WriteFile(file, []byte(joined["binlog"]), 0o644))
	var text, complaint bytes.Buffer
	tool := program.CommandContext(ctx, c.Install.Mysqlbinlog, "--no-defaults", file)
	tool.Stdout, tool.Stderr = &text, &complaint
	require.NoError(t, tool.Run(), complaint.String())
	assert.NotContains(t, complaint.String(), "ERROR")
	assert.EqualValues(t, request.Set.Count(), strings.Count(text.String(), "SET @@SESSION.GTID_NEXT= '"+base.UUID))

	replay(t, c, byBinlog, text.Bytes())
	assert.Equal(t, everything(t, bad, true), everything(t, byBinlog, true), "mysqlbinlog")
	replay(t, c, bySQL, []byte(joined["sql"]))
	assert.Equal(t, everything(t, bad, isNamed), everything(t, bySQL, isNamed), joined["sql"])
	replica, err := control(t, byBinlog).Look(ctx)
	require.NoError(t, err)
	assert.True(t, replica.Executed.Contains(now.Executed), "the binary log keeps the GTIDs")
}

// fetch reads a manifest and joins what it names.
func fetch(t *testing.T, store object.Store, where string) (errant.Manifest, map[string]string) {
	t.Helper()
	prefix, _, _ := strings.Cut(where, " ")
	o, err := store.Get(t.Context(), prefix+"/manifest.json")
	require.NoError(t, err)
	var m errant.Manifest
	require.NoError(t, json.Unmarshal(o.Body, &m))
	joined := map[string]string{}
	for name, parts := range map[string][]errant.Part{"binlog": m.Binlog, "sql": m.SQL} {
		for _, part := range parts {
			o, err := store.Get(t.Context(), part.Key)
			require.NoError(t, err)
			assert.Len(t, o.Body, part.Bytes)
			joined[name] += string(o.Body)
		}
	}
	return m, joined
}

func TestPurgedErrantTransactionsAreNamedAsMissing(t *testing.T) {
	s, ctx := chain(t).Server("b"), t.Context()
	source := control(t, s)
	for _, statement := range []string{"SET GLOBAL super_read_only = OFF", "INSERT INTO shop.facts VALUES ('purged')", "FLUSH BINARY LOGS",
		"INSERT INTO shop.facts VALUES ('kept')", "INSERT INTO shop.facts VALUES ('not asked for')"} {
		require.NoError(t, s.Exec(ctx, statement))
	}
	var log string
	var rest [4]any
	require.NoError(t, s.DB().QueryRowContext(ctx, "SHOW BINARY LOG STATUS").Scan(&log, &rest[0], &rest[1], &rest[2], &rest[3]))
	require.NoError(t, s.Exec(ctx, "PURGE BINARY LOGS TO '"+log+"'"))
	facts, err := source.Look(ctx)
	require.NoError(t, err)
	set := func(text string) topology.GTIDSet { return topology.MustGTIDSet(fmt.Sprintf(text, facts.UUID)) }
	require.Equal(t, set("%s:1-3").String(), facts.Executed.String())
	store := object.NewMemory()
	began := time.Now()
	where, err := errant.Save(ctx, source, store, errant.Request{Product: "shop", Server: "b", Set: set("%s:1-2:9")})
	require.NoError(t, err)
	assert.Less(t, time.Since(began), 5*time.Second)
	assert.Contains(t, where, "without 2 of 3")
	m, joined := fetch(t, store, where)
	assert.Equal(t, set("%s:2").String(), m.Found.String())
	assert.Equal(t, set("%s:1:9").String(), m.Missing.String())
	assert.Contains(t, joined["sql"], "'kept'")
	assert.NotContains(t, joined["sql"], "not asked for")
}

func TestTheBinaryLogEndsInBoundedTime(t *testing.T) {
	s, ctx := chain(t).Server("b"), t.Context()
	source := control(t, s)
	require.NoError(t, s.Exec(ctx, "SET GLOBAL super_read_only = OFF"))
	require.NoError(t, s.Exec(ctx, "INSERT INTO shop.facts VALUES ('v')"))
	require.NoError(t, s.Exec(ctx, "SET GLOBAL super_read_only = ON"))
	began, events := time.Now(), 0
	require.NoError(t, source.ReadBinlog(ctx, topology.GTIDSet{}, func([]byte) (bool, error) { events++; return true, nil }))
	assert.Less(t, time.Since(began), 5*time.Second)
	assert.Greater(t, events, 4)

	hurried, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	require.NoError(t, s.Freeze())
	began = time.Now()
	err := source.ReadBinlog(hurried, topology.GTIDSet{}, func([]byte) (bool, error) { return true, nil })
	require.ErrorIs(t, err, promote.ErrUnreachable)
	assert.Less(t, time.Since(began), 3*time.Second)
	require.NoError(t, s.Thaw())
	wrong, err := Open(Config{Addr: s.Addr(), Account: credentials.Control, Replication: Replication{Account: Account{"fd_repl", "wrong secret"}}})
	require.NoError(t, err)
	defer wrong.Close()
	err = wrong.ReadBinlog(ctx, topology.GTIDSet{}, func([]byte) (bool, error) { return true, nil })
	require.ErrorContains(t, err, "1045")
	assert.NotContains(t, err.Error(), "secret")
}
