package snapshot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The lanes of a Service: each does one kind of work after the other and none waits for another.

// take takes a snapshot whenever one is due.
func (s *Service) take(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, beat) {
		begin, why, order := s.due(time.Now())
		s.set(func() { s.waiting = why })
		if begin {
			s.takeOne(ctx, order)
		}
	}
}

// due says whether to begin, and which order that carries out, 0 for none.
func (s *Service) due(now time.Time) (begin bool, why string, order uint64) {
	wait := s.wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.surveyed {
		return false, "no store has answered yet", 0
	}
	if s.orders.Take > s.done {
		order = s.orders.Take
	}
	t := Timing{Product: s.config.Product, Every: s.config.Every, Now: now, Failures: s.failures, Failed: s.failedAt, Ordered: order != 0,
		Wait: wait, Acks: s.orders.Acks && now.Sub(s.heard) < ordersGood}
	if s.survey.Newest != nil {
		t.Newest = s.survey.Newest.Started
	}
	begin, why = Due(t)
	if begin && s.config.Leader != nil && s.orders.Epoch == 0 && s.survey.Newest == nil {
		return false, "no watcher has said yet which epoch it is", 0
	}
	return begin, why, order
}

func (s *Service) task() Task {
	t := Task{Epoch: s.epoch()}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Full = s.survey.Newest == nil
	if s.config.ScrubEvery > 0 {
		t.Full, _ = FullDue(s.survey.Newest, s.config.ScrubEvery, time.Now())
	}
	return t
}

func (s *Service) takeOne(ctx context.Context, order uint64) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	task := s.task()
	s.set(func() { s.began, s.taking, s.progress, s.giveUp = time.Now(), task.Epoch, Progress{}, cancel })
	s.config.Logger.Info("snapshot begun", "product", s.config.Product, "epoch", task.Epoch, "full", task.Full)
	m, err := s.config.Work.Take(ctx, task, func(p Progress) { s.set(func() { s.progress = p }) })
	s.set(func() { s.began, s.giveUp = time.Time{}, nil })
	var gaveWay yielded
	switch {
	case err == nil:
		s.took(m, order)
	case errors.As(context.Cause(ctx), &gaveWay):
		s.config.Logger.Info("snapshot gave way", "why", gaveWay.why)
	case ctx.Err() == nil:
		s.failed(err, order)
	}
}

// took notes a good snapshot.
func (s *Service) took(m Manifest, order uint64) {
	s.config.Logger.Info("snapshot taken", "id", m.ID, "rows", m.Totals.Rows, "bytes", m.Totals.Bytes, "read", m.Totals.ReadBytes, "stored", m.Totals.StoredBytes,
		"took", m.Finished.Sub(m.Started).Round(time.Millisecond), "stall", time.Duration(m.StallMs)*time.Millisecond, "full", m.Full)
	s.mu.Lock()
	failing, since := s.failing, s.failedFirst
	s.failures, s.failing = 0, ""
	s.survey.Newest = &m
	s.answerLocked(order, "")
	s.mu.Unlock()
	if len(m.Drifted) > 0 {
		// This one is right: it was read from the server. Those since the last that was read
		// in full may not be.
		s.config.Logger.Error("snapshots drifted", "id", m.ID, "tables", m.Drifted)
		s.note(Event{What: "snapshot", Outcome: fmt.Sprintf("failed: what was read in full is not what the snapshots before and the binary log say, in %s", tablesText(m.Drifted)),
			Why: m.ID + " was read from the server and is right; those before it may not be"})
	}
	if failing != "" {
		s.note(Event{What: "snapshot", Outcome: "done", Why: fmt.Sprintf("%s is whole; since %s: %s", m.ID, since.UTC().Format(time.RFC3339), failing)})
	}
	s.wake()
}

// tablesText names some tables, and says how many more there are.
func tablesText(tables []TableID) string {
	const most = 5
	var names []string
	for _, id := range tables[:min(most, len(tables))] {
		names = append(names, id.String())
	}
	text := strings.Join(names, ", ")
	if more := len(tables) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// failed notes that none could be taken; the history has the first failure of a row.
func (s *Service) failed(err error, order uint64) {
	s.config.Logger.Error("snapshot failed", "error", err)
	now := time.Now()
	s.mu.Lock()
	first := s.failures == 0
	if first {
		s.failedFirst = now
	}
	s.failures++
	s.failedAt, s.failing = now, err.Error()
	s.answerLocked(order, err.Error())
	s.mu.Unlock()
	if first {
		s.note(Event{What: "snapshot", Outcome: "failed: " + err.Error(), Why: "it is tried again"})
	}
}

func (s *Service) answerLocked(order uint64, why string) {
	if order != 0 {
		s.done, s.doneWhy = order, why
	}
}

// tending looks after the stores, after each snapshot and every minute.
func (s *Service) tending(ctx context.Context) {
	for failing := false; ctx.Err() == nil; {
		if err := s.config.Work.Tend(ctx); err != nil && ctx.Err() == nil {
			if !failing {
				s.config.Logger.Warn("stores cannot be tended", "error", err)
			}
			failing = true
		} else {
			failing = false
		}
		s.look(ctx)
		timer := time.NewTimer(tendEvery)
		select {
		case <-ctx.Done():
		case <-s.tend:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// look sees what the stores hold. A snapshot that was just taken is not forgotten
// because its store does not answer.
func (s *Service) look(ctx context.Context) {
	survey := s.config.Work.Survey(ctx)
	if ctx.Err() != nil {
		return
	}
	survey.At = time.Now()
	answered := len(survey.Stores) == 0
	for _, store := range survey.Stores {
		answered = answered || store.Error == ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.survey.Newest; old != nil && (survey.Newest == nil || survey.Newest.Started.Before(old.Started)) && !answered {
		survey.Newest = old
	}
	if survey.Drill == nil {
		survey.Drill = s.survey.Drill
	}
	s.survey = survey
	s.surveyed = s.surveyed || answered
}

// rehearse drills and scrubs when that is due. Neither is made up for at the start.
func (s *Service) rehearse(ctx context.Context) {
	scrubbed := time.Now()
	for ; ctx.Err() == nil; pause(ctx, 10*beat) {
		now := time.Now()
		if s.config.ScrubEvery > 0 && scrubbed.Before(Slot(s.config.Product+"/scrub", s.config.ScrubEvery, now)) && s.wait() == "" {
			scrubbed = now
			s.scrub(ctx)
		}
		if s.drillDue(now) {
			s.drill(ctx)
		}
	}
}

func (s *Service) drillDue(now time.Time) bool {
	if s.config.DrillEvery <= 0 || s.wait() != "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.survey.Newest == nil {
		return false
	}
	return s.survey.Drill == nil || s.survey.Drill.At.Before(Slot(s.config.Product+"/drill", s.config.DrillEvery, now))
}

// drill rehearses a restore. One that could not be done counts as one that failed.
func (s *Service) drill(ctx context.Context) {
	s.set(func() { s.drilling = true })
	defer s.set(func() { s.drilling = false })
	began := time.Now()
	s.config.Logger.Info("drill begun")
	note, err := s.config.Work.Drill(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		note = DrillNote{At: began, Why: err.Error(), TookMs: time.Since(began).Milliseconds()}
	}
	s.set(func() { s.survey.Drill = &note })
	s.note(EventOfDrill(note))
	if !note.Passed {
		s.config.Logger.Error("drill failed", "snapshot", note.Snapshot, "why", note.Why)
		return
	}
	s.config.Logger.Info("drill passed", "snapshot", note.Snapshot, "took", time.Duration(note.TookMs)*time.Millisecond, "restore", time.Duration(note.RestoreMs)*time.Millisecond)
}

// EventOfDrill is what the history keeps of a drill.
func EventOfDrill(n DrillNote) Event {
	e := Event{What: "drill", Outcome: "done", Ms: n.TookMs}
	if n.Snapshot != "" {
		e.Why = fmt.Sprintf("%s was restored in %s", n.Snapshot, (time.Duration(n.RestoreMs) * time.Millisecond).Round(100*time.Millisecond))
	}
	if !n.Passed {
		e.Outcome, e.Why = "failed: "+n.Why, n.Snapshot
	}
	return e
}

// scrub looks for what was damaged in the stores.
func (s *Service) scrub(ctx context.Context) {
	s.config.Logger.Info("scrub begun")
	if err := s.config.Work.Scrub(ctx); err != nil && ctx.Err() == nil {
		s.config.Logger.Error("scrub found damage", "error", err)
		s.note(Event{What: "snapshot", Outcome: "failed: the scrub found damage: " + err.Error(), Why: "what is stored is not what was written"})
	}
}

// shipPatience is how long shipping may fail before the history has it.
const shipPatience = time.Minute

// ship ships the binary log to a store, again and again.
func (s *Service) ship(ctx context.Context, store string) {
	for ; ctx.Err() == nil; pause(ctx, 5*beat) {
		if s.epoch() == 0 {
			continue
		}
		err := s.config.Work.Ship(ctx, store, s.epoch, func(until time.Time, gap string) { s.shipped(store, until, gap) })
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		s.shipFailed(store, err)
	}
}

func (s *Service) shipped(store string, until time.Time, gap string) {
	s.mu.Lock()
	ship := s.ships[store]
	noted, err, since, isNew := ship.noted, ship.err, ship.since, gap != "" && gap != ship.gap
	*ship = shipping{until: until, gap: gap}
	s.mu.Unlock()
	if isNew {
		s.config.Logger.Warn("binary log has a gap", "store", store, "gap", gap)
		s.note(Event{What: "ship", Outcome: "failed: there is a gap before what is shipped now: " + gap, Why: "to " + store})
	}
	if err != "" {
		s.config.Logger.Info("binary log is shipped again", "store", store)
	}
	if noted {
		s.note(Event{What: "ship", Outcome: "done", Why: fmt.Sprintf("to %s; since %s: %s", store, since.UTC().Format(time.RFC3339), err)})
	}
}

func (s *Service) shipFailed(store string, err error) {
	now := time.Now()
	s.mu.Lock()
	ship := s.ships[store]
	if ship.err == "" {
		ship.since = now
	}
	first := ship.err == ""
	ship.err = err.Error()
	tell := !ship.noted && now.Sub(ship.since) >= shipPatience
	ship.noted = ship.noted || tell
	s.mu.Unlock()
	if first {
		s.config.Logger.Warn("binary log is not shipped", "store", store, "error", err)
	}
	if tell {
		s.note(Event{What: "ship", Outcome: "failed: " + err.Error(), Why: "to " + store})
	}
}
