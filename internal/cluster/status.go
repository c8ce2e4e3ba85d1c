package cluster

import (
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// Status is what one node knows about the cluster at one moment.
type Status struct {
	ID           string       `json:"id"`
	State        string       `json:"state"` // leader, follower, candidate or shutdown, as raft says
	LeaderID     string       `json:"leader_id"`
	LeaderAddr   string       `json:"leader_addr"`
	Current      bool         `json:"current"` // leads, and has applied what earlier leaders committed
	Term         uint64       `json:"term"`
	LastIndex    uint64       `json:"last_index"`
	CommitIndex  uint64       `json:"commit_index"`
	AppliedIndex uint64       `json:"applied_index"`
	Joining      bool         `json:"joining"` // started empty and does not vote before it has caught up
	Stuck        string       `json:"stuck"`   // what hangs; "" when nothing does
	Peers        []PeerStatus `json:"peers"`
}

// PeerStatus is a member as this node sees it.
type PeerStatus struct {
	ID     string `json:"id"`
	Addr   string `json:"addr"`
	Voter  bool   `json:"voter"`
	Leader bool   `json:"leader"`

	// LastContact is when this node last heard of the member, zero when it never did or is the member. A
	// leader hears of everyone, a follower of its leader only.
	LastContact time.Time `json:"last_contact"`
}

// Status returns what this node knows. It asks nobody and takes no time.
func (n *Node) Status() Status {
	state := n.raft.State()
	s := Status{
		ID:           n.cfg.ID,
		State:        strings.ToLower(state.String()),
		Current:      n.IsLeader(),
		Term:         n.raft.CurrentTerm(),
		LastIndex:    n.raft.LastIndex(),
		CommitIndex:  n.raft.CommitIndex(),
		AppliedIndex: n.raft.AppliedIndex(),
		Joining:      n.transport.isSilent(),
		Stuck:        n.stuckAt(),
	}
	s.LeaderID, s.LeaderAddr = n.Leader()
	for _, p := range n.Peers() {
		status := PeerStatus{ID: p.ID, Addr: p.Addr, Voter: p.Voter, Leader: p.ID == s.LeaderID}
		switch {
		case p.ID == n.cfg.ID:
		case state == raft.Leader:
			status.LastContact = n.lastContact(p.Addr)
		case status.Leader:
			status.LastContact = n.raft.LastContact()
		}
		s.Peers = append(s.Peers, status)
	}
	return s
}
