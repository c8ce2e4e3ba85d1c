package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/topology"
)

// doc is a published document, reduced to what matters here.
type doc struct {
	version uint64
	epoch   uint64
	writer  string
	readers string // names, in order
}

// render is what the document says of a chain.
func render(c topology.Chain) doc {
	d := doc{epoch: c.Epoch}
	for _, s := range c.Servers {
		switch {
		case s.Standing != topology.In:
		case s.Seat == topology.Master:
			d.writer = s.Name
		case s.Seat != topology.Dump:
			d.readers += s.Name
		}
	}
	return d
}

func (d doc) shows(c topology.Chain) bool {
	want := render(c)
	want.version = d.version
	return d.version > 0 && d == want
}

// encode keeps the document in the body of a head.
func (d doc) encode() []byte {
	out := binary.AppendUvarint(nil, d.version)
	out = binary.AppendUvarint(out, d.epoch)
	out = append(out, byte(len(d.writer)))
	out = append(out, d.writer...)
	return append(out, d.readers...)
}

func (w *World) doc(h journal.Head) doc {
	if h.Version == 0 {
		return doc{}
	}
	body := h.Body
	version, n := binary.Uvarint(body)
	body = body[n:]
	epoch, n := binary.Uvarint(body)
	body = body[n:]
	k := int(body[0])
	return doc{version, epoch, string(body[1 : 1+k]), string(body[1+k:])}
}

// announce commits a document that shows the chain as the journal has it.
func (x *scout) announce(ctx context.Context) error {
	p, _ := x.Product(Product)
	if x.Published(p.Chain) {
		return nil
	}
	d := render(p.Chain)
	d.version = x.state.Head.Version + 1
	return x.Propose(ctx, journal.Command{At: x.Now(), Publish: &journal.Head{Version: d.version, Body: d.encode()}})
}

// store is the object store: one object that is replaced under a condition.
type store struct {
	w    *World
	head doc
	away bool
	// losesReplies makes every second put take without its caller hearing of it.
	losesReplies bool
}

const storeEvery = 2 * time.Second

var errAway = errors.New("the store is away")

// put replaces the head if it is still what the caller read.
func (st *store) put(read, d doc, done func(error)) {
	w := st.w
	w.after(w.between(2*time.Millisecond, 30*time.Millisecond), func() {
		switch {
		case st.away:
			w.after(time.Second, func() { done(errAway) })
		case st.head != read:
			done(errors.New("conflict"))
		default:
			w.stored(d)
			st.head = d
			if st.losesReplies && w.chance(2) {
				w.after(time.Second, func() { done(errAway) })
				return
			}
			done(nil)
		}
	})
}

// keepStored brings the store up to date while the watcher leads: read, refuse
// what is newer there, replace on condition.
func (x *scout) keepStored() {
	w, life := x.w, x.life
	x.storeTimer++
	timer := x.storeTimer
	again := func() {
		w.after(storeEvery, func() {
			if x.storeTimer == timer {
				x.ifLives(life, x.keepStored)
			}
		})
	}
	if x.term == nil || x.state.Head.Version == 0 || w.store.away || w.isCut(x.node(), storeNode) {
		again()
		return
	}
	read, d := w.store.head, w.doc(x.state.Head)
	if read.version >= d.version || read.epoch > d.epoch {
		again()
		return
	}
	w.after(w.between(2*time.Millisecond, 200*time.Millisecond), func() { // it may take a while to get there
		w.store.put(read, d, func(error) { x.ifLives(life, func() { x.run(again) }) })
	})
}

// storeSoon does not wait for the next round.
func (x *scout) storeSoon() {
	life := x.life
	x.w.after(x.w.latency(), func() { x.ifLives(life, x.keepStored) })
}

func (x *scout) ifLives(life int, do func()) {
	if x.life == life {
		x.run(do)
	}
}

// follower is a web server: it polls the store, listens to the watchers, and
// never goes back.
type follower struct {
	w    *World
	node int
	doc  doc
	// zombie never listens again: it writes to the first master for ever.
	zombie bool
}

const pollEvery = 2 * time.Second

func (f *follower) poll() {
	w := f.w
	w.after(w.between(pollEvery/2, pollEvery), f.poll)
	if f.zombie {
		return
	}
	if !w.store.away && !w.isCut(f.node, storeNode) {
		d := w.store.head
		w.after(w.latency(), func() { f.adopt(d) })
	}
	x := w.watchers[w.rng.IntN(len(w.watchers))]
	if x.alive && !x.paused && !w.isCut(f.node, x.node()) && !w.isCut(x.node(), f.node) {
		if w.raft.hears(x) {
			x.catchUp(len(w.raft.log))
		}
		f.adopt(w.doc(x.state.Head))
	}
}

// hear is the watchers' answer to a long poll: one of them has a new head.
func (f *follower) hear(d doc) {
	w := f.w
	w.after(w.between(5*time.Millisecond, 60*time.Millisecond), func() {
		for _, x := range w.watchers {
			if !f.zombie && x.alive && !x.paused && w.raft.hears(x) && !w.isCut(x.node(), f.node) {
				f.adopt(d)
				return
			}
		}
	})
}

func (f *follower) adopt(d doc) {
	switch {
	case d.version < f.doc.version:
		return
	case d.version == f.doc.version:
		if d != f.doc {
			f.w.fail("version %d was published with two contents: %v and %v", d.version, f.doc, d)
		}
		return
	case d.epoch < f.doc.epoch:
		f.w.fail("version %d has epoch %d after version %d had %d", d.version, d.epoch, f.doc.version, f.doc.epoch)
		return
	}
	f.w.note("web adopts "+d.writer, f.node, int(d.version), int(d.epoch))
	f.doc = d
}
