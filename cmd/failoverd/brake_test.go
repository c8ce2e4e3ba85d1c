package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/api/apitest"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/internal/watcher"
)

// fleet is the leader's minds over a journal in memory; it implements
// watcher.Around. Plans are accepted and not run: the test ends them.
type fleet struct {
	*apitest.Backend
	t     *testing.T
	minds map[string]*watcher.Mind
}

func newFleet(s *shell, t *testing.T, products int) *fleet {
	f := &fleet{Backend: s.backend, t: t, minds: map[string]*watcher.Mind{}}
	f.Must(journal.Command{Inventory: &journal.Inventory{Remove: []string{"shop"}}})
	for i := range products {
		name := fmt.Sprintf("p%02d", i)
		f.AddShop(name)
		f.minds[name] = watcher.NewMind(name, f, func(watcher.Event) {})
	}
	return f
}

func (f *fleet) Watchers() int { return len(f.Members) }

func (f *fleet) Views(ctx context.Context, product string, look bool) []topology.View {
	live, err := f.Live(ctx, product, look)
	assert.NoError(f.t, err)
	return live.Case.Views
}

func (f *fleet) Published(topology.Chain) bool { return true }

func (f *fleet) World(topology.Chain) promote.World { return unreached{} }

// unreached is a world in which no plan is run.
type unreached struct{ promote.World }

func (unreached) Each(_ context.Context, servers []topology.Server, _ func(context.Context, topology.Server) error) map[string]error {
	return map[string]error{}
}

// tick lets every mind that has no open plan think once, all at the same time.
func (f *fleet) tick() {
	f.t.Helper()
	f.Clock = f.Clock.Add(3 * time.Second)
	var wg sync.WaitGroup
	for name, mind := range f.minds {
		if p, ok := f.Product(name); ok && p.Open == nil && p.Chain.Epoch == 1 {
			wg.Go(func() {
				_, err := mind.Tick(f.t.Context())
				assert.NoError(f.t, err)
			})
		}
	}
	wg.Wait()
}

// opened are the products with an open failover.
func (f *fleet) opened() []string {
	var out []string
	state := f.State()
	for _, name := range state.Names() {
		if open := state.Products[name].Open; open != nil {
			assert.Equal(f.t, promote.Failover, open.Plan.Kind, name)
			out = append(out, name)
		}
	}
	return out
}

func (f *fleet) chain(name string) topology.Chain {
	p, _ := f.Product(name)
	return p.Chain
}

// skips are the products in the history whose failover was skipped, with the reason.
func (f *fleet) skips() map[string][]string {
	out := map[string][]string{}
	for _, e := range f.State().History {
		if api.IsSkipped(e) {
			out[e.Product] = append(out[e.Product], e.Outcome)
		}
	}
	return out
}

func TestOfFiftyProductsThirtyFailAndTenFailOver(t *testing.T) {
	s := newShell(t)
	f := newFleet(s, t, 50)
	var dead []string
	for i := range 30 {
		name := fmt.Sprintf("p%02d", i)
		dead = append(dead, name)
		f.See(name, apitest.DeadMasterViews(name)...)
	}
	f.tick()
	first := f.opened()
	require.Len(t, first, 10, "a fifth")
	for _, name := range first {
		assert.Contains(t, dead, name)
		f.Finish(name)
	}

	f.tick()
	f.tick()
	assert.Empty(t, f.opened(), "the brake holds after they are done")
	skipped := f.skips()
	assert.Len(t, skipped, 20)
	held := slices.DeleteFunc(slices.Clone(dead), func(name string) bool { return slices.Contains(first, name) })
	for _, name := range held {
		require.Len(t, skipped[name], 1, "%s is recorded once", name)
		assert.Contains(t, skipped[name][0], "10 of 50 products failed over within 10m0s")
	}

	code, out, _ := s.run("status")
	assert.Zero(t, code)
	assert.Equal(t, 1, strings.Count(out, "brake holds: 10 of 50 products failed over within 10 minutes"), out)
	for _, name := range held {
		assert.Contains(t, out, name+": would failover, but the brake holds: \"failoverd failover "+name+" --reason TEXT\" does it")
	}
	_, out, _ = s.run("explain " + held[0])
	assert.Contains(t, out, "the global brake holds")
	assert.Contains(t, out, "failoverd failover "+held[0]+" --reason TEXT")
	_, out, _ = s.run("history " + held[0])
	assert.Contains(t, out, "failover skipped")

	// A person's failover is not held.
	f.Runs = true
	code, _, errs := s.run("failover " + held[0] + " --yes --reason storm")
	require.Zero(t, code, errs)
	f.Runs = false
	assert.Equal(t, "db2", f.chain(held[0]).Master())
	f.tick()
	assert.Empty(t, f.opened(), "and lets nobody else go")

	code, _, errs = s.run("brake off --reason storm --for 10m")
	require.Zero(t, code, errs)
	f.tick()
	assert.Equal(t, held[1:], f.opened(), "all the others go")
	for _, name := range held[1:] {
		f.Finish(name)
	}
	for i := range 50 {
		name := fmt.Sprintf("p%02d", i)
		want := uint64(1)
		if slices.Contains(dead, name) {
			want = 2
		}
		assert.Equal(t, want, f.chain(name).Epoch, "%s", name)
	}
	f.tick()
	assert.Empty(t, f.opened(), "the healthy ones are left alone")

	f.Clock = f.Clock.Add(10 * time.Minute)
	_, out, _ = s.run("brake")
	assert.Equal(t, "brake watch: 0 of 50 products failed over within 10 minutes; once 10 have, the others are held\n", out)
}
