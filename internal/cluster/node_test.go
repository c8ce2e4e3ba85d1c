package cluster

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestThreeWatchersElectAndAgree(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	leader := c.leader()

	assert.Equal(t, 1, c.apply(leader, "one"))
	assert.Equal(t, 2, c.apply(leader, "two"))
	for _, m := range c.members {
		c.hold(m, "one", "two")
	}
	require.NoError(t, leader.VerifyLeader(within(t, patience)))
	require.NoError(t, leader.Barrier(within(t, patience)))

	_, err := leader.Apply(within(t, patience), []byte("refuse"))
	assert.Equal(t, errRefused, err, "the machine's own error comes back as it is")

	for _, f := range c.followers() {
		_, err := f.Apply(within(t, patience), []byte("elsewhere"))
		require.ErrorIs(t, err, ErrNotLeader)
		var to *NotLeaderError
		require.ErrorAs(t, err, &to)
		assert.Equal(t, leader.cfg.ID, to.ID)
		assert.Equal(t, leader.cfg.Advertise, to.Addr)
		assert.ErrorIs(t, f.Barrier(within(t, patience)), ErrNotLeader)
		assert.ErrorIs(t, f.VerifyLeader(within(t, patience)), ErrNotLeader)
		assert.False(t, f.IsLeader())
	}

	s := leader.Status()
	assert.Equal(t, "leader", s.State)
	assert.Equal(t, leader.cfg.ID, s.LeaderID)
	assert.True(t, s.Current)
	assert.False(t, s.Joining)
	assert.GreaterOrEqual(t, s.Term, uint64(2))
	assert.LessOrEqual(t, s.CommitIndex, s.LastIndex)
	require.Len(t, s.Peers, 3)
	for _, p := range s.Peers {
		assert.True(t, p.Voter)
		assert.Equal(t, p.ID == leader.cfg.ID, p.Leader)
		assert.Equal(t, p.ID == leader.cfg.ID, p.LastContact.IsZero())
	}
	assert.NoError(t, leader.Healthy())
}

func TestNewLeaderWhenTheOldOneDies(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	old := c.leader()
	c.apply(old, "before")
	term, ok := old.Term()
	require.True(t, ok)

	killed := time.Now()
	old.stopHard()
	require.ErrorIs(t, term.Err(), context.Canceled)

	next := c.leader()
	took := time.Since(killed)
	t.Logf("new leader %s after %s", next.cfg.ID, took.Round(time.Millisecond))
	assert.Less(t, took, 6*time.Second) // the aim is 1.5 s; this machine may be busy
	assert.Equal(t, []string{"before"}, next.machine.all(), "current from its first moment")
	c.apply(next, "after")

	back := c.open(old.cfg.ID)
	c.hold(back, "before", "after")
}

func TestAllRestartWithTheirState(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	c.apply(c.leader(), "one")
	for _, m := range c.members {
		require.NoError(t, m.Close())
		require.NoError(t, m.Close(), "closing twice is harmless")
		assert.ErrorIs(t, m.Healthy(), ErrClosed)
		_, err := m.Apply(within(t, patience), []byte("late"))
		assert.ErrorIs(t, err, ErrClosed)
		m.Node = nil
	}
	c.openAll() // bootstrap is still set, and must be ignored
	c.apply(c.leader(), "two")
	for _, m := range c.members {
		c.hold(m, "one", "two")
	}
}

func TestSnapshotsBoundTheLogAndRestore(t *testing.T) {
	c := prepareTrio(t, "a")
	c.timing = Timing{SnapshotEvery: 20 * time.Millisecond, SnapshotAfter: 10, TrailingEntries: 5}
	m := c.open("a")
	leader := c.leader()
	var want []string
	for i := range 50 {
		want = append(want, string(rune('A'+i%26)))
		c.apply(leader, want[i])
	}
	require.Eventually(t, func() bool {
		first, err := m.store.logs.FirstIndex()
		return err == nil && first > 20
	}, patience, 5*time.Millisecond)
	m.stopHard()
	c.open("a")
	c.hold(c.leader(), want...)
}

func TestCloseHandsOver(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	old := c.leader()
	term, ok := old.Term()
	require.True(t, ok)
	others := c.followers()
	require.NoError(t, old.Close())
	require.Error(t, term.Err())
	closed := time.Now()
	require.Eventually(t, func() bool { return others[0].raftLeads() || others[1].raftLeads() }, patience, time.Millisecond)
	// One that was not handed over to would wait out a heartbeat timeout at the least.
	assert.Less(t, time.Since(closed), DefaultTiming().Heartbeat*9/10)
	old.Node = nil
}

func TestOnlyOneProcessOpensADirectory(t *testing.T) {
	c := newTrio(t, "a")
	c.leader()
	cfg := c.members["a"].cfg
	cfg.Bind, cfg.Advertise = "127.0.0.1:0", ""
	_, err := Open(cfg, &ledger{})
	require.ErrorContains(t, err, "in use by another process")
	require.ErrorContains(t, err, "raft.db")
}

func TestDamagedDirectoryIsNamedWithTheRemedy(t *testing.T) {
	newState := func(t *testing.T) (*trio, string) {
		c := prepareTrio(t, "a")
		c.timing = Timing{SnapshotEvery: 10 * time.Millisecond, SnapshotAfter: 20, TrailingEntries: 5}
		m := c.open("a")
		leader := c.leader()
		for range 60 {
			c.apply(leader, "x")
		}
		require.Eventually(t, func() bool {
			first, err := m.store.logs.FirstIndex()
			return err == nil && first > 20
		}, patience, 5*time.Millisecond)
		m.stopHard()
		return c, c.path("a", databaseName)
	}
	overwrite := func(t *testing.T, path string, from int64, with byte) {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		require.NoError(t, err)
		info, err := f.Stat()
		require.NoError(t, err)
		junk := make([]byte, info.Size()-from)
		for i := range junk {
			junk[i] = with
		}
		_, err = f.WriteAt(junk, from)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, path string)
		says   string
	}{
		"overwritten from the start": {func(t *testing.T, path string) { overwrite(t, path, 0, 'x') }, databaseName},
		"pages overwritten":          {func(t *testing.T, path string) { overwrite(t, path, 2*4096, 'x') }, databaseName},
		"pages zeroed":               {func(t *testing.T, path string) { overwrite(t, path, 2*4096, 0) }, databaseName},
		"cut off":                    {func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 2*4096)) }, databaseName},
		"snapshots lost": {func(t *testing.T, path string) {
			require.NoError(t, os.RemoveAll(path[:len(path)-len(databaseName)]+"snapshots"))
		}, "entries are missing"},
	} {
		t.Run(name, func(t *testing.T) {
			state, path := newState(t)
			c.damage(t, path)
			cfg := state.members["a"].cfg
			_, err := Open(cfg, &ledger{})
			require.Error(t, err)
			t.Log(err)
			assert.ErrorContains(t, err, c.says)
			assert.ErrorContains(t, err, state.path("a"))
			assert.ErrorContains(t, err, "move its data directory away")
		})
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	c := prepareTrio(t, "a", "b")
	good := c.members["a"].cfg
	for name, spoil := range map[string]func(*Config){
		"no id":                  func(c *Config) { c.ID = "" },
		"no directory":           func(c *Config) { c.Dir = "" },
		"no certificate":         func(c *Config) { c.ServerTLS = nil },
		"not among the founders": func(c *Config) { c.Peers = c.Peers[1:] },
		"founder twice":          func(c *Config) { c.Peers = append(c.Peers, c.Peers[0]) },
		"founder without addr":   func(c *Config) { c.Peers = append(c.Peers, Peer{ID: "x"}) },
		"lease beyond heartbeat": func(c *Config) { c.Timing.Lease = time.Minute },
		"nothing to advertise": func(c *Config) {
			c.Bind, c.Advertise, c.testing.listener = "0.0.0.0:0", "", nil
		},
		"address of another machine": func(c *Config) { c.Bind, c.testing.listener = "192.0.2.1:1", nil },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			spoil(&cfg)
			_, err := Open(cfg, &ledger{})
			assert.Error(t, err)
		})
	}
}
