package sim

import (
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// server is a fake MySQL server: what failoverd can see and change of one, with
// the behaviour that was measured on real ones.
type server struct {
	w    *World
	id   int
	info topology.Server
	addr string

	alive  bool
	frozen bool
	// doomed means that what is wrong with it stays wrong, certain that this shows at once.
	doomed, certain bool
	// gone means that not even the kernel of its host answers.
	gone bool
	// denied means that the probe account is refused.
	denied bool
	boot   int // counts the starts; what belongs to an earlier one is void

	// binlog is every transaction in the order of this server's binary log, and
	// logged the same as a set. executed is what sessions see: it lacks the
	// commits that wait for an acknowledgement.
	binlog   []txn
	logged   vec
	executed vec
	data     data
	waiting  []commit // the last of binlog

	closed      bool // super_read_only
	offline     bool
	sourceSync  bool            // rpl_semi_sync_source_enabled
	acks        int             // rpl_semi_sync_source_wait_for_replica_count
	receipts    [maxServers]int // the latest place that each replica acknowledged
	replicaSync bool            // rpl_semi_sync_replica_enabled
	closing     *closing
	blocked     []*write // writes behind a pending close
	link        *link    // its source
	conns       []*conn  // dump threads: its replicas
	inbox       []func() // what a frozen process has not read yet
	waits       []*executedWait
	sessions    []*session
	requests    []*request
	slowUntil   time.Duration // the applier does nothing until then
	slowWire    time.Duration // how long each transaction takes to get here
	byHand      bool          // a person opened it: what it acknowledges was never promised
	openedAt    time.Duration

	executedSet, receivedSet cached
	awake                    bool     // the scheduled events are enabled here
	purged                   vec      // what the binary log does not have any more
	clone                    *cloning // the latest, nil when there was none
	hollow                   bool     // a clone took the data away and did not bring any
	disk                     disk
	idle                     *topology.Facts // facts of a server without a link, until it changes
	arrivals                 func(int)       // of clients' writes, made once
}

// commit is one transaction that waits for its acknowledgement.
type commit struct {
	t   txn
	pos int // its place in the binlog, from 1
	// write is the client's, nil when the applier commits.
	write *write
}

// closing is a super_read_only that waits for commits in flight.
type closing struct {
	r *request
}

type executedWait struct {
	set  vec
	done func(error)
}

func newServer(w *World, id int, info topology.Server) *server {
	s := &server{w: w, id: id, info: info, addr: info.Addr(), alive: true, closed: true, acks: 1, openedAt: -1}
	s.arrivals = s.writeArrives
	return s
}

// receive hands the process something that arrived over the network.
func (s *server) receive(do func()) {
	switch {
	case !s.alive:
	case s.frozen:
		s.inbox = append(s.inbox, do)
	default:
		do()
	}
}

// up says that the process runs and answers.
func (s *server) up() bool { return s.alive && !s.frozen }

// kill ends the process like kill -9, or with its whole host.
func (s *server) kill(host bool) {
	if !s.alive {
		s.gone = s.gone || host
		return
	}
	s.w.note("kill", s.id, b2i(host), 0)
	s.w.disturb()
	s.alive, s.frozen, s.gone = false, false, host
	s.boot++
	s.inbox, s.sessions, s.requests, s.waits = nil, nil, nil, nil
	s.disk.crash()
	for _, c := range s.waiting {
		if c.write != nil {
			c.write.lost()
		}
	}
	for _, write := range s.blocked {
		write.lost()
	}
	s.closing, s.blocked = nil, nil
	// Crash recovery commits what the binary log has, acknowledged or not.
	s.waiting, s.executed = nil, s.logged
	for _, c := range s.conns {
		c.sourceGone(host)
	}
	s.conns = nil
	if s.link != nil {
		s.link.disconnect()
		s.link.applying, s.link.awaits = false, false
		if host && s.w.opts.Break == BreakSync {
			s.link.forgetTail()
		}
	}
	if c := s.clone; c != nil && c.state == topology.CloneInProgress {
		c.fail("the server was restarted")
	}
}

// start boots the process: closed, semi-sync off, replication on.
func (s *server) start() {
	if s.alive || s.doomed {
		return
	}
	s.w.note("start", s.id, 0, 0)
	s.w.disturb()
	s.alive, s.frozen, s.gone, s.byHand = true, false, false, false
	s.boot++
	s.closed, s.offline, s.sourceSync, s.replicaSync, s.acks = true, false, false, false, 1
	s.receipts = [maxServers]int{}
	if l := s.link; l != nil {
		l.heard, l.ioOn, l.sqlOn, l.ioErr = -1, true, true, ""
		l.connect(0)
		l.kick()
	}
}

func (s *server) freeze() {
	if !s.up() {
		return
	}
	s.w.note("freeze", s.id, 0, 0)
	s.frozen = true
	s.w.linksChanged()
}

func (s *server) thaw() {
	if !s.alive || !s.frozen || s.doomed {
		return
	}
	s.w.note("thaw", s.id, 0, 0)
	s.frozen = false
	inbox := s.inbox
	s.inbox = nil
	for _, do := range inbox {
		s.receive(do)
	}
	if s.link != nil {
		s.link.kick()
	}
	s.w.linksChanged()
}

// setOffline drops clients and dump threads, or lets them in again.
func (s *server) setOffline(on bool) {
	s.offline = on
	if !on {
		return
	}
	for _, c := range s.waiting {
		if c.write != nil {
			c.write.lost() // its thread goes on waiting
		}
	}
	for _, write := range s.disk.commits {
		write.lost() // likewise
	}
	for _, write := range s.blocked {
		write.lost()
	}
	s.blocked = nil
	for _, c := range s.conns {
		c.sourceGone(false)
	}
	s.conns = nil
}

// setClosed opens the server at once, or closes it when no commit is in flight.
func (s *server) setClosed(on bool, r *request) {
	switch {
	case !on:
		s.open(false)
		r.reply(nil)
	case len(s.waiting) == 0 && len(s.disk.commits) == 0:
		s.close()
		r.reply(nil)
	case s.closing != nil:
		s.w.serverAfter(s, lockWait, func() { r.reply(errLockWait) })
	default:
		pending := &closing{r}
		s.closing = pending
		s.w.serverAfter(s, lockWait, func() {
			if s.closing == pending {
				s.endClosing()
				r.reply(errLockWait)
			}
		})
	}
}

func (s *server) close() {
	s.closed, s.byHand = true, false
	s.w.note("closed", s.id, 0, 0)
}

// endClosing gives a pending close up: the writes behind it go on.
func (s *server) endClosing() {
	s.closing = nil
	blocked := s.blocked
	s.blocked = nil
	for _, write := range blocked {
		s.clientWrite(write)
	}
}

// open is setClosed(false): by failoverd, or by hand.
func (s *server) open(byHand bool) {
	if !s.closed {
		return
	}
	s.closed, s.byHand, s.openedAt = false, byHand, s.w.now
	s.w.note("opened", s.id, b2i(byHand), 0)
	if byHand {
		s.w.oracle.hands = true
		return
	}
	s.w.opened(s)
}

// lockWait is the short lock_wait_timeout of control sessions.
const lockWait = time.Second

// facts is what a look at the server shows.
func (s *server) facts() *topology.Facts {
	clients := 0
	for _, c := range s.conns {
		if c.armed {
			clients++
		}
	}
	f := topology.Facts{
		UUID: uuids[s.id], Version: "9.7.4", ServerID: uint32(s.id + 1), ReadOnly: s.closed, SuperReadOnly: s.closed, Offline: s.offline,
		Executed: s.executedSet.gtids(s.executed, vec{}), ReplicaSemiSync: s.replicaSync,
		Source: topology.SourceSemiSync{Installed: true, Enabled: s.sourceSync, On: s.sourceSync, Clients: clients, Waiting: len(s.waiting), Acks: s.acks},
	}
	if !s.awake {
		f.AsleepEvents = events
	}
	if s.purged != (vec{}) {
		f.Purged = s.purged.gtids(vec{})
	}
	if s.clone != nil {
		f.Clone = s.clone.facts()
	}
	if s.w.opts.Break == BreakProof && s.w.raft != nil {
		f.Executed = s.executed.common(s.w.masterNow().logged).gtids(vec{})
	}
	if s.link != nil {
		f.Link = s.link.facts()
		f.Link.Received = s.receivedSet.gtids(s.link.received, s.link.base)
		return &f
	}
	if s.idle != nil && s.clone == nil && sameIdle(s.idle, &f) {
		return s.idle
	}
	s.idle = &f
	return s.idle
}

func sameIdle(a, b *topology.Facts) bool {
	return a.ReadOnly == b.ReadOnly && a.Offline == b.Offline && a.ReplicaSemiSync == b.ReplicaSemiSync && a.Source == b.Source && a.AsleepEvents == b.AsleepEvents &&
		a.Executed.Equal(b.Executed)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
