package s3_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/s3"
)

func TestSelfTestPassesAndCleansUp(t *testing.T) {
	for name, store := range map[string]object.Store{
		"memory": object.NewMemory(), "directory": openDir(t, t.TempDir()), "bucket": serve(t, keys, nil),
	} {
		require.NoError(t, s3.SelfTest(t.Context(), store, "global/"), name)
		entries, err := store.List(t.Context(), "")
		require.NoError(t, err)
		assert.Empty(t, entries, name)
	}
}

// careless is a store that ignores some conditions.
type careless struct {
	*object.Memory
	forget func(object.Condition) bool
}

func (c careless) Put(ctx context.Context, key string, body []byte, cond object.Condition) (string, error) {
	if c.forget(cond) {
		cond = object.Always
	}
	return c.Memory.Put(ctx, key, body, cond)
}

func TestSelfTestNamesWhatIsWrong(t *testing.T) {
	for want, forget := range map[string]func(object.Condition) bool{
		"a create (If-None-Match: *) overwrote an existing object":          object.Condition.Absent,
		"a replace (If-Match) with an old ETag overwrote newer content":     matches,
		"a leader that lost its office could send clients back":             matches,
		"two watchers could each publish a first config, and history could": object.Condition.Absent,
	} {
		err := s3.SelfTest(t.Context(), careless{object.NewMemory(), forget}, "")
		require.ErrorIs(t, err, s3.ErrUnsafe)
		assert.ErrorContains(t, err, want)
	}
	stripped := serve(t, keys, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-Match")
			next.ServeHTTP(w, r)
		})
	})
	require.ErrorIs(t, s3.SelfTest(t.Context(), stripped, ""), s3.ErrUnsafe)
}

func matches(cond object.Condition) bool {
	_, asked := cond.Match()
	return asked
}

// racy checks the condition and writes in two steps.
type racy struct {
	*object.Memory
	checked *sync.WaitGroup
}

func (r racy) Put(ctx context.Context, key string, body []byte, cond object.Condition) (string, error) {
	if string(body[:1]) != "r" {
		return r.Memory.Put(ctx, key, body, cond)
	}
	etag, _ := cond.Match()
	if o, err := r.Get(ctx, key); err != nil || o.ETag != etag {
		return "", object.ErrConflict
	}
	r.checked.Done()
	r.checked.Wait()
	return r.Memory.Put(ctx, key, body, object.Always)
}

func TestSelfTestFindsTheRace(t *testing.T) {
	const racers = 4
	r := racy{object.NewMemory(), &sync.WaitGroup{}}
	r.checked.Add(racers)
	err := s3.SelfTest(t.Context(), r, "")
	require.ErrorIs(t, err, s3.ErrUnsafe)
	assert.ErrorContains(t, err, "concurrent replaces of one version succeeded")
}

func TestSelfTestTellsAwayFromUnsafe(t *testing.T) {
	store := object.NewMemory()
	store.Inject(func(context.Context, object.Call) object.Fault { return object.Fault{Err: object.ErrUnavailable} })
	err := s3.SelfTest(t.Context(), store, "")
	require.ErrorIs(t, err, object.ErrUnavailable)
	assert.NotErrorIs(t, err, s3.ErrUnsafe)
}
