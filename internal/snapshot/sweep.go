package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/failoverd/failoverd/internal/object"
)

// SweepRequest says what is to be removed from a store.
type SweepRequest struct {
	Store   object.Store
	Box     *Box
	Product string
	// Retention is DefaultRetention when it is zero.
	Retention Retention
	// Binlog is how long segments of the binary log are kept; 0: as long as hourly snapshots.
	Binlog time.Duration
	// Drilled says when a drill that passed last restored a snapshot, by its ID.
	Drilled map[string]time.Time
	// Grace is how long nothing must have been written of a snapshot before what no
	// manifest refers to is garbage; 0: DefaultGrace.
	Grace time.Duration
	// DryRun has nothing written or removed.
	DryRun bool
	// Marks, if given, remembers from one sweep to the next what snapshots refer to.
	Marks *Marks
}

// DefaultGrace is how long a snapshot that is being taken may write nothing before it
// is taken for dead.
const DefaultGrace = 24 * time.Hour

// SweepReport says what a sweep did, or, in a dry run, what it would do.
type SweepReport struct {
	Kept    []Kept
	Expired []string
	// Removed objects, manifests included, and Discarded uploads that nobody finished.
	Removed      int
	RemovedBytes int64
	Discarded    int
	// Left and LeftBytes are all other objects of the product.
	Left      int
	LeftBytes int64
	// Held says why nothing but manifests was removed; empty when all was.
	Held string
	// Warnings are sentences on what a person should look at.
	Warnings []string
	// Garbage are the keys that a dry run would remove.
	Garbage []string
}

// removeAhead is how many objects are removed at once.
const removeAhead = 8

// Sweep removes the snapshots that have expired, and what nothing refers to any more. It
// begins with the manifests, so that no snapshot is ever listed of which something is
// gone, and removes nothing at all when it could not see everything: when a listing
// fails, or a manifest or a catalog cannot be read (Held). What a lease holds stays. ErrBusy
// when another sweep is at work.
func Sweep(ctx context.Context, r SweepRequest) (SweepReport, error) {
	if r.Retention == (Retention{}) {
		r.Retention = DefaultRetention
	}
	if r.Binlog == 0 {
		r.Binlog = r.Retention.Hourly
	}
	if r.Grace == 0 {
		r.Grace = DefaultGrace
	}
	if r.Marks == nil {
		r.Marks = &Marks{}
	}
	s := sweeping{SweepRequest: r}
	if !r.DryRun {
		var err error
		if s.lease, err = takeLease(ctx, r.Store, leaseKey(r.Product, leaseSweep), "sweep"); err != nil {
			return SweepReport{}, err
		}
		defer s.lease.End()
	}
	err := s.run(ctx)
	return s.report, err
}

type sweeping struct {
	SweepRequest
	lease  *Lease // nil in a dry run
	report SweepReport
}

func (s *sweeping) run(ctx context.Context) error {
	entries, now, err := s.look(ctx)
	if err != nil {
		return err
	}
	live := leasesIn(entries, s.Product, s.ownKey(), now)
	if len(live[leaseSweep]) > 0 {
		return fmt.Errorf("another sweep is under way: %w", ErrBusy)
	}
	ids, bad := idsOf(entries, s.Product)
	manifests, unread := loadAll(ctx, s.Store, s.Box, s.Product, ids)
	outlined, unread := s.outlines(ctx, unread)
	if err := ctx.Err(); err != nil {
		return err
	}
	manifests, bad = append(manifests, outlined...), append(bad, unread...)
	expired := s.decide(manifests, readersOf(live))
	view := sweepView{product: s.Product, entries: entries, now: now, grace: s.Grace, binlog: s.Binlog, expired: expired, marked: map[string]bool{}}
	kept := slices.DeleteFunc(manifests, func(m Manifest) bool { return slices.Contains(s.report.Expired, m.ID) })
	for _, m := range kept {
		if err := s.mark(ctx, m, view); err != nil {
			bad = append(bad, err)
		}
		if m.Diverged.Empty() && (view.newest.IsZero() || m.Point.After(view.newest)) {
			view.newest = m.Point
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, err := range bad {
		s.report.Warnings = append(s.report.Warnings, err.Error())
	}
	s.hold(len(bad) > 0, "not all of what is kept can be read")
	s.hold(view.newest.IsZero(), "there is no whole snapshot")
	s.hold(len(live[leaseWriter]) > 0, "somebody writes what may refer to it")
	if view.newest.IsZero() {
		view.expired, s.report.Expired = nil, nil
	} else { // points are of this machine's clock, objects of the store's
		view.newest = now.Add(-time.Since(view.newest))
	}
	s.Marks.forget(kept)
	return s.sweep(ctx, view)
}

// outlines are of the snapshots that are encrypted, on a machine that can open none.
func (s *sweeping) outlines(ctx context.Context, unread []error) (outlined []Manifest, still []error) {
	for _, err := range unread {
		var of *unreadError
		if !errors.As(err, &of) || !errors.Is(err, ErrSealed) {
			still = append(still, err)
		} else if m, err := LoadOutline(ctx, s.Store, s.Product, of.id); err != nil {
			still = append(still, err)
		} else {
			outlined = append(outlined, m)
		}
	}
	return outlined, still
}

// mark marks what a snapshot refers to. Of one of which only the outline can be read, that is
// everything it wrote, if it is a full one; of another nobody can tell.
func (s *sweeping) mark(ctx context.Context, m Manifest, view sweepView) error {
	if m.Format > 0 {
		return s.Marks.add(ctx, s.Store, s.Box, m, view.marked)
	}
	if !m.Full {
		return fmt.Errorf("%s refers to other snapshots, and nobody here can read to which: %w", ManifestKey(s.Product, m.ID), ErrSealed)
	}
	for _, e := range view.entries {
		if strings.HasPrefix(e.Key, DataPrefix(s.Product, m.ID)) {
			view.marked[e.Key] = true
		}
	}
	return nil
}

// decide fills in what is kept and what expires, and returns the keys of what expires.
func (s *sweeping) decide(manifests []Manifest, read map[string]bool) (expired []string) {
	kept, expire := Keep(s.Retention, manifests, s.Drilled, time.Now())
	s.report.Kept = kept
	for _, id := range expire {
		if read[id] {
			s.report.Kept = append(s.report.Kept, Kept{ID: id, Why: "somebody reads it"})
			continue
		}
		s.report.Expired = append(s.report.Expired, id)
		expired = append(expired, ManifestKey(s.Product, id))
	}
	return expired
}

// hold notes the first reason for which no data is removed.
func (s *sweeping) hold(holds bool, why string) {
	if holds && s.report.Held == "" {
		s.report.Held = why
	}
}

// look lists everything, and the store's time.
func (s *sweeping) look(ctx context.Context) (entries []object.Entry, now time.Time, err error) {
	if entries, err = s.Store.List(ctx, Prefix(s.Product)); err != nil {
		return nil, time.Time{}, err
	}
	if s.DryRun {
		return entries, time.Now(), nil
	}
	now, err = timeAt(entries, s.lease.key)
	return entries, now, err
}

func (s *sweeping) ownKey() string {
	if s.lease == nil {
		return ""
	}
	return s.lease.key
}

// sweep removes the manifests first, looks whether somebody began to use something
// meanwhile, and then removes the rest.
func (s *sweeping) sweep(ctx context.Context, view sweepView) error {
	garbage := view.garbage()
	if err := s.remove(ctx, view.manifests()); err != nil {
		return err
	}
	if !s.DryRun {
		live, err := liveLeases(ctx, s.Store, s.Product, s.lease.key)
		if err != nil {
			return err
		}
		// Who would write waits for the end of this sweep. But somebody may have begun to
		// read a snapshot just before its manifest went, now or in an earlier sweep.
		read := readersOf(live)
		for _, kept := range s.report.Kept {
			delete(read, kept.ID)
		}
		s.hold(len(read) > 0, "somebody reads a snapshot that has expired")
	}
	if s.report.Held == "" {
		if err := s.remove(ctx, garbage); err != nil {
			return err
		}
		if err := s.discard(ctx, view.now); err != nil {
			s.report.Warnings = append(s.report.Warnings, err.Error())
		}
	}
	for _, e := range view.entries {
		s.report.Left++
		s.report.LeftBytes += e.Size
	}
	s.report.Left -= s.report.Removed
	s.report.LeftBytes -= s.report.RemovedBytes
	return nil
}

// remove removes objects while nobody can take this sweep for dead.
func (s *sweeping) remove(ctx context.Context, entries []object.Entry) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(removeAhead)
	for _, e := range entries {
		group.Go(func() error {
			if !s.DryRun {
				if !s.lease.holds() {
					return errors.New("the sweep was held up for too long, and ends")
				}
				if err := s.Store.Delete(ctx, e.Key); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			s.report.Removed++
			s.report.RemovedBytes += e.Size
			if s.DryRun {
				s.report.Garbage = append(s.report.Garbage, e.Key)
			}
			return nil
		})
	}
	err := group.Wait()
	slices.Sort(s.report.Garbage)
	return err
}

// discard ends the uploads of processes that were killed.
func (s *sweeping) discard(ctx context.Context, now time.Time) error {
	unfinished, err := s.Store.Unfinished(ctx, Prefix(s.Product))
	if err != nil {
		return err
	}
	for _, u := range unfinished {
		if now.Sub(u.Begun) < s.Grace {
			continue
		}
		if !s.DryRun {
			if err := s.Store.Discard(ctx, u); err != nil {
				return err
			}
		}
		s.report.Discarded++
	}
	return nil
}
