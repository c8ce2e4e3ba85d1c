package snapshot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
)

// pretender is a server of madeTable's rows that is filled, read back and drilled on.
type pretender struct {
	mu       sync.Mutex
	job      Job
	done     Done
	rows     map[string][]byte // by key
	finished bool
	closed   int
	loads    int
	meddle   func() // before it is read back
	joinErr  error
}

func (p *pretender) Begin(_ context.Context, job Job) (Done, error) {
	if p.done == nil {
		p.done, p.rows = Done{}, map[string][]byte{}
	} else if p.job.ID != job.ID {
		return nil, errors.New("half of another")
	}
	p.job = job
	return p.done, nil
}

func (p *pretender) Create(_ context.Context, t Table, _ int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[t.ID()] = &TableDone{Created: true, Pieces: map[string]bool{}}
	return nil
}

func (p *pretender) Load(ctx context.Context, t Table, piece string, rows Rows) error {
	return p.Apply(ctx, t, piece, nil, rows)
}

func (p *pretender) Apply(_ context.Context, t Table, piece string, deletes, upserts Rows) error {
	gone, come := map[string]bool{}, map[string][]byte{}
	if deletes != nil {
		if err := deletes(func(row []byte) error { gone[string(row[1:5])] = true; return nil }); err != nil {
			return err
		}
	}
	if upserts != nil {
		if err := upserts(func(row []byte) error { come[string(row[1:5])] = slices.Clone(row); return nil }); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done[t.ID()].Pieces[piece] {
		return fmt.Errorf("%s twice", piece)
	}
	maps.DeleteFunc(p.rows, func(key string, _ []byte) bool { return gone[key] })
	maps.Copy(p.rows, come)
	p.done[t.ID()].Pieces[piece] = true
	p.loads++
	return nil
}

func (p *pretender) Count(context.Context, TableID) (int64, error) { return int64(len(p.rows)), nil }

func (p *pretender) Index(_ context.Context, t Table) error {
	p.done[t.ID()].Indexed = true
	return nil
}

func (p *pretender) Finish(context.Context) ([]Note, error) {
	p.finished = true
	return []Note{{Text: "a note"}}, nil
}

func (p *pretender) Close() error { p.closed++; return nil }

// What follows has it drilled on.

func (p *pretender) Start(context.Context, map[string]string) (Rehearsal, error) {
	return rehearsedOn{p}, nil
}

type rehearsedOn struct{ *pretender }

func (r rehearsedOn) Target() (Target, error)                { return r.pretender, nil }
func (r rehearsedOn) Source() (Source, error)                { return r, nil }
func (r rehearsedOn) Own() []string                          { return nil }
func (r rehearsedOn) Join(context.Context) (string, error)   { return "a row", r.joinErr }
func (r rehearsedOn) About() About                           { return About{GTIDs: r.job.GTIDs} }
func (r rehearsedOn) Schema(context.Context) (Schema, error) { return r.job.Schema, nil }
func (r rehearsedOn) Estimate(Table) int64                   { return 1 }
func (r rehearsedOn) Open(context.Context, int) (Point, error) {
	if r.meddle != nil {
		r.meddle()
	}
	return r, nil
}

func (r rehearsedOn) Ranges(context.Context, Table, int) ([]Range, error) { return []Range{{}}, nil }

func (r rehearsedOn) Read(_ context.Context, _ int, _ Table, within Range, yield func(row []byte) error) error {
	number := func(k Key, otherwise int) (n int) {
		if k == nil {
			return otherwise
		}
		_, _ = fmt.Sscan(k[0], &n)
		return n
	}
	for key, row := range r.rows {
		if n := int(binary.LittleEndian.Uint32([]byte(key))); n > number(within.After, -1) && n <= number(within.Upto, 1<<30) {
			if err := yield(row); err != nil {
				return err
			}
		}
	}
	return nil
}

// madeIn makes a copy with deltas on a memory store.
func madeIn(t *testing.T) (store *object.Memory, box *Box, made madeCopy) {
	store = object.NewMemory()
	box, err := NewBox()
	require.NoError(t, err)
	first := makeCopy{store: store, box: box, at: time.Now().Add(-time.Hour), chunks: twoChunks("a"), unlike: func(m *Manifest) { m.GTIDs = gtids(t) }}
	was := first.make(t)
	return store, box, makeCopy{store: store, box: box, at: time.Now().Add(-time.Minute), parent: &was, changed: map[int]string{2: "changed", 3: "", 8: "new"}}.make(t)
}

func (p *pretender) sum() (sum Sum) {
	for _, row := range p.rows {
		sum.Add(row)
	}
	return sum
}

func TestRestore(t *testing.T) {
	store, box, made := madeIn(t)
	server := &pretender{}
	var progress []RestoreProgress
	report, err := Restore(t.Context(), RestoreRequest{Store: store, Box: box, Manifest: made.Manifest, Target: server, Workers: 3,
		Progress: func(p RestoreProgress) { progress = append(progress, p) }})
	require.NoError(t, err)
	assert.Equal(t, made.Tables[0].Sum, server.sum())
	assert.True(t, server.finished)
	assert.Equal(t, made.Tables[0].Rows, report.Rows)
	assert.Equal(t, []Note{{Text: "a note"}}, report.Notes)
	last := progress[len(progress)-1]
	assert.Equal(t, last.Total, last.Bytes)
	assert.Equal(t, 1, last.Done)
	var phases []string
	for _, p := range report.Phases {
		phases = append(phases, p.Name)
	}
	assert.Equal(t, []string{"read", "begin", "create", "load", "finish"}, phases)
	leases, err := store.List(t.Context(), Prefix(madeProduct)+"leases/")
	require.NoError(t, err)
	assert.Empty(t, leases)
}

// TestARestoreThatFailsGoesOn has every read of the store fail once, in turn.
func TestARestoreThatFailsGoesOn(t *testing.T) {
	store, box, made := madeIn(t)
	server := &pretender{}
	down := errors.New("down")
	for failAt := 1; ; failAt++ {
		calls := 0
		store.Inject(func(_ context.Context, call object.Call) object.Fault {
			if call.Method != "get" || !strings.Contains(call.Key, "/data/") { // a lease that cannot be had stops nobody
				return object.Fault{}
			}
			if calls++; calls == failAt {
				return object.Fault{Err: down}
			}
			return object.Fault{}
		})
		_, err := Restore(t.Context(), RestoreRequest{Store: store, Box: box, Manifest: made.Manifest, Target: server, Workers: 1})
		if err == nil && calls < failAt {
			break
		}
		if err != nil {
			require.ErrorIs(t, err, down)
			require.False(t, server.finished)
		}
	}
	assert.Equal(t, made.Tables[0].Sum, server.sum())
	assert.True(t, server.finished)
	assert.Equal(t, 2, server.loads, "nothing went in twice")
}

func TestWhatIsDamagedIsNotRestored(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(store *object.Memory, made *madeCopy)
		want   string
	}{
		"a bit": {func(store *object.Memory, made *madeCopy) {
			ref := made.Data.Chunks[1].Ref
			was, _ := store.Get(context.Background(), ref.Key)
			was.Body[ref.Offset+ref.Bytes/2] ^= 1
			_, _ = store.Put(context.Background(), ref.Key, was.Body, object.Always)
		}, "w0-000001"},
		"a pack": {func(store *object.Memory, made *madeCopy) {
			_ = store.Delete(context.Background(), made.Data.Chunks[0].Key)
		}, "w0-000001"},
		"a delta's rows": {func(_ *object.Memory, made *madeCopy) { made.Tables[0].Rows, made.Totals.Rows = 77, 77 }, "the manifest says 77"},
		"a later format": {func(_ *object.Memory, made *madeCopy) { made.Format++ }, "has format"},
	} {
		t.Run(name, func(t *testing.T) {
			store, box, made := madeIn(t)
			c.damage(store, &made)
			server := &pretender{}
			_, err := Restore(t.Context(), RestoreRequest{Store: store, Box: box, Manifest: made.Manifest, Target: server, Workers: 2})
			require.ErrorContains(t, err, c.want)
			assert.False(t, server.finished)
			report, err := Drill(t.Context(), DrillRequest{Store: store, Box: box, Manifest: made.Manifest, Scratch: &pretender{}})
			require.NoError(t, err)
			assert.False(t, report.Passed)
			require.Len(t, report.Failed, 1)
			assert.Contains(t, report.Failed[0], c.want)
		})
	}
}

func TestACopyThatIsGone(t *testing.T) {
	store, box, made := madeIn(t)
	require.NoError(t, store.Delete(t.Context(), ManifestKey(madeProduct, made.ID)))
	_, err := Restore(t.Context(), RestoreRequest{Store: store, Box: box, Manifest: made.Manifest, Target: &pretender{}})
	require.ErrorIs(t, err, object.ErrNotFound)
}

func TestDrill(t *testing.T) {
	for name, c := range map[string]struct {
		meddle func(p *pretender)
		want   []string
	}{
		"all is well": {func(*pretender) {}, nil},
		"a row is gone": {func(p *pretender) {
			delete(p.rows, string(madeRow(7, "")[1:5]))
		}, []string{"table shop.items has 3 rows", "rows after 3 of key id (1 rows, should be 2; byte"}},
		"a row is another": {func(p *pretender) {
			p.rows[string(madeRow(1, "")[1:5])] = madeRow(1, "other")
		}, []string{"table shop.items has 4 rows", "rows up to 3 of key id"}},
		"a transaction more": {func(p *pretender) {
			p.job.GTIDs = p.job.GTIDs.Union(gtids(t)).Minus(gtids(t))
		}, []string{"the executed transactions are"}},
		"it cannot replicate": {func(p *pretender) { p.joinErr = errors.New("refused") }, []string{"replicate: refused"}},
		"nothing to join":     {func(p *pretender) { p.joinErr = ErrNoSource }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			store := object.NewMemory()
			box, err := NewBox()
			require.NoError(t, err)
			chunks := twoChunks("a")
			delete(chunks[1], 9)
			chunks[1][8] = "x"
			delete(chunks[0], 2)
			made := makeCopy{store: store, box: box, at: time.Now().Add(-time.Minute), chunks: chunks, unlike: func(m *Manifest) { m.GTIDs = gtids(t) }}.make(t)
			server := &pretender{}
			server.meddle = func() { c.meddle(server) }
			report, err := Drill(t.Context(), DrillRequest{Store: store, Box: box, Manifest: made.Manifest, Scratch: server, Workers: 2})
			require.NoError(t, err)
			assert.Equal(t, c.want == nil, report.Passed, report.Failed)
			for _, want := range c.want {
				require.NotEmpty(t, report.Failed)
				assert.Contains(t, report.Failed[0], want)
			}
			assert.GreaterOrEqual(t, report.RPOSeconds, 60.0)
			assert.Positive(t, server.closed)
			kept, err := store.Get(t.Context(), DrillKey(madeProduct, made.ID))
			require.NoError(t, err)
			assert.Contains(t, string(kept.Body), `"passed": `+fmt.Sprint(report.Passed))
		})
	}
}
