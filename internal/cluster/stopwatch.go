package cluster

import (
	"sync"
	"time"
)

// stopwatch knows which operations are running and since when, so that one that never returns can be seen from
// outside.
type stopwatch struct {
	mu      sync.Mutex
	running map[uint64]operation
	next    uint64
}

type operation struct {
	what  string
	since time.Time
}

func newStopwatch() *stopwatch { return &stopwatch{running: map[uint64]operation{}} }

// start notes that an operation begins; the caller calls done when it has ended.
func (s *stopwatch) start(what string) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.next
	s.next++
	s.running[id] = operation{what, time.Now()}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.running, id)
	}
}

// oldest returns the operation that has been running longest; "" when none is.
func (s *stopwatch) oldest() (what string, age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, op := range s.running {
		if a := time.Since(op.since); what == "" || a > age {
			what, age = op.what, a
		}
	}
	return what, age
}
