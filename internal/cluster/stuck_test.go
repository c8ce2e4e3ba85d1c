package cluster

import (
	"context"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowDisk is a log that can be made to hang.
type slowDisk struct {
	raft.LogStore
	mu   sync.Mutex
	gate chan struct{}
}

func (d *slowDisk) StoreLogs(entries []*raft.Log) error {
	d.mu.Lock()
	gate := d.gate
	d.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return d.LogStore.StoreLogs(entries)
}

func (d *slowDisk) hang() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	gate := make(chan struct{})
	d.gate = gate
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.gate = nil
		close(gate)
	})
}

func TestLeaderWithAHangingDiskGivesWay(t *testing.T) {
	c := prepareTrio(t, "a", "b", "c")
	disks := map[string]*slowDisk{"a": {}, "b": {}, "c": {}}
	told := make(chan string, 10)
	c.timing.Stuck, c.timing.Hopeless = time.Second, 2*time.Second
	c.tune = func(cfg *Config) {
		disk := disks[cfg.ID]
		cfg.testing.logs = func(inner raft.LogStore) raft.LogStore {
			disk.LogStore = inner
			return disk
		}
		cfg.OnStuck = func(what string, _ time.Duration) { told <- cfg.ID + ": " + what }
	}
	c.openAll()
	old := c.leader()
	c.apply(old, "before")
	term, ok := old.Term()
	require.True(t, ok)

	release := disks[old.cfg.ID].hang()
	defer release()
	began := time.Now()
	_, err := old.Apply(within(t, time.Hour), []byte("into the hanging disk"))
	require.ErrorIs(t, err, ErrUnknownOutcome)
	require.ErrorIs(t, err, ErrStuck, "it does not wait for its deadline")

	// Without the cut the followers would go on hearing its heartbeats.
	<-term.Done()
	require.ErrorIs(t, context.Cause(term), ErrStuck)
	require.ErrorIs(t, context.Cause(term), ErrLostLeadership)
	require.Error(t, old.Healthy())
	require.Equal(t, old.cfg.ID+": writing the log", <-told)

	next := c.leader()
	require.NotEqual(t, old.cfg.ID, next.cfg.ID)
	t.Logf("another leader after %s", time.Since(began).Round(time.Millisecond))
	c.apply(next, "after")

	release()
	require.Eventually(t, func() bool { return old.Healthy() == nil }, patience, 5*time.Millisecond)
	require.Eventually(t, func() bool {
		all := old.machine.all()
		return len(all) >= 2 && all[len(all)-1] == "after"
	}, patience, 5*time.Millisecond, "it follows again")
	assert.False(t, old.IsLeader())
}

func TestLeaderWithAHangingMachineGivesWayAndComesBack(t *testing.T) {
	c := prepareTrio(t, "a") // alone: nobody can take over, and the lead comes back by itself
	c.timing.Heartbeat, c.timing.Election, c.timing.Stuck = 500*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond
	m := c.open("a")
	c.leader()
	term, _ := m.Term()
	block := make(chan struct{})
	m.machine.mu.Lock()
	m.machine.block = block
	m.machine.mu.Unlock()
	_, err := m.Apply(within(t, 50*time.Millisecond), []byte("x"))
	require.ErrorIs(t, err, ErrUnknownOutcome)
	<-term.Done()
	require.ErrorIs(t, context.Cause(term), ErrStuck)
	_, err = m.Apply(within(t, patience), []byte("y"))
	require.ErrorIs(t, err, ErrNoQuorum)

	m.machine.mu.Lock()
	m.machine.block = nil
	m.machine.mu.Unlock()
	close(block)
	again, err := m.AwaitTerm(within(t, patience))
	require.NoError(t, err)
	require.NoError(t, again.Err())
	assert.NoError(t, m.Healthy())
	assert.Equal(t, []string{"x"}, m.machine.all(), "unknown meant: done later")
}

func TestLeaderThatCannotWriteItsDiskHandsOver(t *testing.T) {
	c := prepareTrio(t, "a", "b", "c")
	c.timing.DiskProbe = 50 * time.Millisecond
	c.openAll()
	old := c.leader()
	term, _ := old.Term()
	// A directory in the probe's place fails every write, for root too.
	require.Eventually(t, func() bool {
		_ = os.Remove(old.cfg.Dir + "/" + probeName)
		return os.Mkdir(old.cfg.Dir+"/"+probeName, 0o700) == nil
	}, patience, time.Millisecond)
	<-term.Done()
	assert.ErrorContains(t, old.Healthy(), probeName)
	assert.NotEqual(t, old, c.leader())
	require.NoError(t, os.Remove(old.cfg.Dir+"/"+probeName))
	require.Eventually(t, func() bool { return old.Healthy() == nil }, patience, time.Millisecond)
}

func TestCloseDoesNotWaitForAHangingDiskForEver(t *testing.T) {
	c := prepareTrio(t, "a")
	disk := &slowDisk{}
	c.tune = func(cfg *Config) {
		cfg.testing.logs = func(inner raft.LogStore) raft.LogStore {
			disk.LogStore = inner
			return disk
		}
	}
	m := c.open("a")
	c.leader()
	release := disk.hang()
	_, err := m.Apply(within(t, 50*time.Millisecond), []byte("x"))
	require.Error(t, err)
	began := time.Now()
	err = m.Close()
	require.ErrorContains(t, err, "writing the log hangs")
	assert.Less(t, time.Since(began), 2*closeLimit)
	release()
	// The goroutines end once the disk answers; TestMain sees to that.
	m.workers.Wait()
}

// fullDisk refuses the first writes.
type fullDisk struct {
	raft.StableStore
	refusals int
	with     error
}

func (d *fullDisk) SetUint64(key []byte, value uint64) error {
	if d.refusals > 0 {
		d.refusals--
		return d.with
	}
	return d.StableStore.SetUint64(key, value)
}

func TestFullDiskIsWaitedOutAndABrokenOneIsNot(t *testing.T) {
	full := timedStable{&fullDisk{raft.NewInmemStore(), 2, syscall.ENOSPC}, newStopwatch()}
	require.NoError(t, full.SetUint64([]byte("term"), 7))
	got, err := full.GetUint64([]byte("term"))
	require.NoError(t, err)
	assert.EqualValues(t, 7, got)

	broken := timedStable{&fullDisk{raft.NewInmemStore(), 2, syscall.EIO}, newStopwatch()}
	assert.ErrorIs(t, broken.SetUint64([]byte("term"), 7), syscall.EIO)
}
