package snapshot

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/object"
)

// Lease is an object that says that somebody uses something of the store. It holds as
// long as it is written anew now and then: its age is what the store's own clock
// says, so that no two machines' clocks are compared, and whoever dies holds nothing
// for long. A Lease of nil holds nothing.
type Lease struct {
	store object.Store
	key   string
	body  []byte
	end   context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex
	renewed time.Time // the latest time, by this machine's clock
}

const (
	// leaseLife is for how long a lease holds that is not renewed, by the store's clock.
	leaseLife  = 15 * time.Minute
	leaseRenew = 2 * time.Minute
	// leaseTimeout bounds one renewal, and the end.
	leaseTimeout = 30 * time.Second
	// leaseAsk is how often somebody who waits for another's lease asks again.
	leaseAsk = time.Second
)

// The kinds of leases.
const (
	leaseReader = "readers" // of one snapshot, which follows
	leaseWriter = "writers" // of something that refers to objects which were there before
	leaseSweep  = "sweeps"
)

// ErrBusy says that somebody else is at work in the store, and that one may try later.
var ErrBusy = errors.New("the store is in use")

// Hold keeps a snapshot from being swept until End, even if it expires meanwhile. what
// says in a word what for. The error is object.ErrNotFound when the snapshot is gone; with
// any other, such as for want of the right to write, one may go on without.
func Hold(ctx context.Context, store object.Store, product, id, what string) (*Lease, error) {
	l, err := takeLease(ctx, store, leaseKey(product, leaseReader, id), what)
	if err != nil {
		return nil, err
	}
	// It is looked for after the lease is there: a sweep removes the manifest first, and
	// looks for leases after that.
	if _, err := store.GetRange(ctx, ManifestKey(product, id), 0, 1); err != nil {
		l.End()
		return nil, err
	}
	return l, nil
}

// HoldAll keeps every object of a product from being swept until End: for whoever will
// refer to objects that are there, and that perhaps nothing else refers to. It waits for
// a sweep that is under way; ErrBusy when ctx ends meanwhile.
func HoldAll(ctx context.Context, store object.Store, product, what string) (*Lease, error) {
	l, err := takeLease(ctx, store, leaseKey(product, leaseWriter), what)
	if err != nil {
		return nil, err
	}
	if err := l.awaitSweeps(ctx, product); err != nil {
		l.End()
		return nil, err
	}
	return l, nil
}

// awaitSweeps returns when nobody sweeps. Whoever sweeps looks for this lease after it
// has written its own: one of the two sees the other.
func (l *Lease) awaitSweeps(ctx context.Context, product string) error {
	busy := false
	for {
		others, err := liveLeases(ctx, l.store, product, l.key)
		switch {
		case err == nil && len(others[leaseSweep]) == 0:
			return nil
		case err != nil && ctx.Err() == nil:
			return err
		}
		busy = busy || err == nil
		select {
		case <-time.After(leaseAsk):
		case <-ctx.Done():
			if busy {
				return fmt.Errorf("a sweep is under way: %w", ErrBusy)
			}
			return ctx.Err()
		}
	}
}

func leaseKey(product string, path ...string) string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails (documentation of crypto/rand)
	return fmt.Sprintf("%sleases/%s/%x.json", Prefix(product), strings.Join(path, "/"), random)
}

func takeLease(ctx context.Context, store object.Store, key, what string) (*Lease, error) {
	host, _ := os.Hostname() // it is for persons only
	body, err := json.Marshal(map[string]any{"what": what, "host": host, "pid": os.Getpid()})
	if err != nil {
		return nil, err
	}
	l := &Lease{store: store, key: key, body: body, done: make(chan struct{})}
	if err := l.renew(ctx); err != nil {
		return nil, fmt.Errorf("take a lease: %w", err)
	}
	ctx, l.end = context.WithCancel(context.WithoutCancel(ctx))
	go l.keep(ctx)
	return l, nil
}

// keep renews the lease until End. A renewal that fails is tried again in time.
func (l *Lease) keep(ctx context.Context) {
	defer close(l.done)
	tick := time.NewTicker(leaseRenew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = l.renew(ctx)
		}
	}
}

// renew counts from before the call: the store's clock cannot have been earlier.
func (l *Lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	began := time.Now()
	if _, err := l.store.Put(ctx, l.key, l.body, object.Always); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = began
	return nil
}

// holds says whether nobody can take the lease for dead yet, or soon.
func (l *Lease) holds() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.renewed) < leaseLife/2
}

// End gives the lease back. What cannot be removed ends by itself.
func (l *Lease) End() {
	if l == nil {
		return
	}
	l.end()
	<-l.done
	ctx, cancel := context.WithTimeout(context.Background(), leaseTimeout)
	defer cancel()
	_ = l.store.Delete(ctx, l.key)
}

// liveLeases returns the leases of others that hold, by kind, each by what follows its
// kind in its key. ours is a lease that was just written, and so tells the store's time.
func liveLeases(ctx context.Context, store object.Store, product, ours string) (map[string][]string, error) {
	entries, err := store.List(ctx, Prefix(product)+"leases/")
	if err != nil {
		return nil, err
	}
	now, err := timeAt(entries, ours)
	if err != nil {
		return nil, err
	}
	return leasesIn(entries, product, ours, now), nil
}

// timeAt is when the object was written, by the store's clock.
func timeAt(entries []object.Entry, key string) (time.Time, error) {
	for _, e := range entries {
		if e.Key == key {
			return e.Modified, nil
		}
	}
	return time.Time{}, fmt.Errorf("the store does not list %s, which was just written", key)
}

func leasesIn(entries []object.Entry, product, ours string, now time.Time) map[string][]string {
	live := map[string][]string{}
	for _, e := range entries {
		rest, isLease := strings.CutPrefix(e.Key, Prefix(product)+"leases/")
		kind, name, _ := strings.Cut(rest, "/")
		if isLease && e.Key != ours && now.Sub(e.Modified) < leaseLife {
			live[kind] = append(live[kind], name)
		}
	}
	return live
}

// readersOf are the snapshots that somebody reads.
func readersOf(live map[string][]string) map[string]bool {
	ids := map[string]bool{}
	for _, name := range live[leaseReader] {
		id, _, _ := strings.Cut(name, "/")
		ids[id] = true
	}
	return ids
}
