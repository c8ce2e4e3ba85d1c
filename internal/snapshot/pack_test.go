package snapshot

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
)

// incompressible is content that cannot be compressed.
func incompressible(size int, seed byte) []byte {
	body := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(body) // never fails
	return body
}

func TestPacksHoldWhatWasAdded(t *testing.T) {
	ctx, store, box := t.Context(), object.NewMemory(), plainBox(t)
	p := NewPacker(store, box, "copies/p/data/id/w0-")
	var refs []Ref
	for i := range 40 {
		ref, err := p.Add(ctx, incompressible(1<<20, byte(i)))
		require.NoError(t, err)
		refs = append(refs, ref)
	}
	require.NoError(t, p.Flush(ctx))
	require.NoError(t, p.Flush(ctx), "nothing is left")
	p.Close()
	entries, err := store.List(ctx, "")
	require.NoError(t, err)
	require.Len(t, entries, 2)
	assert.Equal(t, "copies/p/data/id/w0-000001", entries[0].Key)
	assert.Equal(t, "copies/p/data/id/w0-000002", entries[1].Key)
	for i, ref := range refs {
		plain, err := Read(ctx, store, box, ref)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(incompressible(1<<20, byte(i)), plain))
	}
}

func TestAPackThatFailsIsNamedAndRemoved(t *testing.T) {
	for _, method := range []string{"upload", "write", "commit"} {
		t.Run(method, func(t *testing.T) {
			ctx, store := t.Context(), object.NewMemory()
			store.Inject(func(_ context.Context, call object.Call) object.Fault {
				if call.Method == method {
					return object.Fault{Err: object.ErrUnavailable}
				}
				return object.Fault{}
			})
			p := NewPacker(store, plainBox(t), "packs/w3-")
			_, err := p.Add(ctx, []byte("piece"))
			err = errors.Join(err, p.Flush(ctx))
			require.ErrorIs(t, err, object.ErrUnavailable)
			require.ErrorContains(t, err, "packs/w3-000001")
			left, err := store.Unfinished(ctx, "")
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
}

func TestAPackerThatIsGivenUpLeavesNothing(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	store := object.NewMemory()
	p := NewPacker(store, plainBox(t), "w-")
	_, err := p.Add(ended, []byte("piece"))
	require.NoError(t, err)
	cancel()
	p.Close()
	left, err := store.Unfinished(t.Context(), "")
	require.NoError(t, err)
	assert.Empty(t, left)
	assert.Zero(t, store.Writes())
}

// A commit takes, and its reply is lost: either the store says nothing, or the second
// attempt finds the object of the first.
func TestALostReplyIsNoFailure(t *testing.T) {
	for name, err := range map[string]error{"no answer": object.ErrUnavailable, "the echo of itself": object.ErrConflict} {
		t.Run(name, func(t *testing.T) {
			ctx, store, box := t.Context(), object.NewMemory(), plainBox(t)
			store.Inject(func(_ context.Context, call object.Call) object.Fault {
				if call.Method == "commit" {
					return object.Fault{Err: err, Took: true}
				}
				return object.Fault{}
			})
			p := NewPacker(store, box, "w-")
			ref, err := p.Add(ctx, []byte("piece"))
			require.NoError(t, err)
			require.NoError(t, p.Flush(ctx))
			plain, err := Read(ctx, store, box, ref)
			require.NoError(t, err)
			assert.Equal(t, "piece", string(plain))
			_, err = PutSealed(ctx, store, box, "whole", []byte("content"))
			require.NoError(t, err)
		})
	}
}

func TestAnotherObjectUnderThatNameIsAFailure(t *testing.T) {
	ctx, store, box := t.Context(), object.NewMemory(), plainBox(t)
	_, err := store.Put(ctx, "whole", incompressible(100, 1), object.Always)
	require.NoError(t, err)
	_, err = PutSealed(ctx, store, box, "whole", []byte("content"))
	require.ErrorIs(t, err, object.ErrConflict)
}

func TestReadNamesWhatIsWrong(t *testing.T) {
	ctx, store, box := t.Context(), object.NewMemory(), plainBox(t)
	p := NewPacker(store, box, "w-")
	_, err := p.Add(ctx, []byte("first"))
	require.NoError(t, err)
	ref, err := p.Add(ctx, []byte("second"))
	require.NoError(t, err)
	require.NoError(t, p.Flush(ctx))
	o, err := store.Get(ctx, ref.Key)
	require.NoError(t, err)

	o.Body[ref.Offset+2] ^= 1
	_, err = store.Put(ctx, ref.Key, o.Body, object.Always)
	require.NoError(t, err)
	_, err = Read(ctx, store, box, ref)
	require.ErrorIs(t, err, ErrDamaged)
	assert.ErrorContains(t, err, ref.String())
	assert.ErrorContains(t, err, "w-000001")

	_, err = store.Put(ctx, ref.Key, o.Body[:ref.Offset+3], object.Always)
	require.NoError(t, err)
	_, err = Read(ctx, store, box, ref)
	require.ErrorIs(t, err, ErrDamaged, "it is cut off")

	require.NoError(t, store.Delete(ctx, ref.Key))
	_, err = Read(ctx, store, box, ref)
	require.ErrorIs(t, err, object.ErrNotFound)
	assert.ErrorContains(t, err, "w-000001")
}
