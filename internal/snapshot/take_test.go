package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// fakeSource is a server with a table of whole numbers and one without a key.
type fakeSource struct {
	rows    int // of the first table, with the keys 10, 20, …
	size    int // bytes of text in a row
	failAt  int // the row at which reading fails, 0 for none
	refused error

	mu     sync.Mutex
	closed int
	reads  map[string]int // by table
}

var errFake = errors.New("connection lost")

func (s *fakeSource) Open(context.Context, int) (Point, error) {
	if s.refused != nil {
		return nil, s.refused
	}
	s.reads = map[string]int{}
	return s, nil
}

func (s *fakeSource) About() About {
	return About{GTIDs: topology.MustGTIDSet("11111111-1111-1111-1111-111111111111:1-9"), UUID: "u", Version: "9.7.4", At: time.Unix(1, 0), Stall: 20 * time.Millisecond, Warnings: []string{"a warning"}}
}

func (s *fakeSource) Schema(context.Context) (Schema, error) {
	text := Column{Name: "v", Wire: 253}
	return Schema{Tables: []Table{
		{Database: "shop", Name: "empty", Engine: "InnoDB", Columns: []Column{{Name: "id", Wire: WireLong}}, Key: []int{0}},
		{Database: "shop", Name: "numbered", Engine: "InnoDB", Columns: []Column{{Name: "id", Wire: WireLong}, text}, Key: []int{0}},
		{Database: "shop", Name: "plain", Engine: "MyISAM", Columns: []Column{text}},
	}}, nil
}

func (s *fakeSource) Estimate(t Table) int64 {
	if t.Name == "numbered" {
		return int64(s.rows * s.size)
	}
	return 0
}

func (s *fakeSource) Ranges(_ context.Context, t Table, n int) ([]Range, error) {
	if t.Name != "numbered" || n < 2 {
		return []Range{{}}, nil
	}
	cut := Key{strconv.Itoa(s.rows / 3 * 10)} // then nothing for a while
	far := Key{strconv.Itoa(s.rows/3*10 + 5)}
	return []Range{{Upto: cut}, {After: cut, Upto: far}, {After: far}}, nil
}

func (s *fakeSource) row(t Table, i int, dst []byte) []byte {
	id := binary.LittleEndian.AppendUint32(nil, uint32(i*10))
	text := []byte(strings.Repeat(strconv.Itoa(i%10), s.size))
	if t.Name == "plain" {
		return JoinRow(dst, t.Wires(), [][]byte{text})
	}
	return JoinRow(dst, t.Wires(), [][]byte{id, text})
}

func (s *fakeSource) Read(ctx context.Context, _ int, t Table, r Range, yield func(row []byte) error) error {
	s.mu.Lock()
	s.reads[t.Name]++
	s.mu.Unlock()
	rows := map[string]int{"numbered": s.rows, "plain": 3}[t.Name]
	var row []byte
	for i := 1; i <= rows; i++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if t.Name == "numbered" && (!above(i*10, r.After) || r.Upto != nil && above(i*10, r.Upto)) {
			continue
		}
		if i == s.failAt {
			return errFake
		}
		if row = s.row(t, i, row[:0]); yield(row) != nil {
			return yield(row)
		}
	}
	return nil
}

func above(n int, key Key) bool {
	if key == nil {
		return true
	}
	bound, err := strconv.Atoi(key[0])
	return err == nil && n > bound
}

func (s *fakeSource) Close() error { s.closed++; return nil }

func request(t *testing.T, source Source, store object.Store) TakeRequest {
	t.Helper()
	box, err := NewBox()
	require.NoError(t, err)
	return TakeRequest{Source: source, Store: store, Box: box, Product: "shop", Epoch: 3, Server: "db4", Workers: 3}
}

func catalogOf(t *testing.T, r TakeRequest, m Manifest) Catalog {
	t.Helper()
	c, err := LoadCatalog(t.Context(), r.Store, r.Box, m)
	require.NoError(t, err)
	return c
}

func TestTake(t *testing.T) {
	source := &fakeSource{rows: 90_000, size: 100}
	store := object.NewMemory()
	r := request(t, source, store)
	var last Progress
	r.Progress = func(p Progress) { last = p }
	m, err := Take(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, 1, source.closed)
	assert.Equal(t, Progress{ID: m.ID, Tables: 3, Done: 3, Rows: 90_003, Bytes: m.Totals.Bytes, Stored: last.Stored, Estimate: 9_000_000, Elapsed: last.Elapsed}, last)
	assert.EqualValues(t, 20, m.StallMs)
	assert.Equal(t, []string{"a warning"}, m.Warnings)
	assert.EqualValues(t, 90_003, m.Totals.Rows)
	assert.Equal(t, m.Totals.Bytes, m.Totals.ReadBytes)

	read, err := Load(t.Context(), store, r.Box, "shop", m.ID)
	require.NoError(t, err)
	assert.Equal(t, m, read)
	_, err = Verify(t.Context(), store, r.Box, m, true)
	require.NoError(t, err)
	assert.Zero(t, m.Diverged)

	schema, err := source.Schema(t.Context())
	require.NoError(t, err)
	stored := int64(0)
	entries, err := store.List(t.Context(), DataPrefix("shop", m.ID))
	require.NoError(t, err)
	for _, e := range entries {
		stored += e.Size
	}
	assert.Equal(t, stored, m.Totals.StoredBytes)
	for i, data := range catalogOf(t, r, m).Tables {
		table := schema.Tables[i]
		require.Equal(t, table.ID(), data.TableID)
		at, sum := 0, Sum{}
		var after Key
		for n, c := range data.Chunks {
			plain, err := Read(t.Context(), store, r.Box, c.Ref)
			require.NoError(t, err)
			rows, own := int64(0), Sum{}
			require.NoError(t, EachRow(plain, func(row []byte) error {
				at++
				rows++
				require.True(t, bytes.Equal(source.row(table, at, nil), row), "row %d of %s", at, table.ID())
				own.Add(row)
				if table.Seekable() {
					require.True(t, above(at*10, c.After) && (c.Upto == nil || !above(at*10, c.Upto)), "row %d is not in its chunk", at)
				}
				return nil
			}))
			assert.Equal(t, c.Rows, rows)
			assert.Equal(t, c.Sum, own)
			sum.Join(own)
			if table.Seekable() {
				assert.Equal(t, after, c.After, "a gap before chunk %d", n)
				after = c.Upto
			}
		}
		assert.Nil(t, after)
		assert.Equal(t, TableSummary{TableID: table.ID(), Rows: int64(at), Bytes: m.Tables[i].Bytes, Sum: sum, Way: "whole"}, m.Tables[i])
	}
	assert.Greater(t, len(catalogOf(t, r, m).Tables[1].Chunks), 8)
	assert.Equal(t, map[string]int{"empty": 1, "numbered": 1, "plain": 1}, source.reads)
}

func TestTakeReadsRangesSideBySide(t *testing.T) {
	source := &fakeSource{rows: 60_000, size: 500} // about 30 MB: it is cut
	r := request(t, source, object.NewMemory())
	m, err := Take(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, 3, source.reads["numbered"])
	assert.EqualValues(t, 60_003, m.Totals.Rows)
	chunks := catalogOf(t, r, m).Tables[1].Chunks
	for i, c := range chunks[1:] {
		assert.Equal(t, chunks[i].Upto, c.After)
		assert.Positive(t, c.Rows, "the empty range leaves no chunk, and its neighbour answers for it")
	}
}

func TestTakeLeavesNoManifestBehind(t *testing.T) {
	broken := errors.New("disk full")
	for name, plan := range map[string]struct {
		source *fakeSource
		fault  func(object.Call) object.Fault
		want   error
	}{
		"the point is refused":      {source: &fakeSource{refused: errFake}, want: errFake},
		"reading fails":             {source: &fakeSource{rows: 5000, size: 1000, failAt: 4000}, want: errFake},
		"packs cannot be stored":    {source: &fakeSource{rows: 5000, size: 1000}, want: broken, fault: func(c object.Call) object.Fault { return faultAt(c, "/p", broken) }},
		"the schema":                {source: &fakeSource{rows: 5, size: 10}, want: broken, fault: func(c object.Call) object.Fault { return faultAt(c, "/schema", broken) }},
		"the catalog":               {source: &fakeSource{rows: 5, size: 10}, want: broken, fault: func(c object.Call) object.Fault { return faultAt(c, "/catalog", broken) }},
		"the manifest was not sent": {source: &fakeSource{rows: 5, size: 10}, want: object.ErrUnavailable, fault: func(c object.Call) object.Fault { return faultAt(c, "/snapshots/", object.ErrUnavailable) }},
	} {
		t.Run(name, func(t *testing.T) {
			store := object.NewMemory()
			store.Inject(func(_ context.Context, c object.Call) object.Fault {
				if plan.fault == nil || c.Method != "commit" {
					return object.Fault{}
				}
				return plan.fault(c)
			})
			_, err := Take(t.Context(), request(t, plan.source, store))
			require.ErrorIs(t, err, plan.want)
			store.Inject(nil)
			entries, err := store.List(t.Context(), Prefix("shop")+"snapshots/")
			require.NoError(t, err)
			assert.Empty(t, entries)
			if plan.source.refused == nil {
				assert.Equal(t, 1, plan.source.closed)
			}
		})
	}
}

func faultAt(c object.Call, part string, err error) object.Fault {
	if strings.Contains(c.Key, part) {
		return object.Fault{Err: err}
	}
	return object.Fault{}
}

func TestTheManifestsLostAnswer(t *testing.T) {
	store := object.NewMemory()
	store.Inject(func(_ context.Context, c object.Call) object.Fault {
		if c.Method == "commit" && strings.Contains(c.Key, "/snapshots/") {
			return object.Fault{Err: object.ErrUnavailable, Took: true}
		}
		return object.Fault{}
	})
	m, err := Take(t.Context(), request(t, &fakeSource{rows: 5, size: 10}, store))
	require.NoError(t, err, "it was written, only nobody said so")
	_, err = store.Get(t.Context(), ManifestKey("shop", m.ID))
	require.NoError(t, err)
}

func TestTakeGivesWay(t *testing.T) {
	cause := errors.New("a failover begins")
	ctx, cancel := context.WithCancelCause(t.Context())
	r := request(t, &fakeSource{rows: 1_000_000, size: 1000}, object.NewMemory())
	r.Progress = func(Progress) { cancel(cause) }
	_, err := Take(ctx, r)
	require.ErrorIs(t, err, cause)
}

// TestTakesMemoryIsBounded: a table of many times its size goes through it.
func TestTakesMemoryIsBounded(t *testing.T) {
	most := uint64(0)
	r := request(t, &fakeSource{rows: 400_000, size: 1000}, nowhere{})
	r.Progress = func(Progress) {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		most = max(most, stats.HeapAlloc)
	}
	m, err := Take(t.Context(), r)
	require.NoError(t, err)
	assert.Greater(t, m.Totals.Bytes, int64(400_000_000))
	assert.Less(t, most, uint64(160<<20))
}

// nowhere is a store that keeps nothing.
type nowhere struct{ object.Store }

func (nowhere) Upload(context.Context, string) (object.Upload, error) { return nowhere{}, nil }
func (nowhere) Write(context.Context, []byte) error                   { return nil }
func (nowhere) Commit(context.Context, object.Condition) error        { return nil }
func (nowhere) Abort(context.Context) error                           { return nil }

func TestTakeNamesWhatTheChainLacks(t *testing.T) {
	r := request(t, &fakeSource{rows: 5, size: 10}, object.NewMemory())
	r.Diverged = func(_ context.Context, point topology.GTIDSet) (topology.GTIDSet, error) { return point, nil }
	m, err := Take(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, m.GTIDs, m.Diverged)
	r.Diverged = func(context.Context, topology.GTIDSet) (topology.GTIDSet, error) {
		return topology.GTIDSet{}, errFake
	}
	_, err = Take(t.Context(), r)
	require.ErrorIs(t, err, errFake)
}

func TestAssemble(t *testing.T) {
	table := Table{Key: []int{0}, Columns: []Column{{Wire: WireLong}}}
	chunk := func(rows int64, after, upto string) Chunk {
		c := Chunk{Rows: rows}
		if after != "" {
			c.After = Key{after}
		}
		if upto != "" {
			c.Upto = Key{upto}
		}
		return c
	}
	plan := tablePlan{Pieces: []piece{
		{Read: &Range{Upto: Key{"1"}}}, {Keep: []Chunk{chunk(5, "1", "2"), chunk(6, "2", "3")}}, {Read: &Range{After: Key{"3"}, Upto: Key{"4"}}}, {Read: &Range{After: Key{"4"}}},
	}}
	read := [][]Chunk{{chunk(0, "", "1")}, nil, {chunk(1, "3", "35"), chunk(0, "35", "4")}, {chunk(0, "4", "")}}
	assert.Equal(t, []Chunk{chunk(5, "", "2"), chunk(6, "2", "3"), chunk(1, "3", "")}, assemble(table, plan, read))
	assert.Empty(t, assemble(table, tablePlan{Pieces: []piece{{Read: &Range{}}}}, [][]Chunk{{chunk(0, "", "")}}))
	table.Key = nil
	assert.Equal(t, []Chunk{chunk(2, "", ""), chunk(1, "", "")}, assemble(table, tablePlan{Pieces: []piece{{Read: &Range{}}}}, [][]Chunk{{chunk(2, "", ""), chunk(1, "", "")}}))
}

func TestPace(t *testing.T) {
	p := pace{perSecond: 1000}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errFake)
	defer cancel()
	require.NoError(t, p.wait(ctx, 1))
	require.ErrorIs(t, p.wait(ctx, 1_000_000), errFake)
	require.NoError(t, (&pace{}).wait(ctx, 1<<60))
}

func ExampleNewID() {
	at, _ := TimeOfID(NewID(time.Date(2026, 11, 28, 19, 0, 0, 0, time.UTC), 3))
	fmt.Println(at)
	// Output: 2026-11-28 19:00:00 +0000 UTC
}
