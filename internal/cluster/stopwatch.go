package cluster

import (
	"sync"
	"time"
)

// stopwatch knows which operations are running and for how long, so that one that never returns can be seen from
// outside.
//
// It counts the time in which this process ran, as whoever advances it saw it pass. By any clock of the machine
// everything would seem to hang in a process that was stopped for a minute, or in a virtual machine that was.
type stopwatch struct {
	mu      sync.Mutex
	ran     time.Duration
	running map[uint64]operation
	next    uint64
}

type operation struct {
	what  string
	since time.Duration
}

const (
	// mainLoop is a question to raft's main loop. It waits whenever the loop does, so it names nothing that
	// has another cause.
	mainLoop = "raft's main loop"
	// diskFull is what a restart does not cure.
	diskFull = "waiting for room on the full disk"
)

func newStopwatch() *stopwatch { return &stopwatch{running: map[uint64]operation{}} }

// start notes that an operation begins; the caller calls done when it has ended.
func (s *stopwatch) start(what string) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.next
	s.next++
	s.running[id] = operation{what, s.ran}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.running, id)
	}
}

// advance lets time pass.
func (s *stopwatch) advance(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran += by
}

// oldest returns the operation that has been running longest; "" when none is. A main loop that waits is named
// by what it waits for, if that has been running for half as long.
func (s *stopwatch) oldest() (what string, age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var cause operation
	for _, op := range s.running {
		age = max(age, s.ran-op.since)
		if op.what != mainLoop && (cause.what == "" || op.since < cause.since) {
			cause = op
		}
	}
	switch {
	case len(s.running) == 0:
		return "", 0
	case cause.what == "" || s.ran-cause.since < age/2:
		return mainLoop, age
	}
	return cause.what, age
}
