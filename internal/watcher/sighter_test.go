package watcher

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
)

// fakeProbe answers as it is told to.
type fakeProbe struct {
	mu      sync.Mutex
	contact topology.Contact
	facts   topology.Facts
	pinged  int
	looks   int
	hangs   bool // looks do
	closed  bool
	// beats are the heartbeats that were sent; each is answered by a receive from
	// answers, if there is any.
	beats, unanswered, most int
	answers                 chan bool
}

func (f *fakeProbe) be(contact topology.Contact) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.contact = contact
}

func (f *fakeProbe) show(facts topology.Facts) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.facts = facts
}

func (f *fakeProbe) Beat(ctx context.Context, _ string) (bool, error) {
	f.count(1)
	defer f.count(-1)
	select {
	case answered := <-f.answers:
		return answered, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (f *fakeProbe) count(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beats += max(n, 0)
	f.unanswered += n
	f.most = max(f.most, f.unanswered)
}

func (f *fakeProbe) sent() (beats, unanswered int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.beats, f.unanswered
}

func (f *fakeProbe) looked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looks
}

func (f *fakeProbe) Lag(context.Context) (time.Duration, error) { return 70 * time.Millisecond, nil }

func (f *fakeProbe) Ping(ctx context.Context) (topology.Contact, error) {
	f.mu.Lock()
	contact := f.contact
	f.pinged++
	f.mu.Unlock()
	switch contact {
	case topology.Answered:
		return contact, nil
	case topology.Silent: // it answers when the deadline does
		<-ctx.Done()
	}
	return contact, errors.New(string(contact))
}

func (f *fakeProbe) Look(ctx context.Context) (topology.Facts, error) {
	f.mu.Lock()
	f.looks++
	facts, hangs := f.facts, f.hangs
	f.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return facts, ctx.Err()
	}
	return facts, nil
}

func (f *fakeProbe) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

// watching runs a sighter in a bubble of its own time.
func watching(t *testing.T, test func(t *testing.T, s *sighter, probe *fakeProbe, changes func() int)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		probe := &fakeProbe{contact: topology.Answered, answers: make(chan bool)}
		var mu sync.Mutex
		changed := 0
		s := newSighter("w1", topology.Server{Name: "a"}, probe, 250*time.Millisecond, func() { mu.Lock(); changed++; mu.Unlock() })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.run(ctx) }()
		synctest.Wait()
		test(t, s, probe, func() int { mu.Lock(); defer mu.Unlock(); return changed })
		cancel()
		<-done
		assert.True(t, probe.closed)
	})
}

func TestAServerThatAnswersIsLookedAtEverySecond(t *testing.T) {
	watching(t, func(t *testing.T, s *sighter, probe *fakeProbe, changes func() int) {
		time.Sleep(10 * time.Second)
		synctest.Wait()
		got := s.sighting()
		assert.Equal(t, topology.Answered, got.Contact)
		require.NotNil(t, got.Facts)
		assert.LessOrEqual(t, got.FactsAge, topology.Duration(1300*time.Millisecond))
		assert.InDelta(t, 9, probe.looks, 3, "not at every ping")
		assert.Equal(t, 1, changes())
	})
}

func TestSilenceCountsFromTheFirstPingThatWasNotAnswered(t *testing.T) {
	watching(t, func(t *testing.T, s *sighter, probe *fakeProbe, _ func() int) {
		time.Sleep(time.Second)
		probe.be(topology.Silent)
		frozen := time.Now()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		got := s.sighting()
		assert.Equal(t, topology.Silent, got.Contact)
		age := time.Since(frozen)
		assert.LessOrEqual(t, got.Unanswered.Std(), age)
		assert.Greater(t, got.Unanswered.Std(), age-300*time.Millisecond)
		probe.be(topology.Answered)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Zero(t, s.sighting().Unanswered)
	})
}

func TestARefusalIsKnownWithinOneInterval(t *testing.T) {
	watching(t, func(t *testing.T, s *sighter, probe *fakeProbe, changes func() int) {
		probe.be(topology.Refused)
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		assert.Equal(t, topology.Refused, s.sighting().Contact)
		assert.Equal(t, 2, changes(), "the leader is woken at once")
	})
}

func TestAFreshLookIsOfNowAndNeverWaitsForTheDead(t *testing.T) {
	watching(t, func(t *testing.T, s *sighter, probe *fakeProbe, _ func() int) {
		time.Sleep(400 * time.Millisecond)
		s.ask(t.Context())
		assert.Zero(t, s.sighting().FactsAge)
		probe.be(topology.Silent)
		time.Sleep(2 * time.Second)
		asked := time.Now()
		s.ask(t.Context())
		assert.Zero(t, time.Since(asked))
	})
}

// A replica whose relay log cannot be written answers pings and no looks.
func TestALookThatHangsHoldsUpFewPings(t *testing.T) {
	watching(t, func(t *testing.T, s *sighter, probe *fakeProbe, _ func() int) {
		time.Sleep(2 * time.Second)
		probe.mu.Lock()
		probe.hangs, probe.pinged, probe.looks = true, 0, 0
		probe.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		got := s.sighting()
		assert.Equal(t, topology.Answered, got.Contact)
		assert.Zero(t, got.Unanswered)
		assert.Greater(t, got.FactsAge.Std(), 8*time.Second)
		probe.mu.Lock()
		defer probe.mu.Unlock()
		assert.GreaterOrEqual(t, probe.pinged, 2*probe.looks)
		assert.InDelta(t, 5, probe.looks, 1)
	})
}
