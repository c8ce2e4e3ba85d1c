package sim

import (
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

const (
	heartbeatEvery = 500 * time.Millisecond
	// netTimeout is replica_net_timeout: a link that is silent for longer is made anew.
	netTimeout   = 4 * time.Second
	connectRetry = time.Second
	never        = 24 * time.Hour
)

// link is the replica side of a replication link. The relay log may hold the only
// copy of an acknowledged write.
type link struct {
	replica, source *server
	ioOn, sqlOn     bool
	ioErr, sqlErr   string
	conn            *conn // nil unless connected
	tries           int   // counts the tries to connect, so that an old one ends
	hanging         bool  // the present try waits for an answer
	relay           []txn // all that was received, in order
	applied         int   // how many of relay are executed
	applying        bool
	awaits          bool          // the applier waits for the acknowledgement of its own commit
	base            vec           // what the server had when the link was made
	received        vec           // all of relay, and base
	heard           time.Duration // when the source was last heard, -1 for never
	applies         func(int)     // made once; the number is the start of the process
}

func newLink(replica, source *server) *link {
	l := &link{replica: replica, source: source, ioOn: true, sqlOn: true, heard: -1}
	l.applies = l.applierRuns
	return l
}

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

// follow makes a new link and forgets the old one, relay log and all.
func (s *server) follow(source *server) {
	if s.link != nil {
		s.link.disconnect()
	}
	s.link = newLink(s, source)
	s.link.base, s.link.received = s.executed, s.executed
	s.link.connect(s.w.latency())
}

// undrained says whether the relay log holds what is not executed.
func (l *link) undrained() bool { return l.applied < len(l.relay) }

func (l *link) startIO() {
	if l.ioOn {
		return
	}
	l.ioOn, l.ioErr = true, ""
	l.connect(l.replica.w.latency())
}

func (l *link) stopIO() {
	l.ioOn = false
	l.disconnect()
}

func (l *link) disconnect() {
	l.tries++
	l.hanging = false
	if c := l.conn; c != nil {
		l.heard = c.lastHeard()
		c.open = false
		l.conn = nil
		w, boot := l.replica.w, c.source.boot
		w.after(w.latency(), func() {
			if c.source.boot == boot && !w.isCut(l.replica.node(), c.source.node()) {
				c.source.receive(c.drop)
			}
		})
	}
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

// connect tries after a while, and again until the link is stopped.
func (l *link) connect(wait time.Duration) {
	l.tries++
	try, w := l.tries, l.replica.w
	w.serverAfter(l.replica, wait, func() {
		if l.tries != try || !l.ioOn || l.replica.link != l {
			return
		}
		src := l.source
		there, back := w.isCut(l.replica.node(), src.node()), w.isCut(src.node(), l.replica.node())
		l.hanging = there || back || src.gone || src.frozen
		if l.hanging || !src.alive || src.offline {
			l.connect(connectRetry)
			return
		}
		l.established()
	})
}

func (l *link) established() {
	s, src := l.replica, l.source
	l.tries++
	held := s.executed.union(l.received)
	if !held.contains(src.purged) {
		l.ioOn, l.ioErr = false, "error 13114: the source purged the required binary logs"
		s.w.explain("%s cannot follow %s: %s", s.info.Name, src.info.Name, l.ioErr)
		return
	}
	if held[src.id] > src.logged[src.id] {
		l.ioOn, l.ioErr = false, "error 13114: the replica has more transactions of the source's UUID than the source"
		s.w.explain("%s cannot follow %s: %s", s.info.Name, src.info.Name, l.ioErr)
		return
	}
	for _, other := range src.conns { // a zombie dump thread of the same replica ends
		if other.replica == s {
			other.drop()
			break
		}
	}
	c := &conn{source: src, replica: s, armed: s.replicaSync, skip: held, open: true, served: true, boot: src.boot, since: s.w.now, stalled: -1}
	c.next, c.acks = c.arrived, c.ackArrives
	l.conn, l.heard = c, s.w.now
	src.conns = append(src.conns, c)
	s.w.connected(c)
	c.send()
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

// forgetTail is a power cut at a server that does not sync its relay log: what
// came last is gone.
func (l *link) forgetTail() {
	w := l.replica.w
	keep := max(l.applied, len(l.relay)-w.rng.IntN(20))
	l.relay = l.relay[:keep]
	l.received = l.base.union(l.replica.logged)
	for _, t := range l.relay {
		l.received.add(t)
	}
}

// kick lets the applier go on.
func (l *link) kick() {
	s := l.replica
	if l.applying || !l.sqlOn || l.sqlErr != "" || !l.undrained() || !s.up() || s.disk.stuck {
		return
	}
	l.applying = true
	wait := s.w.latency() / 2
	if s.slowUntil > s.w.now {
		wait = s.slowUntil - s.w.now
	}
	s.w.afterNumber(wait, l.applies, s.boot)
}

func (l *link) applierRuns(boot int) {
	s := l.replica
	switch {
	case s.boot != boot || s.link != l:
	case s.frozen:
		s.receive(func() { l.applierRuns(boot) })
	default:
		l.applying = false
		l.apply()
	}
}

func (l *link) apply() {
	s := l.replica
	if s.slowUntil > s.w.now || s.disk.stuck {
		l.kick()
		return
	}
	for l.sqlOn && l.undrained() {
		t := l.relay[l.applied]
		l.applied++
		if s.logged.has(t) {
			continue
		}
		s.log(t, nil)
		if len(s.waiting) > 0 {
			l.applying, l.awaits = true, true
			return
		}
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

func (l *link) facts() *topology.Link {
	f := &topology.Link{
		SourceAddr: l.source.addr, IO: topology.Off, SQL: topology.Off, AutoPosition: true, Heartbeat: topology.Duration(heartbeatEvery),
		IOError: l.ioErr, SQLError: l.sqlErr, Silence: topology.Duration(never), SourceUUID: uuids[l.source.id],
	}
	heard := l.heard
	switch {
	case l.conn != nil:
		f.IO = topology.On
		heard = l.conn.lastHeard()
	case l.ioOn:
		f.IO = topology.Connecting
	}
	if l.replica.disk.receives() {
		heard = min(heard, l.replica.disk.since)
	}
	if heard >= 0 {
		f.Silence = topology.Duration(l.replica.w.now - heard)
	}
	if l.sqlOn && l.sqlErr == "" {
		f.SQL = topology.On
	}
	return f
}
