package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

const (
	lookTimeout    = 900 * time.Millisecond
	controlTimeout = 2 * time.Second
	// openWithin is how late an order to open may be read and still count.
	openWithin = 2 * time.Second
)

// control is one watcher's control account at one server. It implements promote.Server.
type control struct {
	w     *World
	s     *server
	owner int // a watcher and its start
	node  int
	scout *scout // nil in the conformance suite
	// real is set where calls come from outside of the clock and take real time.
	real *realTime
}

var _ promote.Server = (*control)(nil)

// request is a statement on its way or at work.
type request struct {
	owner int
	void  bool
	reply func(error)
}

// keptRequest is a statement that the network holds back until it is mended.
type keptRequest struct {
	from, to int
	deliver  func()
}

// call sends a statement and waits for its reply, its deadline, or the end of ctx.
func (c *control) call(ctx context.Context, op string, timeout time.Duration, handle func(*request)) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w: %w", op, promote.ErrUnreachable, ctx.Err())
	}
	if c.real != nil {
		return c.real.call(ctx, func(done func(error)) (abandon func(error)) { return c.send(op, nil, timeout, handle, done) })
	}
	w, began := c.w, c.w.now
	w.point(c.scout, "before ", op)
	over, err := c.connected(ctx, op, timeout)
	if err == nil {
		err = c.await(ctx, func(done func(error)) (abandon func(error)) {
			return c.send(op, over, timeout-(w.now-began), handle, done)
		})
		if slot := &c.scout.sessions[c.s.id]; *slot == over && errors.Is(err, promote.ErrUnreachable) {
			*slot = nil // the adapter drops a session that a statement was given up on
		}
	}
	w.point(c.scout, "after ", op)
	return err
}

// await waits for what start begins, or the end of ctx.
func (c *control) await(ctx context.Context, start func(done func(error)) (abandon func(error))) error {
	p := c.w.running
	ticket := p.ticket()
	var result error
	abandon := start(func(err error) {
		result = err
		p.wake(ticket)
	})
	cancel := onCancel(ctx, func() { abandon(ctx.Err()) })
	p.pause()
	cancel()
	return result
}

// send puts a statement on its way over a session, nil for a login and where
// there is none. It has done called exactly once. The returned function gives the
// call up.
func (c *control) send(op string, through *session, timeout time.Duration, handle func(*request), done func(error)) (abandon func(error)) {
	w, s := c.w, c.s
	over := false
	r := &request{owner: c.owner}
	finish := func(err error) {
		if !over {
			over = true
			done(err)
		}
	}
	abandon = func(err error) {
		if over {
			return
		}
		finish(fmt.Errorf("%s: %w: %w", op, promote.ErrUnreachable, err))
		// The adapter kills the session of a statement that it gave up, if the server lets it.
		if s.up() && !w.isCut(c.node, s.node()) {
			r.void = true
		}
	}
	refuse := func() {
		if !s.gone && !w.isCut(c.node, s.node()) && !w.isCut(s.node(), c.node) {
			w.after(w.latency(), func() { finish(fmt.Errorf("%s: %w: connection refused", op, promote.ErrUnreachable)) })
		}
	}
	r.reply = func(err error) {
		if err != nil {
			err = fmt.Errorf("%s: %w", op, err)
		}
		r.void = true
		if !w.isCut(s.node(), c.node) {
			w.after(w.latency(), func() { finish(err) })
		}
	}
	deliver := func() {
		if !s.alive {
			refuse()
			return
		}
		s.receive(func() {
			switch {
			case r.void:
			case through != nil && through.gone(s):
				r.reply(fmt.Errorf("%w: %w", promote.ErrUnreachable, errKilled))
			default:
				s.remember(r)
				handle(r)
			}
		})
	}
	if w.isCut(c.node, s.node()) {
		if w.chance(3) { // the kernel sends it again when the network is mended
			w.kept = append(w.kept, keptRequest{c.node, s.node(), deliver})
		}
	} else {
		boot := s.boot
		w.after(w.latency(), func() {
			if s.boot == boot {
				deliver()
			} else {
				refuse()
			}
		})
	}
	w.after(timeout, func() { abandon(context.DeadlineExceeded) })
	return abandon
}

// remember keeps the statements at work, so that their sessions can be killed.
func (s *server) remember(r *request) {
	kept := s.requests[:0]
	for _, other := range s.requests {
		if !other.void {
			kept = append(kept, other)
		}
	}
	s.requests = append(kept, r)
}

// change is call for statements that change the server.
func (c *control) change(ctx context.Context, op string, do func(*request)) error {
	return c.call(ctx, op, controlTimeout, func(r *request) {
		c.w.note(op, c.s.id, c.owner, 0)
		c.w.effect(c, op)
		do(r)
	})
}

// Look implements promote.Server.
func (c *control) Look(ctx context.Context) (topology.Facts, error) {
	var facts *topology.Facts
	err := c.call(ctx, "look", lookTimeout, func(r *request) {
		facts = c.s.facts()
		r.reply(nil)
	})
	if err != nil {
		return topology.Facts{}, err
	}
	return *facts, nil
}

// StopReceiver implements promote.Server.
func (c *control) StopReceiver(ctx context.Context) error {
	return c.change(ctx, "stop receiver", func(r *request) {
		l := c.s.link
		if l == nil || !l.ioOn {
			r.reply(nil)
			return
		}
		if c.s.disk.receives() { // the IO thread hangs in its write, and stops behind it
			c.s.disk.stop = true
			c.w.serverAfter(c.s, controlTimeout-50*time.Millisecond, func() { r.reply(promote.ErrNotYet) })
			return
		}
		if !l.hanging {
			l.stopIO()
			r.reply(nil)
			return
		}
		// The IO thread notices when its try to connect ends; the stop stays ordered.
		c.w.serverAfter(c.s, c.w.between(10*time.Millisecond, netTimeout), func() {
			l.stopIO()
			r.reply(nil)
		})
		c.w.serverAfter(c.s, controlTimeout-50*time.Millisecond, func() {
			if !r.void {
				r.reply(promote.ErrNotYet)
			}
		})
	})
}

var errNoLink = errors.New("error 1200: the server is not configured as replica")

// StartReceiver implements promote.Server.
func (c *control) StartReceiver(ctx context.Context) error {
	return c.onLink(ctx, "start receiver", func(l *link) { l.startIO() })
}

// StartApplier implements promote.Server.
func (c *control) StartApplier(ctx context.Context) error {
	return c.onLink(ctx, "start applier", func(l *link) {
		l.sqlOn, l.sqlErr = true, ""
		l.kick()
	})
}

func (c *control) onLink(ctx context.Context, op string, do func(*link)) error {
	return c.change(ctx, op, func(r *request) {
		if c.s.link == nil {
			r.reply(errNoLink)
			return
		}
		do(c.s.link)
		r.reply(nil)
	})
}

// Follow implements promote.Server.
func (c *control) Follow(ctx context.Context, source topology.Server) error {
	return c.whenDrained(ctx, "follow", func() { c.s.follow(c.w.byAddr(source.Addr())) })
}

// ForgetSource implements promote.Server.
func (c *control) ForgetSource(ctx context.Context) error {
	return c.whenDrained(ctx, "forget source", func() {
		if c.s.link != nil {
			c.s.link.disconnect()
			c.s.link = nil
		}
	})
}

// whenDrained stops replication if all that was received is executed, as the adapter
// does. A master's own transactions, which came round to it, are.
func (c *control) whenDrained(ctx context.Context, op string, do func()) error {
	return c.change(ctx, op, func(r *request) {
		if l := c.s.link; l != nil {
			if c.s.disk.receives() {
				c.s.disk.stop = true
				r.reply(fmt.Errorf("the receiver hangs: %w", promote.ErrNotYet))
				return
			}
			l.stopIO()
			if !c.s.executed.contains(l.received) || l.awaits {
				r.reply(fmt.Errorf("the relay log holds what is not executed: %w", promote.ErrNotYet))
				return
			}
		}
		do()
		r.reply(nil)
	})
}

// SetSuperReadOnly implements promote.Server. An order to open that is read too
// late has no effect, as in the adapter.
func (c *control) SetSuperReadOnly(ctx context.Context, on bool) error {
	if on {
		return c.change(ctx, "close", func(r *request) { c.s.setClosed(true, r) })
	}
	var until time.Duration
	err := c.call(ctx, "ask the time", controlTimeout, func(r *request) {
		until = c.w.now + openWithin
		r.reply(nil)
	})
	if err != nil {
		return err
	}
	return c.call(ctx, "open", controlTimeout, func(r *request) {
		if c.w.now >= until && c.w.opts.Break != BreakDeadline {
			r.reply(errors.New("the server read the order too late and stayed closed"))
			return
		}
		c.w.note("open", c.s.id, c.owner, 0)
		c.w.effect(c, "open")
		c.s.setClosed(false, r)
	})
}

// SetOffline implements promote.Server.
func (c *control) SetOffline(ctx context.Context, on bool) error {
	return c.change(ctx, onOff("offline", on), func(r *request) {
		c.s.setOffline(on)
		r.reply(nil)
	})
}

// SetSourceSemiSync implements promote.Server.
func (c *control) SetSourceSemiSync(ctx context.Context, acks int) error {
	return c.change(ctx, onOff("source semi-sync", acks > 0), func(r *request) {
		c.s.setSourceSync(acks)
		r.reply(nil)
	})
}

// SetReplicaSemiSync implements promote.Server.
func (c *control) SetReplicaSemiSync(ctx context.Context, on bool) error {
	return c.change(ctx, onOff("replica semi-sync", on), func(r *request) {
		c.s.replicaSync = on
		r.reply(nil)
	})
}

func onOff(what string, on bool) string {
	if on {
		return what + " on"
	}
	return what + " off"
}

func (c *control) now() time.Duration {
	if c.real != nil {
		return c.real.now()
	}
	return c.w.now
}

// KillOlderSessions implements promote.Server.
func (c *control) KillOlderSessions(ctx context.Context) error {
	return c.call(ctx, "kill older sessions", controlTimeout, func(r *request) {
		c.s.endSessions(c.owner)
		r.reply(nil)
	})
}
