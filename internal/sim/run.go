package sim

import (
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/internal/watcher"
)

// Result is what became of one seed.
type Result struct {
	Seed     uint64
	Scenario string
	// Failure is the first broken promise, empty when all were kept.
	Failure string
	// Hash stands for the whole trace: equal seeds have equal hashes.
	Hash  uint64
	Trace string
	Stats Stats
}

// settleWithin is how long a chain may take to be well again after the last
// fault is mended. Repairs that failed rest for up to 30 s.
const settleWithin = 75 * time.Second

// rebuildWithin is what rebuilding takes on top of that, one server after the other.
const rebuildWithin = 120 * time.Second

// Run plays one seed.
func Run(seed uint64, opts Options) Result {
	w := newWorld(seed, opts)
	w.build()
	sc := w.scenario()
	w.say("seed %d, %s: %s", seed, w.policyName, sc.name)
	sc.name += " / " + w.policyName
	defer w.stop()
	sc.play(w)
	if opts.Mode == Liveness {
		if w.failure == "" {
			w.breakForEver(sc)
			w.requireProgress()
		}
	} else {
		w.finish(sc)
	}
	w.stats.Events, w.stats.Simulated = w.ran, w.now
	r := Result{Seed: seed, Scenario: sc.name, Failure: w.failure, Hash: w.hash, Stats: w.stats}
	if w.text != nil {
		r.Trace = w.text.String()
	}
	return r
}

// build makes a chain that is well and a trio that knows it.
func (w *World) build() {
	chain := w.chain()
	w.oracle = oracle{openings: map[uint64]int{}, plans: map[uint64]bool{}, standing: map[string]topology.Standing{}}
	w.store = &store{w: w}
	w.raft = &raft{w: w, state: journal.New(), voting: true}
	for i := range 3 {
		w.watchers = append(w.watchers, newScout(w, i))
	}
	d := render(chain)
	d.version = 1
	first := []journal.Command{
		{At: began, Actor: "test", Inventory: &journal.Inventory{Chains: []topology.Chain{chain}}},
		{At: began, Actor: "test", Mode: &journal.SetMode{Product: Product, Mode: topology.Auto}},
		{At: began, UUIDs: &journal.UUIDs{Product: Product, UUIDs: map[string]string{"a": uuids[0], "b": uuids[1], "c": uuids[2], "d": uuids[3]}}},
		{At: began, Publish: &journal.Head{Version: 1, Body: d.encode()}},
	}
	for i, c := range first {
		if err := w.raft.state.Do(uint64(i+1), c); err != nil {
			panic(fmt.Sprintf("sim: %v", err))
		}
		w.raft.log = append(w.raft.log, c)
	}
	w.store.head = d
	w.connectChain(w.product().Chain)
	w.oracle.master = w.servers[0]
	for _, x := range w.watchers {
		x.start()
	}
	w.raft.voting = false
	w.raft.elect()
	for _, f := range []*follower{{w: w, node: webNode, doc: d}, {w: w, node: webNode, doc: d}, {w: w, node: oldNode, doc: d, zombie: true}} {
		w.followers = append(w.followers, f)
		f.poll()
		c := newClient(f, w.between(60*time.Millisecond, 250*time.Millisecond), w.between(800*time.Millisecond, 3*time.Second))
		w.clients = append(w.clients, c)
		c.run()
	}
}

// finish mends everything and waits until the chain is well.
func (w *World) finish(sc *scenario) {
	if w.failure != "" {
		return
	}
	w.say("all faults are mended")
	sc.mend(w)
	healed := w.now
	for w.failure == "" {
		w.run(w.now + 250*time.Millisecond)
		well, why := w.atRest()
		if well && (w.probeWrite() || !w.canAcknowledge()) && w.staysAtRest() {
			w.checkEnd()
			return
		}
		w.tidyUp()
		if bound := w.settles(); w.now-healed > bound {
			if well {
				why = "the master acknowledges nothing"
			}
			w.fail("not well %s after the last fault was mended: %s", bound, why)
		}
	}
}

// settles is how long the chain may take to be well.
func (w *World) settles() time.Duration {
	if w.oracle.quarantines {
		return settleWithin + rebuildWithin
	}
	return settleWithin
}

// tidyUp is what people do in the end: they end maintenance, and ask for rebuilds.
func (w *World) tidyUp() {
	if w.now-w.tidied < 20*time.Second || w.product().Open != nil {
		return
	}
	w.tidied = w.now
	w.bringBack()
	if w.product().Chain.Policy.Rebuild == topology.RebuildAsk {
		w.rebuild()
	}
}

// staysAtRest lets everything arrive that is on its way, the store and the web
// servers catch up, and says whether no plan was at work meanwhile.
func (w *World) staysAtRest() bool {
	changes := w.oracle.changes
	w.quiet = true
	w.run(w.now + 1500*time.Millisecond)
	for until := w.now + 2*time.Second; w.now < until && !w.allKnow(); {
		w.run(w.now + 100*time.Millisecond)
	}
	well, _ := w.atRest()
	if well && w.oracle.changes == changes {
		return true
	}
	w.quiet = false
	for _, c := range w.clients {
		if c.ended {
			c.ended = false
			c.run()
		}
	}
	return false
}

// allKnow says whether the store and every web server have the newest document.
func (w *World) allKnow() bool {
	d := w.doc(w.raft.state.Head)
	for _, f := range w.followers {
		if !f.zombie && f.doc != d {
			return false
		}
	}
	return w.store.head == d
}

// probeWrite says whether the master acknowledges a write within a second.
func (w *World) probeWrite() bool {
	got := Pending
	w.begin(webNode, w.byName(w.product().Chain.Master()), 2*time.Second, func(o Outcome) { got = o })
	for until := w.now + time.Second; w.failure == "" && got == Pending && w.next(until); {
	}
	return got == Acked
}

// run plays events up to a time, or to the first broken promise.
func (w *World) run(until time.Duration) {
	for w.failure == "" && w.next(until) {
	}
}

// stop ends all processes.
func (w *World) stop() {
	for _, x := range w.watchers {
		if x.proc != nil {
			x.proc.kill()
		}
	}
}

// tell keeps what a mind says.
func (w *World) tell(x *scout, e watcher.Event) {
	w.note(e.Phrase, x.id, len(e.Fields), 0)
	if w.text != nil {
		w.explain("%s: %s %v", x.name, e.Phrase, e.Fields)
	}
}
