package cluster

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func ids(peers []Peer) (all []string) {
	for _, p := range peers {
		all = append(all, p.ID)
	}
	slices.Sort(all)
	return all
}

func TestFourthWatcherJoinsAndOneLeaves(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	leader := c.leader()
	c.apply(leader, "one")

	d := c.prepare("d")
	require.ErrorContains(t, leader.Join(within(t, time.Second), "d", d.cfg.Advertise), "start the watcher first")
	c.open("d")
	require.Eventually(t, func() bool { return d.Status().Joining }, patience, time.Millisecond)

	follower := c.followers()[0]
	require.Error(t, follower.Join(within(t, patience), "d", d.cfg.Advertise))
	require.ErrorContains(t, leader.Join(within(t, patience), "d", follower.cfg.Advertise), "is the address of")
	require.NoError(t, leader.Join(within(t, patience), "d", d.cfg.Advertise))
	require.NoError(t, leader.Join(within(t, patience), "d", d.cfg.Advertise), "asking twice is harmless")
	c.hold(d, "one")
	assert.Equal(t, []string{"a", "b", "c", "d"}, ids(leader.Peers()))
	require.Eventually(t, func() bool { return !d.Status().Joining }, patience, time.Millisecond, "it gets its vote")

	gone := c.followers()[0]
	require.ErrorContains(t, leader.Remove(within(t, patience), leader.cfg.ID), "hand leadership over first")
	require.ErrorContains(t, leader.Remove(within(t, patience), "nobody"), "no such watcher")
	require.NoError(t, leader.Remove(within(t, patience), gone.cfg.ID))
	assert.Len(t, leader.Peers(), 3)
	assert.NotContains(t, ids(leader.Peers()), gone.cfg.ID)

	// The removed one still runs. It must not trouble the others.
	term := leader.Status().Term
	c.apply(leader, "two")
	require.Never(t, func() bool { return leader.Status().Term != term || gone.IsLeader() }, 2*time.Second, 50*time.Millisecond)
	require.NoError(t, gone.Close())
	gone.Node = nil
}

func TestTransferGoesToTheNamedOne(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	old := c.leader()
	term, _ := old.Term()
	to := c.followers()[1]
	require.Error(t, old.Transfer(within(t, patience), "nobody"))
	require.NoError(t, old.Transfer(within(t, patience), old.cfg.ID), "it leads already")
	require.NoError(t, term.Err())

	require.NoError(t, old.Transfer(within(t, patience), to.cfg.ID))
	_, err := to.AwaitTerm(within(t, patience))
	require.NoError(t, err)
	require.Error(t, term.Err())
	require.Eventually(t, func() bool { // as soon as it has heard of its successor
		return errors.Is(old.Transfer(within(t, patience), to.cfg.ID), ErrNotLeader)
	}, patience, time.Millisecond)
}

const precious = "committed by the leader and the one that will lose its disk"

// loseDisk commits an entry on two of three, then takes the disk of one of the two. The third never saw the entry.
func loseDisk(t *testing.T, c *trio) (leader, lost, stale *member) {
	leader = c.leader()
	others := c.followers()
	lost, stale = others[0], others[1]
	stale.stopHard()
	c.apply(leader, precious)
	lost.stopHard()
	require.NoError(t, os.RemoveAll(lost.cfg.Dir))
	return leader, lost, stale
}

func TestLostDiskGivesNoVoteUntilCaughtUp(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	leader, lost, stale := loseDisk(t, c)
	leader.stopHard()
	lost.cfg.Bootstrap = false

	// Two of three are up, one of them stale, the other without memory. They must not elect, or the committed
	// entry is lost.
	c.open(lost.cfg.ID)
	c.open(stale.cfg.ID)
	require.Never(t, func() bool { return stale.raftLeads() || lost.raftLeads() }, 4*time.Second, 20*time.Millisecond)
	assert.True(t, lost.Status().Joining)

	c.open(leader.cfg.ID)
	c.leader()
	for _, m := range c.members {
		c.hold(m, precious)
	}
	require.Eventually(t, func() bool { return !lost.store.joining() && !lost.Status().Joining }, patience, 5*time.Millisecond)
}

func TestLostDiskDoesNotFoundTheClusterAgain(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	_, lost, stale := loseDisk(t, c)
	require.True(t, lost.cfg.Bootstrap, "somebody left the flag in the configuration")
	var log bytes.Buffer
	lost.cfg.Logger = hclog.New(&hclog.LoggerOptions{Output: &log, Mutex: &sync.Mutex{}})
	c.open(lost.cfg.ID)
	c.open(stale.cfg.ID)
	c.leader()
	for _, m := range c.members {
		c.hold(m, precious)
	}

	require.Eventually(t, func() bool { return !lost.Status().Joining }, patience, 5*time.Millisecond)
	lost.stopHard()
	assert.Contains(t, log.String(), "cluster exists already")
	assert.NotContains(t, log.String(), "cluster founded")
}

func TestFounderAsksWhetherTheClusterExists(t *testing.T) {
	c := prepareTrio(t, "a", "b", "c")
	c.open("a")
	c.open("b")
	c.leader()
	assert.NotEmpty(t, (&Node{cfg: c.members["c"].cfg, log: c.members["a"].log, transport: c.members["a"].transport}).founded())
}

func TestWatcherWithoutFlagFoundsNothing(t *testing.T) {
	c := prepareTrio(t, "a")
	c.members["a"].cfg.Bootstrap = false
	m := c.open("a")
	require.Never(t, func() bool { return m.raftLeads() }, 2*time.Second, 20*time.Millisecond)
	assert.Empty(t, m.Peers())
	_, err := m.Apply(within(t, patience), []byte("x"))
	assert.ErrorIs(t, err, ErrNoQuorum)
}
