package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Apply replicates a command and returns what the leader's machine made of it, once a majority has it on disk.
//
// Errors: the machine's own, when it refused the command; ErrNotLeader, ErrNoQuorum and ErrClosed, when the
// command certainly took no effect; ErrUnknownOutcome, when that is not known. A context without deadline gets
// one of Timing.RPC.
func (n *Node) Apply(ctx context.Context, command []byte) (any, error) {
	if err := n.leads(ctx); err != nil {
		return nil, err
	}
	future, err := await(ctx, n, func(queue time.Duration) raft.ApplyFuture { return n.raft.Apply(command, queue) })
	if err != nil {
		return nil, n.explain(err)
	}
	if refused, ok := future.Response().(error); ok {
		return nil, refused
	}
	return future.Response(), nil
}

// Barrier returns when every command that was committed before the call has been applied here. It works on the
// leader only, and proves that it led after the call; its errors are ErrNotLeader, ErrNoQuorum and ErrClosed.
func (n *Node) Barrier(ctx context.Context) error {
	if err := n.leads(ctx); err != nil {
		return err
	}
	_, err := await(ctx, n, func(queue time.Duration) raft.Future { return n.raft.Barrier(queue) })
	return n.explainRead(err)
}

// VerifyLeader asks a majority whether this node still leads. Its errors are those of Barrier. Raft counts an
// answer that was under way before the question, so a node that was stopped and goes on may be told of the time
// before: where that matters, Barrier is the proof, for its entry is committed now or not at all.
func (n *Node) VerifyLeader(ctx context.Context) error {
	if err := n.leads(ctx); err != nil {
		return err
	}
	_, err := await(ctx, n, func(time.Duration) raft.Future { return n.raft.VerifyLeader() })
	return n.explainRead(err)
}

// leads refuses early what cannot work, so that the refusal is a certain one.
func (n *Node) leads(ctx context.Context) error {
	if n.closing.Load() {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if !n.raftLeads() {
		return n.elsewhere()
	}
	if what := n.stuckAt(); what != "" {
		return fmt.Errorf("%w: %s hangs here", ErrNoQuorum, what)
	}
	return nil
}

// elsewhere says whom to ask instead, or that there is nobody.
func (n *Node) elsewhere() error {
	if id, addr := n.Leader(); id != "" && id != n.cfg.ID {
		return &NotLeaderError{ID: id, Addr: addr}
	}
	return fmt.Errorf("%w: no leader is known", ErrNoQuorum)
}

// errGaveUp says that the caller's time was up while raft was still at work.
var errGaveUp = errors.New("no answer in time")

// await starts a request and waits for its future no longer than ctx allows. start is told how long the request
// may wait in raft's queue: half of the time there is, so that a request that never left the queue is answered
// for certain while the caller still listens. The waiting goroutine ends when raft answers, at the latest when
// raft stops.
func await[F raft.Future](ctx context.Context, n *Node, start func(queue time.Duration) F) (F, error) {
	limit := n.timing.RPC
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	var none F
	queue := limit / 2
	if queue <= 0 { // raft takes zero for no limit
		return none, raft.ErrEnqueueTimeout
	}
	type answer struct {
		future F
		err    error
	}
	hung := n.hung()
	answered := make(chan answer, 1)
	go func() {
		f := start(queue)
		answered <- answer{f, f.Error()}
	}()
	select {
	case a := <-answered:
		return a.future, a.err
	case <-hung:
		return none, fmt.Errorf("%w: %w", errGaveUp, ErrStuck)
	case <-ctx.Done():
		return none, fmt.Errorf("%w: %w", errGaveUp, context.Cause(ctx))
	case <-n.done:
		return none, fmt.Errorf("%w: %w", errGaveUp, ErrClosed)
	}
}

// explain sorts raft's errors of a command by the one thing that matters: can it have taken effect?
func (n *Node) explain(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return n.elsewhere() // answered from the queue: it never reached the log
	case errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return fmt.Errorf("%w: leadership is being handed over", ErrNoQuorum)
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return fmt.Errorf("%w: the command waited in vain to be taken up", ErrNoQuorum)
	default:
		// Leadership lost, no answer in time, shut down, a failed write: the entry may be on another
		// node's disk, and a later leader may commit it.
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
}

// explainRead does the same for requests that change nothing, whose outcome is therefore never unknown.
func (n *Node) explainRead(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrClosed) || errors.Is(err, raft.ErrRaftShutdown):
		return ErrClosed
	case errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipLost):
		return n.elsewhere()
	default:
		return fmt.Errorf("%w: %w", ErrNoQuorum, err)
	}
}
