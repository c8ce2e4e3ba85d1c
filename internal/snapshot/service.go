package snapshot

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Service takes the snapshots of one product when they are due, ships its binary
// log, and looks after what is stored. What it does is behind Work, when it does it
// and what it says of it is decided here.
type Service struct {
	config ServiceConfig

	mu sync.Mutex
	// What the leader last said, and when; zero while it has not been heard.
	orders Orders
	heard  time.Time
	// refused is why the leader will have nothing of this service.
	refused string
	survey  Survey
	// surveyed says that there was one: before it nothing is due.
	surveyed bool
	// The snapshot being taken.
	began    time.Time
	taking   uint64 // its epoch
	progress Progress
	giveUp   context.CancelCauseFunc
	waiting  string
	// Failures in a row, when the first and the latest was, and why.
	failures              int
	failedFirst, failedAt time.Time
	failing               string
	done                  uint64
	doneWhy               string
	drilling              bool
	ships                 map[string]*shipping
	events                []Event
	cut                   uint64        // the highest epoch of the cuts that were passed on
	tend                  chan struct{} // wakes the lane that tends the stores
}

// ServiceConfig says what a Service is to do, and with what.
type ServiceConfig struct {
	Product, Server string
	Every           time.Duration
	// DrillEvery and ScrubEvery may be 0: never.
	DrillEvery, ScrubEvery time.Duration
	// Stores are their names, the preferred one first.
	Stores []string
	// Ship says whether the binary log is shipped.
	Ship bool
	Work Work
	// Leader is nil for a service without watchers.
	Leader Leader
	Logger hclog.Logger
}

// Leader is how a Service speaks to the leading watcher.
type Leader interface {
	// Report says how the service is. The error wraps ErrRefused when the leader will
	// have nothing of this service; any other means that it could not be asked.
	Report(ctx context.Context, r Report) (Orders, error)
	// Note puts an event into the history. It may be called again for the same one.
	Note(ctx context.Context, e Event) error
}

// ErrRefused says that this service may not take the product's snapshots.
var ErrRefused = errors.New("refused by the leading watcher")

// ErrNotNow says that no snapshot may be taken at the moment, for a reason that passes.
var ErrNotNow = errors.New("no snapshot is taken now")

// Work is what a Service has done. Each method returns soon after its context has
// ended, and names in its error what failed.
type Work interface {
	// Cut tells where earlier epochs ended; Tend brings that to the stores.
	Cut(cuts []Cut)
	// Survey says what the stores hold. A store that does not answer is in it with its error.
	Survey(ctx context.Context) Survey
	// Take takes a snapshot and stores it in the first store that takes it.
	Take(ctx context.Context, t Task, tell func(Progress)) (Manifest, error)
	// Tend brings the further stores up to date, and removes what is no longer kept.
	Tend(ctx context.Context) error
	// Drill restores the newest snapshot on a scratch server and compares. The error says
	// why there is no outcome; what the drill found is in the note.
	Drill(ctx context.Context) (DrillNote, error)
	// Scrub reads what is stored of the newest snapshot and holds it against its manifest.
	Scrub(ctx context.Context) error
	// Ship ships the binary log to a store until ctx ends or it cannot go on. It tells
	// until when the store has all of it, and what is missing before, if anything is.
	Ship(ctx context.Context, store string, epoch func() uint64, tell func(until time.Time, gap string)) error
}

// Task is a snapshot to be taken.
type Task struct {
	Epoch uint64
	// Full says that everything is to be read anew.
	Full bool
}

// Survey is what the stores hold.
type Survey struct {
	// Newest is the newest whole snapshot in any store, nil without one.
	Newest *Manifest
	Stores []StoreReport // their ages are as of At
	Drill  *DrillNote
	At     time.Time
}

// shipping is how it goes with one store.
type shipping struct {
	// until is until when the store has all of the log; zero: not known.
	until time.Time
	gap   string
	err   string
	since time.Time // since when it fails
	noted bool      // its failing is in the history
}

const (
	beat          = time.Second
	reportTimeout = 2 * time.Second
	// ordersGood is how long the last orders to wait hold while the watchers are away:
	// they cannot open a plan without a majority either.
	ordersGood = time.Minute
	tendEvery  = time.Minute
	eventsKept = 32
)

// NewService returns a Service, to be Run once.
func NewService(c ServiceConfig) *Service {
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	s := &Service{config: c, ships: map[string]*shipping{}, tend: make(chan struct{}, 1)}
	for _, name := range c.Stores {
		s.ships[name] = &shipping{}
	}
	return s
}

// Run works until ctx ends.
func (s *Service) Run(ctx context.Context) {
	s.look(ctx)
	var lanes sync.WaitGroup
	lanes.Go(func() { s.report(ctx) })
	lanes.Go(func() { s.take(ctx) })
	lanes.Go(func() { s.tending(ctx) })
	lanes.Go(func() { s.rehearse(ctx) })
	if s.config.Ship {
		for _, store := range s.config.Stores {
			lanes.Go(func() { s.ship(ctx, store) })
		}
	}
	lanes.Wait()
}

// once is what a process is called that takes one snapshot.
const once = "once"

// Once takes one snapshot now and brings it to all stores.
func (s *Service) Once(ctx context.Context) (Manifest, error) {
	s.look(ctx)
	if s.config.Leader != nil {
		s.exchange(ctx, once)
		defer s.leave(ctx, once)
	}
	if why := s.wait(); why != "" {
		return Manifest{}, fmt.Errorf("%w: %s", ErrNotNow, why)
	}
	m, err := s.config.Work.Take(ctx, s.task(), func(p Progress) { s.set(func() { s.progress = p }) })
	if err != nil {
		return m, err
	}
	return m, s.config.Work.Tend(ctx)
}

// report tells the leader once a second how things are.
func (s *Service) report(ctx context.Context) {
	if s.config.Leader == nil {
		return
	}
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails (documentation of crypto/rand)
	instance := hex.EncodeToString(raw[:])
	for away := false; ctx.Err() == nil; {
		err := s.exchange(ctx, instance)
		switch {
		case errors.Is(err, ErrRefused) && !away:
			s.config.Logger.Warn("no snapshots are taken", "error", err)
		case err != nil && !away && ctx.Err() == nil:
			s.config.Logger.Warn("the leading watcher does not take reports, snapshots go on", "error", err)
		case err == nil && away:
			s.config.Logger.Info("the leading watcher takes reports again")
		}
		away = err != nil
		if !away {
			s.sendEvents(ctx)
		}
		pause(ctx, beat)
	}
	s.leave(ctx, instance)
}

// leave says goodbye, so that a service started anew need not wait until this one is
// missed. Nobody waits for the answer: without one it is missed.
func (s *Service) leave(ctx context.Context, instance string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTimeout)
	defer cancel()
	report := s.Report(time.Now())
	report.Instance, report.Leaving = instance, true
	_, _ = s.config.Leader.Report(ctx, report)
}

// exchange makes one report and keeps the orders.
func (s *Service) exchange(ctx context.Context, instance string) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	report := s.Report(time.Now())
	report.Instance = instance
	orders, err := s.config.Leader.Report(ctx, report)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, ErrRefused):
		s.refused = err.Error()
	case err != nil:
		return err
	default:
		s.refused, s.orders, s.heard = "", orders, time.Now()
		s.cutLocked(orders.Cuts)
	}
	if why := s.yieldLocked(); why != "" && s.giveUp != nil {
		s.giveUp(yielded{why})
	}
	return err
}

// yieldLocked says why a snapshot that runs is to be given up, empty when it is not. A
// promotion may be over before the leader is heard again: the epoch tells of it.
func (s *Service) yieldLocked() string {
	if why := s.waitLocked(); why != "" || s.orders.Epoch <= s.taking {
		return why
	}
	return fmt.Sprintf("epoch %d began meanwhile", s.orders.Epoch)
}

// cutLocked passes on what is new, and has it stored at once: until then a restore
// knows nothing of it.
func (s *Service) cutLocked(cuts []Cut) {
	if len(cuts) == 0 {
		return
	}
	s.config.Work.Cut(cuts)
	for _, c := range cuts {
		s.cut = max(s.cut, c.Epoch)
	}
	s.wake()
}

// wake has the stores tended now.
func (s *Service) wake() {
	select {
	case s.tend <- struct{}{}:
	default:
	}
}

// yielded is why a snapshot was given up that was not at fault.
type yielded struct{ why string }

func (y yielded) Error() string { return "it gave way: " + y.why }

// wait says why no snapshot may run now, empty when one may.
func (s *Service) wait() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waitLocked()
}

func (s *Service) waitLocked() string {
	switch {
	case s.refused != "":
		return s.refused
	case s.orders.Wait != "" && time.Since(s.heard) < ordersGood:
		return s.orders.Wait
	}
	return ""
}

// epoch is the chain's as last heard, that of the newest snapshot while nobody said
// one; 0 when it is not known at all.
func (s *Service) epoch() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.orders.Epoch != 0:
		return s.orders.Epoch
	case s.survey.Newest != nil:
		return s.survey.Newest.Epoch
	case s.config.Leader == nil:
		return 1
	}
	return 0
}

// Report is how the service is now.
func (s *Service) Report(now time.Time) Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Report{Server: s.config.Server, EveryMs: s.config.Every.Milliseconds(), Waiting: s.waiting, Failing: s.failing, Drilling: s.drilling,
		Cut: s.cut, Done: s.done, DoneWhy: s.doneWhy, Stores: []StoreReport{},
		NextMs: Slot(s.config.Product, s.config.Every, now).Add(s.config.Every).Sub(now).Milliseconds()}
	if s.failing != "" {
		r.FailingMs = now.Sub(s.failedFirst).Milliseconds()
	}
	if m := s.survey.Newest; m != nil {
		newest := CopyOf(*m, now)
		r.Newest = &newest
	}
	if !s.began.IsZero() {
		r.Running = &Running{ForMs: now.Sub(s.began).Milliseconds(), Bytes: s.progress.Bytes, Of: s.progress.Estimate}
	}
	if d := s.survey.Drill; d != nil {
		drill := *d
		drill.AgeMs = now.Sub(d.At).Milliseconds()
		r.Drill = &drill
	}
	for _, store := range s.survey.Stores {
		if store.AgeMs >= 0 {
			store.AgeMs += now.Sub(s.survey.At).Milliseconds()
		}
		store.ShippedMs = -1
		if ship := s.ships[store.Name]; ship != nil && s.config.Ship {
			store.ShipError, store.Gap = ship.err, ship.gap
			if !ship.until.IsZero() {
				store.ShippedMs = max(0, now.Sub(ship.until).Milliseconds())
			}
		}
		r.Stores = append(r.Stores, store)
	}
	return r
}

// note keeps an event until the leader has it.
func (s *Service) note(e Event) {
	e.Server = s.config.Server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config.Leader == nil {
		return
	}
	if s.events = append(s.events, e); len(s.events) > eventsKept {
		s.events = s.events[1:]
	}
}

func (s *Service) sendEvents(ctx context.Context) {
	for {
		s.mu.Lock()
		if len(s.events) == 0 {
			s.mu.Unlock()
			return
		}
		e := s.events[0]
		s.mu.Unlock()
		send, cancel := context.WithTimeout(ctx, reportTimeout)
		err := s.config.Leader.Note(send, e)
		cancel()
		if err != nil && !errors.Is(err, ErrRefused) {
			return // it is tried again after the next report
		}
		s.set(func() { s.events = s.events[1:] })
	}
}

func (s *Service) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// pause waits, or returns false when ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
