package watcher

import (
	"context"
	"time"
)

// heartbeat has one watcher commit to its row at the master, one write at a time.
// All of it is guarded by the sighter's lock.
type heartbeat struct {
	over  bool          // there will be none any more
	every time.Duration // 0 while there are none
	stop  context.CancelFunc
	since time.Time          // when the oldest write that is not committed was sent, zero when there is none
	again context.CancelFunc // gives up the write under way, which is then sent anew
}

// beatEvery starts, changes and, with 0, stops the heartbeats. Nothing is written
// once it returns, but for what is at the server already.
func (s *sighter) beatEvery(ctx context.Context, every time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.beats.over || every == s.beats.every {
		return
	}
	if s.beats.stop != nil {
		s.beats.stop()
	}
	s.beats = heartbeat{every: every}
	if every > 0 {
		ctx, s.beats.stop = context.WithCancel(ctx)
		s.writers.Go(func() { s.beat(ctx, every) })
	}
}

// endHeartbeats returns when none is under way and none will be.
func (s *sighter) endHeartbeats() {
	s.mu.Lock()
	if s.beats.stop != nil {
		s.beats.stop()
	}
	s.beats = heartbeat{over: true}
	s.mu.Unlock()
	s.writers.Wait()
}

// beat writes until ctx ends. A write that gets no answer is waited for, however
// long that takes; one whose connection was lost is sent again.
func (s *sighter) beat(ctx context.Context, every time.Duration) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		write, again := context.WithCancel(ctx)
		if !s.sent(ctx, again) {
			again()
			return
		}
		answered, _ := s.probe.Beat(write, s.watcher) // what a server refuses is for doctor to find
		again()
		if answered {
			s.answered(ctx)
		}
		timer.Reset(every)
	}
}

// sent notes that a write is on its way, unless there should be none any more.
func (s *sighter) sent(ctx context.Context, again context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	if s.beats.since.IsZero() {
		s.beats.since = time.Now()
	}
	s.beats.again = again
	return true
}

// answered notes that the server answered every write that was sent.
func (s *sighter) answered(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil { // else the note would be about the heartbeats that came after
		s.beats.since = time.Time{}
	}
}

// sendAgain has what the network held back sent anew: it says nothing of the server, and
// TCP tries an old connection again only as long after a cut as that took.
func (h *heartbeat) sendAgain(now time.Time) {
	if h.since.IsZero() {
		return
	}
	h.since = now
	h.again()
}

// hanging is the age of the oldest write without an answer, once the next is due.
func (h heartbeat) hanging(now time.Time) time.Duration {
	if h.since.IsZero() || now.Sub(h.since) < h.every {
		return 0
	}
	return now.Sub(h.since)
}
