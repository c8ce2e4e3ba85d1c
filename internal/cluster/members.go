package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Peers returns the members in the newest configuration that this node knows, itself included.
func (n *Node) Peers() []Peer {
	future := n.raft.GetConfiguration() // answered from memory, at once
	if future.Error() != nil {
		return nil
	}
	var peers []Peer
	for _, s := range future.Configuration().Servers {
		peers = append(peers, Peer{ID: string(s.ID), Addr: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	return peers
}

// Join makes a watcher that runs without state a voting member, or changes a member's address. It works on the
// leader only and first sees whether a watcher answers at the address: an unreachable voter costs a cluster of
// three its spare. Errors as for Apply; asking twice is harmless.
func (n *Node) Join(ctx context.Context, id, addr string) error {
	if id == "" || addr == "" {
		return errors.New("join: an id and an address are needed")
	}
	if err := n.leads(ctx); err != nil {
		return err
	}
	for _, p := range n.Peers() {
		switch {
		case p.ID == id && p.Addr == addr && p.Voter:
			return nil
		case p.ID != id && p.Addr == addr:
			return fmt.Errorf("join %s: %s is the address of %s; remove that one first", id, addr, p.ID)
		}
	}
	if n.stream != nil {
		reach, cancel := context.WithTimeout(ctx, n.timing.RPC)
		defer cancel()
		conn, err := n.stream.dial(reach, addr)
		if err != nil {
			return fmt.Errorf("join %s: start the watcher first: %w", id, err)
		}
		conn.Close()
	}
	_, err := await(ctx, n, func(queue time.Duration) raft.IndexFuture {
		return n.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(addr), 0, queue)
	})
	if err != nil {
		return fmt.Errorf("join %s: %w", id, n.explain(err))
	}
	n.log.Info("watcher joined", "id", id, "addr", addr)
	return nil
}

// Remove takes a member out of the cluster. It works on the leader only and not on the leader itself, which must
// hand over first. Errors as for Apply.
func (n *Node) Remove(ctx context.Context, id string) error {
	if err := n.leads(ctx); err != nil {
		return err
	}
	if id == n.cfg.ID {
		return fmt.Errorf("remove %s: it is the leader; hand leadership over first", id)
	}
	if _, ok := n.peer(id); !ok {
		return fmt.Errorf("remove %s: there is no such watcher", id)
	}
	_, err := await(ctx, n, func(queue time.Duration) raft.IndexFuture {
		return n.raft.RemoveServer(raft.ServerID(id), 0, queue)
	})
	if err != nil {
		return fmt.Errorf("remove %s: %w", id, n.explain(err))
	}
	n.log.Info("watcher removed", "id", id)
	return nil
}

// Transfer hands leadership to the named voter, or, when to is empty, to the one heard last. It returns when
// this node no longer leads. It fails after Timing.Election when the other does not take over; this node
// then leads on.
func (n *Node) Transfer(ctx context.Context, to string) error {
	if !n.raftLeads() {
		return n.elsewhere()
	}
	if to == n.cfg.ID {
		return nil
	}
	target, ok := n.peer(to)
	if to == "" {
		// Raft's own choice goes by log position alone and may fall on a dead peer.
		target, ok = n.successor()
	}
	if !ok || !target.Voter {
		return fmt.Errorf("hand leadership to %q: there is no such voting watcher", to)
	}
	_, err := await(ctx, n, func(time.Duration) raft.Future {
		return n.raft.LeadershipTransferToServer(raft.ServerID(target.ID), raft.ServerAddress(target.Addr))
	})
	if err != nil {
		return fmt.Errorf("hand leadership to %s: %w", target.ID, err)
	}
	return nil
}

func (n *Node) peer(id string) (Peer, bool) {
	for _, p := range n.Peers() {
		if p.ID == id {
			return p, true
		}
	}
	return Peer{}, false
}

func (n *Node) successor() (best Peer, ok bool) {
	var heard time.Time
	for _, p := range n.Peers() {
		if p.ID == n.cfg.ID || !p.Voter {
			continue
		}
		if at := n.lastContact(p.Addr); !ok || at.After(heard) {
			best, heard, ok = p, at, true
		}
	}
	return best, ok
}

func (n *Node) lastContact(addr string) time.Time {
	if n.stream == nil {
		return time.Time{}
	}
	return n.stream.lastContact(addr)
}

func (n *Node) voters() (count int) {
	for _, p := range n.Peers() {
		if p.Voter {
			count++
		}
	}
	return count
}
