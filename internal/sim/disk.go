package sim

import "time"

// disk is what a server writes to. One that is full or stuck lets queries be
// answered; commits, the applier and the receiver hang in their writes.
type disk struct {
	stuck   bool
	since   time.Duration
	commits []*write // that hang before they are in the binary log
	relay   []func() // what arrived and is not in the relay log yet
	stop    bool     // the receiver was told to stop and will, behind its write
}

// receives says that the receiver hangs.
func (d *disk) receives() bool { return d.stuck && len(d.relay) > 0 }

// crash forgets what never reached the disk. What is wrong with that stays wrong.
func (d *disk) crash() {
	for _, write := range d.commits {
		write.lost()
	}
	d.commits, d.relay, d.stop = nil, nil, false
}

func (s *server) stickDisk() {
	s.w.note("disk sticks", s.id, 0, 0)
	s.disk.stuck, s.disk.since = true, s.w.now
}

// freeDisk lets everything go on that hung.
func (s *server) freeDisk() {
	d := &s.disk
	if !d.stuck || s.doomed {
		return
	}
	s.w.note("disk is free", s.id, 0, 0)
	commits, relay, stop := d.commits, d.relay, d.stop
	*d = disk{}
	for _, arrive := range relay {
		s.receive(arrive)
	}
	if stop && s.link != nil {
		s.link.stopIO()
	}
	for _, write := range commits { // whoever waits for them or not, and closed or not: they were in flight
		s.receive(func() { s.commit(write) })
	}
	s.receive(s.closeIfIdle)
	if s.link != nil {
		s.link.kick()
	}
}
