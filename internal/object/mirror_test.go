package object_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/object/objecttest"
)

func TestMirrorConforms(t *testing.T) {
	objecttest.Conform(t, func(t *testing.T) object.Store {
		m := object.NewMirror(object.NewMemory(), hclog.NewNullLogger(),
			object.NamedStore{Name: "second", Store: object.NewMemory()})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { m.Run(ctx); close(done) }()
		t.Cleanup(func() { cancel(); <-done })
		return m
	})
}

func TestMirrorAwayDelaysNothingAndIsCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		primary, near, far := object.NewMemory(), object.NewMemory(), object.NewMemory()
		var away atomic.Bool
		away.Store(true)
		far.Inject(func(context.Context, object.Call) object.Fault {
			if away.Load() {
				return object.Fault{Err: object.ErrUnavailable}
			}
			return object.Fault{}
		})
		m := object.NewMirror(primary, hclog.NewNullLogger(),
			object.NamedStore{Name: "near", Store: near}, object.NamedStore{Name: "far", Store: far})
		go m.Run(ctx)

		start := time.Now()
		_, err := m.Put(ctx, "a", []byte("1"), object.IfAbsent)
		require.NoError(t, err)
		etag, err := m.Put(ctx, "b", []byte("1"), object.IfAbsent)
		require.NoError(t, err)
		_, err = m.Put(ctx, "b", []byte("2"), object.IfMatch(etag))
		require.NoError(t, err)
		require.NoError(t, m.Delete(ctx, "a"))
		_, err = m.Put(ctx, "b", []byte("3"), object.IfMatch(etag))
		require.ErrorIs(t, err, object.ErrConflict)
		assert.Zero(t, time.Since(start))

		time.Sleep(10 * time.Second)
		lags := m.Lags()
		require.Len(t, lags, 2)
		assert.Equal(t, object.Lag{Name: "near"}, lags[0])
		assert.Equal(t, "far", lags[1].Name)
		assert.Equal(t, 2, lags[1].Pending)
		assert.Equal(t, start, lags[1].Since)
		assert.ErrorIs(t, lags[1].Err, object.ErrUnavailable)

		away.Store(false)
		time.Sleep(time.Minute)
		assert.Equal(t, object.Lag{Name: "far"}, m.Lags()[1])
		for _, store := range []*object.Memory{near, far} {
			o, err := store.Get(ctx, "b")
			require.NoError(t, err)
			assert.Equal(t, "2", string(o.Body))
			_, err = store.Get(ctx, "a")
			assert.ErrorIs(t, err, object.ErrNotFound)
		}
		cancel()
		synctest.Wait()
	})
}
