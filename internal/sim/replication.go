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
