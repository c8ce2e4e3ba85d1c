package changes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/testenv"
)

const everyTypeDDL = `CREATE TABLE work.types (
 id INT PRIMARY KEY, ti TINYINT, tu TINYINT UNSIGNED, si SMALLINT, su SMALLINT UNSIGNED, mi MEDIUMINT, mu MEDIUMINT UNSIGNED, ii INT, iu INT UNSIGNED, bi BIGINT, bu BIGINT UNSIGNED, bz BIGINT ZEROFILL,
 gen1 INT GENERATED ALWAYS AS (ti + 1) VIRTUAL,
 d1 DECIMAL(20,5), d2 DECIMAL(65,30), d3 DECIMAL(10,0), d4 DECIMAL(9,9), d5 DECIMAL(12,2) ZEROFILL, d6 DECIMAL(4,1) UNSIGNED, d7 DECIMAL(18,9),
 f FLOAT, fd FLOAT(10,3), db DOUBLE, b1 BIT(1), b7 BIT(7), b64 BIT(64), b13 BIT(13),
 dt0 DATETIME, dt1 DATETIME(1), dt3 DATETIME(3), dt6 DATETIME(6), ts0 TIMESTAMP NULL, ts2 TIMESTAMP(2) NULL, ts4 TIMESTAMP(4) NULL, ts6 TIMESTAMP(6) NULL,
 t0 TIME, t1 TIME(1), t3 TIME(3), t6 TIME(6), y YEAR, da DATE,
 c CHAR(10), c255 CHAR(255), cl CHAR(20) CHARACTER SET latin1, cu CHAR(10) CHARACTER SET utf32, cb CHAR(5) COLLATE utf8mb4_bin, v VARCHAR(200), vl VARCHAR(255) CHARACTER SET latin1, vu VARCHAR(50) CHARACTER SET utf16,
 bin BINARY(8), bin255 BINARY(255), vb VARBINARY(300), tt TINYTEXT, tx TEXT, mt MEDIUMTEXT, lt LONGTEXT CHARACTER SET sjis, tb TINYBLOB, bl BLOB, lb LONGBLOB,
 e ENUM('x','y','it''s'), s SET('a','b','c','d'), s9 SET('1','2','3','4','5','6','7','8','9'), j JSON, g GEOMETRY, p POINT, vec VECTOR(3),
 gen2 VARCHAR(300) GENERATED ALWAYS AS (CONCAT(v, 'x')) STORED, inv INT INVISIBLE DEFAULT 7, KEY ((ti + 2)))`

// literals are what may be put in a column of the table of types, by its name.
func literal(r *rand.Rand, column snapshot.Column) string {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	if r.IntN(8) == 0 && column.Name != "id" {
		return "NULL"
	}
	kind, _, _ := strings.Cut(strings.Fields(column.Type)[0], "(")
	switch kind {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		bits := map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}[kind]
		if column.Unsigned {
			return pick("0", "1", fmt.Sprint(uint64(math.MaxUint64)>>(64-bits)), fmt.Sprint(r.Uint64()>>(64-bits)))
		}
		return pick("0", "-1", fmt.Sprint(int64(math.MinInt64)>>(64-bits)), fmt.Sprint(int64(math.MaxInt64)>>(64-bits)), fmt.Sprint(int64(r.Uint64())>>(64-bits)))
	case "decimal":
		if strings.Contains(column.Type, "(9,9)") {
			return pick("0", "0.5", "-0.000000001", "0.999999999", fmt.Sprintf("0.%09d", r.IntN(1e9)))
		}
		if column.Unsigned {
			return pick("0", "0.1", "12.3", "999.9")
		}
		return pick("0", "-0.0", "1", "-1", "0.10", "-123.45", fmt.Sprintf("%d.%05d", r.IntN(1e9), r.IntN(1e5)), fmt.Sprintf("-%d", r.IntN(1e9)))
	case "float":
		return pick("0", "-0e0", "16777216", "16777217.5", "0.1", "-3.25", "1234.567")
	case "double":
		return pick("0", "-0e0", "0.1", "1e300", "-2.2250738585072014e-308", "4.9e-324", fmt.Sprint(r.NormFloat64()))
	case "bit":
		if column.Type == "bit(1)" {
			return pick("0", "1")
		}
		return pick("0", "1", "127", fmt.Sprint(r.IntN(128)))
	case "datetime":
		return pick("'0000-00-00 00:00:00'", "'2026-02-03 04:05:06.789012'", "'1000-01-01'", "'9999-12-31 23:59:59'", "'2026-11-28 00:00:00.500000'", "'2026-00-00'")
	case "timestamp":
		return pick("'0000-00-00 00:00:00'", "'1970-01-01 00:00:01'", "'2026-02-03 04:05:06.789012'", "'2038-01-19 03:14:07'", "'2026-10-25 00:00:00'")
	case "time":
		return pick("'00:00:00'", "'-00:00:00.5'", "'-838:59:59'", "'838:59:59'", "'12:34:56.789012'", "'-12:34:56.789012'", "'-00:00:01'", "'24:00:00'", "'-48:00:00.000001'")
	case "year":
		return pick("0", "1901", "2155", "2026")
	case "date":
		return pick("'0000-00-00'", "'2026-11-28'", "'1000-01-01'", "'9999-12-31'", "'2026-02-00'")
	case "char", "varchar", "tinytext":
		return pick("''", "' '", "'a'", "'a  '", "'it''s'", "'abc \t '", "'aB'")
	case "text", "mediumtext", "longtext":
		return pick("''", "'text'", "REPEAT('text; ', 100)", "REPEAT('x', 70000)")
	case "binary", "varbinary", "tinyblob":
		return pick("''", "x'00'", "x'0000ff00'", "x'ff'", "'abc  '", "x'20'")
	case "blob", "longblob":
		return pick("''", "x'00ff'", "REPEAT(x'00', 1000)", "'abc'")
	case "enum":
		return pick("1", "2", "3", "''")
	case "set":
		return pick("0", "1", "15", "'a,c'", "3")
	case "json":
		return pick(documents(r)...)
	case "geometry", "point":
		if kind == "geometry" {
			return pick("ST_GeomFromText('LINESTRING(0 0, 1 1)', 4326)", "ST_GeomFromText('POINT(1 2)')")
		}
		return pick("ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POINT(1 2)', 4326)")
	case "vector":
		return pick("TO_VECTOR('[1,2.5,-3]')", "TO_VECTOR('[0,0,-0.0]')")
	}
	return "DEFAULT"
}

// documents are expressions that give JSON, with values of every type that it may hold.
func documents(r *rand.Rand) []string {
	wide := make([]string, 300)
	for i := range wide {
		wide[i] = fmt.Sprintf(`"%0*d": %d`, 1+r.IntN(300), i, i*i*i*i)
	}
	return []string{
		"'null'", "'true'", "'[]'", "'{}'", `'[1, 1.0, -1, 65536, -40000, 4294967296, 18446744073709551615, -9223372036854775808, null, true, false]'`,
		`'{"b": 1, "a": {"c": [1, {"d": "e"}]}, "aa": "", "": "empty"}'`, `'"quote \\" slash \\\\ / \\b\\f\\n\\r\\t \\u0001 \\u001f \\u007f ü 慡 😀"'`,
		"CAST(1e15 AS JSON)", "CAST(1e14 AS JSON)", "CAST(-0e0 AS JSON)", "CAST(1.5e-7 AS JSON)", "CAST(1e100 AS JSON)", "CAST(5e-324 AS JSON)", "CAST(1.7976931348623157e308 AS JSON)",
		fmt.Sprintf("CAST(%ge0 AS JSON)", math.Trunc(r.NormFloat64()*100)), fmt.Sprintf("CAST(%s AS JSON)", exactDouble(r)), fmt.Sprintf("JSON_ARRAY(%s, %s, %s)", exactDouble(r), exactDouble(r), exactDouble(r)),
		"CAST(CAST('2026-11-28' AS DATE) AS JSON)", "CAST(CAST('2026-11-28 01:02:03.456' AS DATETIME(3)) AS JSON)", "CAST(CAST('-25:02:03.4' AS TIME(1)) AS JSON)", "CAST(TIMESTAMP'2026-11-28 01:02:03' AS JSON)",
		"CAST(CAST('-123.4500' AS DECIMAL(20,4)) AS JSON)", "CAST(0.000 AS JSON)", "CAST(x'00ff' AS JSON)", "JSON_ARRAY(REPEAT(x'ab', 57), REPEAT(x'ab', 5))", "CAST(b'101' AS JSON)",
		"CAST(YEAR(NOW()) AS JSON)", "CAST(ST_GeomFromText('POINT(1 2)') AS JSON)", "JSON_ARRAY(REPEAT('x', 70000), 1, 70000, -70000, 1.5)", "JSON_OBJECT('k', REPEAT('y', 200), 'l', JSON_ARRAY(REPEAT('z', 70000)))",
		"'{" + strings.Join(wide, ", ") + "}'", "CONCAT('[', REPEAT('[', 90), REPEAT(']', 90), ']')",
	}
}

// exactDouble is a double of any magnitude, written so that it is read exactly.
func exactDouble(r *rand.Rand) string {
	for {
		v := math.Float64frombits(r.Uint64())
		if r.IntN(2) == 0 {
			v = r.NormFloat64() * math.Pow10(r.IntN(40)-20)
		}
		if !math.IsNaN(v) && !math.IsInf(v, 0) && v != 0 {
			text := fmt.Sprintf("%.17e", v)
			return text
		}
	}
}

func keyed(t *testing.T, table *snapshot.Table, rows [][]byte) map[string]string {
	t.Helper()
	byKey := map[string]string{}
	for _, row := range rows {
		key, err := snapshot.KeyRow(nil, table, row)
		require.NoError(t, err)
		byKey[string(key)] = string(row)
	}
	require.Len(t, byKey, len(rows))
	return byKey
}

// describe shows where two canonical rows differ.
func describe(table *snapshot.Table, want, got string) string {
	a, _ := snapshot.SplitRow([]byte(want), table.Wires(), nil)
	b, _ := snapshot.SplitRow([]byte(got), table.Wires(), nil)
	var out []string
	for i := range a {
		if i < len(b) && string(a[i]) != string(b[i]) {
			out = append(out, fmt.Sprintf("%s %s: the server sends %.200q, the log gives %.200q", table.Columns[i].Name, table.Columns[i].Type, a[i], b[i]))
		}
	}
	return strings.Join(out, "\n")
}

func TestRowsOfTheLogAreThoseThatTheServerSends(t *testing.T) {
	for _, setting := range []string{"binlog_row_metadata = FULL", "binlog_transaction_compression = ON"} {
		t.Run(setting, func(t *testing.T) { compareRows(t, setting) })
	}
}

func compareRows(t *testing.T, setting string) {
	s := mysqld(t, "a")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	exec(t, s, "SET GLOBAL "+setting, everyTypeDDL)
	schema := schemaOf(t, s)
	table := schema.Tables[0]
	require.Len(t, table.Key, 1)
	tx, err := s.DB().Conn(t.Context())
	require.NoError(t, err)
	defer tx.Close()
	run := func(statement string) {
		_, err := tx.ExecContext(t.Context(), statement)
		require.NoError(t, err, "%.2000s", statement)
	}
	run("SET sql_mode = '', time_zone = '+05:30'")
	change := func(count int) {
		for range count {
			id := r.IntN(200)
			var names, values []string
			for _, c := range table.Columns {
				if c.Name != "id" {
					names, values = append(names, "`"+c.Name+"`"), append(values, literal(r, c))
				}
			}
			switch r.IntN(4) {
			case 0:
				run(fmt.Sprintf("DELETE FROM work.types WHERE id BETWEEN %d AND %d", id, id+r.IntN(3)))
			case 1:
				var sets []string
				for i := range names {
					if r.IntN(4) == 0 {
						sets = append(sets, names[i]+" = "+values[i])
					}
				}
				run(fmt.Sprintf("UPDATE work.types SET ti = 3, %s WHERE id BETWEEN %d AND %d", strings.Join(append(sets, "tu = 7"), ", "), id, id+r.IntN(5)))
			case 2:
				run(fmt.Sprintf("UPDATE IGNORE work.types SET id = %d WHERE id = %d", r.IntN(200), id))
			default:
				run(fmt.Sprintf("REPLACE INTO work.types (id, %s) VALUES (%d, %s)", strings.Join(names, ", "), id, strings.Join(values, ", ")))
			}
		}
	}
	change(300)
	reader := NewReader(configOf(s))
	for range 3 {
		from, before := executed(t, s), keyed(t, &table, rowsOf(t, s, table))
		change(150)
		upto, after := executed(t, s), keyed(t, &table, rowsOf(t, s, table))
		change(5) // which is not asked for
		changed, err := reader.Since(t.Context(), from, upto, schema, 1<<30)
		require.NoError(t, err)
		require.Empty(t, changed.Whole)
		require.Len(t, changed.Tables, 1)
		got := changed.Tables[table.ID()]
		require.Empty(t, got.Whole)
		require.NotEmpty(t, got.Rows)
		var sum, want snapshot.Sum
		for _, row := range before {
			sum.Add([]byte(row))
		}
		for key, c := range got.Rows {
			row, was := before[key]
			require.Equal(t, was, c.Was)
			if was {
				assert.Equal(t, int64(len(row)), c.Size)
				sum.Remove([]byte(row))
			}
			delete(before, key)
			if c.Now != nil {
				before[key] = string(c.Now)
				sum.Add(c.Now)
			}
		}
		require.Len(t, before, len(after))
		for key, row := range after {
			want.Add([]byte(row))
			require.True(t, before[key] == row, "%s", describe(&table, row, before[key]))
		}
		assert.Equal(t, want, sum)
	}
}

// sinceDoing is what the reader says of statements.
func sinceDoing(t *testing.T, s *testenv.Server, statements ...string) snapshot.Changed {
	t.Helper()
	from := executed(t, s)
	exec(t, s, statements...)
	changed, err := NewReader(configOf(s)).Since(t.Context(), from, executed(t, s), schemaOf(t, s), 1<<30)
	require.NoError(t, err)
	return changed
}

func TestWhatTheLogCannotTellIsReadWhole(t *testing.T) {
	s := mysqld(t, "a")
	exec(t, s, "CREATE TABLE work.keyed (id INT PRIMARY KEY, v INT, j JSON)", "CREATE TABLE work.loose (v INT)", "CREATE TABLE work.other (id INT PRIMARY KEY)",
		"INSERT INTO work.keyed VALUES (1, 1, '{}'), (2, 2, '{}'), (3, 3, '{}')", "INSERT INTO work.loose VALUES (1), (2)", "INSERT INTO work.other VALUES (1)")
	keyedID, loose, other := snapshot.TableID{Database: "work", Name: "keyed"}, snapshot.TableID{Database: "work", Name: "loose"}, snapshot.TableID{Database: "work", Name: "other"}

	t.Run("nothing happened", func(t *testing.T) {
		assert.Equal(t, snapshot.Changed{}, sinceDoing(t, s))
	})
	t.Run("what was undone is told as rows that are as they were", func(t *testing.T) {
		changed := sinceDoing(t, s, "INSERT INTO work.keyed VALUES (9, 9, NULL)", "DELETE FROM work.keyed WHERE id = 9")
		require.Len(t, changed.Tables[keyedID].Rows, 1)
		for _, c := range changed.Tables[keyedID].Rows {
			assert.Equal(t, snapshot.RowChange{}, c)
		}
	})
	t.Run("a table without a key takes new rows only", func(t *testing.T) {
		assert.Len(t, sinceDoing(t, s, "INSERT INTO work.loose VALUES (3), (3)").Tables[loose].Added, 2)
		assert.Contains(t, sinceDoing(t, s, "UPDATE work.loose SET v = 4 WHERE v = 3").Tables[loose].Whole, "no key")
	})
	t.Run("a definition that changes, and one that is as it was at last", func(t *testing.T) {
		changed := sinceDoing(t, s, "ALTER TABLE work.keyed ADD x INT", "ALTER TABLE work.keyed DROP x", "INSERT INTO work.other VALUES (2)")
		assert.Contains(t, changed.Tables[keyedID].Whole, "ALTER TABLE")
		assert.Empty(t, changed.Tables[other].Whole)
		changed = sinceDoing(t, s, "TRUNCATE work.other", "CREATE VIEW work.view_of_keyed AS SELECT * FROM work.keyed", "DROP VIEW work.view_of_keyed")
		assert.Contains(t, changed.Tables[other].Whole, "TRUNCATE")
		assert.NotContains(t, changed.Tables, keyedID)
	})
	t.Run("names that were exchanged", func(t *testing.T) {
		changed := sinceDoing(t, s, "CREATE TABLE work.copied LIKE work.other", "RENAME TABLE work.other TO work.aside, work.copied TO work.other", "DROP TABLE work.aside")
		assert.NotEmpty(t, changed.Tables[other].Whole)
	})
	t.Run("statements instead of rows", func(t *testing.T) {
		conn, err := s.DB().Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		from := executed(t, s)
		for _, statement := range []string{"SET binlog_format = STATEMENT", "UPDATE work.keyed SET v = v + 1", "SET binlog_format = ROW"} {
			_, err = conn.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		changed, err := NewReader(configOf(s)).Since(t.Context(), from, executed(t, s), schemaOf(t, s), 1<<30)
		require.NoError(t, err)
		assert.Contains(t, changed.Whole, "UPDATE work.keyed SET")
	})
	for setting, want := range map[string]string{"binlog_row_image = MINIMAL": "binlog_row_image=FULL", "binlog_row_value_options = PARTIAL_JSON": "binlog_row_value_options"} {
		t.Run(setting, func(t *testing.T) {
			name, _, _ := strings.Cut(setting, " ")
			exec(t, s, "SET GLOBAL "+setting)
			conn, err := s.DB().Conn(t.Context())
			require.NoError(t, err)
			defer conn.Close()
			_, err = conn.ExecContext(t.Context(), "SET SESSION "+setting)
			require.NoError(t, err)
			from := executed(t, s)
			_, err = conn.ExecContext(t.Context(), "UPDATE work.keyed SET v = 77, j = JSON_SET(j, '$.a', 1) WHERE id = 1")
			require.NoError(t, err)
			_, err = conn.ExecContext(t.Context(), "UPDATE work.keyed SET v = 77, j = JSON_SET(j, '$.a', 2) WHERE id = 1")
			require.NoError(t, err)
			changed, err := NewReader(configOf(s)).Since(t.Context(), from, executed(t, s), schemaOf(t, s), 1<<30)
			require.NoError(t, err)
			require.NotNil(t, changed.Tables[keyedID], name)
			assert.Contains(t, changed.Tables[keyedID].Whole, want)
			exec(t, s, "SET GLOBAL "+name+" = DEFAULT")
			_, err = conn.ExecContext(t.Context(), "SET SESSION "+name+" = DEFAULT")
			require.NoError(t, err)
		})
	}
	t.Run("distributed transactions", func(t *testing.T) {
		conn, err := s.DB().Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		from := executed(t, s)
		for _, statement := range []string{"XA START 'x'", "UPDATE work.keyed SET v = 5 WHERE id = 1", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"} {
			_, err = conn.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		changed, err := NewReader(configOf(s)).Since(t.Context(), from, executed(t, s), schemaOf(t, s), 1<<30)
		require.NoError(t, err)
		assert.Contains(t, changed.Whole, "XA")
	})
	t.Run("cascades are logged", func(t *testing.T) {
		exec(t, s, "CREATE TABLE work.child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES work.keyed (id) ON DELETE CASCADE)", "INSERT INTO work.child VALUES (1, 3), (2, 3)")
		changed := sinceDoing(t, s, "DELETE FROM work.keyed WHERE id = 3")
		child := changed.Tables[snapshot.TableID{Database: "work", Name: "child"}]
		require.NotNil(t, child, "%+v", changed)
		assert.Len(t, child.Rows, 2)
	})
	t.Run("what does not fit is told by keys", func(t *testing.T) {
		from := executed(t, s)
		exec(t, s, "INSERT INTO work.keyed WITH RECURSIVE n AS (SELECT 100 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 600) SELECT i, i, JSON_ARRAY(REPEAT('x', 500)) FROM n")
		changed, err := NewReader(configOf(s)).Since(t.Context(), from, executed(t, s), schemaOf(t, s), 150_000)
		require.NoError(t, err)
		got := changed.Tables[keyedID]
		assert.NotEmpty(t, got.KeysOnly)
		assert.Len(t, got.Rows, 501)
		changed, err = NewReader(configOf(s)).Since(t.Context(), from, executed(t, s), schemaOf(t, s), 10_000)
		require.NoError(t, err)
		assert.Contains(t, changed.Tables[keyedID].Whole, "too much")
	})
	t.Run("a JSON document that servers print in different ways", func(t *testing.T) {
		changed := sinceDoing(t, s, "UPDATE work.keyed SET j = JSON_ARRAY(REPEAT(x'ab', 58)) WHERE id = 1")
		assert.Contains(t, changed.Tables[keyedID].Whole, "binary data")
	})
	t.Run("a log that is gone, and a server that lacks something", func(t *testing.T) {
		from := executed(t, s)
		exec(t, s, "INSERT INTO work.other VALUES (50)", "FLUSH BINARY LOGS", "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY", "INSERT INTO work.other VALUES (51)")
		changed, err := NewReader(configOf(s)).Since(t.Context(), from, executed(t, s), schemaOf(t, s), 1<<30)
		require.NoError(t, err)
		assert.Contains(t, changed.Whole, "no longer has")
		changed, err = NewReader(configOf(s)).Since(t.Context(), executed(t, s), from, schemaOf(t, s), 1<<30)
		require.NoError(t, err)
		assert.Contains(t, changed.Whole, "lacks transactions")
	})
}
