package watcher

import (
	"context"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// Peers asks the other watchers.
type Peers interface {
	// Others are the names of the other watchers.
	Others() []string
	// Views returns what a watcher sees of a product, of all products when it is
	// empty; with look, it looks anew first. Ages are as that watcher reckons them.
	Views(ctx context.Context, watcher, product string, look bool) ([]topology.View, error)
}

// exchange keeps the latest views of the other watchers while this one leads.
type exchange struct {
	id    string
	peers Peers

	mu    sync.Mutex
	heard map[string]map[string]heard // by product and watcher
}

// heard is a view and when it was asked for.
type heard struct {
	view topology.View
	at   time.Time
}

const (
	exchangeEvery = 250 * time.Millisecond
	// answerPatience is how long another watcher may take; its last view ages meanwhile.
	answerPatience = 700 * time.Millisecond
)

func newExchange(id string, peers Peers) *exchange {
	return &exchange{id: id, peers: peers, heard: map[string]map[string]heard{}}
}

// run asks every other watcher for all its views, again and again. A watcher that
// hangs holds up only itself.
func (e *exchange) run(ctx context.Context) {
	var mu sync.Mutex
	asking := map[string]bool{}
	var wg sync.WaitGroup
	defer wg.Wait()
	ticker := time.NewTicker(exchangeEvery)
	defer ticker.Stop()
	for {
		for _, other := range e.peers.Others() {
			mu.Lock()
			busy := asking[other]
			asking[other] = true
			mu.Unlock()
			if busy {
				continue
			}
			wg.Go(func() {
				e.ask(ctx, other, "", false)
				mu.Lock()
				asking[other] = false
				mu.Unlock()
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look has every other watcher look at one chain anew.
func (e *exchange) look(ctx context.Context, product string) {
	var wg sync.WaitGroup
	for _, other := range e.peers.Others() {
		wg.Go(func() { e.ask(ctx, other, product, true) })
	}
	wg.Wait()
}

func (e *exchange) ask(ctx context.Context, other, product string, look bool) {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	views, err := e.peers.Views(ctx, other, product, look)
	if err != nil {
		return // its last view grows old, which is what the judge goes by
	}
	at := time.Now() // the view was made before it arrived; Age says how long by its own clock
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range views {
		v.Watcher = other // the connection says who it is, not the body
		if e.heard[v.Product] == nil {
			e.heard[v.Product] = map[string]heard{}
		}
		e.heard[v.Product][other] = heard{v, at}
	}
}

// views returns the latest view of each other watcher, with its age as of now.
func (e *exchange) views(product string) []topology.View {
	members := map[string]bool{}
	for _, other := range e.peers.Others() {
		members[other] = true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []topology.View
	for other, h := range e.heard[product] {
		if !members[other] {
			continue
		}
		v := h.view
		v.Age += topology.Duration(time.Since(h.at))
		out = append(out, v)
	}
	return out
}
