package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTermEndsWithItsCauseWhenTheQuorumIsLost(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	leader := c.leader()
	term, ok := leader.Term()
	require.True(t, ok)
	require.NoError(t, term.Err())
	for _, f := range c.followers() {
		f.stopHard()
	}

	// The command goes into the log and finds nobody: what becomes of it is not known.
	began := time.Now()
	_, err := leader.Apply(within(t, patience), []byte("to nobody"))
	require.ErrorIs(t, err, ErrUnknownOutcome)
	assert.NotErrorIs(t, err, ErrNoQuorum)
	t.Logf("unknown after %s: %v", time.Since(began).Round(time.Millisecond), err)

	select {
	case <-term.Done():
	case <-time.After(patience):
		require.Fail(t, "the term outlived the quorum")
	}
	assert.ErrorIs(t, context.Cause(term), ErrLostLeadership)
	assert.NotErrorIs(t, context.Cause(term), ErrStuck)
	_, ok = leader.Term()
	assert.False(t, ok)

	// From now on it is certain that nothing can happen.
	_, err = leader.Apply(within(t, patience), []byte("again"))
	assert.ErrorIs(t, err, ErrNoQuorum)
	assert.NotErrorIs(t, err, ErrUnknownOutcome)
	assert.ErrorIs(t, leader.Barrier(within(t, patience)), ErrNoQuorum)
	assert.ErrorIs(t, leader.VerifyLeader(within(t, patience)), ErrNoQuorum)
}

func TestApplyKeepsTheDeadlineOfItsContext(t *testing.T) {
	c := prepareTrio(t, "a", "b", "c")
	c.timing = Timing{Heartbeat: 5 * time.Second, Election: 5 * time.Second, Stuck: 10 * time.Second} // it leads on for long
	c.openAll()
	leader := c.leader()
	for _, f := range c.followers() {
		f.stopHard()
	}
	began := time.Now()
	_, err := leader.Apply(within(t, 300*time.Millisecond), []byte("x"))
	assert.ErrorIs(t, err, ErrUnknownOutcome)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, time.Since(began), 2*time.Second)

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = leader.Apply(cancelled, []byte("y"))
	assert.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, ErrUnknownOutcome, "it was never handed over")
}

func TestAwaitTermWakesAndObeysItsContext(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	old := c.leader()
	follower := c.followers()[0]
	_, err := follower.AwaitTerm(within(t, 50*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = old.AwaitTerm(over)
	require.ErrorIs(t, err, context.Canceled, "whoever waits in a loop would never end on a leader")

	woken := make(chan error, 1)
	go func() {
		_, err := follower.AwaitTerm(context.Background())
		woken <- err
	}()
	require.NoError(t, old.Transfer(within(t, patience), follower.cfg.ID))
	require.NoError(t, <-woken)

	go func() {
		_, err := old.AwaitTerm(context.Background())
		woken <- err
	}()
	require.NoError(t, old.Close())
	require.ErrorIs(t, <-woken, ErrClosed)
	old.Node = nil // which the other goroutine has read by now
}
