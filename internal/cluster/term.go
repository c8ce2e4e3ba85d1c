package cluster

import (
	"context"
	"errors"
	"time"
)

// term is one unbroken leadership of this node.
type term struct {
	ctx     context.Context
	end     context.CancelCauseFunc
	current bool // a barrier has passed: the machine holds all that was committed before
}

// Term returns the context of the present leadership; ok is false while this node does not lead, or leads but
// has not yet applied everything that earlier leaders committed. The context is cancelled the moment the
// leadership is lost; context.Cause tells ErrLostLeadership, ErrStuck or ErrClosed. Whoever acts as the leader
// acts under it.
func (n *Node) Term() (ctx context.Context, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.term == nil || !n.term.current {
		return nil, false
	}
	return n.term.ctx, true
}

// AwaitTerm waits until this node leads and returns the context of that leadership. Its errors are ctx's cause,
// also when this node leads, and ErrClosed.
func (n *Node) AwaitTerm(ctx context.Context) (context.Context, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		n.mu.Lock()
		moved := n.termMoved
		t := n.term
		if t != nil && t.current {
			n.mu.Unlock()
			return t.ctx, nil
		}
		n.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-n.done:
			return nil, ErrClosed
		}
	}
}

// IsLeader tells whether Term would return a context.
func (n *Node) IsLeader() bool {
	_, ok := n.Term()
	return ok
}

// Leader returns the leader as far as this node knows, and empty strings when it knows of none.
func (n *Node) Leader() (id, addr string) {
	a, i := n.raft.LeaderWithID()
	return string(i), string(a)
}

// watchLeadership turns raft's notices into terms. Raft waits for each notice to be taken, hence nothing here
// may wait for raft.
func (n *Node) watchLeadership() {
	for {
		select {
		case leads := <-n.notify:
			done := n.stopwatch.start("taking a notice of raft")
			if leads {
				n.beginTerm()
			} else {
				n.endTerm(ErrLostLeadership)
			}
			done()
		case <-n.done:
			n.endTerm(ErrClosed)
			return
		}
	}
}

func (n *Node) beginTerm() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.term != nil || n.closing.Load() {
		return
	}
	t := &term{}
	t.ctx, t.end = context.WithCancelCause(context.Background())
	n.term = t
	n.workers.Go(func() { n.catchUp(t) })
}

// catchUp makes a term current once a barrier has passed.
func (n *Node) catchUp(t *term) {
	for t.ctx.Err() == nil {
		err := n.Barrier(t.ctx)
		if err == nil && n.publishTerm(t) {
			n.log.Info("leadership gained", "id", n.cfg.ID, "term", n.raft.CurrentTerm())
			return
		}
		if !n.raftLeads() {
			// The notice of the loss may have come before this term was begun.
			n.dropTerm(t)
			return
		}
		if err != nil && !errors.Is(err, ErrClosed) {
			n.log.Debug("barrier of a new leader not passed", "error", err)
		}
		select {
		case <-t.ctx.Done():
		case <-time.After(n.timing.Lease / 8):
		}
	}
}

func (n *Node) publishTerm(t *term) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.term != t || n.stuck != "" {
		return false
	}
	t.current = true
	n.tellTerm()
	return true
}

func (n *Node) dropTerm(t *term) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.term == t {
		n.term = nil
		t.end(ErrLostLeadership)
		n.tellTerm()
	}
}

func (n *Node) endTerm(cause error) {
	n.mu.Lock()
	t := n.term
	n.term = nil
	if t != nil {
		t.end(cause)
		n.tellTerm()
	}
	n.mu.Unlock()
	if t != nil && t.current {
		// Raft waits for whoever takes its notice, and the log may hang.
		n.workers.Go(func() { n.log.Warn("leadership lost", "id", n.cfg.ID, "cause", cause) })
	}
}

// tellTerm wakes whoever waits for a term; n.mu is held.
func (n *Node) tellTerm() {
	close(n.termMoved)
	n.termMoved = make(chan struct{})
}
