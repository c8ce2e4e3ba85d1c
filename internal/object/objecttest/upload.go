package objecttest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
)

// LargeIfAbsent is the case that a store fails which ignores the condition of a
// multipart completion.
const LargeIfAbsent = "a large upload if-absent overwrites nothing"

var uploadCases = map[string]func(*testing.T, context.Context, object.Store){
	"an upload appears as a whole":                uploadAppears,
	"an empty upload is an empty object":          uploadEmpty,
	"a small upload if-absent overwrites nothing": func(t *testing.T, ctx context.Context, s object.Store) { uploadIfAbsent(t, ctx, s, 10) },
	LargeIfAbsent:                         func(t *testing.T, ctx context.Context, s object.Store) { uploadIfAbsent(t, ctx, s, large) },
	"an aborted upload leaves nothing":    uploadAborted,
	"an unfinished upload is discarded":   uploadDiscarded,
	"an upload knows bad keys and an end": uploadRefused,
}

// large is more than two parts of any store, bytes.
const large = 20<<20 + 12345

// content is bytes that are not alike anywhere.
func content(size int, seed uint64) []byte {
	body := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(body) // never fails
	return body
}

// write gives the body in uneven pieces, each from the same memory.
func write(t *testing.T, ctx context.Context, u object.Upload, body []byte) {
	t.Helper()
	scratch := make([]byte, 3<<20)
	for size := 1; len(body) > 0; size = size*3 + 1 {
		n := copy(scratch[:min(size, len(scratch))], body)
		require.NoError(t, u.Write(ctx, scratch[:n]))
		clear(scratch)
		body = body[n:]
	}
}

func uploadAppears(t *testing.T, ctx context.Context, s object.Store) {
	for _, size := range []int{1, 100_000, 8 << 20, large} {
		body := content(size, 1)
		u, err := s.Upload(ctx, "dir/key")
		require.NoError(t, err)
		write(t, ctx, u, body)
		_, err = s.Get(ctx, "dir/key")
		require.ErrorIs(t, err, object.ErrNotFound, "before its commit")
		entries, err := s.List(ctx, "")
		require.NoError(t, err)
		require.Empty(t, entries)

		require.NoError(t, u.Commit(ctx, object.IfAbsent))
		require.NoError(t, u.Abort(ctx), "after a commit it does nothing")
		o, err := s.Get(ctx, "dir/key")
		require.NoError(t, err)
		require.True(t, bytes.Equal(body, o.Body), "%d bytes", size)
		entries, err = s.List(ctx, "dir/")
		require.NoError(t, err)
		require.Len(t, entries, 1)
		assert.EqualValues(t, size, entries[0].Size)
		if size > 9<<20 {
			piece, err := s.GetRange(ctx, "dir/key", 8<<20-5, 10)
			require.NoError(t, err)
			assert.Equal(t, body[8<<20-5:8<<20+5], piece)
		}
		left, err := s.Unfinished(ctx, "")
		require.NoError(t, err)
		assert.Empty(t, left)
		require.NoError(t, s.Delete(ctx, "dir/key"))
	}
}

func uploadEmpty(t *testing.T, ctx context.Context, s object.Store) {
	u, err := s.Upload(ctx, "key")
	require.NoError(t, err)
	require.NoError(t, u.Commit(ctx, object.IfAbsent))
	o, err := s.Get(ctx, "key")
	require.NoError(t, err)
	assert.Empty(t, o.Body)
}

func uploadIfAbsent(t *testing.T, ctx context.Context, s object.Store, size int) {
	first, second := content(size, 1), content(size, 2)
	for i, body := range [][]byte{first, second} {
		u, err := s.Upload(ctx, "key")
		require.NoError(t, err)
		write(t, ctx, u, body)
		err = u.Commit(ctx, object.IfAbsent)
		if i == 0 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, object.ErrConflict)
		}
		require.NoError(t, u.Abort(ctx))
	}
	o, err := s.Get(ctx, "key")
	require.NoError(t, err)
	require.True(t, bytes.Equal(first, o.Body))

	u, err := s.Upload(ctx, "key")
	require.NoError(t, err)
	write(t, ctx, u, second)
	require.NoError(t, u.Commit(ctx, object.IfMatch(o.ETag)))
	o, err = s.Get(ctx, "key")
	require.NoError(t, err)
	require.True(t, bytes.Equal(second, o.Body))
	left, err := s.Unfinished(ctx, "")
	require.NoError(t, err)
	assert.Empty(t, left)
}

func uploadAborted(t *testing.T, ctx context.Context, s object.Store) {
	for _, size := range []int{0, 10, large} {
		u, err := s.Upload(ctx, "a/key")
		require.NoError(t, err)
		write(t, ctx, u, content(size, 1))
		require.NoError(t, u.Abort(ctx))
		require.NoError(t, u.Abort(ctx), "twice is no error")
		left, err := s.Unfinished(ctx, "")
		require.NoError(t, err)
		assert.Empty(t, left)
		_, err = s.Get(ctx, "a/key")
		require.ErrorIs(t, err, object.ErrNotFound)
	}
}

func uploadDiscarded(t *testing.T, ctx context.Context, s object.Store) {
	u, err := s.Upload(ctx, "a/b/key")
	require.NoError(t, err)
	write(t, ctx, u, content(large, 1))
	left, err := s.Unfinished(ctx, "a/b/k")
	require.NoError(t, err)
	require.Len(t, left, 1)
	assert.Equal(t, "a/b/key", left[0].Key)
	assert.False(t, left[0].Begun.IsZero())
	others, err := s.Unfinished(ctx, "b/")
	require.NoError(t, err)
	assert.Empty(t, others)

	require.NoError(t, s.Discard(ctx, left[0]))
	require.NoError(t, s.Discard(ctx, left[0]), "twice is no error")
	require.ErrorIs(t, u.Commit(ctx, object.IfAbsent), object.ErrConflict)
	require.NoError(t, u.Abort(ctx))
	_, err = s.Get(ctx, "a/b/key")
	require.ErrorIs(t, err, object.ErrNotFound)
	left, err = s.Unfinished(ctx, "")
	require.NoError(t, err)
	assert.Empty(t, left)
}

func uploadRefused(t *testing.T, ctx context.Context, s object.Store) {
	for _, key := range []string{"", "/a", "../a", strings.Repeat("x", 1025)} {
		_, err := s.Upload(ctx, key)
		assert.Error(t, err, "upload %q", key)
	}
	ended, cancel := context.WithCancel(ctx)
	u, err := s.Upload(ended, "key")
	require.NoError(t, err)
	cancel()
	assert.ErrorIs(t, u.Write(ended, []byte("x")), context.Canceled)
	assert.ErrorIs(t, u.Commit(ended, object.Always), context.Canceled)
	require.NoError(t, u.Abort(ctx))
	_, err = s.Get(ctx, "key")
	require.ErrorIs(t, err, object.ErrNotFound)
}
