package errant

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

const origin = "00000000-0000-0000-0000-00000000000a"

// fakeSource is a server whose binary log is made by hand.
type fakeSource struct {
	facts  topology.Facts
	events [][]byte
	reads  int
	err    error
}

func (f *fakeSource) Look(context.Context) (topology.Facts, error) { return f.facts, f.err }

func (f *fakeSource) ReadBinlog(_ context.Context, _ topology.GTIDSet, yield func([]byte) (bool, error)) error {
	f.reads++
	for _, e := range f.events {
		if more, err := yield(e); err != nil || !more {
			return err
		}
	}
	return nil
}

func (f *fakeSource) Columns(context.Context, string, string) ([]Column, error) { return nil, nil }

// event is a raw event without a checksum.
func event(t replication.EventType, body []byte) []byte {
	raw := make([]byte, replication.EventHeaderSize, replication.EventHeaderSize+len(body))
	raw[4] = byte(t)
	binary.LittleEndian.PutUint32(raw[5:], 1)
	binary.LittleEndian.PutUint32(raw[9:], uint32(replication.EventHeaderSize+len(body)))
	return append(raw, body...)
}

func format() []byte {
	body := make([]byte, 2+50+4+1)
	body[0] = 4
	copy(body[2:], "9.7.4")
	body[56] = byte(replication.EventHeaderSize)
	lengths := make([]byte, 42)
	lengths[replication.TABLE_MAP_EVENT-1] = 8
	body = append(body, lengths...)
	return event(replication.FORMAT_DESCRIPTION_EVENT, append(body, byte(replication.BINLOG_CHECKSUM_ALG_OFF), 0, 0, 0, 0))
}

func gtid(n int64) []byte {
	body := make([]byte, 1+16+8)
	body[16] = 0x0a
	binary.LittleEndian.PutUint64(body[17:], uint64(n))
	return event(replication.GTID_EVENT, body)
}

func query(schema, text string) []byte {
	body := make([]byte, 13)
	body[8] = byte(len(schema))
	return event(replication.QUERY_EVENT, append(append(body, schema+"\x00"...), text...))
}

func logOf(statements int) [][]byte {
	events := [][]byte{event(replication.ROTATE_EVENT, append(make([]byte, 8), "binlog.1"...)), format()}
	for n := 1; n <= statements; n++ {
		events = append(events, gtid(int64(n)), query("shop", fmt.Sprintf("CREATE TABLE t%d (i INT)", n)))
	}
	return events
}

func set(text string) topology.GTIDSet { return topology.MustGTIDSet(origin + ":" + text) }

func manifest(t *testing.T, store object.Store, where string) Manifest {
	t.Helper()
	prefix, _, _ := strings.Cut(where, " ")
	o, err := store.Get(t.Context(), prefix+"/manifest.json")
	require.NoError(t, err)
	var m Manifest
	require.NoError(t, json.Unmarshal(o.Body, &m))
	return m
}

func TestOnlyTheWantedTransactionsAreSaved(t *testing.T) {
	source := &fakeSource{facts: topology.Facts{UUID: origin, Version: "9.7.4", Executed: set("1-9")}, events: logOf(9)}
	store := object.NewMemory()
	r := Request{Product: "shop", Server: "db1", Epoch: 3, Set: set("4:6")}
	where, err := Save(t.Context(), source, store, r)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(where, "errant/shop/db1/"), where)
	m := manifest(t, store, where)
	assert.Equal(t, set("4:6").String(), m.Found.String())
	assert.EqualValues(t, 3, m.Epoch)
	require.Len(t, m.Binlog, 1)
	o, err := store.Get(t.Context(), m.Binlog[0].Key)
	require.NoError(t, err)
	want := string(replication.BinLogFileHeader) + string(format()) + string(gtid(4)) + string(query("shop", "CREATE TABLE t4 (i INT)")) + string(gtid(6)) + string(query("shop", "CREATE TABLE t6 (i INT)"))
	assert.Equal(t, want, string(o.Body))
	o, err = store.Get(t.Context(), m.SQL[0].Key)
	require.NoError(t, err)
	assert.Contains(t, string(o.Body), "-- transaction "+origin+":4,")
	assert.Contains(t, string(o.Body), "USE `shop`;\nCREATE TABLE t6 (i INT);\n")
	assert.NotContains(t, string(o.Body), "t5")

	again, err := Save(t.Context(), source, store, r)
	require.NoError(t, err)
	assert.Equal(t, where, again)
	assert.Equal(t, 1, source.reads)
}

func TestWhatIsNotThereIsNamed(t *testing.T) {
	source := &fakeSource{facts: topology.Facts{UUID: origin, Executed: set("1-9"), Purged: set("1-3")}, events: logOf(5)}
	store := object.NewMemory()
	where, err := Save(t.Context(), source, store, Request{Product: "shop", Server: "db1", Set: set("3-6:20")})
	require.NoError(t, err)
	m := manifest(t, store, where)
	assert.Equal(t, set("4-5").String(), m.Found.String())
	assert.Equal(t, set("3:6:20").String(), m.Missing.String())
	assert.Contains(t, where, "without 3 of 5")

	source.reads = 0
	_, err = Save(t.Context(), source, store, Request{Product: "shop", Server: "db1", Set: set("1-2")})
	require.NoError(t, err)
	assert.Zero(t, source.reads, "all of it is purged")
}

func TestASaveThatFailsLeavesNoManifestAndCanBeRepeated(t *testing.T) {
	source := &fakeSource{facts: topology.Facts{UUID: origin, Executed: set("1-9")}, events: logOf(9)}
	source.events = append(source.events[:4:4], gtid(2), query("", "BEGIN")) // cut off
	store := object.NewMemory()
	r := Request{Product: "shop", Server: "db1", Set: set("1-2")}
	_, err := Save(t.Context(), source, store, r)
	require.ErrorContains(t, err, "within a transaction")
	entries, err := store.List(t.Context(), "")
	require.NoError(t, err)
	for _, e := range entries {
		assert.NotContains(t, e.Key, "manifest")
	}
	source.events = logOf(9)
	lost := true
	store.Inject(func(_ context.Context, call object.Call) object.Fault {
		if call.Method == "put" && lost {
			lost = false
			return object.Fault{Err: object.ErrUnavailable, Took: true}
		}
		return object.Fault{}
	})
	_, err = Save(t.Context(), source, store, r)
	require.ErrorIs(t, err, object.ErrUnavailable)
	_, err = Save(t.Context(), source, store, r)
	require.NoError(t, err, "what took is not in the way")
	source.err = errors.New("away")
	_, err = Save(t.Context(), source, store, r)
	require.NoError(t, err, "what is saved needs no server")
	_, err = Save(t.Context(), source, store, Request{Product: "shop", Server: "db2", Set: set("1")})
	require.ErrorContains(t, err, "away")
}

func TestPartsAreBounded(t *testing.T) {
	store := object.NewMemory()
	p := &parts{ctx: t.Context(), store: store, prefix: "errant/p/s/x/binlog"}
	var want int
	for _, size := range []int{10, maxPart - 5, 2*maxPart + 7, 100} {
		require.NoError(t, p.write(make([]byte, size)))
		want += size
	}
	done, err := p.finish()
	require.NoError(t, err)
	for _, part := range done {
		assert.LessOrEqual(t, part.Bytes, maxPart)
		want -= part.Bytes
	}
	assert.Zero(t, want)
	assert.Equal(t, 10, done[0].Bytes, "what fits into a part is not cut")
}

func TestLiteralsMeanWhatWasStored(t *testing.T) {
	types := []byte{mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_BLOB, mysql.MYSQL_TYPE_BIT, mysql.MYSQL_TYPE_JSON, mysql.MYSQL_TYPE_NEWDECIMAL, mysql.MYSQL_TYPE_DATETIME2, mysql.MYSQL_TYPE_FLOAT}
	w := rowWriter{table: &replication.TableMapEvent{ColumnType: types, ColumnMeta: make([]uint16, len(types)), ColumnCount: uint64(len(types))},
		collations: map[int]uint64{0: 255, 1: 8, 2: 63}}
	for _, c := range []struct {
		column int
		value  any
		want   string
	}{
		{0, nil, "NULL"}, {0, `it's \ "ü"` + "\n", `'it''s \\ "ü"\n'`}, {0, "\xff", "x'ff'"}, {0, "\x00", "x'00'"},
		{1, "abc", "'abc'"}, {1, "\xfc", "x'fc'"}, {1, "ü", "x'c3bc'"}, {2, []byte("abc"), "x'616263'"}, {2, []byte{}, "x''"},
		{3, int64(-1), "18446744073709551615"}, {4, `{"a": "it's"}`, `'{"a": "it''s"}'`}, {4, []byte{}, "'null'"},
		{5, "-1.50", "-1.50"}, {6, "2026-01-02 03:04:05", "'2026-01-02 03:04:05'"}, {7, float32(0.1), "0.1"}, {7, float64(1e100), "1e+100"},
	} {
		assert.Equal(t, c.want, w.literal(c.column, c.value), "%v", c.value)
	}
	assert.False(t, w.inexact)
	w.literal(4, &replication.JsonDiff{})
	assert.True(t, w.inexact, "a part of a document is not the document")
}

func TestRowsAreFoundByTheirKey(t *testing.T) {
	w := rowWriter{name: "`s`.`t`", table: &replication.TableMapEvent{ColumnType: []byte{mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_FLOAT}, ColumnMeta: make([]uint16, 3), ColumnCount: 3}}
	w.columns = []Column{{Name: "id", Key: true}, {Name: "a`b", Generated: true}, {Name: "f"}}
	row, other := []any{int32(1), int32(2), float32(3)}, []any{int32(1), int32(3), float32(4)}
	assert.Equal(t, "INSERT INTO `s`.`t` (`id`, `f`) VALUES (1, 3);", w.insert(row, nil))
	assert.Equal(t, "UPDATE `s`.`t` SET `id` = 1, `f` = 4 WHERE `id` <=> 1 LIMIT 1;", w.update(row, nil, other, nil))
	w.columns[0].Key = false
	assert.Equal(t, "DELETE FROM `s`.`t` WHERE `id` <=> 1 AND `a``b` <=> 2 LIMIT 1;", w.delete(row, nil))
	assert.Equal(t, "UPDATE `s`.`t` SET `f` = 4 WHERE `id` <=> 1 LIMIT 1;", w.update(row, []int{1, 2}, other, []int{0}), "a minimal row image")
	w.columns = nil
	assert.Equal(t, "DELETE FROM `s`.`t` WHERE @1 <=> 1 AND @2 <=> 2 LIMIT 1;", w.delete(row, nil))
}
