package cluster

import (
	"errors"
	"sync"

	"github.com/hashicorp/raft"
)

// errNoVote is the answer to a request for a vote that this node must not give.
var errNoVote = errors.New("this watcher has no state of its own yet and does not vote")

// guard stands between the network and raft and keeps a node that lost its disk from voting.
//
// Raft counts on a voter remembering what it stored and for whom it voted. A node that comes back empty under
// its old ID has forgotten both: with its vote, a follower that never saw a committed entry could become
// leader, and the entry would be lost. So a node that starts without state gives no vote until it holds
// everything that a leader had committed. It needs no such rule for standing itself, because a node without
// state knows no peers.
type guard struct {
	raft.Transport
	consumer  chan raft.RPC
	closeOnce sync.Once
	closed    chan struct{}
	worker    sync.WaitGroup

	mu      sync.Mutex
	silent  bool          // gives no votes
	applied func() uint64 // nil until raft runs
	joined  func()        // called once, when the silence ends
}

func newGuard(inner raft.Transport) *guard {
	g := &guard{Transport: inner, consumer: make(chan raft.RPC), closed: make(chan struct{}), silent: true}
	g.worker.Go(g.forward)
	return g
}

// openTo ends the silence that every start begins with, unless the node is still joining; then joined is called
// when it has caught up.
func (g *guard) openTo(r *raft.Raft, joining bool, joined func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.silent, g.applied, g.joined = joining, r.AppliedIndex, joined
}

func (g *guard) isSilent() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.silent
}

// Consumer implements raft.Transport.
func (g *guard) Consumer() <-chan raft.RPC { return g.consumer }

func (g *guard) forward() {
	for {
		select {
		case rpc := <-g.Transport.Consumer():
			if g.answers(rpc) {
				continue
			}
			select {
			case g.consumer <- rpc:
			case <-g.closed:
				rpc.Respond(nil, raft.ErrTransportShutdown)
				return
			}
		case <-g.closed:
			return
		}
	}
}

// ask returns when raft's main loop has answered, or when the guard is closed. The question is a heartbeat from a
// leader of term zero, which raft declines without a look at anything else; raft's term must be above that.
func (g *guard) ask() {
	answer := make(chan raft.RPCResponse, 1) // so that raft never waits for us
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}
	select {
	case g.consumer <- raft.RPC{Command: &raft.AppendEntriesRequest{RPCHeader: header}, RespChan: answer}:
	case <-g.closed:
		return
	}
	select {
	case <-answer:
	case <-g.closed:
	}
}

// answers deals with what raft must not see.
func (g *guard) answers(rpc raft.RPC) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.silent {
		return false
	}
	switch cmd := rpc.Command.(type) {
	case *raft.RequestVoteRequest:
		rpc.Respond(&raft.RequestVoteResponse{RPCHeader: cmd.RPCHeader}, errNoVote)
		return true
	case *raft.RequestPreVoteRequest:
		rpc.Respond(&raft.RequestPreVoteResponse{RPCHeader: cmd.RPCHeader}, errNoVote)
		return true
	case *raft.AppendEntriesRequest:
		// The leader's commit index covers all that this node ever helped to commit: the leader counted
		// those receipts before it lost sight of us.
		if g.applied != nil && cmd.LeaderCommitIndex > 0 && g.applied() >= cmd.LeaderCommitIndex {
			g.silent = false
			g.joined()
		}
	}
	return false
}

// RequestPreVote implements raft.WithPreVote.
func (g *guard) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	inner, ok := g.Transport.(raft.WithPreVote)
	if !ok {
		return errors.New("transport knows no pre-vote")
	}
	return inner.RequestPreVote(id, target, args, resp)
}

// Close implements raft.WithClose.
func (g *guard) Close() error {
	var err error
	g.closeOnce.Do(func() {
		close(g.closed)
		g.worker.Wait()
		if inner, ok := g.Transport.(raft.WithClose); ok {
			err = inner.Close()
		}
	})
	return err
}
