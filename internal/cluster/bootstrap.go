package cluster

import (
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
)

// bootstrap founds the cluster, if this node may.
//
// Every founding member may write the same first entry, so they can be started in any order and no member is
// special. The danger is a node that lost its disk and founds the cluster again from a flag that somebody left
// in its configuration: it would remember an old membership and vote as if nothing had been committed. Hence
//   - a node that has state ignores the flag;
//   - a node without the flag never founds anything: it waits until a leader reaches it, and does not vote
//     before it has caught up (see guard);
//   - a node with the flag first asks the other founders. If one of them has been through an election, the
//     cluster exists, and the node joins it as if it had no flag.
//
// What remains is a node that lost its disk, still has the flag, and reaches nobody: the flag is meant for the
// first start and belongs out of the configuration afterwards.
func (n *Node) bootstrap(conf *raft.Config) error {
	s := n.store
	var hasState bool
	err := onCorruption(s.path, func() (err error) {
		hasState, err = raft.HasExistingState(s.logs, s.stable, s.snapshots)
		if err != nil {
			return fmt.Errorf("%s: %w; %s", s.path, err, remedy)
		}
		return nil
	})
	if err != nil || hasState {
		return err
	}
	if n.cfg.Bootstrap {
		by := n.founded()
		if by == "" {
			if err := s.setJoining(false); err != nil {
				return err
			}
			if err := raft.BootstrapCluster(conf, s.logs, s.stable, s.snapshots, n.transport, founders(n.cfg.Peers)); err != nil {
				return fmt.Errorf("found the cluster in %s: %w", n.cfg.Dir, err)
			}
			n.log.Info("cluster founded", "id", n.cfg.ID, "peers", len(n.cfg.Peers))
			return nil
		}
		n.log.Warn("cluster exists already, joining it without a vote until caught up", "id", n.cfg.ID, "known_by", by)
	}
	return s.setJoining(true)
}

// founded asks the other founders whether the cluster has had an election; it returns the ID of one that says
// so, or "". The question is a pre-vote that nobody can grant, because its term is zero: it changes nothing at
// the other end, and the answer carries the other's term. Founding sets term 1, the first election term 2.
func (n *Node) founded() string {
	var (
		mu  sync.Mutex
		by  string
		ask sync.WaitGroup
	)
	for _, p := range n.cfg.Peers {
		if p.ID == n.cfg.ID {
			continue
		}
		ask.Go(func() {
			req := &raft.RequestPreVoteRequest{RPCHeader: raft.RPCHeader{
				ProtocolVersion: raft.ProtocolVersionMax,
				ID:              []byte(n.cfg.ID),
				Addr:            []byte(n.transport.LocalAddr()),
			}}
			var resp raft.RequestPreVoteResponse
			err := n.transport.RequestPreVote(raft.ServerID(p.ID), raft.ServerAddress(p.Addr), req, &resp)
			if err != nil {
				// Not up yet, or up and without state: neither speaks against founding.
				n.log.Debug("founding peer asked in vain", "peer", p.ID, "error", err)
				return
			}
			if resp.Term > 1 {
				mu.Lock()
				by = p.ID
				mu.Unlock()
			}
		})
	}
	ask.Wait()
	return by
}
