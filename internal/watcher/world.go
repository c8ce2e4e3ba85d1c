package watcher

import (
	"context"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// world is the servers as one leadership works on them: connections are kept
// from plan to plan, for a new one would cost its time within an outage.
type world struct {
	open    func(topology.Server) promote.Server
	publish func(ctx context.Context, product string) error
	savings *savings

	mu      sync.Mutex
	servers map[string]promote.Server // by address
}

func newWorld(open func(topology.Server) promote.Server, publish func(context.Context, string) error, s *savings) *world {
	return &world{open: open, publish: publish, savings: s, servers: map[string]promote.Server{}}
}

// chainWorld is the world as the plan of one chain sees it.
type chainWorld struct {
	*world
	epoch uint64
}

// Save implements promote.World.
func (w chainWorld) Save(ctx context.Context, product string, s topology.Server, set topology.GTIDSet) (string, error) {
	return w.savings.await(ctx, product, w.epoch, s, set)
}

// Server implements promote.World.
func (w *world) Server(s topology.Server) promote.Server {
	w.mu.Lock()
	defer w.mu.Unlock()
	server, ok := w.servers[s.Addr()]
	if !ok {
		server = w.open(s)
		w.servers[s.Addr()] = server
	}
	return server
}

// Each implements promote.World.
func (w *world) Each(ctx context.Context, servers []topology.Server, f func(context.Context, topology.Server) error) map[string]error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := map[string]error{}
	for _, s := range servers {
		wg.Go(func() {
			err := f(ctx, s)
			mu.Lock()
			defer mu.Unlock()
			out[s.Name] = err
		})
	}
	wg.Wait()
	return out
}

// Publish implements promote.World.
func (w *world) Publish(ctx context.Context, product string) error { return w.publish(ctx, product) }

// Pause implements promote.World.
func (w *world) Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// close ends the connections of adapters that have any. The term is over.
func (w *world) close() {
	w.savings.wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, server := range w.servers {
		if c, ok := server.(interface{ Close() error }); ok {
			_ = c.Close() // nothing depends on a clean goodbye
		}
	}
	w.servers = map[string]promote.Server{}
}
