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
	w       *World
	id      int32
	t       txn // once it is in a binary log
	server  *server
	over    bool // nobody waits for it any more
	outcome Outcome
	told    func(Outcome)
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
}

func (c *client) run() {
	w := c.f.w
	w.after(w.between(c.every/2, c.every*3/2), func() {
		if w.quiet {
			c.ended = true
			return
		}
		s := w.byName(c.f.doc.writer)
		if s == nil {
			c.run()
			return
		}
		w.begin(c.f.node, s, c.patient, func(Outcome) { c.run() })
	})
}

// begin sends a write from a node of the network and has told called once.
func (w *World) begin(node int, s *server, patience time.Duration, told func(Outcome)) *write {
	x := &write{w: w, id: int32(len(w.writes) + 1), told: told}
	w.writes = append(w.writes, x)
	w.after(patience, func() { x.end(Lost) })
	if w.isCut(node, s.node()) || w.isCut(s.node(), node) || s.gone {
		return x
	}
	w.after(w.latency(), func() {
		if !s.alive {
			x.end(Refused)
			return
		}
		s.receive(func() { s.clientWrite(x) })
	})
	return x
}
