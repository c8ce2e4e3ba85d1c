package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func TestSnapshotsAreListedOldestFirst(t *testing.T) {
	ctx, store, box := t.Context(), object.NewMemory(), plainBox(t)
	var want []string
	for i := range 12 {
		m := makeCopy{store: store, box: box, at: noon.Add(time.Duration(i) * time.Minute), chunks: twoChunks("n")}.make(t)
		want = append(want, m.ID)
	}
	found, errs := List(ctx, store, box, madeProduct)
	require.Empty(t, errs)
	var got []string
	for _, m := range found {
		got = append(got, m.ID)
	}
	assert.Equal(t, want, got)
	other, errs := List(ctx, store, box, "sho")
	require.Empty(t, errs)
	assert.Empty(t, other)
}

func TestWhatIsWrongWithOneManifestHidesNoOther(t *testing.T) {
	ctx, store, box := t.Context(), object.NewMemory(), plainBox(t)
	good := makeCopy{store: store, box: box, at: noon, chunks: twoChunks("n")}.make(t)
	body, err := store.Get(ctx, ManifestKey(madeProduct, good.ID))
	require.NoError(t, err)
	altered := func(change func(map[string]any)) []byte {
		var m map[string]any
		require.NoError(t, json.Unmarshal(body.Body, &m))
		change(m)
		out, err := json.Marshal(m)
		require.NoError(t, err)
		return out
	}
	bad := map[string]struct {
		body []byte
		want string
	}{
		"20261128T130000Z-e1-000001": {[]byte("not even JSON"), "decompress"},
		"20261128T130000Z-e1-000002": {body.Body[:len(body.Body)/2], "decompress"},
		"20261128T130000Z-e1-000003": {body.Body, "it says that it is snapshot"},
		"20261128T130000Z-e1-000004": {altered(func(m map[string]any) { m["format"] = Format + 1 }), "use a newer one"},
		"20261128T130000Z-e1-000005": {altered(func(m map[string]any) { delete(m, "format") }), "no format"},
		"20261128T130000Z-e1-000006": {altered(func(m map[string]any) {
			m["id"] = "20261128T130000Z-e1-000006"
			m["catalog"].(map[string]any)["key"] = "config/current.json"
		}), "not where its data can be"},
		"20261128T130000Z-e1-000007": {altered(func(m map[string]any) {
			m["id"] = "20261128T130000Z-e1-000007"
			m["totals"].(map[string]any)["rows"] = 77
		}), "its totals 77"},
		"20261128T130000Z-e1-000008": {altered(func(m map[string]any) {
			m["id"] = "20261128T130000Z-e1-000008"
			delete(m, "point")
		}), "when it was taken"},
	}
	for id, b := range bad {
		_, err := store.Put(ctx, ManifestKey(madeProduct, id), b.body, object.Always)
		require.NoError(t, err)
	}
	_, err = store.Put(ctx, Prefix(madeProduct)+"snapshots/readme.txt", nil, object.Always)
	require.NoError(t, err)

	found, errs := List(ctx, store, box, madeProduct)
	require.Len(t, found, 1)
	assert.Equal(t, good.ID, found[0].ID)
	require.Len(t, errs, len(bad)+1)
	for id, b := range bad {
		_, err := Load(ctx, store, box, madeProduct, id)
		require.ErrorContains(t, err, b.want)
		assert.ErrorContains(t, err, ManifestKey(madeProduct, id))
		listed := false
		for _, e := range errs {
			listed = listed || strings.Contains(e.Error(), id+".json")
		}
		assert.True(t, listed, id)
	}
}

func TestAListingThatFailsIsAnError(t *testing.T) {
	store := object.NewMemory()
	store.Inject(func(context.Context, object.Call) object.Fault { return object.Fault{Err: object.ErrUnavailable} })
	found, errs := List(t.Context(), store, plainBox(t), madeProduct)
	assert.Empty(t, found)
	require.Len(t, errs, 1)
	assert.ErrorIs(t, errs[0], object.ErrUnavailable)
}

func TestASnapshotThatIsNotThereIsNotFound(t *testing.T) {
	store := object.NewMemory()
	_, err := Load(t.Context(), store, plainBox(t), madeProduct, NewID(noon, 1))
	require.ErrorIs(t, err, object.ErrNotFound)
	_, err = Load(t.Context(), store, plainBox(t), madeProduct, "../config")
	require.ErrorContains(t, err, "no snapshot's name")
}

func TestAnEncryptedManifestSaysNothing(t *testing.T) {
	ctx, store := t.Context(), object.NewMemory()
	recipient, identity := newKeys(t)
	box := encryptedBox(t, []string{recipient}, identity)
	m := makeCopy{store: store, box: box, at: noon, chunks: twoChunks("n")}.make(t)
	entries, err := store.List(ctx, "")
	require.NoError(t, err)
	for _, e := range entries {
		o, err := store.Get(ctx, e.Key)
		require.NoError(t, err)
		outline, sealed, is := cutOutline(o.Body)
		assert.Equal(t, e.Key == ManifestKey(madeProduct, m.ID), is)
		assert.True(t, bytes.HasPrefix(sealed, []byte(ageMagic)), e.Key)
		assert.NotContains(t, string(outline), madeTable.Name)
	}
	loaded, err := Load(ctx, store, box, madeProduct, m.ID)
	require.NoError(t, err)
	assert.Equal(t, m.Totals, loaded.Totals)
	_, err = Load(ctx, store, plainBox(t), madeProduct, m.ID)
	require.ErrorIs(t, err, ErrSealed)
	outline, err := LoadOutline(ctx, store, madeProduct, m.ID)
	require.NoError(t, err)
	assert.Equal(t, m.Point, outline.Point)
	assert.True(t, outline.Full)
}

func TestAManifestIsWrittenOnce(t *testing.T) {
	ctx, store, box := t.Context(), object.NewMemory(), plainBox(t)
	m := makeCopy{store: store, box: box, at: noon, chunks: twoChunks("n")}.make(t)
	require.NoError(t, PutManifest(ctx, store, box, m.Manifest), "the very same, as after a lost reply")
	m.Server = "another"
	require.ErrorIs(t, PutManifest(ctx, store, box, m.Manifest), object.ErrConflict)
	m.Totals.Rows++
	require.ErrorIs(t, PutManifest(ctx, store, box, m.Manifest), ErrDamaged)
}

func TestACatalogMustBeItsManifests(t *testing.T) {
	ctx, store, box := t.Context(), object.NewMemory(), plainBox(t)
	m := makeCopy{store: store, box: box, at: noon, chunks: twoChunks("n")}.make(t)
	_, err := LoadCatalog(ctx, store, box, m.Manifest)
	require.NoError(t, err)
	schema, err := LoadSchema(ctx, store, box, m.Manifest)
	require.NoError(t, err)
	assert.Equal(t, []Table{madeTable}, schema.Tables)
	for name, change := range map[string]func(*Manifest){
		"another number of rows": func(m *Manifest) { m.Tables[0].Rows++ },
		"another sum":            func(m *Manifest) { m.Tables[0].Sum[0]++ },
		"another table":          func(m *Manifest) { m.Tables[0].Name = "other" },
		"no table":               func(m *Manifest) { m.Tables = nil },
	} {
		other := m.Manifest
		other.Tables = append([]TableSummary(nil), m.Tables...)
		change(&other)
		_, err := LoadCatalog(ctx, store, box, other)
		assert.ErrorIs(t, err, ErrDamaged, name)
	}
}
