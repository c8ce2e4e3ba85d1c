// Package apitest has a Backend that needs no watcher: a journal in memory and
// views that a test sets. The API's own tests and the CLI's use it.
package apitest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// Backend implements api.Backend. Set its fields before it is used.
type Backend struct {
	Self string
	// LeaderID and LeaderAPI are what Leader answers; the Backend leads when LeaderID is Self.
	LeaderID, LeaderAPI string
	Members             []api.Watcher
	// Clock is the time of everything that happens here.
	Clock time.Time
	// ProposeError, once set, is what every Propose answers; nothing changes then.
	ProposeError error
	// Findings are what Adopt and Doctor answer, Found the chain that Adopt finds.
	Findings []api.Finding
	Found    topology.Chain
	StoredAt uint64
	StoreErr error
	ReadyErr error
	Waiting  string
	// Asked are the calls that changed the cluster.
	Asked []string
	// Runs makes every accepted plan run to its end at once.
	Runs bool

	mu      sync.Mutex
	state   *journal.State
	index   uint64
	changed chan struct{}
	views   map[string][]topology.View
}

// New returns the leader of a cluster of three that knows no product.
func New() *Backend {
	return &Backend{
		Self: "w1", LeaderID: "w1", LeaderAPI: "http://127.0.0.1:7480",
		Members: []api.Watcher{
			{ID: "w1", Raft: "10.0.0.11:7481", API: "http://127.0.0.1:7480", Voter: true, Leader: true, LastContactMs: -1},
			{ID: "w2", Raft: "10.0.0.12:7481", API: "http://127.0.0.2:7480", Voter: true, LastContactMs: 12},
			{ID: "w3", Raft: "10.0.0.13:7481", Voter: true, LastContactMs: 40},
		},
		Clock: time.Date(2026, 11, 22, 20, 51, 0, 0, time.UTC),
		state: journal.New(), changed: make(chan struct{}), views: map[string][]topology.View{},
	}
}

// Must commits a command, and panics when the journal refuses it.
func (b *Backend) Must(c journal.Command) {
	if c.At.IsZero() {
		c.At = b.Now()
	}
	if err := b.commit(c); err != nil {
		panic(err)
	}
}

func (b *Backend) commit(c journal.Command) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.index++
	if err := b.state.Do(b.index, c); err != nil {
		return err
	}
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

// Now is the Clock, for the handler's options.
func (b *Backend) Now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Clock
}

// See sets what the watchers see of a product.
func (b *Backend) See(product string, views ...topology.View) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.views[product] = views
}

// Step ends the next step of a product's open plan, which took ms milliseconds.
func (b *Backend) Step(product string, text string, ms int64) {
	p, _ := b.Product(product)
	open := p.Open
	b.mu.Lock()
	b.Clock = b.Clock.Add(time.Duration(ms) * time.Millisecond)
	b.mu.Unlock()
	b.Must(journal.Command{At: b.Now(), Actor: open.Plan.Actor, Done: &journal.Done{Product: product, Plan: open.Plan.ID, Index: open.Next,
		Undoing: open.Undoing, Note: promote.Note{Step: open.Steps()[open.Next].String(), Text: text, Ms: ms}}})
}

// Finish ends every step that is left of a product's open plan.
func (b *Backend) Finish(product string) {
	for n := int64(1); ; n++ {
		if p, _ := b.Product(product); p.Open == nil {
			return
		}
		b.Step(product, "", n)
	}
}

// ID implements api.Backend.
func (b *Backend) ID() string { return b.Self }

// State implements api.Backend.
func (b *Backend) State() *journal.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.Clone()
}

// Product is a private copy of one product, false when there is none.
func (b *Backend) Product(name string) (journal.Product, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.state.Products[name]
	if !ok {
		return journal.Product{}, false
	}
	alone := journal.New() // to copy all 50 for each of 50 takes long
	alone.Products[name] = p
	return *alone.Clone().Products[name], true
}

// Changed implements api.Backend.
func (b *Backend) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// IsLeader implements api.Backend.
func (b *Backend) IsLeader() bool { return b.LeaderID == b.Self }

// Leader implements api.Backend.
func (b *Backend) Leader() (id, address string) { return b.LeaderID, b.LeaderAPI }

// Term implements api.Backend.
func (b *Backend) Term() uint64 { return 3 }

// Watchers implements api.Backend.
func (b *Backend) Watchers() []api.Watcher { return b.Members }

// Live implements api.Backend.
func (b *Backend) Live(_ context.Context, product string, _ bool) (api.Live, error) {
	p, ok := b.Product(product)
	if !ok {
		return api.Live{}, fmt.Errorf("product %s: %w", product, api.ErrNotFound)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := topology.Case{Chain: p.Chain, Watchers: len(b.Members), Views: b.views[product], Now: b.Clock, Published: true}
	live := api.Live{Case: c, Verdict: topology.Judge(c), At: b.Clock}
	if p.Open != nil {
		live.Waiting = b.Waiting
	}
	if may, why := p.Chain.MayAct(b.Clock); !may && promote.For(c, live.Verdict) != nil {
		live.Would = fmt.Sprintf("would %s, but %s", live.Verdict.Action, why)
	}
	return live, nil
}

// Views implements api.Backend.
func (b *Backend) Views(_ context.Context, product string, _ bool) (topology.View, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.views[product]) == 0 {
		return topology.View{}, fmt.Errorf("product %s: %w", product, api.ErrNotFound)
	}
	return b.views[product][0], nil
}

// Propose implements api.Backend.
func (b *Backend) Propose(_ context.Context, c journal.Command) error {
	if b.ProposeError != nil {
		return b.ProposeError
	}
	if err := b.commit(c); err != nil {
		return err
	}
	if b.Runs && c.Accept != nil {
		b.Finish(c.Accept.Product)
	}
	return nil
}

// Join implements api.Backend.
func (b *Backend) Join(_ context.Context, id, raft string) error {
	return b.ask("join " + id + " " + raft)
}

// Remove implements api.Backend.
func (b *Backend) Remove(_ context.Context, id string) error { return b.ask("remove " + id) }

// Transfer implements api.Backend.
func (b *Backend) Transfer(_ context.Context, to string) error { return b.ask("transfer " + to) }

func (b *Backend) ask(what string) error {
	if b.ProposeError != nil {
		return b.ProposeError
	}
	b.Asked = append(b.Asked, what)
	return nil
}

// Adopt implements api.Backend.
func (b *Backend) Adopt(_ context.Context, product, _ string) (topology.Chain, []api.Finding, error) {
	chain := b.Found
	chain.Product = product
	return chain, b.Findings, nil
}

// Examine implements api.Backend.
func (b *Backend) Examine(context.Context, topology.Chain) []api.Finding { return b.Findings }

// Stored implements api.Backend.
func (b *Backend) Stored() (uint64, error) { return b.StoredAt, b.StoreErr }

// Ready implements api.Backend.
func (b *Backend) Ready() error { return b.ReadyErr }
