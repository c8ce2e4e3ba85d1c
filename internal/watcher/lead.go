package watcher

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// lead runs a mind for every product until the term ends.
func (w *Watcher) lead(term context.Context) {
	open := func(s topology.Server) promote.Server { return w.cfg.Open(s, w.admit(term)) }
	world := newWorld(open, func(ctx context.Context, _ string) error {
		_, err := w.publisher.Announce(ctx, w.input())
		return err
	}, newSavings(term, w.cfg.Save))
	defer world.close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { w.exchange.run(term) })
	w.setLeading(true)
	defer func() {
		w.setLeading(false)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.minds, w.wakes = map[string]*Mind{}, map[string]chan struct{}{}
	}()
	loop := w.pulse.begin("the loop that leads", leadPatience)
	defer loop.end()
	ticker := time.NewTicker(inventoryEvery)
	defer ticker.Stop()
	for {
		loop.beat()
		for _, name := range w.machine.view().Names() {
			w.mu.Lock()
			_, running := w.minds[name]
			if !running {
				loop := w.pulse.begin("the mind of "+name, mindPatience)
				mind := NewMind(name, &beating{&around{w, world}, loop}, w.say)
				wake := make(chan struct{}, 1)
				w.minds[name], w.wakes[name] = mind, wake
				wg.Go(func() { w.think(term, mind, wake, loop) })
			}
			w.mu.Unlock()
		}
		loop.rest()
		select {
		case <-term.Done():
			return
		case <-ticker.C:
		}
	}
}

// admit says whether a session that just came about may be used for this term's
// orders. A watcher that was stopped may go on before it hears that it leads no
// more, with sessions that the next leader has ended: it must not begin new ones.
func (w *Watcher) admit(term context.Context) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := w.node.Barrier(ctx); err != nil {
			return err
		}
		return context.Cause(term) // nil while it lasts
	}
}

func (w *Watcher) setLeading(leading bool) {
	w.mu.Lock()
	w.leading = leading
	w.mu.Unlock()
	poke(w.storeSoon)
}

// inventoryEvery is how often the leader looks for new products.
const inventoryEvery = 200 * time.Millisecond

// think ticks one mind at the probe rate, at once when there is news, and ends
// with the term or with the product.
func (w *Watcher) think(term context.Context, mind *Mind, wake chan struct{}, loop *loop) {
	defer loop.end()
	for term.Err() == nil {
		loop.beat()
		p, ok := w.machine.product(mind.product)
		if !ok {
			w.mu.Lock()
			delete(w.minds, mind.product)
			delete(w.wakes, mind.product)
			w.mu.Unlock()
			return
		}
		again, err := w.tick(term, mind)
		if err != nil && term.Err() == nil && !errors.Is(err, errUrgent) {
			w.log.Warn("tick failed", "product", mind.product, "error", err)
		}
		if again {
			continue
		}
		loop.rest()
		select {
		case <-term.Done():
		case <-wake:
		case <-time.After(p.Chain.Policy.ProbeEvery.Std()):
		}
	}
}

// errUrgent ends a repair or a handover for a failover, or for whom commits wait.
var errUrgent = errors.New("something more urgent came up")

// tick runs one tick, and ends it early when something comes up that is more urgent
// than the plan it is busy with: nothing that can wait stands in the way of a failover.
func (w *Watcher) tick(term context.Context, mind *Mind) (again bool, err error) {
	ctx, cancel := context.WithCancelCause(term)
	defer cancel(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		again, err = mind.Tick(ctx)
	}()
	for {
		select {
		case <-done:
			return again, err
		case <-time.After(guardEvery):
			if mind.Urgent(ctx, &around{w, nil}) {
				cancel(errUrgent)
			}
		}
	}
}

// guardEvery is how often a tick that takes long is looked after.
const guardEvery = 250 * time.Millisecond

func (w *Watcher) say(e Event) {
	if e.Warn {
		w.log.Warn(e.Phrase, e.Fields...)
		return
	}
	w.log.Info(e.Phrase, e.Fields...)
}

// around is Around for a real watcher.
type around struct {
	w     *Watcher
	world *world
}

func (a *around) Now() time.Time { return time.Now() }

func (a *around) Product(name string) (journal.Product, bool) { return a.w.machine.product(name) }

func (a *around) Watchers() int { return a.w.node.Voters() }

func (a *around) Published(chain topology.Chain) bool { return shows(a.w.feed.Head(), chain) }

func (a *around) Propose(ctx context.Context, c journal.Command) error { return a.w.Propose(ctx, c) }

func (a *around) World(chain topology.Chain) promote.World { return chainWorld{a.world, chain.Epoch} }

// Views asks everybody at once for a fresh look, or takes what was last heard.
func (a *around) Views(ctx context.Context, product string, look bool) []topology.View {
	var own topology.View
	var wg sync.WaitGroup
	wg.Go(func() { own = a.w.scouts.view(ctx, product, look) })
	if look {
		a.w.exchange.look(ctx, product)
	}
	wg.Wait()
	return append([]topology.View{own}, a.w.exchange.views(product)...)
}
