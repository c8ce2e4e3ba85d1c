// Package watcher is what `failoverd serve` runs: it probes every chain, shares
// views with the other watchers, and while it leads, thinks about each chain and
// acts. The decisions are in topology and promote, the agreed state in journal.
package watcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/publish"
	"github.com/failoverd/failoverd/internal/topology"
)

// Node is the raft node as the watcher uses it.
type Node interface {
	// Apply commits a command and returns what the state machine made of it.
	Apply(ctx context.Context, command []byte) (any, error)
	// AwaitTerm waits until this node leads; the context ends with that leadership.
	AwaitTerm(ctx context.Context) (context.Context, error)
	// Barrier returns nil once a majority has confirmed, after the call, that this node leads.
	Barrier(ctx context.Context) error
	// Voters is the number of watchers that vote.
	Voters() int
}

// Publisher is publish.Publisher as the watcher uses it.
type Publisher interface {
	Announce(ctx context.Context, in publish.Input) (publish.Result, error)
	Publish(ctx context.Context, in publish.Input) (publish.Result, error)
	Read(ctx context.Context) (*publish.Head, error)
	Resign()
}

// Config says how a watcher is made.
type Config struct {
	ID     string
	Logger hclog.Logger
	// Dial connects a prober to a server.
	Dial func(topology.Server) Probe
	// Open connects a worker. It asks admit for each session before it uses it.
	Open func(s topology.Server, admit func(context.Context) error) promote.Server
	// Peers asks the other watchers for their views.
	Peers Peers
	// NewPublisher makes the publisher; announce commits and serves a document.
	NewPublisher func(announce func(context.Context, *publish.Head) error) Publisher
	// Save keeps errant transactions before their server is rebuilt. Without it no server that holds any is.
	Save SaveFunc
	// Trust verifies documents that come back from the journal.
	Trust publish.Trust
}

// Watcher is one of the trio.
type Watcher struct {
	cfg       Config
	log       hclog.Logger
	machine   *Machine
	scouts    *scouts
	feed      *publish.Feed
	publisher Publisher
	node      Node
	exchange  *exchange
	pulse     *pulse

	moved     chan struct{} // the journal changed
	storeSoon chan struct{} // the store should be brought up to date

	mu      sync.Mutex
	changed chan struct{} // closed at the journal's next change
	leading bool
	minds   map[string]*Mind
	wakes   map[string]chan struct{}
	stored  Stored
}

// Stored is what the object store is known to hold.
type Stored struct {
	Version uint64
	Err     error // of the latest try, nil when it succeeded
	At      time.Time
}

// New returns a watcher. Machine goes into the raft node that Run is given.
func New(cfg Config) *Watcher {
	w := &Watcher{cfg: cfg, log: cfg.Logger, feed: publish.NewFeed(),
		moved: make(chan struct{}, 1), storeSoon: make(chan struct{}, 1),
		changed: make(chan struct{}), minds: map[string]*Mind{}, wakes: map[string]chan struct{}{}}
	w.machine = newMachine(w.serveHead, w.journalMoved)
	w.pulse = newPulse()
	w.scouts = newScouts(cfg.ID, w.pulse.probes(cfg.Dial), w.wake)
	w.exchange = newExchange(cfg.ID, cfg.Peers)
	w.publisher = cfg.NewPublisher(w.announce)
	return w
}

// Machine is the raft state machine of this watcher.
func (w *Watcher) Machine() *Machine { return w.machine }

// Feed serves the newest published document to followers.
func (w *Watcher) Feed() *publish.Feed { return w.feed }

// State is a copy of the journal's state as this watcher has it.
func (w *Watcher) State() *journal.State { return w.machine.view() }

// Changed returns a channel that is closed when the journal changes next.
func (w *Watcher) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// journalMoved is called after every change of the journal: it tells those who
// wait, and wakes the minds, so that a plan is taken up at once.
func (w *Watcher) journalMoved() {
	poke(w.moved)
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.changed)
	w.changed = make(chan struct{})
	for _, c := range w.wakes {
		poke(c)
	}
}

// Stored is what the object store is known to hold.
func (w *Watcher) Stored() Stored {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stored
}

// View is what this watcher sees of a chain; with look, it looks anew first.
func (w *Watcher) View(ctx context.Context, product string, look bool) topology.View {
	return w.scouts.view(ctx, product, look)
}

// Mind returns the status of the leader's mind for a product, false when this
// watcher does not lead.
func (w *Watcher) Mind(product string) (Status, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m, ok := w.minds[product]
	if !ok {
		return Status{}, false
	}
	return m.Status(), true
}

// Case gathers what there is to judge a product by, on the leader with the
// high-water mark that its mind has, which the journal's is behind by seconds.
func (w *Watcher) Case(ctx context.Context, product string, look bool) (topology.Case, error) {
	p, ok := w.machine.product(product)
	if !ok {
		return topology.Case{}, fmt.Errorf("there is no product %q", product)
	}
	c := Gather(ctx, &around{w, nil}, p, look)
	w.mu.Lock()
	m, leads := w.minds[product]
	w.mu.Unlock()
	if leads {
		c.Chain.HighWater = c.Chain.HighWater.Union(m.HighWater())
	}
	return c, nil
}

// Propose commits a command. Errors: journal.ErrStale and other refusals when
// nothing changed; the node's own otherwise.
func (w *Watcher) Propose(ctx context.Context, c journal.Command) error {
	ctx, cancel := context.WithTimeout(ctx, proposePatience)
	defer cancel()
	result, err := w.node.Apply(ctx, c.Encode())
	if err != nil {
		return err
	}
	if refused, ok := result.(error); ok {
		return refused
	}
	return nil
}

// proposePatience is how long a command may take to be committed.
const proposePatience = 3 * time.Second

// Run works until ctx ends.
func (w *Watcher) Run(ctx context.Context, node Node) {
	w.node = node
	var wg sync.WaitGroup
	wg.Go(func() { w.watch(ctx) })
	wg.Go(func() { w.govern(ctx) })
	wg.Go(func() { w.store(ctx) })
	wg.Wait()
	w.scouts.wait()
}

// watch keeps the scouts in step with the inventory and wakes the minds.
func (w *Watcher) watch(ctx context.Context) {
	for {
		state := w.machine.view()
		var chains []topology.Chain
		for _, name := range state.Names() {
			chains = append(chains, state.Products[name].Chain)
		}
		w.scouts.follow(ctx, chains)
		select {
		case <-ctx.Done():
			return
		case <-w.moved:
		}
	}
}

// wake lets the mind of a product think at once.
func (w *Watcher) wake(product string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.wakes[product]; c != nil {
		poke(c)
	}
}

// serveHead is called for every head that the journal takes up.
func (w *Watcher) serveHead(h journal.Head) {
	head, err := w.cfg.Trust.Verify(h.Body)
	if err != nil {
		w.log.Error("published document refused", "version", h.Version, "error", err)
		return
	}
	w.feed.Set(head)
	poke(w.storeSoon)
}

// announce commits a rendered document; every watcher serves it from then on.
func (w *Watcher) announce(ctx context.Context, head *publish.Head) error {
	if head.Document.Version <= w.machine.view().Head.Version {
		return nil // found in the store, and known
	}
	return w.Propose(ctx, journal.Command{At: time.Now(), Publish: &journal.Head{Version: head.Document.Version, Body: head.Bytes}})
}

func (w *Watcher) input() publish.Input { return input(w.machine.view(), w.feed.Head()) }

const (
	storeEvery = 2 * time.Second  // how often the leader looks whether the store is up to date
	readEvery  = 10 * time.Second // how often the others read it, to be able to publish at once
	storeAtom  = 10 * time.Second // how long one try may take
)

// store keeps the object store up to date while this watcher leads. A store that
// is away delays nothing but itself.
func (w *Watcher) store(ctx context.Context) {
	for ctx.Err() == nil {
		pause := readEvery
		if w.Leading() {
			pause = storeEvery
			w.putHead(ctx)
		} else {
			w.publisher.Resign()
			read, cancel := context.WithTimeout(ctx, storeAtom)
			_, _ = w.publisher.Read(read) // only warms up; the leader reports what is wrong with the store
			cancel()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		case <-w.storeSoon:
		}
	}
}

func (w *Watcher) putHead(ctx context.Context) {
	in := w.input()
	if len(in.Products) == 0 && w.feed.Head() == nil {
		return
	}
	put, cancel := context.WithTimeout(ctx, storeAtom)
	defer cancel()
	result, err := w.publisher.Publish(put, in)
	w.mu.Lock()
	was := w.stored
	w.stored.Err, w.stored.At = err, time.Now()
	if err == nil {
		w.stored.Version = result.Version
	}
	w.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err != nil && (was.Err == nil || was.Err.Error() != err.Error()):
		w.log.Warn("object store not updated", "error", err)
	case err == nil && (was.Err != nil || was.Version != result.Version):
		w.log.Info("object store updated", "version", result.Version)
	}
}

// Leading says whether this watcher leads and thinks.
func (w *Watcher) Leading() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leading
}

// govern leads whenever this node is elected.
func (w *Watcher) govern(ctx context.Context) {
	for {
		term, err := w.node.AwaitTerm(ctx)
		if err != nil {
			return
		}
		term, cancel := mergeCancel(ctx, term)
		w.log.Info("leading")
		w.lead(term)
		cancel()
		w.log.Info("not leading any more", "cause", context.Cause(term))
	}
}

// mergeCancel returns term, ended by ctx as well.
func mergeCancel(ctx, term context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(term)
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	return out, func() { stop(); cancel(errors.New("term over")) }
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
