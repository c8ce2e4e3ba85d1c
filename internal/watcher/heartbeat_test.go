package watcher

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/failoverd/failoverd/internal/topology"
)

func TestOneHeartbeatIsUnderWayAtATimeAndHangsFromWhenItWasSent(t *testing.T) {
	watching(t, func(t *testing.T, s *sighter, probe *fakeProbe, _ func() int) {
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		pass(3 * time.Second)
		beats, _ := probe.sent()
		assert.Zero(t, beats, "nothing is written unless it is asked for")
		s.beatEvery(t.Context(), time.Second)
		for range 5 {
			pass(500 * time.Millisecond)
			probe.answers <- true
			pass(600 * time.Millisecond)
			assert.Zero(t, s.sighting().Hanging)
			pass(400 * time.Millisecond)
		}
		began := time.Now()
		beats, _ = probe.sent()
		pass(10 * time.Second)
		after, unanswered := probe.sent()
		assert.LessOrEqual(t, after-beats, 1, "they do not pile up")
		assert.Equal(t, 1, unanswered)
		assert.InDelta(t, time.Since(began).Seconds(), s.sighting().Hanging.Std().Seconds(), 1)

		// The connection is lost: the write is sent again, and what hung hangs on.
		probe.answers <- false
		pass(1500 * time.Millisecond)
		again, unanswered := probe.sent()
		assert.Equal(t, after+1, again)
		assert.Equal(t, 1, unanswered)
		assert.Greater(t, s.sighting().Hanging.Std(), 11*time.Second)
		probe.answers <- true
		synctest.Wait()
		assert.Zero(t, s.sighting().Hanging)
	})
}

// TestWhatACutNetworkHeldBackIsSentAnew: TCP tries the old connection again only long after
// the cut, and at the end of one the master does not hang.
func TestWhatACutNetworkHeldBackIsSentAnew(t *testing.T) {
	watching(t, func(t *testing.T, s *sighter, probe *fakeProbe, _ func() int) {
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		s.beatEvery(t.Context(), time.Second)
		pass(100 * time.Millisecond)
		probe.be(topology.Silent)
		pass(15 * time.Second)
		beats, unanswered := probe.sent()
		assert.Equal(t, 1, beats)
		assert.Equal(t, 1, unanswered)
		probe.be(topology.Answered)
		pass(3 * time.Second)
		beats, unanswered = probe.sent()
		assert.Equal(t, 2, beats)
		assert.Equal(t, 1, unanswered)
		assert.InDelta(t, 2.5, s.sighting().Hanging.Std().Seconds(), 1, "it hangs from when it was sent anew")
		probe.answers <- true
		synctest.Wait()
		assert.Zero(t, s.sighting().Hanging)
	})
}

func TestHeartbeatsStopAtOnce(t *testing.T) {
	watching(t, func(t *testing.T, s *sighter, probe *fakeProbe, _ func() int) {
		s.beatEvery(t.Context(), time.Second)
		time.Sleep(20 * time.Second)
		assert.NotZero(t, s.sighting().Hanging)
		s.beatEvery(t.Context(), 0)
		assert.Zero(t, s.sighting().Hanging)
		synctest.Wait()
		_, unanswered := probe.sent()
		assert.Zero(t, unanswered, "the one that hung is given up")
		time.Sleep(20 * time.Second)
		beats, _ := probe.sent()
		assert.Equal(t, 1, beats)
		s.beatEvery(t.Context(), time.Second)
		synctest.Wait()
		beats, unanswered = probe.sent()
		assert.Equal(t, 2, beats)
		assert.Equal(t, 1, unanswered)
	})
}

// A scout learns from the chain whether its server is written to.
func TestOnlyTheMasterIsWrittenTo(t *testing.T) {
	for _, c := range []struct {
		fact    string
		seat    topology.Seat
		every   time.Duration
		beats   bool
		showLag bool
	}{
		{"master", topology.Master, time.Second, true, false},
		{"candidate", topology.Candidate, time.Second, false, true},
		{"master without write probes", topology.Master, 0, false, false},
		{"candidate without write probes", topology.Candidate, 0, false, false},
	} {
		watching(t, func(t *testing.T, s *sighter, probe *fakeProbe, _ func() int) {
			chain := topology.Chain{Policy: topology.DefaultPolicy()}
			chain.Policy.WriteProbe = topology.Duration(c.every)
			scout := &scout{sighter: s}
			scout.heed(t.Context(), chain, topology.Server{Name: "a", Seat: c.seat})
			time.Sleep(3 * time.Second)
			synctest.Wait()
			beats, _ := probe.sent()
			assert.Equal(t, c.beats, beats > 0, c.fact)
			assert.Equal(t, c.showLag, s.sighting().Facts.HeartbeatLag > 0, c.fact)
			scout.heed(t.Context(), chain, topology.Server{Name: "a", Seat: topology.Slave}) // it was demoted
			synctest.Wait()
			_, unanswered := probe.sent()
			assert.Zero(t, unanswered, c.fact)
		})
	}
}

func TestAStallIsTheTimeOverWhichTheSameCommitsWereSeenToWait(t *testing.T) {
	const uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	waiting := func(sessions int, last int64) topology.Facts {
		return topology.Facts{Executed: topology.GTIDSpan(uuid, 1, last), Source: topology.SourceSemiSync{Waiting: sessions}}
	}
	watching(t, func(t *testing.T, s *sighter, probe *fakeProbe, _ func() int) {
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		pass(3 * time.Second)
		assert.Zero(t, s.sighting().Stalled)
		probe.show(waiting(2, 10))
		pass(1400 * time.Millisecond) // found by the next look, at the latest a second later
		looks := probe.looked()
		pass(2 * time.Second)
		assert.GreaterOrEqual(t, probe.looked()-looks, 7, "it is looked at with every ping")
		stalled := s.sighting().Stalled.Std()
		assert.GreaterOrEqual(t, stalled, 1700*time.Millisecond)
		assert.LessOrEqual(t, stalled, 3400*time.Millisecond)

		probe.show(waiting(2, 11)) // one was acknowledged, another waits
		pass(300 * time.Millisecond)
		assert.LessOrEqual(t, s.sighting().Stalled.Std(), 300*time.Millisecond)
		pass(time.Second)
		assert.GreaterOrEqual(t, s.sighting().Stalled.Std(), 700*time.Millisecond)

		probe.be(topology.Silent) // what is not seen does not grow
		pass(time.Second)
		stalled = s.sighting().Stalled.Std()
		pass(5 * time.Second)
		assert.Equal(t, stalled, s.sighting().Stalled.Std())

		probe.be(topology.Answered)
		probe.show(waiting(0, 12))
		pass(2 * time.Second)
		assert.Zero(t, s.sighting().Stalled)
	})
}

// TestASlowMasterDoesNotHang: commits that get on behind a heartbeat, or wait for
// an acknowledgement, show that the server works.
func TestASlowMasterDoesNotHang(t *testing.T) {
	for _, slow := range []struct {
		name  string
		facts func(second int64) topology.Facts
	}{
		{"commits get on", func(second int64) topology.Facts { return topology.Facts{Executed: topology.GTIDSpan("a", 1, second)} }},
		{"commits wait for an acknowledgement", func(int64) topology.Facts { return topology.Facts{Source: topology.SourceSemiSync{Waiting: 1}} }},
	} {
		t.Run(slow.name, func(t *testing.T) {
			watching(t, func(t *testing.T, s *sighter, probe *fakeProbe, _ func() int) {
				s.beatEvery(t.Context(), time.Second)
				for second := range int64(20) {
					probe.show(slow.facts(second + 1))
					time.Sleep(time.Second)
					synctest.Wait()
					assert.Less(t, s.sighting().Hanging.Std(), 3*time.Second)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if slow.name == "commits get on" {
					assert.Greater(t, s.sighting().Hanging.Std(), 8*time.Second, "until they do not any more")
				}
			})
		})
	}
}
