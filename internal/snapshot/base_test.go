package snapshot

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// fakeChanges is what a log says.
type fakeChanges struct {
	changed Changed
	asked   int
}

func (c *fakeChanges) Since(context.Context, topology.GTIDSet, topology.GTIDSet, Schema, int64) (Changed, error) {
	c.asked++
	return c.changed, nil
}

// appended are the rows from..upto of the fake source's numbered table, as new ones.
func appended(t *testing.T, s *fakeSource, from, upto int) Changed {
	t.Helper()
	schema, err := s.Schema(t.Context())
	require.NoError(t, err)
	var c Changed
	table := &schema.Tables[1]
	for i := from; i <= upto; i++ {
		require.NoError(t, c.For(table.ID()).Note(table, nil, s.row(*table, i, nil)))
	}
	return c
}

func TestOnlyWhatChangedIsRead(t *testing.T) {
	source, store, log := &fakeSource{rows: 40_000, size: 100}, object.NewMemory(), &fakeChanges{}
	r := request(t, source, store)
	take := func() Manifest {
		t.Helper()
		m, err := Take(t.Context(), r)
		require.NoError(t, err)
		report, err := Verify(t.Context(), r.Store, r.Box, m, true)
		require.NoError(t, err)
		require.Empty(t, report.Damages)
		r.Parent, r.Changes = &m, log
		return m
	}
	way := func(m Manifest) string { return m.Tables[1].Way }
	objects := func() int {
		entries, err := store.List(t.Context(), "copies/shop/data/")
		require.NoError(t, err)
		return len(entries)
	}
	first := take()
	require.True(t, first.Full)
	require.Equal(t, first.Point, first.FullAt)

	before := objects()
	second := take()
	assert.Equal(t, "same", way(second))
	assert.Equal(t, before, objects(), "an interval without a change costs a manifest")
	assert.Equal(t, first.ID, second.Parent)
	assert.Zero(t, second.Totals.ReadBytes+second.Totals.StoredBytes)
	assert.Empty(t, source.reads)

	source.rows += 5
	log.changed = appended(t, source, 40_001, 40_005)
	third := take()
	assert.Equal(t, "delta", way(third))
	assert.Equal(t, int64(40_005), third.Tables[1].Rows)
	assert.Empty(t, source.reads)
	assert.Equal(t, first.Point, third.FullAt)

	source.rows += 50
	log.changed = appended(t, source, 40_006, 40_055)
	log.changed.Tables[third.Tables[1].TableID].ForgetRows("asked for")
	fourth := take()
	assert.Equal(t, "chunks", way(fourth))
	assert.Equal(t, map[string]int{"numbered": 1}, source.reads)
	assert.Less(t, fourth.Totals.ReadBytes, int64(2<<20))
	assert.Empty(t, catalogOf(t, r, fourth).Tables[1].Deltas, "chunks that are read again have what was in deltas")

	r.Full = true
	source.rows += 7
	log.changed = appended(t, source, 40_056, 40_062)
	fifth := take()
	assert.True(t, fifth.Full)
	assert.Empty(t, fifth.Drifted)
	source.rows++ // past the log
	log.changed = Changed{}
	assert.Equal(t, []TableID{fifth.Tables[1].TableID}, take().Drifted)

	r.Full = false
	r.Parent.UUID = "another"
	log.asked = 0
	assert.Contains(t, take().Warnings, "everything was read: the snapshot before is of another server")
	assert.Zero(t, log.asked)
	require.NoError(t, store.Delete(t.Context(), r.Parent.Catalog.Key))
	m, err := Take(t.Context(), r)
	require.NoError(t, err)
	assert.True(t, m.Full, "a damaged snapshot is none to build on")
}

func TestWhenAFullOneIsDue(t *testing.T) {
	now := time.Date(2026, 11, 28, 20, 0, 0, 0, time.UTC)
	due := func(m *Manifest) bool { is, _ := FullDue(m, 24*time.Hour, now); return is }
	assert.True(t, due(nil))
	assert.True(t, due(&Manifest{FullAt: now.Add(-25 * time.Hour)}))
	assert.False(t, due(&Manifest{FullAt: now.Add(-23 * time.Hour)}))
	assert.True(t, due(&Manifest{FullAt: now, Diverged: topology.MustGTIDSet("11111111-1111-1111-1111-111111111111:1")}))
}
