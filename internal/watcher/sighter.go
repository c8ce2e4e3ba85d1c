package watcher

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// Probe is one watcher's connection to one server.
type Probe interface {
	// Ping completes handshake and query, and says how the server answered. The
	// error is nil only with topology.Answered, and holds no secret.
	Ping(ctx context.Context) (topology.Contact, error)
	// Look gathers the full facts; any error means that there are none.
	Look(ctx context.Context) (topology.Facts, error)
	// Beat commits this watcher's row of the heartbeat table, on a connection of its
	// own. answered says that the server said anything: it is false when ctx ended or
	// the connection was lost first, and true with an error when it refused.
	Beat(ctx context.Context, watcher string) (answered bool, err error)
	// Lag is how old the newest row of the heartbeat table is there; any error means
	// that it is not known.
	Lag(ctx context.Context) (time.Duration, error)
	// Close ends the connection.
	Close() error
}

// pingDeadline is how long one ping may take; it is silent after that.
const pingDeadline = time.Second

// lookEvery is the time between two full looks at a server that answers.
const lookEvery = time.Second

// lookEveryStalled is the time between two looks at a master whose commits wait
// for an acknowledgement: whether they get it has to be known soon.
const lookEveryStalled = 200 * time.Millisecond

// lookDeadline bounds one full look.
const lookDeadline = 900 * time.Millisecond

// sighter watches one server: a cheap ping at the probe rate, the full facts
// every second or when asked for.
type sighter struct {
	watcher string // this one's name
	server  topology.Server
	probe   Probe
	every   time.Duration
	// changed is called when the contact changes, so that the leader need not wait for its tick.
	changed func()
	wanted  chan chan struct{} // asks for a full look at once
	writers sync.WaitGroup     // of heartbeats

	mu          sync.Mutex
	contact     topology.Contact
	err         string
	missedSince time.Time // when the first unanswered ping was sent, zero while it answers
	facts       *topology.Facts
	factsAt     time.Time
	lookedAt    time.Time // when the latest look began, or ended without any facts
	pinging     time.Time // when the ping under way was sent, zero between pings
	waitedSince time.Time // the first of the looks in a row that saw the same commits wait, zero when the latest did not
	hearing     hearing
	movedAt     time.Time // of the latest look that saw commits get on, or wait for an acknowledgement
	showsLag    bool      // there are heartbeats in the chain, which a replica shows its lag by
	beats       heartbeat
}

func newSighter(watcher string, server topology.Server, probe Probe, every time.Duration, changed func()) *sighter {
	return &sighter{watcher: watcher, server: server, probe: probe, every: every, changed: changed, wanted: make(chan chan struct{}, 16)}
}

// run probes until ctx ends. It owns the probe.
func (s *sighter) run(ctx context.Context) {
	defer s.probe.Close()
	defer s.endHeartbeats()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var asked []chan struct{}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case done := <-s.wanted:
			asked = append(asked, done)
		}
		for more := true; more; {
			select {
			case done := <-s.wanted:
				asked = append(asked, done)
			default:
				more = false
			}
		}
		s.once(ctx, len(asked) > 0)
		for _, done := range asked {
			close(done)
		}
		// A little jitter keeps the watchers of a trio from probing in step.
		timer.Reset(s.every - s.every/10 + rand.N(s.every/5+1))
	}
}

// once pings, and looks when that is due, asked for, or new.
func (s *sighter) once(ctx context.Context, asked bool) {
	sent := time.Now()
	s.mu.Lock()
	s.pinging = sent
	s.mu.Unlock()
	ping, cancel := context.WithTimeout(ctx, pingDeadline)
	contact, err := s.probe.Ping(ping)
	cancel()
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	s.pinging = time.Time{}
	was := s.contact
	s.contact, s.err = contact, ""
	if err != nil {
		s.err = err.Error()
	}
	if was.Missed() && !contact.Missed() {
		s.beats.sendAgain(time.Now())
	}
	switch {
	case !contact.Missed():
		s.missedSince = time.Time{}
	case s.missedSince.IsZero():
		s.missedSince = sent
	}
	due := contact == topology.Answered && (asked || was != contact || time.Since(s.lookedAt) >= s.lookEvery())
	s.mu.Unlock()
	if due {
		s.look(ctx)
	}
	if was != contact {
		s.changed()
	}
}

// lookEvery is the time between two full looks at this server now.
func (s *sighter) lookEvery() time.Duration {
	if s.facts != nil && s.facts.Source.Waiting > 0 {
		return lookEveryStalled
	}
	return lookEvery
}

func (s *sighter) look(ctx context.Context) {
	look, cancel := context.WithTimeout(ctx, lookDeadline)
	defer cancel()
	at := time.Now()
	facts, err := s.probe.Look(look)
	if err == nil && s.wantsLag() {
		if lag, err := s.probe.Lag(look); err == nil {
			facts.HeartbeatLag = topology.Duration(lag)
		}
	}
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookedAt = at
	if err != nil {
		s.lookedAt = time.Now() // one that hangs holds up the pings: not each of them
		s.err = err.Error()     // the ping answered: alive, but nothing new is known of it
		return
	}
	switch {
	case facts.Source.Waiting == 0:
		s.waitedSince = time.Time{}
	case s.waitedSince.IsZero() || !s.facts.Executed.Equal(facts.Executed):
		s.waitedSince = at
	}
	if s.facts == nil || facts.Source.Waiting > 0 || !s.facts.Executed.Equal(facts.Executed) {
		s.movedAt = at
	}
	facts.Link = s.hearing.heed(facts.Link, at)
	s.facts, s.factsAt = &facts, at
}

// showLag says whether there are heartbeats whose age shows this server's lag.
func (s *sighter) showLag(shows bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.showsLag = shows
}

func (s *sighter) wantsLag() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.showsLag
}

// ask asks for a full look at once and returns when it is done, or when the
// server keeps it waiting: a silent one is not asked again. One that refused is,
// for it answers at once and may be back.
func (s *sighter) ask(ctx context.Context) {
	s.mu.Lock()
	hopeless := s.contact == topology.Silent || (!s.pinging.IsZero() && time.Since(s.pinging) > 200*time.Millisecond)
	s.mu.Unlock()
	if hopeless {
		return
	}
	done := make(chan struct{})
	select {
	case s.wanted <- done:
	default:
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// sighting is what is known now. A ping that has gone unanswered for longer than
// the interval does not change the contact yet; it does when it times out.
func (s *sighter) sighting() topology.Sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	out := topology.Sighting{Server: s.server.Name, Contact: s.contact, Error: s.err, Facts: s.facts}
	if s.contact == "" {
		out.Contact, out.Error = topology.Unclear, "not probed yet"
	}
	if !s.missedSince.IsZero() {
		out.Unanswered = topology.Duration(now.Sub(s.missedSince))
	}
	if s.facts != nil {
		out.FactsAge = topology.Duration(now.Sub(s.factsAt))
	}
	if !s.waitedSince.IsZero() {
		out.Stalled = topology.Duration(s.factsAt.Sub(s.waitedSince))
	}
	out.Hanging = topology.Duration(s.beats.hanging(now))
	if !s.movedAt.IsZero() { // a write that is only slow, behind others that are, does not hang
		out.Hanging = min(out.Hanging, topology.Duration(now.Sub(s.movedAt)))
	}
	return out
}
