package watcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

const (
	// savePatience is how long one step waits for transactions to be saved, far below mindPatience.
	savePatience = 15 * time.Second
	// saveAtMost bounds the saving itself. What it has written is not written again by the next.
	saveAtMost = 30 * time.Minute
)

// SaveFunc keeps transactions of a server outside of it and returns where. It ends
// with ctx and may be repeated.
type SaveFunc func(ctx context.Context, product string, epoch uint64, s topology.Server, set topology.GTIDSet) (where string, err error)

// savings are the errant transactions that are being saved. Reading a server's
// binary log may take longer than a step may wait, so it goes on between the tries
// of the step, and ends with the leadership.
type savings struct {
	save SaveFunc
	term context.Context

	mu      sync.Mutex
	running map[string]*saving // by product and server
	work    sync.WaitGroup
}

type saving struct {
	set    topology.GTIDSet
	since  time.Time
	cancel context.CancelFunc

	done  chan struct{} // closed when where and err are known
	where string
	err   error
}

func newSavings(term context.Context, save SaveFunc) *savings {
	return &savings{save: save, term: term, running: map[string]*saving{}}
}

// await waits for what is being saved, or begins it. While it takes longer than a
// step may wait, promote.ErrUnderway is wrapped.
func (s *savings) await(ctx context.Context, product string, epoch uint64, server topology.Server, set topology.GTIDSet) (string, error) {
	if s.save == nil {
		return "", errors.New("no store for errant transactions is configured: set \"store\" in the configuration file of this watcher")
	}
	one := s.begin(product, epoch, server, set)
	patience := time.NewTimer(savePatience)
	defer patience.Stop()
	select {
	case <-one.done:
		s.forget(product, server, one)
		return one.where, one.err
	case <-patience.C:
		return "", fmt.Errorf("reading the binary log of %s for %s: %w", server.Name, time.Since(one.since).Round(time.Second), promote.ErrUnderway)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (s *savings) begin(product string, epoch uint64, server topology.Server, set topology.GTIDSet) *saving {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := savingKey(product, server)
	if one, ok := s.running[key]; ok {
		if one.set.Equal(set) {
			return one
		}
		one.cancel() // what the server holds and its chain does not has changed
	}
	ctx, cancel := context.WithTimeout(s.term, saveAtMost)
	one := &saving{set: set, since: time.Now(), cancel: cancel, done: make(chan struct{})}
	s.running[key] = one
	s.work.Go(func() {
		defer close(one.done)
		defer cancel()
		one.where, one.err = s.save(ctx, product, epoch, server, set)
	})
	return one
}

// forget lets the next who asks begin anew: what is saved is found in the store.
func (s *savings) forget(product string, server topology.Server, one *saving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := savingKey(product, server); s.running[key] == one {
		delete(s.running, key)
	}
}

// wait returns when nothing is being saved any more, which needs the end of the term.
func (s *savings) wait() { s.work.Wait() }

func savingKey(product string, server topology.Server) string { return product + "/" + server.Name }
