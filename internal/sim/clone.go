package sim

import (
	"context"
	"errors"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// cloning is a CLONE INSTANCE that a server received.
type cloning struct {
	s, donor  *server
	donorBoot int
	state     string
	err       string
	begun     time.Duration
	until     time.Duration
	dropped   bool
	// own is the latest of the server's own transactions when the copy was ordered: the
	// server was closed, so only a person who opens it can add to them before its data goes.
	own int32
}

var errOpen = errors.New("the server is open for writes")

// Clone implements promote.Server.
func (c *control) Clone(ctx context.Context, donor topology.Server) error {
	return c.change(ctx, "clone", func(r *request) {
		s := c.s
		switch {
		case s.clone != nil && s.clone.state == topology.CloneInProgress:
			r.reply(nil)
		case !s.closed:
			r.reply(errOpen)
		default:
			d := c.w.byName(donor.Name)
			if s.link != nil {
				s.link.stopIO()
			}
			s.clone = &cloning{s: s, donor: d, donorBoot: d.boot, state: topology.CloneInProgress, begun: c.w.now, own: s.logged[s.id], until: c.w.now + c.w.between(time.Second, 8*time.Second)}
			s.clone.later(c.w.between(20*time.Millisecond, 500*time.Millisecond))
			r.reply(nil)
		}
	})
}

func (c *cloning) facts() *topology.Clone {
	return &topology.Clone{State: c.state, Source: c.donor.addr, Error: c.err, Begun: c.begun.String(), Emptied: c.dropped && c.state != topology.CloneCompleted}
}

func (c *cloning) fail(why string) { c.state, c.err = topology.CloneFailed, why }

func (c *cloning) later(d time.Duration) {
	c.s.w.serverAfter(c.s, d, func() {
		if c.s.clone == c && c.state == topology.CloneInProgress {
			c.copy()
		}
	})
}

// copy goes on: first the old data goes, then the new comes, then the server restarts.
func (c *cloning) copy() {
	s, d, w := c.s, c.donor, c.s.w
	switch {
	case !d.up() || d.boot != c.donorBoot || w.isCut(d.node(), s.node()) || w.isCut(s.node(), d.node()):
		c.fail("error 3862: the donor is away")
		w.note("clone failed", s.id, d.id, b2i(c.dropped))
	case s.disk.stuck:
		c.later(time.Second)
	case d.hollow:
		c.fail("error 3862: the donor has no data")
	case !c.dropped:
		w.droppedData(s)
		c.dropped, s.hollow = true, true
		c.later(w.between(50*time.Millisecond, 500*time.Millisecond))
	case w.now < c.until:
		c.later(500 * time.Millisecond)
	default:
		w.note("cloned", s.id, d.id, 0)
		c.state = topology.CloneCompleted
		executed, link := d.executed, d.link
		s.kill(false)
		s.install(d)
		if link != nil {
			s.link = newLink(s, link.source)
			s.link.base, s.link.received = executed, executed
		}
		w.after(w.between(time.Second, 3*time.Second), s.start)
	}
}

// install replaces all data by a copy.
func (s *server) install(d *server) {
	s.hollow = false
	s.binlog, s.waiting, s.link = nil, nil, nil
	s.logged, s.executed, s.purged = d.executed, d.executed, d.executed
	s.data, s.awake = d.data.of(d.executed), d.awake
	s.w.saved[s.id] = topology.GTIDSet{} // it is of the data that was there
}
