package snapshot

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
)

// withDelta is a snapshot whose table has chunks of its parent and two deltas.
func withDelta(t *testing.T, store object.Store, box *Box) madeCopy {
	t.Helper()
	full := makeCopy{store: store, box: box, at: noon, chunks: twoChunks("n")}.make(t)
	first := makeCopy{store: store, box: box, at: noon.Add(time.Minute), parent: &full, changed: map[int]string{2: "two", 9: "", 10: "ten"}}.make(t)
	return makeCopy{store: store, box: box, at: noon.Add(2 * time.Minute), parent: &first, changed: map[int]string{2: "", 9: "again", 10: "TEN"}}.make(t)
}

func TestAWholeSnapshotIsFoundWhole(t *testing.T) {
	recipient, identity := newKeys(t)
	for name, box := range map[string]*Box{"plain": plainBox(t), "encrypted": encryptedBox(t, []string{recipient}, identity)} {
		t.Run(name, func(t *testing.T) {
			store := object.NewMemory()
			m := withDelta(t, store, box)
			for _, deep := range []bool{false, true} {
				report, err := Verify(t.Context(), store, box, m.Manifest, deep)
				require.NoError(t, err)
				assert.Empty(t, report.Damages)
				assert.Equal(t, 8, report.Pieces, "schema, catalog, two chunks, two deltas of two pieces")
				if deep {
					assert.EqualValues(t, 5, report.Rows)
				}
			}
		})
	}
}

// Every byte of every object is flipped in turn.
func TestEveryDamageIsFound(t *testing.T) {
	ctx, store, box := t.Context(), object.NewMemory(), plainBox(t)
	m := withDelta(t, store, box)
	catalog, err := LoadCatalog(ctx, store, box, m.Manifest)
	require.NoError(t, err)
	for _, ref := range refsOf(m.Manifest, catalog) {
		whole, err := store.Get(ctx, ref.Key)
		require.NoError(t, err)
		for at := ref.Offset; at < ref.Offset+ref.Bytes; at++ {
			damaged := append([]byte(nil), whole.Body...)
			damaged[at] ^= 0x10
			_, err := store.Put(ctx, ref.Key, damaged, object.Always)
			require.NoError(t, err)
			report, err := Verify(ctx, store, box, m.Manifest, at%2 == 0)
			require.ErrorIs(t, err, ErrDamaged)
			require.NotEmpty(t, report.Damages)
			require.Equal(t, ref, report.Damages[0].Place)
			require.ErrorContains(t, err, ref.Key)
		}
		_, err = store.Put(ctx, ref.Key, whole.Body, object.Always)
		require.NoError(t, err)
	}
	_, err = Verify(ctx, store, box, m.Manifest, true)
	require.NoError(t, err)
}

func TestAMissingPackIsFoundAndNamed(t *testing.T) {
	ctx, store, box := t.Context(), object.NewMemory(), plainBox(t)
	m := withDelta(t, store, box)
	gone := m.Data.Chunks[0].Key
	require.NoError(t, store.Delete(ctx, gone))
	for _, deep := range []bool{false, true} {
		report, err := Verify(ctx, store, box, m.Manifest, deep)
		require.ErrorIs(t, err, ErrDamaged)
		require.Len(t, report.Damages, 2, "both of its chunks, and no more for that")
		for _, d := range report.Damages {
			assert.Equal(t, madeTable.ID(), d.Table)
			assert.Equal(t, gone, d.Place.Key)
		}
	}
}

// The bytes are those that the catalog names, but the rows are not those that were read.
func TestRowsThatAreNotThoseOfTheManifestAreFound(t *testing.T) {
	ctx, box := t.Context(), plainBox(t)
	sumOfTable := func(m *Manifest) { m.Tables[0].Sum.Add([]byte("another")) }
	for name, c := range map[string]struct {
		unlike func(*Manifest)
		want   string
	}{
		"sum of a table":  {sumOfTable, "shop.items: it has 5 rows"},
		"rows of a table": {func(m *Manifest) { m.Tables[0].Rows++; m.Totals.Rows++ }, "is to have 6"},
	} {
		t.Run(name, func(t *testing.T) {
			store := object.NewMemory()
			full := makeCopy{store: store, box: box, at: noon, chunks: twoChunks("n")}.make(t)
			m := makeCopy{store: store, box: box, at: noon.Add(time.Minute), parent: &full, changed: map[int]string{2: "two"}, unlike: c.unlike}.make(t)
			report, err := Verify(ctx, store, box, m.Manifest, true)
			require.ErrorIs(t, err, ErrDamaged)
			require.Len(t, report.Damages, 1)
			assert.Contains(t, report.Damages[0].String(), c.want)
			_, err = Verify(ctx, store, box, m.Manifest, false)
			require.NoError(t, err, "its bytes are as they were written")
		})
	}
}

func TestChunksThatLeaveAGapAreFound(t *testing.T) {
	chunk := func(after, upto Key) Chunk { return Chunk{After: after, Upto: upto} }
	for name, c := range map[string]struct {
		chunks []Chunk
		gap    bool
	}{
		"none":             {nil, false},
		"one":              {[]Chunk{chunk(nil, nil)}, false},
		"side by side":     {[]Chunk{chunk(nil, Key{"3"}), chunk(Key{"3"}, Key{"9"}), chunk(Key{"9"}, nil)}, false},
		"a gap":            {[]Chunk{chunk(nil, Key{"3"}), chunk(Key{"4"}, nil)}, true},
		"the first lacks":  {[]Chunk{chunk(Key{"1"}, nil)}, true},
		"the last lacks":   {[]Chunk{chunk(nil, Key{"3"})}, true},
		"one ends nowhere": {[]Chunk{chunk(nil, nil), chunk(nil, nil)}, true},
	} {
		assert.Equal(t, c.gap, gapIn(madeTable, c.chunks) != "", name)
	}
	assert.Empty(t, gapIn(Table{}, []Chunk{chunk(nil, nil), chunk(nil, nil)}), "no key to be cut by")
}

func TestAStoreThatIsAwayIsNoDamage(t *testing.T) {
	store, box := object.NewMemory(), plainBox(t)
	m := withDelta(t, store, box)
	var asked atomic.Int32
	store.Inject(func(_ context.Context, call object.Call) object.Fault {
		if asked.Add(1) > 2 {
			return object.Fault{Err: object.ErrUnavailable}
		}
		return object.Fault{}
	})
	report, err := Verify(t.Context(), store, box, m.Manifest, true)
	require.ErrorIs(t, err, object.ErrUnavailable)
	assert.NotErrorIs(t, err, ErrDamaged)
	assert.Empty(t, report.Damages)
}

func TestAScrubNamesAllThatUseWhatIsDamaged(t *testing.T) {
	ctx, store, box := t.Context(), object.NewMemory(), plainBox(t)
	full := makeCopy{store: store, box: box, at: noon, chunks: twoChunks("n")}.make(t)
	next := makeCopy{store: store, box: box, at: noon.Add(time.Minute), parent: &full, changed: map[int]string{2: "two"}}.make(t)
	other := makeCopy{store: store, box: box, at: noon.Add(2 * time.Minute), chunks: twoChunks("n")}.make(t)
	all := []Manifest{full.Manifest, next.Manifest, other.Manifest}
	damages, err := Scrub(ctx, store, box, all)
	require.NoError(t, err)
	assert.Empty(t, damages)

	ref := full.Data.Chunks[1].Ref
	pack, err := store.Get(ctx, ref.Key)
	require.NoError(t, err)
	pack.Body[ref.Offset] ^= 1
	_, err = store.Put(ctx, ref.Key, pack.Body, object.Always)
	require.NoError(t, err)
	require.NoError(t, store.Delete(ctx, other.Catalog.Key))
	damages, err = Scrub(ctx, store, box, all)
	require.NoError(t, err)
	require.Len(t, damages, 3)
	assert.Equal(t, ref, damages[full.ID][0].Place)
	assert.Equal(t, ref, damages[next.ID][0].Place)
	assert.Contains(t, damages[other.ID][0].What, other.Catalog.Key)
}

func TestSpansHoldEveryPieceOnce(t *testing.T) {
	var refs []Ref
	for _, key := range []string{"b", "a"} {
		for i := range int64(20) {
			refs = append(refs, Ref{Key: key, Offset: i * (1 << 20), Bytes: 1 << 20})
		}
	}
	refs = append(refs, Ref{Key: "a", Offset: 100 << 20, Bytes: 5}, Ref{Key: "a", Offset: 2 << 20, Bytes: 1 << 20}, Ref{Key: "c", Bytes: 50 << 20})
	seen := map[int]int{}
	spans := spansOf(refs)
	for _, s := range spans {
		for _, i := range s.pieces {
			seen[i]++
			assert.Equal(t, s.key, refs[i].Key)
			assert.LessOrEqual(t, s.offset, refs[i].Offset)
			assert.GreaterOrEqual(t, s.offset+s.bytes, refs[i].Offset+refs[i].Bytes)
		}
		assert.True(t, s.bytes <= spanBytes || len(s.pieces) == 1)
	}
	assert.Len(t, seen, len(refs))
	for i, n := range seen {
		assert.Equal(t, 1, n, "piece %d", i)
	}
	assert.Len(t, spans, 8)
}
