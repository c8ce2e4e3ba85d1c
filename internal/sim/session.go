package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
)

// session is a login of one leadership's control account at one server. It stands
// for the whole pool that the adapter has.
type session struct {
	owner int
	boot  int  // of the server
	ended bool // a later leader killed it
}

// gone says that the server does not know the session any more.
func (c *session) gone(s *server) bool { return c.ended || c.boot != s.boot }

var (
	errUnconfirmed = errors.New("nobody confirmed that this watcher leads")
	errKilled      = errors.New("the session was killed")
)

// connected is the session that the next statement goes over. As in the adapter,
// a new one is used once a majority confirmed, after the login, that its owner
// leads: the next leader kills what is logged in when it begins.
func (c *control) connected(ctx context.Context, op string, timeout time.Duration) (*session, error) {
	w, s, slot := c.w, c.s, &c.scout.sessions[c.s.id]
	if *slot != nil && (!(*slot).gone(s) || w.isCut(s.node(), c.node)) {
		return *slot, nil // an end that a cut network hides shows when nothing answers
	}
	began := w.now
	var fresh *session
	err := c.await(ctx, func(done func(error)) (abandon func(error)) {
		return c.send(op, nil, timeout, func(r *request) {
			fresh = &session{owner: c.owner, boot: s.boot}
			s.sessions = append(s.sessions, fresh)
			r.reply(nil)
		}, done)
	})
	if err != nil {
		return nil, err
	}
	if w.opts.Break != BreakAdmit {
		if err := c.scout.confirmed(ctx, timeout-(w.now-began)); err != nil {
			return nil, fmt.Errorf("%s: the new session is not used: %w", op, err)
		}
	}
	*slot = fresh
	return fresh, nil
}

// confirmed commits nothing, with a majority, as the cluster's Barrier does.
func (x *scout) confirmed(ctx context.Context, within time.Duration) error {
	w, r := x.w, x.w.raft
	p := w.running
	ticket, termNo := p.ticket(), x.termNo
	result := errUnconfirmed
	w.after(w.between(time.Millisecond, 8*time.Millisecond), func() {
		if r.leader == x && r.termNo == termNo && x.alive && !x.paused && r.hears(x) {
			result = nil
			p.wake(ticket)
		}
	})
	w.afterNumber(max(within, time.Millisecond), p.wakes, ticket)
	cancel := onCancel(ctx, func() { p.wake(ticket) })
	p.pause()
	cancel()
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", promote.ErrUnreachable, ctx.Err())
	}
	return result
}

// endSessions ends all sessions but those of one owner, with what they do.
func (s *server) endSessions(but int) {
	kept := s.sessions[:0]
	for _, one := range s.sessions {
		if one.owner == but {
			kept = append(kept, one)
		} else {
			one.ended = true
		}
	}
	s.sessions = kept
	for _, r := range s.requests {
		if r.owner != but && !r.void {
			r.reply(fmt.Errorf("%w: %w", promote.ErrUnreachable, errKilled))
		}
	}
	s.requests = nil
}
