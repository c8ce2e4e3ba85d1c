package watcher

import (
	"context"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// scouts are this watcher's sighters for all chains, kept in step with the inventory.
type scouts struct {
	id   string
	dial func(topology.Server) Probe
	// changed is called with the product when the contact with one of its servers changed.
	changed func(product string)

	mu     sync.Mutex
	chains map[string]map[string]*scout // by product and server
	wg     sync.WaitGroup
}

// scout is a running sighter and the means to end it.
type scout struct {
	*sighter
	stop context.CancelFunc
}

func newScouts(id string, dial func(topology.Server) Probe, changed func(string)) *scouts {
	return &scouts{id: id, dial: dial, changed: changed, chains: map[string]map[string]*scout{}}
}

// follow starts and ends sighters so that there is one for each server of the chains.
func (s *scouts) follow(ctx context.Context, chains []topology.Chain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := map[string]topology.Chain{}
	for _, chain := range chains {
		wanted[chain.Product] = chain
	}
	for product, running := range s.chains {
		for name, scout := range running {
			server, ok := wanted[product].Server(name)
			if !ok || server.Addr() != scout.server.Addr() || wanted[product].Policy.ProbeEvery.Std() != scout.every {
				scout.stop()
				delete(running, name)
			}
		}
		if len(running) == 0 {
			delete(s.chains, product)
		}
	}
	for product, chain := range wanted {
		for _, server := range chain.Servers {
			if s.chains[product][server.Name] == nil {
				s.start(ctx, chain, server)
			}
			s.chains[product][server.Name].heed(ctx, chain, server)
		}
	}
}

// heed tells the sighter what the server is by now. Only the master is written to,
// and never one that was master until now.
func (s *scout) heed(ctx context.Context, chain topology.Chain, server topology.Server) {
	every := chain.Policy.WriteProbe.Std()
	isMaster := server.Seat == topology.Master
	s.showLag(every > 0 && !isMaster)
	if !isMaster {
		every = 0
	}
	s.beatEvery(ctx, every)
}

func (s *scouts) start(ctx context.Context, chain topology.Chain, server topology.Server) {
	product := chain.Product
	ctx, stop := context.WithCancel(ctx)
	sighter := newSighter(s.id, server, s.dial(server), chain.Policy.ProbeEvery.Std(), func() { s.changed(product) })
	if s.chains[product] == nil {
		s.chains[product] = map[string]*scout{}
	}
	s.chains[product][server.Name] = &scout{sighter, stop}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		sighter.run(ctx)
	}()
}

// wait returns when all sighters have ended.
func (s *scouts) wait() { s.wg.Wait() }

func (s *scouts) of(product string) []*scout {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*scout
	for _, scout := range s.chains[product] {
		out = append(out, scout)
	}
	return out
}

// view is what this watcher sees of the chain; with look, it looks anew first.
func (s *scouts) view(ctx context.Context, product string, look bool) topology.View {
	all := s.of(product)
	if look {
		ctx, cancel := context.WithTimeout(ctx, askPatience)
		defer cancel()
		var wg sync.WaitGroup
		for _, scout := range all {
			wg.Go(func() { scout.ask(ctx) })
		}
		wg.Wait()
	}
	v := topology.View{Watcher: s.id, Product: product, Sightings: map[string]topology.Sighting{}}
	for _, scout := range all {
		sighting := scout.sighting()
		v.Sightings[sighting.Server] = sighting
	}
	return v
}

// askPatience is how long a fresh look may take; what came by then counts.
const askPatience = 400 * time.Millisecond
