package cluster

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStopwatchCountsTheTimeInWhichTheProcessRan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStopwatch()
		done := s.start("writing the log")
		time.Sleep(time.Hour) // stopped: nobody advanced it
		_, age := s.oldest()
		assert.Zero(t, age)
		s.advance(time.Second)
		what, age := s.oldest()
		assert.Equal(t, "writing the log", what)
		assert.Equal(t, time.Second, age)
		done()
		what, age = s.oldest()
		assert.Empty(t, what)
		assert.Zero(t, age)
	})
}

func TestMainLoopThatWaitsIsNamedByWhatItWaitsFor(t *testing.T) {
	s := newStopwatch()
	defer s.start(mainLoop)()
	s.advance(time.Second)
	what, _ := s.oldest()
	assert.Equal(t, mainLoop, what)

	defer s.start("writing the log")()
	what, _ = s.oldest()
	assert.Equal(t, mainLoop, what, "the write has only begun")
	s.advance(2 * time.Second)
	what, age := s.oldest()
	assert.Equal(t, "writing the log", what)
	assert.Equal(t, 3*time.Second, age)
}

// TestTrioWithAMachineThatHangsForEver has the process of a leader end: that it lets go comes first, that there is
// no hope later, and once.
func TestTrioWithAMachineThatHangsForEver(t *testing.T) {
	c := prepareTrio(t, "a", "b", "c")
	type call struct {
		id, what string
		age      time.Duration
	}
	told := make(chan call, 10)
	c.timing.Stuck, c.timing.Hopeless = time.Second, 3*time.Second
	c.tune = func(cfg *Config) {
		cfg.OnStuck = func(what string, age time.Duration) { told <- call{cfg.ID, what, age} }
	}
	c.openAll()
	old := c.leader()
	term, ok := old.Term()
	require.True(t, ok)
	block := make(chan struct{})
	defer close(block)
	old.machine.mu.Lock()
	old.machine.block = block
	old.machine.mu.Unlock()
	_, err := old.Apply(within(t, time.Hour), []byte("for ever"))
	require.ErrorIs(t, err, ErrStuck)
	<-term.Done()
	assert.Empty(t, told, "hope ends later than the term")
	next := c.leader()
	assert.NotEqual(t, old.cfg.ID, next.cfg.ID)
	c.apply(next, "after")

	got := <-told
	assert.Equal(t, old.cfg.ID, got.id)
	assert.Equal(t, "applying a command", got.what)
	assert.Greater(t, got.age, 3*time.Second)

	began := time.Now()
	old.LetGo() // what the process does last
	assert.Less(t, time.Since(began), time.Second, "it waits for nothing")
	assert.Empty(t, told)
}

func TestHangThatEndsInTimeIsNotHopeless(t *testing.T) {
	c := prepareTrio(t, "a")
	var told atomic.Int32
	disk := &slowDisk{}
	c.timing.Stuck, c.timing.Hopeless = time.Second, time.Minute
	c.tune = func(cfg *Config) {
		cfg.testing.logs = func(inner raft.LogStore) raft.LogStore {
			disk.LogStore = inner
			return disk
		}
		cfg.OnStuck = func(string, time.Duration) { told.Add(1) }
	}
	m := c.open("a")
	c.leader()
	term, _ := m.Term()
	release := disk.hang()
	_, err := m.Apply(within(t, patience), []byte("x"))
	require.ErrorIs(t, err, ErrStuck)
	<-term.Done()
	release()
	_, err = m.AwaitTerm(within(t, patience))
	require.NoError(t, err)
	assert.Zero(t, told.Load())
}

// unfinished is a snapshot whose sender fell silent.
type unfinished struct{ end chan struct{} }

func (u unfinished) Read([]byte) (int, error) {
	<-u.end
	return 0, io.ErrUnexpectedEOF
}

func TestMainLoopThatHangsIsSeen(t *testing.T) {
	c := prepareTrio(t, "a", "b", "c")
	c.timing.Stuck, c.timing.Hopeless, c.timing.DiskProbe = time.Second, 2*time.Second, 100*time.Millisecond
	told := make(chan string, 10)
	c.tune = func(cfg *Config) { cfg.OnStuck = func(what string, _ time.Duration) { told <- cfg.ID + ": " + what } }
	c.openAll()
	leader := c.leader()
	m := c.followers()[0]
	end := make(chan struct{})
	answer := make(chan raft.RPCResponse, 1)
	m.transport.consumer <- raft.RPC{RespChan: answer, Reader: unfinished{end}, Command: &raft.InstallSnapshotRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}, SnapshotVersion: 1, Term: leader.raft.CurrentTerm(),
		Leader: []byte(leader.cfg.Advertise), LastLogIndex: 1 << 20, LastLogTerm: 1, Size: 1 << 20,
		Configuration: raft.EncodeConfiguration(founders(m.Peers())), ConfigurationIndex: 1}}
	assert.Equal(t, m.cfg.ID+": "+mainLoop, <-told)
	assert.ErrorContains(t, m.Healthy(), mainLoop)
	close(end)
	<-answer
	require.Eventually(t, func() bool { return m.Healthy() == nil }, patience, 5*time.Millisecond)
	c.apply(c.leader(), "after")
	c.hold(m, "after")
}

// TestAskingTheMainLoopChangesNothing asks far more often than a node does.
func TestAskingTheMainLoopChangesNothing(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	leader := c.leader()
	c.apply(leader, "before")
	for _, m := range c.members {
		c.hold(m, "before") // so they know who leads
	}
	term, _ := leader.Term()
	before := leader.Status()
	for _, m := range c.members {
		for range 200 {
			m.transport.ask()
		}
		id, _ := m.Leader()
		assert.Equal(t, leader.cfg.ID, id, m.cfg.ID)
	}
	assert.NoError(t, term.Err())
	assert.Equal(t, before.Term, leader.Status().Term)
	assert.Equal(t, before.LastIndex, leader.Status().LastIndex)
}

func TestFullDiskIsNoReasonToEnd(t *testing.T) {
	c := prepareTrio(t, "a")
	var told atomic.Int32
	c.timing.Stuck, c.timing.Hopeless, c.timing.DiskProbe = time.Second, 2*time.Second, 100*time.Millisecond
	c.tune = func(cfg *Config) { cfg.OnStuck = func(string, time.Duration) { told.Add(1) } }
	m := c.open("a")
	c.leader()
	refusals := make(chan struct{})
	full := timedStable{waitingDisk{raft.NewInmemStore(), refusals}, m.stopwatch}
	written := make(chan error, 1)
	go func() { written <- full.SetUint64([]byte("term"), 7) }()
	require.Eventually(t, func() bool { return m.Healthy() != nil }, patience, 5*time.Millisecond)
	assert.ErrorContains(t, m.Healthy(), diskFull)
	require.Eventually(t, func() bool { _, age := m.stopwatch.oldest(); return age > 3*m.timing.Hopeless }, patience, 5*time.Millisecond)
	assert.Zero(t, told.Load())
	close(refusals)
	require.NoError(t, <-written)
	_, err := m.AwaitTerm(within(t, patience))
	require.NoError(t, err)
}

// waitingDisk is full until its channel is closed.
type waitingDisk struct {
	raft.StableStore
	room chan struct{}
}

func (d waitingDisk) SetUint64(key []byte, value uint64) error {
	select {
	case <-d.room:
		return d.StableStore.SetUint64(key, value)
	default:
		return syscall.ENOSPC
	}
}

func TestLetGoOfAHealthyLeaderHandsOver(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	old := c.leader()
	term, _ := old.Term()
	old.LetGo()
	assert.ErrorIs(t, context.Cause(term), ErrStuck)
	require.Eventually(t, func() bool {
		for _, m := range c.members {
			if m != old && m.IsLeader() {
				return true
			}
		}
		return false
	}, patience, 5*time.Millisecond)
	_, err := old.Apply(within(t, time.Second), []byte("x"))
	assert.ErrorIs(t, err, ErrClosed)
	assert.False(t, old.IsLeader())
}

// TestBusyTrioHangsNowhere writes as fast as it can, with the bounds that are in use.
func TestBusyTrioHangsNowhere(t *testing.T) {
	c := prepareTrio(t, "a", "b", "c")
	c.timing.DiskProbe = 20 * time.Millisecond
	var told atomic.Int32
	c.tune = func(cfg *Config) { cfg.OnStuck = func(string, time.Duration) { told.Add(1) } }
	c.openAll()
	c.leader()
	over := within(t, 6*time.Second)
	var writers sync.WaitGroup
	var written atomic.Int32
	for range 8 {
		writers.Go(func() {
			for over.Err() == nil {
				for _, m := range c.members {
					if _, err := m.Apply(over, []byte("x")); err == nil {
						written.Add(1)
					}
				}
			}
		})
	}
	for over.Err() == nil {
		for id, m := range c.members {
			assert.NoError(t, m.Healthy(), id)
		}
		select {
		case <-over.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	writers.Wait()
	assert.Zero(t, told.Load())
	assert.Positive(t, written.Load())
	t.Logf("%d commands", written.Load())
}
