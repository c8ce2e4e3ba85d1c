package sim

import (
	"errors"
	"slices"
	"time"
)

var errLockWait = errors.New("error 1205: lock wait timeout exceeded")

// writeArrives is the end of a client's write's way; the number is the write's.
func (s *server) writeArrives(id int) {
	switch write := s.w.writes[id-1]; {
	case !s.alive:
		write.end(Refused)
	case s.frozen:
		s.receive(func() { s.clientWrite(write) })
	default:
		s.clientWrite(write)
	}
}

// clientWrite is the arrival of a client's commit.
func (s *server) clientWrite(write *write) {
	switch {
	case write.over:
	case s.offline:
		write.lost()
	case s.closed:
		write.end(Refused)
	case s.closing != nil:
		s.blocked = append(s.blocked, write)
	case s.disk.stuck:
		s.disk.commits = append(s.disk.commits, write)
	default:
		s.commit(write)
	}
}

// commit gives a write its number and logs it.
func (s *server) commit(write *write) {
	write.t = txn{origin: int8(s.id), n: s.logged[s.id] + 1, write: write.id}
	write.server = s
	s.w.given(s, write.t)
	s.log(write.t, write)
}

// log commits a transaction to the binary log. With semi-sync it waits there,
// unseen, while it is sent to all replicas (AFTER_SYNC).
func (s *server) log(t txn, write *write) {
	s.binlog = append(s.binlog, t)
	s.logged.add(t)
	s.data.add(t)
	s.waiting = append(s.waiting, commit{t, len(s.binlog), write})
	if t.write == wakesEvents {
		s.awake = t.origin == int8(s.id) // the replicas have it as asleep
	}
	pos := len(s.binlog)
	if !s.sourceSync {
		s.finish(pos)
	} else if s.w.opts.Break == BreakTimeout {
		s.w.serverAfter(s, time.Second, func() { s.finish(pos) })
	}
	for _, c := range s.conns {
		c.send()
	}
}

// acked is the receipt of an acker for everything up to a place in the log.
func (s *server) acked(replica *server, pos int) {
	if !s.sourceSync {
		return
	}
	s.receipts[replica.id] = max(s.receipts[replica.id], pos)
	s.release()
}

// release finishes what so many replicas acknowledged as the server waits for.
func (s *server) release() {
	if s.acks == 1 {
		s.finish(slices.Max(s.receipts[:]))
		return
	}
	sorted := s.receipts
	slices.Sort(sorted[:])
	s.finish(sorted[len(sorted)-min(s.acks, len(sorted))])
}

// finish makes the waiting commits up to a place visible and tells their clients.
func (s *server) finish(pos int) {
	resume := false
	for len(s.waiting) > 0 && s.waiting[0].pos <= pos {
		c := s.waiting[0]
		s.waiting = shifted(s.waiting, 1)
		s.executed.add(c.t)
		switch {
		case c.write == nil:
			resume = true
		case !c.write.over:
			c.write.promised = s.w.acknowledged(s, c.t)
			c.write.end(Acked)
		}
	}
	s.tellWaits()
	if resume && s.link != nil && s.link.awaits {
		s.link.awaits, s.link.applying = false, false
		s.link.kick()
	}
	s.closeIfIdle()
}

// closeIfIdle carries out a close that waited for commits in flight.
func (s *server) closeIfIdle() {
	if len(s.waiting) == 0 && len(s.disk.commits) == 0 && s.closing != nil {
		r := s.closing.r
		if !r.void { // its session was not killed meanwhile
			s.close()
			r.reply(nil)
		}
		s.endClosing()
	}
}

func (s *server) setSourceSync(acks int) {
	s.sourceSync = acks > 0
	if !s.sourceSync {
		s.receipts = [maxServers]int{}
		s.finish(len(s.binlog)) // waiting commits are let go
		return
	}
	s.acks = acks
	s.release()
}

func (s *server) tellWaits() {
	for i := 0; i < len(s.waits); i++ {
		if wait := s.waits[i]; s.executed.contains(wait.set) {
			s.waits = append(s.waits[:i], s.waits[i+1:]...)
			i--
			wait.done(nil)
		}
	}
}
