package sim

import "time"

// conn is a dump thread at the source and its replica's IO thread.
type conn struct {
	source, replica *server
	armed           bool // the replica's semi-sync flag when it connected
	skip            vec  // what the replica had then, which is never sent again
	sent            int  // place in the source's binlog
	receipt         int  // latest place that the replica acknowledges
	open, served    bool // the replica's, the source's end is open
	since           time.Duration
	stalled         time.Duration // since when nothing arrives, -1 while it does
	arrives         time.Duration // the latest arrival: events keep their order
	slow            []sent        // what a slow wire still holds
	wire            []sent        // what is on its way, in order
	next, acks      func(int)     // the arrivals of the first of wire and of a receipt, made once
	boot            int           // of the source, when it was made
}

// sent is a transaction and its place in the source's binary log.
type sent struct {
	t   txn
	pos int
}

// drop ends the source's side.
func (c *conn) drop() {
	c.served = false
	for i, other := range c.source.conns {
		if other == c {
			c.source.conns = append(c.source.conns[:i:i], c.source.conns[i+1:]...)
			return
		}
	}
}

// send puts what is new in the binary log on its way.
func (c *conn) send() {
	src, w := c.source, c.source.w
	if !c.served || !src.up() || w.isCut(src.node(), c.replica.node()) {
		return
	}
	for c.sent < len(src.binlog) {
		t := src.binlog[c.sent]
		c.sent++
		if c.skip.has(t) {
			continue
		}
		pos := c.sent
		if c.replica.slowWire > 0 || len(c.slow) > 0 {
			c.slow = append(c.slow, sent{t, pos})
			if len(c.slow) == 1 {
				c.crawl()
			}
			continue
		}
		c.deliver(t, pos)
	}
}

func (c *conn) deliver(t txn, pos int) {
	w := c.source.w
	c.arrives = max(c.arrives+1, w.now+w.latency())
	c.wire = append(c.wire, sent{t, pos})
	w.afterNumber(c.arrives-w.now, c.next, 0)
}

// shifted drops the first n in place, so that a queue keeps its memory.
func shifted[T any](queue []T, n int) []T {
	return queue[:copy(queue, queue[n:])]
}

// arrived is the end of a transaction's way: they keep their order.
func (c *conn) arrived(int) {
	first := c.wire[0]
	c.wire = shifted(c.wire, 1)
	switch {
	case !c.open:
	case c.replica.disk.stuck:
		c.replica.disk.relay = append(c.replica.disk.relay, func() { c.arrive(first.t, first.pos) })
	case c.replica.up():
		c.arrive(first.t, first.pos)
	default:
		c.replica.receive(func() { c.arrive(first.t, first.pos) })
	}
}

// crawl delivers one after the other while the wire is slow, then all at once.
func (c *conn) crawl() {
	w := c.source.w
	w.after(min(c.replica.slowWire, 400*time.Millisecond), func() {
		for len(c.slow) > 0 && c.open {
			c.deliver(c.slow[0].t, c.slow[0].pos)
			c.slow = c.slow[1:]
			if c.replica.slowWire > 0 && len(c.slow) > 0 {
				c.crawl()
				return
			}
		}
	})
}

// arrive writes a transaction to the relay log and acknowledges it when armed.
func (c *conn) arrive(t txn, pos int) {
	l := c.replica.link
	if !c.open || l == nil || l.conn != c {
		return
	}
	l.heard = c.replica.w.now
	l.relay = append(l.relay, t)
	l.received.add(t)
	if c.armed {
		c.receipt = pos
		c.acknowledge()
	}
	l.kick()
}

func (c *conn) acknowledge() {
	w := c.source.w
	if c.receipt == 0 || w.isCut(c.replica.node(), c.source.node()) {
		return
	}
	w.afterNumber(w.latency(), c.acks, c.receipt)
}

func (c *conn) ackArrives(pos int) {
	switch {
	case c.source.boot != c.boot:
	case c.source.frozen:
		c.source.receive(func() { c.acked(pos) })
	default:
		c.acked(pos)
	}
}

func (c *conn) acked(pos int) {
	if c.served {
		c.source.acked(c.replica, pos)
	}
}

// sourceGone is the end of the connection from the source's side.
func (c *conn) sourceGone(silently bool) {
	c.served = false
	w := c.source.w
	if silently {
		c.stall()
		return
	}
	w.after(w.between(5*time.Millisecond, 300*time.Millisecond), func() {
		if !w.isCut(c.source.node(), c.replica.node()) {
			c.replica.receive(func() { c.lost(0) })
		}
	})
}

// lost is the replica noticing that its connection is gone.
func (c *conn) lost(wait time.Duration) {
	l := c.replica.link
	if l == nil || l.conn != c || !c.open {
		return
	}
	l.heard = c.lastHeard()
	c.open = false
	l.conn = nil
	if l.ioOn {
		l.connect(wait)
	}
}

// stall begins the silence of a connection whose source does not speak.
func (c *conn) stall() {
	if c.stalled >= 0 || !c.open {
		return
	}
	w := c.source.w
	c.stalled = w.now
	since := w.now
	w.after(netTimeout, func() {
		if c.stalled == since {
			c.replica.receive(func() {
				if c.stalled == since {
					c.lost(0)
				}
			})
		}
	})
}

// resume ends the silence.
func (c *conn) resume() {
	if c.stalled < 0 {
		return
	}
	if l := c.replica.link; l != nil && l.conn == c {
		l.heard = c.source.w.now
	}
	c.stalled = -1
	c.since = c.source.w.now
}

// lastHeard is when the replica last heard anything: heartbeats come when no events do.
func (c *conn) lastHeard() time.Duration {
	until := c.source.w.now
	if c.stalled >= 0 {
		until = c.stalled
	}
	beat := c.since + (until-c.since)/heartbeatEvery*heartbeatEvery
	return max(beat, c.replica.link.heard)
}
