package watcher

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
)

// fakePeers are two other watchers; w3 hangs.
type fakePeers struct{ members []string }

func (f *fakePeers) Others() []string { return f.members }

func (f *fakePeers) Views(ctx context.Context, watcher, product string, look bool) ([]topology.View, error) {
	if watcher == "w3" {
		<-ctx.Done()
		return nil, errors.New("no answer")
	}
	return []topology.View{{Watcher: "somebody else", Product: "shop", Age: topology.Duration(10 * time.Millisecond)}}, nil
}

func TestAWatcherThatHangsHoldsUpNobodyAndItsViewGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peers := &fakePeers{members: []string{"w2", "w3"}}
		e := newExchange("w1", peers)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); e.run(ctx) }()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		views := e.views("shop")
		require.Len(t, views, 1)
		assert.Equal(t, "w2", views[0].Watcher, "the connection says who it is")
		assert.LessOrEqual(t, views[0].Age.Std(), 10*time.Millisecond+exchangeEvery)
		assert.Empty(t, e.views("another"))

		start := time.Now()
		e.look(ctx, "shop")
		assert.LessOrEqual(t, time.Since(start), answerPatience)

		peers.members = []string{"w3"}
		assert.Empty(t, e.views("shop"), "a watcher that was removed does not count")
		cancel()
		<-done
		time.Sleep(5 * time.Second)
		peers.members = []string{"w2"}
		assert.Greater(t, e.views("shop")[0].Age, topology.ViewTooOld)
	})
}
