// Package objecttest is the suite that every object store passes, so that the
// in-memory twin of the tests and the real ones answer alike.
package objecttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
)

// Conform runs the suite. newStore returns an empty store; two calls return two
// stores that do not see each other. The cases named in without are known to fail.
func Conform(t *testing.T, newStore func(t *testing.T) object.Store, without ...string) {
	cases := map[string]func(*testing.T, context.Context, object.Store){
		"a missing object is not found":            missing,
		"what was put is got":                      putThenGet,
		"an unchanged object is not modified":      notModified,
		"if-absent creates once":                   createOnce,
		"if-match replaces only what it named":     replaceMatched,
		"racing if-match writers lose no update":   compareAndSwap,
		"racing if-absent writers have one winner": createRace,
		"a listing is by prefix and sorted":        list,
		"more than a page is listed":               listMany,
		"deleting twice is no error":               deleteTwice,
		"bad keys are refused":                     badKeys,
		"an ended context ends the call":           endedContext,
		"bodies are not shared":                    notShared,
		"pieces of objects are read":               readRanges,
		"a listing says when":                      listTimes,
	}
	maps.Copy(cases, uploadCases)
	for _, name := range without {
		require.Contains(t, cases, name)
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			if slices.Contains(without, name) {
				t.Skip("this store is known not to")
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			run(t, ctx, newStore(t))
		})
	}
}

func missing(t *testing.T, ctx context.Context, s object.Store) {
	_, err := s.Get(ctx, "a/b.json")
	assert.ErrorIs(t, err, object.ErrNotFound)
	_, err = s.GetIfChanged(ctx, "a/b.json", `"0123"`)
	assert.ErrorIs(t, err, object.ErrNotFound)
}

func putThenGet(t *testing.T, ctx context.Context, s object.Store) {
	for _, body := range []string{"one", "two, longer", ""} {
		etag, err := s.Put(ctx, "dir/key.json", []byte(body), object.Always)
		require.NoError(t, err)
		o, err := s.Get(ctx, "dir/key.json")
		require.NoError(t, err)
		assert.Equal(t, body, string(o.Body))
		assert.NotEmpty(t, etag)
		assert.Equal(t, etag, o.ETag)
	}
}

func notModified(t *testing.T, ctx context.Context, s object.Store) {
	first, err := s.Put(ctx, "key", []byte("one"), object.Always)
	require.NoError(t, err)
	_, err = s.GetIfChanged(ctx, "key", first)
	require.ErrorIs(t, err, object.ErrNotModified)
	second, err := s.Put(ctx, "key", []byte("two"), object.Always)
	require.NoError(t, err)
	assert.NotEqual(t, first, second)
	o, err := s.GetIfChanged(ctx, "key", first)
	require.NoError(t, err)
	assert.Equal(t, "two", string(o.Body))
	assert.Equal(t, second, o.ETag)
	o, err = s.GetIfChanged(ctx, "key", "")
	require.NoError(t, err, "no etag means no condition")
	assert.Equal(t, "two", string(o.Body))
}

func createOnce(t *testing.T, ctx context.Context, s object.Store) {
	_, err := s.Put(ctx, "key", []byte("one"), object.IfAbsent)
	require.NoError(t, err)
	_, err = s.Put(ctx, "key", []byte("two"), object.IfAbsent)
	require.ErrorIs(t, err, object.ErrConflict)
	_, err = s.Put(ctx, "key", []byte("one"), object.IfAbsent)
	require.ErrorIs(t, err, object.ErrConflict, "the same bytes conflict too")
	o, err := s.Get(ctx, "key")
	require.NoError(t, err)
	assert.Equal(t, "one", string(o.Body))
	require.NoError(t, s.Delete(ctx, "key"))
	_, err = s.Put(ctx, "key", []byte("three"), object.IfAbsent)
	require.NoError(t, err, "a deleted object is absent")
}

func replaceMatched(t *testing.T, ctx context.Context, s object.Store) {
	_, err := s.Put(ctx, "key", []byte("zero"), object.IfMatch(`"0123"`))
	require.ErrorIs(t, err, object.ErrConflict, "a missing object matches nothing")
	first, err := s.Put(ctx, "key", []byte("one"), object.Always)
	require.NoError(t, err)
	_, err = s.Put(ctx, "key", []byte("zero"), object.IfMatch(""))
	require.ErrorIs(t, err, object.ErrConflict, "an empty etag matches nothing")
	second, err := s.Put(ctx, "key", []byte("two"), object.IfMatch(first))
	require.NoError(t, err)
	_, err = s.Put(ctx, "key", []byte("three"), object.IfMatch(first))
	require.ErrorIs(t, err, object.ErrConflict)
	o, err := s.Get(ctx, "key")
	require.NoError(t, err)
	assert.Equal(t, "two", string(o.Body))
	assert.Equal(t, second, o.ETag)
}

func compareAndSwap(t *testing.T, ctx context.Context, s object.Store) {
	const writers, each = 8, 10
	_, err := s.Put(ctx, "counter", []byte("0"), object.IfAbsent)
	require.NoError(t, err)
	increment := func() error {
		for {
			o, err := s.Get(ctx, "counter")
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(o.Body))
			if err != nil {
				return err
			}
			_, err = s.Put(ctx, "counter", []byte(strconv.Itoa(n+1)), object.IfMatch(o.ETag))
			if err == nil {
				return nil
			}
			if !isConflict(err) {
				return err
			}
		}
	}
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if !assert.NoError(t, increment()) {
					return
				}
			}
		})
	}
	wg.Wait()
	o, err := s.Get(ctx, "counter")
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(writers*each), string(o.Body))
}

func createRace(t *testing.T, ctx context.Context, s object.Store) {
	const writers = 8
	won := make(chan int, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			_, err := s.Put(ctx, "key", []byte(strconv.Itoa(i)), object.IfAbsent)
			if err == nil {
				won <- i
			} else {
				assert.ErrorIs(t, err, object.ErrConflict)
			}
		})
	}
	wg.Wait()
	require.Len(t, won, 1)
	o, err := s.Get(ctx, "key")
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(<-won), string(o.Body))
}

func list(t *testing.T, ctx context.Context, s object.Store) {
	for _, key := range []string{"b/2", "b/1", "a", "b/1x/y", "bb", "c/z"} {
		_, err := s.Put(ctx, key, []byte(key), object.Always)
		require.NoError(t, err)
	}
	for prefix, want := range map[string][]string{
		"":     {"a", "b/1", "b/1x/y", "b/2", "bb", "c/z"},
		"b":    {"b/1", "b/1x/y", "b/2", "bb"},
		"b/":   {"b/1", "b/1x/y", "b/2"},
		"b/1":  {"b/1", "b/1x/y"},
		"none": nil,
	} {
		entries, err := s.List(ctx, prefix)
		require.NoError(t, err)
		var keys []string
		for _, entry := range entries {
			keys = append(keys, entry.Key)
			assert.EqualValues(t, len(entry.Key), entry.Size)
			o, err := s.Get(ctx, entry.Key)
			require.NoError(t, err)
			assert.Len(t, o.Body, int(entry.Size))
		}
		assert.Equal(t, want, keys, "prefix %q", prefix)
	}
}

// S3 tells the time in whole seconds.
func listTimes(t *testing.T, ctx context.Context, s object.Store) {
	for _, key := range []string{"first", "then"} {
		_, err := s.Put(ctx, key, []byte(key), object.Always)
		require.NoError(t, err)
	}
	entries, err := s.List(ctx, "")
	require.NoError(t, err)
	require.Len(t, entries, 2)
	assert.False(t, entries[0].Modified.IsZero())
	assert.False(t, entries[1].Modified.Before(entries[0].Modified))
}

func readRanges(t *testing.T, ctx context.Context, s object.Store) {
	_, err := s.Put(ctx, "key", []byte("0123456789"), object.Always)
	require.NoError(t, err)
	for _, c := range []struct {
		offset, size int64
		want         string
	}{{0, 10, "0123456789"}, {0, 1, "0"}, {3, 4, "3456"}, {9, 1, "9"}, {8, 100, "89"}} {
		body, err := s.GetRange(ctx, "key", c.offset, c.size)
		require.NoError(t, err)
		assert.Equal(t, c.want, string(body), "%d bytes from %d on", c.size, c.offset)
	}
	_, err = s.GetRange(ctx, "key", 10, 1)
	assert.ErrorIs(t, err, object.ErrNotFound, "nothing is behind the end")
	_, err = s.GetRange(ctx, "other", 0, 1)
	assert.ErrorIs(t, err, object.ErrNotFound)
	for _, bad := range [][2]int64{{-1, 1}, {0, 0}, {0, -1}} {
		_, err = s.GetRange(ctx, "key", bad[0], bad[1])
		require.Error(t, err)
		assert.NotErrorIs(t, err, object.ErrNotFound)
	}
}

func listMany(t *testing.T, ctx context.Context, s object.Store) {
	const n = 1005 // S3 answers at most 1000 a page
	if testing.Short() {
		t.Skip("writes a thousand objects")
	}
	var wg sync.WaitGroup
	for first := range 4 {
		wg.Go(func() {
			for i := first; i < n; i += 4 {
				_, err := s.Put(ctx, fmt.Sprintf("many/%04d", i), nil, object.Always)
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	entries, err := s.List(ctx, "many/")
	require.NoError(t, err)
	require.Len(t, entries, n)
	assert.Equal(t, "many/0000", entries[0].Key)
	assert.Equal(t, "many/1004", entries[n-1].Key)
}

func deleteTwice(t *testing.T, ctx context.Context, s object.Store) {
	_, err := s.Put(ctx, "a/b", []byte("x"), object.Always)
	require.NoError(t, err)
	require.NoError(t, s.Delete(ctx, "a/b"))
	require.NoError(t, s.Delete(ctx, "a/b"))
	_, err = s.Get(ctx, "a/b")
	assert.ErrorIs(t, err, object.ErrNotFound)
}

func badKeys(t *testing.T, ctx context.Context, s object.Store) {
	for _, key := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", ".lock", "a/.b", "a\x00b", `a\b`, strings.Repeat("x", 1025)} {
		_, err := s.Put(ctx, key, []byte("x"), object.Always)
		assert.Error(t, err, "put %q", key)
		_, err = s.Get(ctx, key)
		assert.Error(t, err, "get %q", key)
		assert.Error(t, s.Delete(ctx, key), "delete %q", key)
	}
	entries, err := s.List(ctx, "")
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func endedContext(t *testing.T, ctx context.Context, s object.Store) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err := s.Put(ended, "key", []byte("x"), object.Always)
	assert.ErrorIs(t, err, context.Canceled)
	_, err = s.Get(ended, "key")
	assert.ErrorIs(t, err, context.Canceled)
	_, err = s.List(ended, "")
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, s.Delete(ended, "key"), context.Canceled)
}

func notShared(t *testing.T, ctx context.Context, s object.Store) {
	body := []byte("one")
	_, err := s.Put(ctx, "key", body, object.Always)
	require.NoError(t, err)
	body[0] = 'X'
	o, err := s.Get(ctx, "key")
	require.NoError(t, err)
	require.Equal(t, "one", string(o.Body))
	o.Body[0] = 'Y'
	o, err = s.Get(ctx, "key")
	require.NoError(t, err)
	assert.Equal(t, "one", string(o.Body))
}

func isConflict(err error) bool { return errors.Is(err, object.ErrConflict) }
