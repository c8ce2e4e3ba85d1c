package load

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

// handmade is a snapshot that no server was asked for.
type handmade struct {
	store    *object.Memory
	box      *snapshot.Box
	manifest snapshot.Manifest
	catalog  snapshot.Catalog
	schema   snapshot.Schema
	packer   *snapshot.Packer
}

func newHandmade(t *testing.T, gtids string) *handmade {
	box, err := snapshot.NewBox()
	require.NoError(t, err)
	h := &handmade{store: object.NewMemory(), box: box}
	id := snapshot.NewID(time.Now(), 1)
	h.manifest = snapshot.Manifest{Format: 1, ID: id, Product: "shop", Version: "8.0.34", GTIDs: topology.MustGTIDSet(gtids),
		Server: "dump", UUID: "22222222-2222-2222-2222-222222222222", Started: time.Now(), Point: time.Now(), Finished: time.Now(), Full: true, Epoch: 1}
	h.packer = snapshot.NewPacker(h.store, box, snapshot.DataPrefix("shop", id)+"pack-")
	h.schema.Databases = []snapshot.Database{{Name: "d", Create: "CREATE DATABASE `d` /*!40100 DEFAULT CHARACTER SET latin1 */"}}
	return h
}

// chunk adds a chunk of rows.
func (h *handmade) chunk(t *testing.T, rows ...[]byte) snapshot.Chunk {
	var plain []byte
	c := snapshot.Chunk{}
	for _, row := range rows {
		plain = snapshot.AppendRow(plain, row)
		c.Rows++
		c.Raw += int64(len(row))
		c.Sum.Add(row)
	}
	ref, err := h.packer.Add(t.Context(), plain)
	require.NoError(t, err)
	c.Ref = ref
	return c
}

func (h *handmade) table(table snapshot.Table, rows int64, data snapshot.TableData) {
	data.TableID = table.ID()
	summary := snapshot.TableSummary{TableID: table.ID(), Rows: rows}
	for _, c := range data.Chunks {
		summary.Sum.Join(c.Sum)
		summary.Bytes += c.Raw
	}
	h.schema.Tables = append(h.schema.Tables, table)
	h.catalog.Tables = append(h.catalog.Tables, data)
	h.manifest.Tables = append(h.manifest.Tables, summary)
	h.manifest.Totals.Tables++
	h.manifest.Totals.Rows += summary.Rows
	h.manifest.Totals.Bytes += summary.Bytes
}

func (h *handmade) seal(t *testing.T) {
	t.Helper()
	require.NoError(t, h.packer.Flush(t.Context()))
	for name, part := range map[string]any{"schema": h.schema, "catalog": h.catalog} {
		text, err := json.Marshal(part)
		require.NoError(t, err)
		ref, err := snapshot.PutSealed(t.Context(), h.store, h.box, snapshot.DataPrefix("shop", h.manifest.ID)+name, text)
		require.NoError(t, err)
		if name == "schema" {
			h.manifest.Schema = ref
		} else {
			h.manifest.Catalog = ref
		}
	}
	require.NoError(t, snapshot.PutManifest(t.Context(), h.store, h.box, h.manifest))
}

func (h *handmade) restore(t *testing.T, into snapshot.Target) (snapshot.RestoreReport, error) {
	return snapshot.Restore(t.Context(), snapshot.RestoreRequest{Store: h.store, Box: h.box, Manifest: h.manifest, Target: into, Workers: 2})
}

// numbered is a table of a number and a word.
func numbered(name string) snapshot.Table {
	return snapshot.Table{
		Database: "d", Name: name, Engine: "InnoDB",
		Create: "CREATE TABLE `" + name + "` (\n  `id` int NOT NULL,\n  `word` varchar(700) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci DEFAULT NULL,\n" +
			"  PRIMARY KEY (`id`),\n  UNIQUE KEY `both` (`word`(20),`id`),\n  KEY `word` (`word`(9))\n) ENGINE=InnoDB DEFAULT CHARSET=latin1",
		Columns: []snapshot.Column{{Name: "id", Type: "int", Wire: snapshot.WireLong}, {Name: "word", Type: "varchar(700)", Wire: 253, Charset: "utf8mb4"}},
		Key:     []int{0}, KeyName: "PRIMARY",
	}
}

func numberedRow(t snapshot.Table, id int, word string) []byte {
	return snapshot.JoinRow(nil, t.Wires(), [][]byte{le32(uint32(id)), []byte(word)})
}

func words(t *testing.T, s *testenv.Server, query string) []string {
	t.Helper()
	all, err := column[string](t.Context(), s.DB(), query)
	require.NoError(t, err)
	return all
}

func created(t *testing.T, s *testenv.Server, table string) (text string) {
	t.Helper()
	var name string
	require.NoError(t, s.DB().QueryRowContext(t.Context(), "SHOW CREATE TABLE "+table).Scan(&name, &text))
	return text
}

const someGTIDs = "11111111-1111-1111-1111-111111111111:1-77"

// many has many rows in chunks of a thousand, and changes on top.
func many(t *testing.T) *handmade {
	h := newHandmade(t, someGTIDs)
	table := numbered("many")
	var data snapshot.TableData
	for first := 0; first < 30000; first += 1000 {
		var rows [][]byte
		for i := first; i < first+1000; i++ {
			rows = append(rows, numberedRow(table, i, strings.Repeat("a word of some length and tabs\t", 20)+strconv.Itoa(i)))
		}
		data.Chunks = append(data.Chunks, h.chunk(t, rows...))
	}
	key := snapshot.Table{Columns: table.Columns[:1]}
	doomed := func(id int) []byte { return snapshot.JoinRow(nil, key.Wires(), [][]byte{le32(uint32(id))}) }
	deletes, upserts := h.chunk(t, doomed(5), doomed(6), doomed(99999)), h.chunk(t, numberedRow(table, 6, "six"), numberedRow(table, 40000, "new"))
	last := h.chunk(t, doomed(40000))
	data.Deltas = []snapshot.Delta{{Deletes: &deletes, Upserts: &upserts}, {Deletes: &last}}
	h.table(table, 29999, data)
	h.seal(t)
	return h
}

func TestChunksAndDeltasGoIn(t *testing.T) {
	_, target := servers(t)
	h := many(t)
	report, err := h.restore(t, newTarget(t, target, Options{Workers: 2}))
	require.NoError(t, err)
	assert.Equal(t, int64(29999), report.Rows)
	assert.Equal(t, []string{"six"}, words(t, target, "SELECT word FROM d.many WHERE id BETWEEN 5 AND 6 OR id >= 30000"))
	assert.Equal(t, []string{"29999"}, words(t, target, "SELECT COUNT(*) FROM d.many"))
	assert.Equal(t, []string{someGTIDs}, words(t, target, "SELECT @@GLOBAL.gtid_executed"))
	assert.Equal(t, []string{"1"}, words(t, target, "SELECT @@GLOBAL.super_read_only"))
	assert.Equal(t, []string{"0"}, words(t, target, "SELECT @@GLOBAL.local_infile"))
	assert.Equal(t, []string{"d"}, words(t, target, databasesSQL))
}

func TestARestoreGoesOn(t *testing.T) {
	_, target := servers(t)
	h := many(t)
	var calls atomic.Int32
	down := errors.New("the store is down")
	h.inject(func() error {
		if calls.Add(1) > 29 {
			return down
		}
		return nil
	})
	first := newTarget(t, target, Options{Workers: 2})
	_, err := h.restore(t, first)
	require.ErrorIs(t, err, down)
	require.NoError(t, first.Close())
	assert.Equal(t, []string{"1"}, words(t, target, "SELECT @@GLOBAL.super_read_only"), "it is closed meanwhile")
	assert.Equal(t, []string{"0"}, words(t, target, "SELECT @@GLOBAL.local_infile"))

	other := many(t)
	_, err = other.restore(t, newTarget(t, target, Options{Workers: 2}))
	require.ErrorContains(t, err, "half of a restore of "+h.manifest.ID)

	h.inject(nil)
	report, err := h.restore(t, newTarget(t, target, Options{Workers: 2}))
	require.NoError(t, err)
	assert.Less(t, report.Bytes, int64(12_000_000), "what was in is not read again")
	assert.Equal(t, h.schema.Tables[0].Create, created(t, target, "d.many"))
	assert.Equal(t, []string{"29999"}, words(t, target, "SELECT COUNT(*) FROM d.many"))
}

// TestARestoreGoesOnInTheBinaryLog: whoever is killed while the log is played finds the
// snapshot in, and may not be told that an open server, or one with more, is as it was.
func TestARestoreGoesOnInTheBinaryLog(t *testing.T) {
	_, target := servers(t)
	h := many(t)
	unfinished := func() string {
		id, err := Unfinished(t.Context(), mysql.Config{Addr: target.Addr(), Account: loader})
		require.NoError(t, err)
		return id
	}
	assert.Empty(t, unfinished())
	first := newTarget(t, target, Options{Workers: 2, Keep: true})
	_, err := h.restore(t, first)
	require.NoError(t, err)
	require.NoError(t, first.Close())
	assert.Equal(t, h.manifest.ID, unfinished())
	assert.Equal(t, []string{"1"}, words(t, target, "SELECT @@GLOBAL.super_read_only"))
	assert.Equal(t, []string{someGTIDs}, words(t, target, "SELECT @@GLOBAL.gtid_executed"), "what is remembered is in no binary log")

	do(t, target, "SET GLOBAL super_read_only = OFF")
	_, err = h.restore(t, newTarget(t, target, Options{Keep: true}))
	require.ErrorContains(t, err, "it is open for writes (super_read_only): if it is in use, drop its database "+stateDatabase)
	do(t, target, "CREATE TABLE d.played (id INT PRIMARY KEY)", "DROP TABLE d.many", "SET GLOBAL super_read_only = ON",
		"CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'gone', SOURCE_PORT = 3310, SOURCE_USER = '"+snapshot.ReplayUser+"'")
	_, err = h.restore(t, newTarget(t, target, Options{}))
	require.ErrorContains(t, err, "binary log was played into it after the snapshot, 2 transactions")

	again := newTarget(t, target, Options{Keep: true})
	report, err := h.restore(t, again)
	require.NoError(t, err)
	assert.Zero(t, report.Bytes)
	assert.Equal(t, h.manifest.ID, unfinished())
	require.NoError(t, again.Forget(t.Context()))
	assert.Empty(t, unfinished())
	assert.Equal(t, []string{"d"}, words(t, target, databasesSQL))
	assert.Equal(t, []string{"1"}, words(t, target, "SELECT @@GLOBAL.super_read_only"))
	do(t, target, "RESET REPLICA ALL")
}

// inject has every read of the store ask fault first; nil ends that.
func (h *handmade) inject(fault func() error) {
	if fault == nil {
		h.store.Inject(nil)
		return
	}
	h.store.Inject(func(_ context.Context, call object.Call) object.Fault {
		if call.Method != "get" || strings.Contains(call.Key, "leases") {
			return object.Fault{}
		}
		return object.Fault{Err: fault()}
	})
}

func TestWhatIsNotEmptyIsRefused(t *testing.T) {
	_, target := servers(t)
	h := newHandmade(t, someGTIDs)
	h.seal(t)
	do(t, target, "SET GLOBAL super_read_only = OFF", "CREATE DATABASE `precious`", "SET GLOBAL super_read_only = ON")
	_, err := h.restore(t, newTarget(t, target, Options{}))
	require.ErrorContains(t, err, "it is not empty: it has the databases precious")
	do(t, target, "SET GLOBAL super_read_only = OFF", "DROP DATABASE `precious`",
		"CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'elsewhere', SOURCE_PORT = 3310", "SET GLOBAL super_read_only = ON")
	_, err = h.restore(t, newTarget(t, target, Options{}))
	require.ErrorContains(t, err, "it is a replica of elsewhere:3310")
	do(t, target, "RESET REPLICA ALL")
	h.manifest.Version = "99.1.0"
	_, err = h.restore(t, newTarget(t, target, Options{}))
	require.ErrorContains(t, err, "the snapshot is of 99.1.0")
	assert.Equal(t, []string{"1"}, words(t, target, "SELECT @@GLOBAL.super_read_only"))
}

func TestDamageNeverGoesIn(t *testing.T) {
	_, target := servers(t)
	h := newHandmade(t, someGTIDs)
	table := numbered("t")
	c := h.chunk(t, numberedRow(table, 1, "one"), numberedRow(table, 2, "two"))
	c.Sum.Add([]byte("another row"))
	h.table(table, 2, snapshot.TableData{Chunks: []snapshot.Chunk{c}})
	h.seal(t)
	_, err := h.restore(t, newTarget(t, target, Options{}))
	require.ErrorIs(t, err, snapshot.ErrDamaged)
	require.ErrorContains(t, err, c.Key)
	assert.Equal(t, []string{"0"}, words(t, target, "SELECT COUNT(*) FROM d.t"))
}

func TestWhatAServerWouldChangeIsAnError(t *testing.T) {
	_, target := servers(t)
	h := newHandmade(t, someGTIDs)
	table := numbered("t")
	c := h.chunk(t, numberedRow(table, 1, "no \xff utf8"))
	h.table(table, 1, snapshot.TableData{Chunks: []snapshot.Chunk{c}})
	h.seal(t)
	_, err := h.restore(t, newTarget(t, target, Options{}))
	require.ErrorContains(t, err, "the server would not keep a value")

	h = newHandmade(t, someGTIDs)
	c = h.chunk(t, numberedRow(table, 1, "one"), numberedRow(table, 1, "one again"))
	h.table(table, 2, snapshot.TableData{Chunks: []snapshot.Chunk{c}})
	h.seal(t)
	empty(t, target)
	_, err = h.restore(t, newTarget(t, target, Options{}))
	require.ErrorContains(t, err, "Duplicate entry")
}

func TestSingleTablesJoinOthers(t *testing.T) {
	_, target := servers(t)
	h := many(t)
	do(t, target, "SET GLOBAL super_read_only = OFF", "CREATE DATABASE d", "CREATE TABLE d.other (i INT PRIMARY KEY)", "RESET BINARY LOGS AND GTIDS")
	request := snapshot.RestoreRequest{
		Store: h.store, Box: h.box, Manifest: h.manifest, Target: newTarget(t, target, Options{Workers: 2}), Workers: 2,
		Tables: []snapshot.TableID{{Database: "d", Name: "many"}},
	}
	_, err := snapshot.Restore(t.Context(), request)
	require.NoError(t, err)
	assert.Equal(t, []string{"29999"}, words(t, target, "SELECT COUNT(*) FROM d.many"))
	assert.Equal(t, []string{"0"}, words(t, target, "SELECT @@GLOBAL.super_read_only"))
	executed := words(t, target, "SELECT @@GLOBAL.gtid_executed")[0]
	assert.NotContains(t, executed, "11111111")
	assert.NotEmpty(t, executed, "its replicas get the table too")
	assert.Equal(t, []string{"d"}, words(t, target, databasesSQL))

	request.Target = newTarget(t, target, Options{})
	_, err = snapshot.Restore(t.Context(), request)
	require.ErrorContains(t, err, "it has a table d.many already")
	request.Tables[0].Name = "nothing"
	_, err = snapshot.Restore(t.Context(), request)
	require.ErrorContains(t, err, "it holds no table d.nothing")
}
