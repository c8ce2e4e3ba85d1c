// Package sim is a world for tests: fake MySQL servers, a fake raft, a store, web
// servers, clients and watchers that think with watcher.Mind, all driven by one
// clock and one seed. The same seed gives the same world, event by event.
package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// Product is the name of the one product of a world.
const Product = "shop"

// World is one run.
type World struct {
	clock
	rng        *rand.Rand
	opts       Options
	servers    []*server
	watchers   []*scout
	raft       *raft
	store      *store
	followers  []*follower
	clients    []*client
	writes     []*write
	mended     bool          // the faults are over
	doomed     uint32        // the nodes that are broken for ever
	tidied     time.Duration // when people last looked after things
	lasting    time.Duration // until when some fault lasts
	skewed     bool          // the watchers' clocks differ
	policyName string
	beats      time.Duration                // between write probes
	saved      [maxServers]topology.GTIDSet // errant transactions, by the server that held them
	unread     []map[string]topology.Sighting
	slab       []write       // where the next ones are taken from
	cut        [nodes]uint32 // by sender, a bit for each receiver that it cannot reach
	kept       []keptRequest // statements that a cut network still holds
	quiet      bool          // clients have stopped writing
	disturbed  time.Duration // when anything but writes last happened
	oracle     oracle
	stats      Stats
	owners     int // counts the terms that had sessions
	points     int // of promotions, see Options.at
	ambushes   []ambush

	hash    uint64
	text    *strings.Builder // the trace, when it is wanted
	failure string
}

// Nodes of the network, servers first.
const (
	firstWatcher = maxServers
	webNode      = firstWatcher + 3
	oldNode      = webNode + 1 // zombie clients
	storeNode    = oldNode + 1
	nodes        = storeNode + 1
)

// Options change what a world does.
type Options struct {
	// Trace keeps a text of everything that happens.
	Trace bool
	// Break names a protection that is left out, to see that the world notices.
	Break string
	// Encoded sends each journal command through its wire format.
	Encoded bool
	// Mode is Safety when it is empty.
	Mode Mode
	// Policy overrides the one that the seed would choose.
	Policy string
	// Scenario overrides the one that the seed would choose.
	Scenario string

	// at is called at each point of a promotion: before and after every call to a server or the journal.
	at    func(w *World, leader *scout, n int, point string)
	lasts time.Duration // of every fault, instead of what the seed draws
}

// Stats counts what happened in a run.
type Stats struct {
	Events, Acked, Failed, Unknown, Promotions, Plans, Elections int
	// Waits counts the runs that end in waiting for somebody.
	Waits     int
	Simulated time.Duration
}

func newWorld(seed uint64, opts Options) *World {
	w := &World{rng: rand.New(rand.NewPCG(seed, 0x6661696c6f766572)), opts: opts, hash: 14695981039346656037}
	if opts.Trace {
		w.text = &strings.Builder{}
	}
	return w
}

// chance is true once in n.
func (w *World) chance(n int) bool { return w.rng.IntN(n) == 0 }

func (w *World) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.rng.Int64N(int64(to-from)+1))
}

// latency of one message, in one direction.
func (w *World) latency() time.Duration { return w.between(500*time.Microsecond, 8*time.Millisecond) }

func (s *server) node() int { return s.id }

// isCut says whether messages from one node do not reach another.
func (w *World) isCut(from, to int) bool { return w.cut[from]&(1<<to) != 0 }

// setCut cuts or mends one direction.
func (w *World) setCut(from, to int, cut bool) {
	if cut {
		w.cut[from] |= 1 << to
	} else if w.doomed&(1<<from|1<<to) == 0 {
		w.cut[from] &^= 1 << to
	}
}

// linksChanged looks at all replication connections after a change of the network or of a process.
func (w *World) linksChanged() {
	w.disturb()
	for _, s := range w.servers {
		if s.link == nil || s.link.conn == nil {
			continue
		}
		c := s.link.conn
		if !c.source.up() || w.isCut(c.source.node(), s.node()) {
			c.stall()
			continue
		}
		if !c.served { // the source restarted or closed it meanwhile
			s.receive(func() { c.lost(0) })
			continue
		}
		c.resume()
		c.send()
		if c.armed {
			c.acknowledge()
		}
	}
	for _, s := range w.servers { // dump threads of replicas that went away
		for i := 0; i < len(s.conns); i++ {
			if c := s.conns[i]; !c.open && s.up() && !w.isCut(c.replica.node(), s.node()) {
				c.drop()
				i--
			}
		}
	}
	w.raft.check()
}

// serverAfter has do called by the server's process, if that start of it lives so long.
func (w *World) serverAfter(s *server, d time.Duration, do func()) {
	boot := s.boot
	w.after(d, func() {
		if s.boot == boot {
			s.receive(do)
		}
	})
}

// ambush is a fault that waits for a point of a promotion.
type ambush struct {
	at int
	do func(leader *scout)
}

// point is called where a leader calls a server or the journal.
func (w *World) point(x *scout, when, op string) {
	p := w.product()
	if p.Open == nil || !p.Open.Plan.Kind.Promotes() {
		return
	}
	w.points++
	if w.opts.at != nil {
		w.opts.at(w, x, w.points, when+op)
	}
	for i := 0; i < len(w.ambushes); i++ {
		if a := w.ambushes[i]; a.at == w.points {
			a.do(x)
		}
	}
}

// wallClock is the leader's clock.
func (w *World) wallClock() time.Time { return began.Add(w.now) }

var began = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// note puts one event into the trace.
func (w *World) note(what string, a, b, c int) {
	h := w.hash
	for _, v := range [...]uint64{uint64(w.now), uint64(len(what)), uint64(a), uint64(b), uint64(c)} {
		h = (h ^ v) * 1099511628211
	}
	for i := 0; i < len(what); i++ {
		h = (h ^ uint64(what[i])) * 1099511628211
	}
	w.hash = h
	if w.text != nil {
		fmt.Fprintf(w.text, "%9.4f %s %d %d %d\n", w.now.Seconds(), what, a, b, c)
	}
}

// say puts a sentence into the trace.
func (w *World) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	h := w.hash
	for i := 0; i < len(text); i++ {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	w.hash = h
	if w.text != nil {
		fmt.Fprintf(w.text, "%9.4f %s\n", w.now.Seconds(), text)
	}
}

// explain adds to the text of the trace alone.
func (w *World) explain(format string, args ...any) {
	if w.text != nil {
		fmt.Fprintf(w.text, "%9.4f %s\n", w.now.Seconds(), fmt.Sprintf(format, args...))
	}
}

// fail ends the run with the first broken promise.
func (w *World) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf("at %.3fs: ", w.now.Seconds()) + fmt.Sprintf(format, args...)
		w.say("VIOLATION %s", w.failure)
	}
}

// chain builds the servers: a is the master, b the candidate, c the slave, d the dump slave.
func (w *World) chain() topology.Chain {
	policy, place := w.policy()
	chain := topology.Chain{Product: Product, Policy: policy, Mode: topology.Auto, Epoch: 1}
	for i, seat := range []topology.Seat{topology.Master, topology.Candidate, topology.Slave, topology.Dump} {
		info := topology.Server{
			Name: string(rune('a' + i)), Host: "10.0.0." + string(rune('1'+i)), Port: 3306, Zone: place[i],
			Seat: seat, Standing: topology.In, UUID: uuids[i],
		}
		chain.Servers = append(chain.Servers, info)
		w.servers = append(w.servers, newServer(w, i, info))
	}
	return chain
}

// byAddr finds the server of an inventory entry.
func (w *World) byAddr(addr string) *server {
	for _, s := range w.servers {
		if s.addr == addr {
			return s
		}
	}
	return nil
}

func (w *World) byName(name string) *server {
	for _, s := range w.servers {
		if s.info.Name == name {
			return s
		}
	}
	return nil
}

// connectChain puts the servers into the state of a chain that has run for a while.
func (w *World) connectChain(chain topology.Chain) {
	a := w.servers[0]
	a.sourceSync, a.awake = chain.AcksNeeded() > 0, true
	for _, s := range w.servers[1:] {
		source := w.byName(chain.SourceOf(s.info.Name))
		s.replicaSync = chain.MayAckUnder(s.info.Name, source.info.Name)
		s.link = newLink(s, source)
	}
	for _, s := range w.servers[1:] {
		s.link.established()
	}
	a.closed, a.openedAt = false, 0
}
