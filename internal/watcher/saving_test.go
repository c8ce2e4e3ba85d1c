package watcher

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

func TestSavingGoesOnBetweenTheTriesOfAStep(t *testing.T) {
	set := topology.MustGTIDSet("00000000-0000-0000-0000-000000000001:1-5")
	more := topology.MustGTIDSet("00000000-0000-0000-0000-000000000001:1-6")
	db1 := topology.Server{Name: "db1"}

	t.Run("what takes long is under way, and done later", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begun := 0
			s := newSavings(t.Context(), func(ctx context.Context, product string, epoch uint64, server topology.Server, got topology.GTIDSet) (string, error) {
				begun++
				assert.Equal(t, "shop", product)
				assert.Equal(t, uint64(7), epoch)
				assert.Equal(t, "db1", server.Name)
				assert.True(t, got.Equal(set))
				time.Sleep(40 * time.Second)
				return "there", ctx.Err()
			})
			w := chainWorld{newWorld(nil, nil, s), 7}
			start := time.Now()
			_, err := w.Save(t.Context(), "shop", db1, set)
			require.ErrorIs(t, err, promote.ErrUnderway)
			assert.Less(t, time.Since(start), mindPatience/2)
			tick, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err = w.Save(tick, "shop", db1, set)
			require.ErrorIs(t, err, context.DeadlineExceeded, "who asks may leave")
			_, err = w.Save(t.Context(), "shop", db1, set)
			require.ErrorIs(t, err, promote.ErrUnderway)
			where, err := w.Save(t.Context(), "shop", db1, set)
			require.NoError(t, err)
			assert.Equal(t, "there", where)
			assert.Equal(t, 1, begun)
			w.close()
		})
	})

	t.Run("an error is told once, then it is tried again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			results := []error{errors.New("S3 is away"), nil}
			s := newSavings(t.Context(), func(context.Context, string, uint64, topology.Server, topology.GTIDSet) (string, error) {
				err := results[0]
				results = results[1:]
				return "there", err
			})
			_, err := s.await(t.Context(), "shop", 1, db1, set)
			require.ErrorContains(t, err, "S3 is away")
			_, err = s.await(t.Context(), "shop", 1, db1, set)
			require.NoError(t, err)
		})
	})

	t.Run("another set begins anew, and the end of the term ends all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			term, end := context.WithCancel(t.Context())
			ended := 0
			s := newSavings(term, func(ctx context.Context, _ string, _ uint64, _ topology.Server, _ topology.GTIDSet) (string, error) {
				<-ctx.Done()
				ended++
				return "", ctx.Err()
			})
			for _, want := range []topology.GTIDSet{set, more} {
				_, err := s.await(t.Context(), "shop", 1, db1, want)
				require.ErrorIs(t, err, promote.ErrUnderway)
			}
			synctest.Wait()
			assert.Equal(t, 1, ended)
			end()
			s.wait()
			assert.Equal(t, 2, ended)
		})
	})

	t.Run("without a store it says what to set", func(t *testing.T) {
		_, err := newSavings(t.Context(), nil).await(t.Context(), "shop", 1, db1, set)
		assert.ErrorContains(t, err, `set "store"`)
	})
}
