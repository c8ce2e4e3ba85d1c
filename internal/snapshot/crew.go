package snapshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// Crew does the work of a Service with a real server and real stores.
type Crew struct {
	Depot *Depot
	// Server is the name of the one that is copied.
	Server string
	Source Source
	// Changes says what changed since the last snapshot; nil reads everything each time.
	Changes Changes
	Log     Log
	// Lock keeps others from copying the same server meanwhile; its error says who does.
	Lock func(ctx context.Context) (release func(), err error)
	// Scratch makes servers for drills.
	Scratch        Scratch
	Workers        int
	BytesPerSecond int64
	Retention      Retention
	ShipEvery      time.Duration
	ShipBytes      int
	Logger         hclog.Logger

	mu      sync.Mutex
	cuts    []Cut           // by epoch, as the leader told
	put     map[string]bool // place and epoch of those that are in a store
	swept   map[string]time.Time
	marks   map[string]*Marks
	damaged map[string]bool // place and ID of snapshots in which a scrub found damage
}

// sweepEvery is how often a store is swept: it lists everything that is in it.
const sweepEvery = time.Hour

// Survey implements Work.
func (c *Crew) Survey(ctx context.Context) Survey { return c.Depot.Survey(ctx) }

// Take implements Work.
func (c *Crew) Take(ctx context.Context, t Task, tell func(Progress)) (Manifest, error) {
	release, err := c.Lock(ctx)
	if err != nil {
		return Manifest{}, err
	}
	defer release()
	var failures []string
	for _, p := range c.Depot.Places {
		m, err := c.takeInto(ctx, p, t, tell)
		if err == nil || ctx.Err() != nil {
			return m, err
		}
		failures = append(failures, fmt.Sprintf("store %s: %v", p.Name, err))
		if !errors.Is(err, object.ErrUnavailable) {
			break
		}
	}
	return Manifest{}, errors.New(strings.Join(failures, "; "))
}

func (c *Crew) takeInto(ctx context.Context, p Place, t Task, tell func(Progress)) (Manifest, error) {
	manifests, errs := c.Depot.in(ctx, p)
	if len(manifests) == 0 && len(errs) > 0 {
		return Manifest{}, errs[0]
	}
	cuts, err := c.cutsFor(ctx, p)
	if err != nil {
		return Manifest{}, err
	}
	r := TakeRequest{Source: c.Source, Store: p.Store, Box: c.Depot.Box, Product: c.Depot.Product, Epoch: t.Epoch, Server: c.Server, Workers: c.Workers,
		BytesPerSecond: c.BytesPerSecond, Progress: tell, Parent: c.parentIn(p, manifests), Changes: c.Changes, Full: t.Full,
		Diverged: func(_ context.Context, point topology.GTIDSet) (topology.GTIDSet, error) {
			return Diverged(cuts, t.Epoch, point), nil
		}}
	if r.Parent != nil { // it stays until what refers to its data is there
		lease, err := Hold(ctx, p.Store, c.Depot.Product, r.Parent.ID, "the next snapshot")
		if errors.Is(err, object.ErrNotFound) {
			r.Parent = nil // it has just expired
		}
		defer lease.End() // it may be nil, where leases cannot be written
	}
	return Take(ctx, r)
}

// parentIn is the newest snapshot that another may refer to.
func (c *Crew) parentIn(p Place, manifests []Manifest) *Manifest {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range slices.Backward(manifests) {
		if m.Diverged.Empty() && !c.damaged[p.Name+" "+m.ID] {
			return &m
		}
	}
	return nil
}

// cutsFor are those in the store and those that the leader told of.
func (c *Crew) cutsFor(ctx context.Context, p Place) ([]Cut, error) {
	cuts, err := Cuts(ctx, p.Store, c.Depot.Product)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cut := range c.cuts {
		if !slices.ContainsFunc(cuts, func(old Cut) bool { return old.Epoch == cut.Epoch }) {
			cuts = append(cuts, cut)
		}
	}
	slices.SortFunc(cuts, func(a, b Cut) int { return int(a.Epoch) - int(b.Epoch) })
	return cuts, nil
}

// Cut implements Work.
func (c *Crew) Cut(cuts []Cut) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cuts = append(c.cuts, cuts...)
}

// Tend implements Work.
func (c *Crew) Tend(ctx context.Context) error {
	var failures []string
	for _, p := range c.Depot.Places {
		if err := c.tendOne(ctx, p); err != nil {
			failures = append(failures, fmt.Sprintf("store %s: %v", p.Name, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if len(failures) > 0 {
		return errors.New(strings.Join(failures, "; "))
	}
	return nil
}

func (c *Crew) tendOne(ctx context.Context, p Place) error {
	if err := c.putCuts(ctx, p); err != nil {
		return err
	}
	if err := c.fill(ctx, p); err != nil {
		return err
	}
	return c.sweep(ctx, p)
}

// putCuts writes where epochs ended, before anything that follows from it is restored.
func (c *Crew) putCuts(ctx context.Context, p Place) error {
	c.mu.Lock()
	cuts := slices.Clone(c.cuts)
	c.mu.Unlock()
	for _, cut := range cuts {
		key := fmt.Sprintf("%s %d", p.Name, cut.Epoch)
		c.mu.Lock()
		done := c.put[key]
		c.mu.Unlock()
		if done {
			continue
		}
		if err := PutCut(ctx, p.Store, c.Depot.Product, cut); err != nil {
			return err
		}
		c.mu.Lock()
		if c.put == nil {
			c.put = map[string]bool{}
		}
		c.put[key] = true
		c.mu.Unlock()
	}
	return nil
}

// fill brings what a store lacks from the others, the newest first; what would expire
// there at once is not brought.
func (c *Crew) fill(ctx context.Context, p Place) (failed error) {
	if len(c.Depot.Places) == 1 {
		return nil
	}
	held, _ := c.Depot.List(ctx) // a store that cannot be read is in the survey
	here, errs := c.Depot.in(ctx, p)
	if len(here) == 0 && len(errs) > 0 {
		return errs[0]
	}
	var all []Manifest
	for _, h := range held {
		all = append(all, h.Manifest)
	}
	keep, _ := Keep(c.Retention, all, nil, time.Now())
	for _, k := range slices.Backward(keep) {
		h := held[slices.IndexFunc(held, func(h Held) bool { return h.ID == k.ID })]
		if slices.Contains(h.Places, p.Name) {
			continue
		}
		from := c.Depot.Place(h.Places[0])
		began := time.Now()
		if err := Replicate(ctx, from.Store, p.Store, c.Depot.Box, c.Depot.Product, h.ID); err != nil {
			failed = errors.Join(failed, fmt.Errorf("bring %s from %s: %w", h.ID, from.Name, err))
			if ctx.Err() != nil || errors.Is(err, object.ErrUnavailable) || errors.Is(err, ErrBusy) {
				break
			}
			continue // one that is damaged does not keep the others back
		}
		c.Logger.Info("snapshot copied", "id", h.ID, "from", from.Name, "to", p.Name, "took", time.Since(began).Round(time.Millisecond))
	}
	return failed
}

// sweep removes what has expired, now and then.
func (c *Crew) sweep(ctx context.Context, p Place) error {
	c.mu.Lock()
	if c.swept == nil {
		c.swept, c.marks = map[string]time.Time{}, map[string]*Marks{}
	}
	due := time.Since(c.swept[p.Name]) >= sweepEvery
	if c.marks[p.Name] == nil {
		c.marks[p.Name] = &Marks{}
	}
	marks := c.marks[p.Name]
	if due {
		c.swept[p.Name] = time.Now()
	}
	c.mu.Unlock()
	if !due {
		return nil
	}
	report, err := c.Depot.Sweep(ctx, p, c.Retention, 0, marks, false)
	if errors.Is(err, ErrBusy) {
		return nil // somebody else does it
	}
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	if len(report.Expired) > 0 || report.Removed > 0 || report.Held != "" || len(report.Warnings) > 0 {
		c.Logger.Info("store swept", "store", p.Name, "expired", len(report.Expired), "objects", report.Removed, "bytes", report.RemovedBytes, "held", report.Held, "warnings", report.Warnings)
	}
	return nil
}

// note remembers which snapshots are damaged: none of them is a parent any more.
func (c *Crew) note(place string, damages map[string][]Damage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.damaged == nil {
		c.damaged = map[string]bool{}
	}
	for id := range damages {
		c.damaged[place+" "+id] = true
	}
}

// Drill implements Work.
func (c *Crew) Drill(ctx context.Context) (DrillNote, error) {
	place, m, err := c.Depot.Find(ctx, "", time.Time{})
	if err != nil {
		return DrillNote{}, err
	}
	report, err := c.Depot.Drill(ctx, place, m, c.Scratch, c.Workers, nil)
	return NoteOfDrill(report), err
}

// Scrub implements Work.
func (c *Crew) Scrub(ctx context.Context) error {
	var failures []string
	for _, p := range c.Depot.Places {
		manifests, errs := c.Depot.in(ctx, p)
		for _, err := range errs {
			failures = append(failures, fmt.Sprintf("store %s: %v", p.Name, err))
		}
		if len(manifests) == 0 {
			continue
		}
		damages, err := Scrub(ctx, p.Store, c.Depot.Box, manifests[len(manifests)-1:])
		if err != nil {
			failures = append(failures, fmt.Sprintf("store %s: %v", p.Name, err))
		}
		c.note(p.Name, damages)
		for _, id := range slices.Sorted(maps.Keys(damages)) {
			failures = append(failures, fmt.Sprintf("store %s: snapshot %s: %s", p.Name, id, damages[id][0]))
		}
	}
	if len(failures) > 0 {
		return errors.New(strings.Join(failures, "; "))
	}
	return nil
}

// Ship implements Work.
func (c *Crew) Ship(ctx context.Context, store string, epoch func() uint64, tell func(until time.Time, gap string)) error {
	p := c.Depot.Place(store)
	manifests, errs := c.Depot.in(ctx, p)
	if len(errs) > 0 {
		return errs[0]
	}
	r := ShipRequest{Log: c.Log, Store: p.Store, Box: c.Depot.Box, Product: c.Depot.Product, Epoch: epoch, Every: c.ShipEvery, Bytes: c.ShipBytes,
		Report: func(s Shipped) { tell(s.Until, s.Gap) }}
	if len(manifests) > 0 {
		r.Start = &manifests[0].GTIDs
	}
	return Ship(ctx, r)
}
