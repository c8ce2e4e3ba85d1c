package sim

import "time"

// Outcome is what a client was told about its write.
type Outcome int8

// The outcomes.
const (
	Pending Outcome = iota
	Acked
	Refused
	Lost // the client does not know
)

// write is one insert of a row that nobody else inserts.
type write struct {
	w        *World
	id       int32
	t        txn // once it is in a binary log
	server   *server
	over     bool // nobody waits for it any more
	outcome  Outcome
	promised bool // its acknowledgement was failoverd's promise
	told     func(Outcome)
}

// end tells the client, once.
func (x *write) end(o Outcome) {
	if x.over {
		return
	}
	x.over, x.outcome = true, o
	switch o {
	case Acked:
		x.w.stats.Acked++
	case Refused:
		x.w.stats.Failed++
	case Lost:
		x.w.stats.Unknown++
	}
	if x.told != nil {
		x.told(o)
	}
}

// lost ends a write whose connection broke.
func (x *write) lost() { x.end(Lost) }

// client writes one row after the other to the writer that its web server knows.
type client struct {
	f       *follower
	every   time.Duration
	patient time.Duration
	ended   bool // it found that clients have stopped

	present  *write
	began    time.Duration
	watching bool // a timer looks after its patience

	writes, looks func(int)
	told          func(Outcome)
}

func newClient(f *follower, every, patient time.Duration) *client {
	c := &client{f: f, every: every, patient: patient}
	c.writes, c.looks, c.told = c.write, c.lookAtClock, func(Outcome) { c.run() }
	return c
}

func (c *client) run() {
	w := c.f.w
	w.afterNumber(w.between(c.every/2, c.every*3/2), c.writes, 0)
}

func (c *client) write(int) {
	w := c.f.w
	if w.quiet {
		c.ended = true
		return
	}
	s := w.byName(c.f.doc.writer)
	if s == nil {
		c.run()
		return
	}
	c.began = w.now
	c.present = w.send(c.f.node, s, c.told)
	if !c.watching {
		c.watching = true
		w.afterNumber(c.patient, c.looks, 0)
	}
}

// lookAtClock gives up what has taken too long.
func (c *client) lookAtClock(int) {
	w := c.f.w
	c.watching = false
	if c.present.over {
		return
	}
	if left := c.began + c.patient - w.now; left > 0 {
		c.watching = true
		w.afterNumber(left, c.looks, 0)
		return
	}
	c.present.lost()
}

// begin sends a write from a node of the network and has told called once.
func (w *World) begin(node int, s *server, patience time.Duration, told func(Outcome)) *write {
	x := w.send(node, s, told)
	w.after(patience, x.lost)
	return x
}

// send is begin without an end to the patience.
func (w *World) send(node int, s *server, told func(Outcome)) *write {
	if len(w.slab) == 0 {
		w.slab = make([]write, 64)
	}
	x := &w.slab[0]
	w.slab = w.slab[1:]
	x.w, x.id, x.told = w, int32(len(w.writes)+1), told
	w.writes = append(w.writes, x)
	if w.isCut(node, s.node()) || w.isCut(s.node(), node) || s.gone {
		return x
	}
	w.afterNumber(w.latency(), s.arrivals, int(x.id))
	return x
}
