package campaign

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/stage"
)

// Scene is a deployment as a fault finds it, and what a fault may do to it. Seats and leader are those of the moment
// before.
type Scene struct {
	*stage.Stage
	// Rand is the run's own, from its seed.
	Rand *rand.Rand
	// Tables are those that the load writes to.
	Tables []string
	// Long asks for the full length of faults that are shortened otherwise.
	Long bool

	seats  map[topology.Seat]string
	leader string
	since  uint64 // the last history entry before the run

	mu      sync.Mutex
	undo    []func(context.Context) error
	notes   []string
	broken  []string
	killing sync.WaitGroup
}

func newScene(ctx context.Context, s *stage.Stage, seed *rand.Rand) (*Scene, error) {
	status, err := s.Client.Status(ctx, false)
	if err != nil {
		return nil, err
	}
	scene := &Scene{Stage: s, Rand: seed, seats: map[topology.Seat]string{}, leader: status.Leader.ID}
	for _, p := range status.Products {
		if p.Name != s.Product {
			continue
		}
		for _, server := range p.Servers {
			if _, taken := scene.seats[server.Seat]; !taken {
				scene.seats[server.Seat] = server.Name
			}
		}
	}
	for _, seat := range []topology.Seat{topology.Master, topology.Candidate, topology.Slave, topology.Dump} {
		if scene.seats[seat] == "" {
			return nil, fmt.Errorf("nobody sits in the seat of the %s", seat)
		}
	}
	entries, err := latest(ctx, s, 1)
	if err == nil && len(entries) > 0 {
		scene.since = entries[len(entries)-1].ID
	}
	return scene, err
}

// Server is who had the seat before the fault.
func (s *Scene) Server(seat topology.Seat) *testenv.Server { return s.Chain.Server(s.seats[seat]) }

func (s *Scene) master() *testenv.Server    { return s.Server(topology.Master) }
func (s *Scene) candidate() *testenv.Server { return s.Server(topology.Candidate) }

// leading is the watcher that led before the fault, following are the others.
func (s *Scene) leading() *stage.Watcher {
	for _, w := range s.Watchers {
		if w.Name == s.leader {
			return w
		}
	}
	return s.Watchers[0]
}

func (s *Scene) following() []*stage.Watcher {
	leader := s.leading()
	return slices.DeleteFunc(slices.Clone(s.Watchers), func(w *stage.Watcher) bool { return w == leader })
}

func (s *Scene) watcherNames() []string {
	var out []string
	for _, w := range s.Watchers {
		out = append(out, w.Name)
	}
	return out
}

// notef keeps a remark for the run's record.
func (s *Scene) notef(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// breakf says which promise was broken.
func (s *Scene) breakf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}

// afterwards has something undone when the fault is mended, last first.
func (s *Scene) afterwards(undo func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.undo = append(s.undo, undo)
}

// kill ends servers and watchers at one moment. It returns at once: it can take a while until the kernel has torn a
// process down.
func (s *Scene) kill(victims ...interface{ Kill() }) {
	for _, v := range victims {
		s.killing.Go(v.Kill)
	}
}

// history are the entries since the run began, oldest first, of the watcher that knows most: one that is cut off
// tells what it knew.
func (s *Scene) history(ctx context.Context) ([]journal.Entry, error) {
	entries, err := latest(ctx, s.Stage, 200)
	return slices.DeleteFunc(entries, func(e journal.Entry) bool { return e.ID <= s.since }), err
}

// latest are the n latest entries that any watcher knows of. The error is of all watchers.
func latest(ctx context.Context, s *stage.Stage, n int) ([]journal.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	answers, errs := make([][]journal.Entry, len(s.Watchers)), make([]error, len(s.Watchers))
	var all sync.WaitGroup
	for i, w := range s.Watchers {
		all.Go(func() { answers[i], errs[i] = w.Client.History(ctx, s.Product, n) })
	}
	all.Wait()
	var best []journal.Entry
	for _, entries := range answers {
		if len(best) == 0 || len(entries) > 0 && entries[len(entries)-1].ID > best[len(best)-1].ID {
			best = entries
		}
	}
	if slices.Contains(errs, nil) {
		return best, nil
	}
	return nil, errors.Join(errs...)
}

// promotions are the finished ones since the run began.
func (s *Scene) promotions(ctx context.Context) ([]journal.Entry, error) {
	entries, err := s.history(ctx)
	return slices.DeleteFunc(entries, func(e journal.Entry) bool {
		return e.What != string(topology.Failover) && e.What != "switchover" || e.Outcome != api.OutcomeDone
	}), err
}

// awaitPromotion returns when there was one, by itself or by the operator's hand.
func (s *Scene) awaitPromotion(ctx context.Context, patience time.Duration) error {
	return poll(ctx, patience, func(ctx context.Context) error {
		all, err := s.promotions(ctx)
		if err == nil && len(all) == 0 {
			err = errors.New("no promotion yet")
		}
		return err
	})
}

// forbid waits and notes as broken when there was a promotion meanwhile. The watchers may be unable to say so.
func (s *Scene) forbid(ctx context.Context, d time.Duration, during string) error {
	if err := pause(ctx, d); err != nil {
		return err
	}
	for _, server := range s.Chain.Servers {
		if server.Name == s.seats[topology.Master] || !server.Running() {
			continue
		}
		var open bool
		asked, cancel := context.WithTimeout(ctx, 2*time.Second)
		if err := server.DB().QueryRowContext(asked, "SELECT NOT @@super_read_only").Scan(&open); err == nil && open {
			s.breakf("%s is open for writes while %s", server.Name, during)
		}
		cancel()
	}
	return nil
}

// mend brings back whatever is broken, however it came about: everybody runs, nothing is frozen, cut, full or slow.
func (s *Scene) mend(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	failed := errors.Join(s.S3.Up(ctx))
	s.S3.Delay(0)
	for _, server := range s.Chain.Servers {
		if server.Disk != nil {
			failed = errors.Join(failed, server.Disk.Thaw(), server.Disk.Free())
		}
		_ = server.Thaw() // it fails when it does not run
	}
	for _, w := range s.Watchers {
		if w.Disk != nil {
			failed = errors.Join(failed, w.Disk.Thaw(), w.Disk.Free())
		}
		w.Thaw()
	}
	failed = errors.Join(failed, s.Chain.HealAll())
	s.killing.Wait()
	for _, w := range s.Watchers {
		if !w.Running() {
			failed = errors.Join(failed, w.Start())
		}
	}
	var all errgroup.Group
	for _, server := range s.Chain.Servers {
		if !server.Running() {
			all.Go(func() error { return server.Start(ctx) })
		}
	}
	failed = errors.Join(failed, all.Wait())
	s.mu.Lock()
	undo := s.undo
	s.undo = nil
	s.mu.Unlock()
	for _, f := range slices.Backward(undo) {
		failed = errors.Join(failed, f(ctx))
	}
	return failed
}

// poll tries until it succeeds, ctx ends or the patience does; then the error is the latest try's.
func poll(ctx context.Context, patience time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	for {
		attempt, done := context.WithTimeout(ctx, 5*time.Second)
		err := try(attempt)
		done()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			return fmt.Errorf("for %s: %w", patience, last)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
