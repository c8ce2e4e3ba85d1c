package sim

import (
	"errors"
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
	default:
		write.t = txn{origin: int8(s.id), n: s.logged[s.id] + 1, write: write.id}
		write.server = s
		s.log(write.t, write)
	}
}

// log commits a transaction to the binary log. With semi-sync it waits there,
// unseen, while it is sent to all replicas (AFTER_SYNC).
func (s *server) log(t txn, write *write) {
	s.binlog = append(s.binlog, t)
	s.logged.add(t)
	s.waiting = append(s.waiting, commit{t, len(s.binlog), write})
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
func (s *server) acked(pos int) {
	if s.sourceSync {
		s.finish(pos)
	}
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
			s.w.acknowledged(s, c.t)
			c.write.end(Acked)
		}
	}
	s.tellWaits()
	if resume && s.link != nil && s.link.awaits {
		s.link.awaits, s.link.applying = false, false
		s.link.kick()
	}
	if len(s.waiting) == 0 && s.closing != nil {
		r := s.closing.r
		if !r.void { // its session was not killed meanwhile
			s.close()
			r.reply(nil)
		}
		s.endClosing()
	}
}

func (s *server) setSourceSync(on bool) {
	s.sourceSync = on
	if !on {
		s.finish(len(s.binlog)) // waiting commits are let go
	}
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
