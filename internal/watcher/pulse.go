package watcher

import (
	"context"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

const (
	// mindPatience is how long a mind may take from one question to the world around it to the next. One step
	// waits for half a minute at most, and one that needs longer is tried again.
	mindPatience = 2 * time.Minute
	// probePatience is how long one ping or look may take. Both have deadlines of about a second.
	probePatience = time.Minute
	// leadPatience is how long the leader may take to look through the inventory.
	leadPatience = time.Minute
)

// Stalled returns which loop has not come round for too long and for how long that is, "" when all do: the minds,
// the sighters, and the loop that starts the minds. The object store and the other watchers hold up none of them.
//
// Whoever calls it lets the time pass in which the process ran since the last call: by any clock of the machine
// every loop would seem to stall in a process that was stopped, or in a virtual machine that was.
func (w *Watcher) Stalled(ran time.Duration) (what string, age time.Duration) {
	return w.pulse.stalled(ran)
}

// pulse knows of the loops that must come round.
type pulse struct {
	mu    sync.Mutex
	ran   time.Duration
	loops map[*loop]struct{}
}

// loop is one of them.
type loop struct {
	pulse    *pulse
	what     string
	patience time.Duration
	beatAt   time.Duration
	resting  bool
}

func newPulse() *pulse { return &pulse{loops: map[*loop]struct{}{}} }

// begin adds a loop. It rests.
func (p *pulse) begin(what string, patience time.Duration) *loop {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &loop{pulse: p, what: what, patience: patience, resting: true}
	p.loops[l] = struct{}{}
	return l
}

// beat says that the loop is at work and gets on.
func (l *loop) beat() {
	l.pulse.mu.Lock()
	defer l.pulse.mu.Unlock()
	l.beatAt, l.resting = l.pulse.ran, false
}

// rest says that the loop waits for its next round, which may be long in coming.
func (l *loop) rest() {
	l.pulse.mu.Lock()
	defer l.pulse.mu.Unlock()
	l.resting = true
}

func (l *loop) end() {
	l.pulse.mu.Lock()
	defer l.pulse.mu.Unlock()
	delete(l.pulse.loops, l)
}

func (p *pulse) stalled(ran time.Duration) (what string, age time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ran += ran
	for l := range p.loops {
		if a := p.ran - l.beatAt; !l.resting && a > l.patience && a > age {
			what, age = l.what, a
		}
	}
	return what, age
}

// beating is the world around a mind, whose every question is a sign of life.
type beating struct {
	Around
	loop *loop
}

func (b *beating) Product(name string) (journal.Product, bool) {
	b.loop.beat()
	return b.Around.Product(name)
}

func (b *beating) Views(ctx context.Context, product string, look bool) []topology.View {
	b.loop.beat()
	return b.Around.Views(ctx, product, look)
}

func (b *beating) Propose(ctx context.Context, c journal.Command) error {
	b.loop.beat()
	return b.Around.Propose(ctx, c)
}

func (b *beating) World(chain topology.Chain) promote.World {
	b.loop.beat()
	return b.Around.World(chain)
}

// probes has every probe show that its sighter does not hang in it.
func (p *pulse) probes(dial func(topology.Server) Probe) func(topology.Server) Probe {
	return func(s topology.Server) Probe {
		return &beatingProbe{dial(s), p.begin("the sighter of "+s.Name, probePatience)}
	}
}

type beatingProbe struct {
	Probe
	loop *loop
}

func (b *beatingProbe) Ping(ctx context.Context) (topology.Contact, error) {
	b.loop.beat()
	defer b.loop.rest()
	return b.Probe.Ping(ctx)
}

func (b *beatingProbe) Look(ctx context.Context) (topology.Facts, error) {
	b.loop.beat()
	defer b.loop.rest()
	return b.Probe.Look(ctx)
}

func (b *beatingProbe) Close() error {
	defer b.loop.end()
	return b.Probe.Close()
}
