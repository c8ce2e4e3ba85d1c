package snapshot

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
)

func requireWhole(t *testing.T, store object.Store, box *Box, ids ...string) {
	t.Helper()
	for _, id := range ids {
		m, err := Load(t.Context(), store, box, madeProduct, id)
		require.NoError(t, err)
		_, err = Verify(t.Context(), store, box, m, true)
		require.NoError(t, err)
	}
}

func TestASnapshotIsBroughtToAnotherStore(t *testing.T) {
	recipient, identity := newKeys(t)
	for name, box := range map[string]*Box{"plain": plainBox(t), "encrypted": encryptedBox(t, []string{recipient}, identity)} {
		t.Run(name, func(t *testing.T) {
			ctx, from, to := t.Context(), object.NewMemory(), object.NewMemory()
			full := makeCopy{store: from, box: box, at: noon, chunks: twoChunks("n")}.make(t)
			next := makeCopy{store: from, box: box, at: noon.Add(time.Minute), parent: &full, changed: map[int]string{2: "two"}}.make(t)
			require.NoError(t, Replicate(ctx, from, to, box, madeProduct, next.ID))
			requireWhole(t, to, box, next.ID)
			_, err := Load(ctx, to, box, madeProduct, full.ID)
			require.ErrorIs(t, err, object.ErrNotFound, "only its data came along")

			writes := to.Writes()
			require.NoError(t, Replicate(ctx, from, to, box, madeProduct, next.ID), "again")
			assert.Equal(t, writes, to.Writes())
			require.NoError(t, Replicate(ctx, from, to, box, madeProduct, full.ID))
			requireWhole(t, to, box, full.ID, next.ID)
			ours, err := from.List(ctx, "")
			require.NoError(t, err)
			theirs, err := to.List(ctx, "")
			require.NoError(t, err)
			require.Len(t, theirs, len(ours))
			for i := range ours {
				assert.Equal(t, ours[i].Key, theirs[i].Key)
				assert.Equal(t, ours[i].Size, theirs[i].Size)
			}
			require.ErrorIs(t, Replicate(ctx, from, to, box, madeProduct, NewID(noon, 1)), object.ErrNotFound)
		})
	}
}

// Packs that are larger than what is read at once, with pieces that nothing refers to.
func TestLargePacksAreCopiedWhole(t *testing.T) {
	ctx, from, to, box := t.Context(), object.NewMemory(), object.NewMemory(), plainBox(t)
	p := NewPacker(from, box, DataPrefix(madeProduct, "x")+"w0-")
	var refs []Ref
	for i := range 24 {
		ref, err := p.Add(ctx, incompressible(1<<20, byte(i)))
		require.NoError(t, err)
		if i > 0 && i < 15 || i == 20 {
			refs = append(refs, ref)
		}
	}
	require.NoError(t, p.Flush(ctx))
	require.NoError(t, copyObjects(ctx, from, to, madeProduct, refs))
	ours, err := from.Get(ctx, refs[0].Key)
	require.NoError(t, err)
	theirs, err := to.Get(ctx, refs[0].Key)
	require.NoError(t, err)
	assert.Equal(t, ours.ETag, theirs.ETag)
}

func TestDamageDoesNotSpread(t *testing.T) {
	ctx, from, to, box := t.Context(), object.NewMemory(), object.NewMemory(), plainBox(t)
	m := makeCopy{store: from, box: box, at: noon, chunks: twoChunks("n")}.make(t)
	ref := m.Data.Chunks[1].Ref
	pack, err := from.Get(ctx, ref.Key)
	require.NoError(t, err)
	pack.Body[ref.Offset+1] ^= 1
	for name, spoil := range map[string]func() error{
		"a flipped bit": func() error { _, err := from.Put(ctx, ref.Key, pack.Body, object.Always); return err },
		"cut off":       func() error { _, err := from.Put(ctx, ref.Key, pack.Body[:ref.Offset], object.Always); return err },
		"a lost pack":   func() error { return from.Delete(ctx, ref.Key) },
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, spoil())
			err := Replicate(ctx, from, to, box, madeProduct, m.ID)
			require.ErrorIs(t, err, ErrDamaged)
			require.ErrorContains(t, err, ref.Key)
			entries, err := to.List(ctx, Prefix(madeProduct)+"snapshots/")
			require.NoError(t, err)
			assert.Empty(t, entries)
			left, err := to.Unfinished(ctx, "")
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
}

func TestAStoreThatWasAwayCatchesUp(t *testing.T) {
	ctx, from, to, box := t.Context(), object.NewMemory(), object.NewMemory(), plainBox(t)
	began := time.Now().Add(-10 * time.Hour).UTC().Truncate(time.Second)
	var last *madeCopy
	var all []string
	for i := range 5 {
		c := makeCopy{store: from, box: box, at: began.Add(time.Duration(i) * time.Hour), parent: last}
		if last == nil {
			c.chunks = twoChunks("n")
		} else {
			c.changed = map[int]string{i: "changed"}
		}
		made := c.make(t)
		last, all = &made, append(all, made.ID)
	}
	old := makeCopy{store: from, box: box, at: began.Add(-60 * 24 * time.Hour), chunks: twoChunks("n")}.make(t)

	var written atomic.Int32
	to.Inject(func(_ context.Context, call object.Call) object.Fault {
		if call.Method == "commit" && !strings.Contains(call.Key, "leases") {
			if written.Add(1) > 4 {
				return object.Fault{Err: object.ErrUnavailable}
			}
		}
		return object.Fault{}
	})
	_, err := CatchUp(ctx, from, to, box, madeProduct, DefaultRetention)
	require.ErrorIs(t, err, object.ErrUnavailable)
	listed, errs := List(ctx, to, box, madeProduct)
	require.Empty(t, errs)
	assert.Empty(t, listed, "nothing half")

	to.Inject(nil)
	brought, err := CatchUp(ctx, from, to, box, madeProduct, DefaultRetention)
	require.NoError(t, err)
	require.Len(t, brought, 5)
	assert.Equal(t, all[4], brought[0], "the newest first")
	assert.NotContains(t, brought, old.ID, "it is not kept any more")
	requireWhole(t, to, box, all...)
	brought, err = CatchUp(ctx, from, to, box, madeProduct, DefaultRetention)
	require.NoError(t, err)
	assert.Empty(t, brought)
	left, err := to.List(ctx, Prefix(madeProduct)+"leases/")
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestOneThatIsDamagedKeepsNoOtherBack(t *testing.T) {
	ctx, from, to, box := t.Context(), object.NewMemory(), object.NewMemory(), plainBox(t)
	now := time.Now().UTC().Truncate(time.Second)
	good := makeCopy{store: from, box: box, at: now.Add(-time.Hour), chunks: twoChunks("n")}.make(t)
	bad := makeCopy{store: from, box: box, at: now.Add(-time.Minute), chunks: twoChunks("n")}.make(t)
	require.NoError(t, from.Delete(ctx, bad.Data.Chunks[0].Key))
	brought, err := CatchUp(ctx, from, to, box, madeProduct, DefaultRetention)
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, bad.ID)
	assert.Equal(t, []string{good.ID}, brought)
}

// A disaster's copies may be in a store that can only be read.
func TestAStoreThatCanOnlyBeReadIsReadFrom(t *testing.T) {
	ctx, from, to, box := t.Context(), object.NewMemory(), object.NewMemory(), plainBox(t)
	m := makeCopy{store: from, box: box, at: noon, chunks: twoChunks("n")}.make(t)
	from.Inject(func(_ context.Context, call object.Call) object.Fault {
		if call.Method != "get" && call.Method != "list" {
			return object.Fault{Err: context.DeadlineExceeded}
		}
		return object.Fault{}
	})
	require.NoError(t, Replicate(ctx, from, to, box, madeProduct, m.ID))
	requireWhole(t, to, box, m.ID)
}
