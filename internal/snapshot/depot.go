package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/object"
)

// Place is a store of copies and what it is called.
type Place struct {
	Name  string
	Store object.Store
}

// Depot is all places where the copies of one product are, the preferred one first. It
// remembers manifests, which never change.
type Depot struct {
	Product string
	Places  []Place
	Box     *Box

	mu     sync.Mutex
	known  map[string]map[string]Manifest // by place and ID
	drills map[string]DrillReport         // by key
	cuts   map[string][]Cut               // by place
}

// Held is a snapshot and where it is.
type Held struct {
	Manifest
	Places []string // in the order of the depot's
}

// List returns the snapshots of all places, the oldest first, and what could not be
// read: errors name their place.
func (d *Depot) List(ctx context.Context) ([]Held, []error) {
	var all []Held
	var errs []error
	for _, p := range d.Places {
		manifests, wrong := d.in(ctx, p)
		for _, err := range wrong {
			errs = append(errs, fmt.Errorf("store %s: %w", p.Name, err))
		}
		for _, m := range manifests {
			at := slices.IndexFunc(all, func(h Held) bool { return h.ID == m.ID })
			if at < 0 {
				all = append(all, Held{Manifest: m})
				at = len(all) - 1
			}
			all[at].Places = append(all[at].Places, p.Name)
		}
	}
	slices.SortStableFunc(all, func(a, b Held) int { return a.Point.Compare(b.Point) })
	return all, errs
}

// in lists one place, and reads only the manifests that are new there.
func (d *Depot) in(ctx context.Context, p Place) ([]Manifest, []error) {
	ids, errs, err := listIDs(ctx, p.Store, d.Product)
	if err != nil {
		return nil, []error{err}
	}
	d.mu.Lock()
	old := d.known[p.Name]
	d.mu.Unlock()
	cuts, err := d.cutsIn(ctx, p)
	if err != nil {
		errs = append(errs, err)
	}
	now := map[string]Manifest{}
	var out []Manifest
	for _, id := range ids {
		m, known := old[id]
		if !known {
			if m, err = Load(ctx, p.Store, d.Box, d.Product, id); errors.Is(err, object.ErrNotFound) {
				continue // it expired meanwhile
			} else if err != nil {
				errs = append(errs, err)
				continue
			}
		}
		now[id] = m
		// What did not survive a later promotion was not known when it was taken.
		m.Diverged = m.Diverged.Union(Diverged(cuts, m.Epoch, m.GTIDs))
		out = append(out, m)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = map[string]map[string]Manifest{}
	}
	d.known[p.Name] = now
	return out, errs
}

// cutsIn are the cuts in a place, of which only new ones are read: they never change.
func (d *Depot) cutsIn(ctx context.Context, p Place) ([]Cut, error) {
	entries, err := p.Store.List(ctx, CutPrefix(d.Product))
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	old := d.cuts[p.Name]
	d.mu.Unlock()
	if len(entries) == len(old) {
		return old, nil
	}
	cuts, err := Cuts(ctx, p.Store, d.Product)
	if err != nil {
		return old, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cuts == nil {
		d.cuts = map[string][]Cut{}
	}
	d.cuts[p.Name] = cuts
	return cuts, nil
}

// ErrNoSnapshot says that there is no such snapshot.
var ErrNoSnapshot = errors.New("no such snapshot")

// Find returns the snapshot of that name, or whose name begins so, or with "" the newest
// that did not diverge, and the first place that has it. before, unless zero, leaves out
// those of a later point.
func (d *Depot) Find(ctx context.Context, id string, before time.Time) (Place, Manifest, error) {
	all, errs := d.List(ctx)
	var fit []Held
	for _, h := range all {
		switch {
		case id != "" && !strings.HasPrefix(h.ID, id):
		case id == "" && !h.Diverged.Empty():
		case !before.IsZero() && h.Point.After(before):
		default:
			fit = append(fit, h)
		}
	}
	switch {
	case len(fit) == 0 && len(errs) > 0:
		return Place{}, Manifest{}, fmt.Errorf("%w, and not everything can be read: %w", d.none(id, before), errors.Join(errs...))
	case len(fit) == 0:
		return Place{}, Manifest{}, d.none(id, before)
	case id != "" && len(fit) > 1 && fit[0].ID != id:
		return Place{}, Manifest{}, fmt.Errorf("%w: %q is the beginning of %d names", ErrNoSnapshot, id, len(fit))
	}
	found := fit[len(fit)-1]
	return d.Place(found.Places[0]), found.Manifest, nil
}

func (d *Depot) none(id string, before time.Time) error {
	switch {
	case id != "":
		return fmt.Errorf("%w: %s has none of the name %q", ErrNoSnapshot, d.Product, id)
	case !before.IsZero():
		return fmt.Errorf("%w: %s has none from before %s", ErrNoSnapshot, d.Product, before.UTC().Format(time.RFC3339))
	}
	return fmt.Errorf("%w: %s has none yet", ErrNoSnapshot, d.Product)
}

// Place is the one of that name; there must be one.
func (d *Depot) Place(name string) Place {
	return d.Places[slices.IndexFunc(d.Places, func(p Place) bool { return p.Name == name })]
}

// Survey says what there is, for the service's reports. It never fails: what cannot be
// read is in the report of its store.
func (d *Depot) Survey(ctx context.Context) Survey {
	now := time.Now()
	s := Survey{At: now}
	newestIDs := map[string]string{}
	var all []string // not diverged, in any place
	for _, p := range d.Places {
		report := StoreReport{Name: p.Name, AgeMs: -1, ShippedMs: -1}
		manifests, errs := d.in(ctx, p)
		for _, err := range errs {
			if errors.Is(err, ErrSealed) {
				manifests = append(manifests, d.sealed(ctx, p)...)
				break
			}
			report.Error = err.Error()
		}
		if drills, err := d.Drills(ctx, p); err == nil && len(drills) > 0 {
			if last := NoteOfDrill(drills[len(drills)-1]); s.Drill == nil || last.At.After(s.Drill.At) {
				s.Drill = &last
			}
		}
		for _, m := range manifests {
			if !slices.Contains(all, m.ID) {
				all = append(all, m.ID)
			}
			if report.Newest == "" || m.Point.After(s.At.Add(-time.Duration(report.AgeMs)*time.Millisecond)) {
				report.Newest, report.AgeMs = m.ID, max(0, now.Sub(m.Point).Milliseconds())
			}
			if s.Newest == nil || m.Started.After(s.Newest.Started) {
				s.Newest = &m
			}
		}
		newestIDs[p.Name] = report.Newest
		s.Stores = append(s.Stores, report)
	}
	for i, p := range d.Places {
		for _, id := range all {
			if id > newestIDs[p.Name] {
				s.Stores[i].Behind++
			}
		}
	}
	return s
}

// sealed is what the name of the newest snapshot says, where a machine may store and not
// read: enough to know that there is one.
func (d *Depot) sealed(ctx context.Context, p Place) []Manifest {
	ids, _, err := listIDs(ctx, p.Store, d.Product)
	if err != nil || len(ids) == 0 {
		return nil
	}
	id := ids[len(ids)-1]
	at, err := TimeOfID(id)
	if err != nil {
		return nil
	}
	m := Manifest{ID: id, Product: d.Product, Started: at, Point: at, Finished: at, Full: true}
	_, _ = fmt.Sscanf(id[strings.Index(id, "-e")+2:], "%d", &m.Epoch) // TimeOfID has seen that it is a number
	return []Manifest{m}
}

// Drills are the reports of drills in a place, the oldest first.
func (d *Depot) Drills(ctx context.Context, p Place) ([]DrillReport, error) {
	entries, err := p.Store.List(ctx, DrillPrefix(d.Product))
	if err != nil {
		return nil, err
	}
	now := map[string]DrillReport{}
	var out []DrillReport
	for _, e := range entries {
		tag := fmt.Sprintf("%s %s %d %d", p.Name, e.Key, e.Size, e.Modified.UnixNano()) // a drill that is repeated writes it anew
		d.mu.Lock()
		report, known := d.drills[tag]
		d.mu.Unlock()
		if !known {
			o, err := p.Store.Get(ctx, e.Key)
			if err == nil {
				err = json.Unmarshal(o.Body, &report)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.Key, err)
			}
		}
		now[tag] = report
		out = append(out, report)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for tag := range d.drills {
		if strings.HasPrefix(tag, p.Name+" ") {
			delete(d.drills, tag)
		}
	}
	if d.drills == nil {
		d.drills = map[string]DrillReport{}
	}
	maps.Copy(d.drills, now)
	slices.SortFunc(out, func(a, b DrillReport) int { return a.Finished.Compare(b.Finished) })
	return out, nil
}

// Drill rehearses the restore of a snapshot from a place, which keeps the report.
func (d *Depot) Drill(ctx context.Context, p Place, m Manifest, scratch Scratch, workers int, progress func(RestoreProgress)) (DrillReport, error) {
	lease, err := Hold(ctx, p.Store, d.Product, m.ID, "drill")
	if errors.Is(err, object.ErrNotFound) {
		return DrillReport{}, err
	}
	defer lease.End() // it may be nil: without one a sweep can make the drill fail, and no more
	return Drill(ctx, DrillRequest{Store: p.Store, Box: d.Box, Manifest: m, Scratch: scratch, Workers: workers, Progress: progress})
}

// NoteOfDrill is a report in a few words.
func NoteOfDrill(r DrillReport) DrillNote {
	return DrillNote{ID: r.Snapshot, Snapshot: r.Snapshot, At: r.Finished, Passed: r.Passed, Why: strings.Join(r.Failed, "; "),
		TookMs: r.Finished.Sub(r.Started).Milliseconds(), RestoreMs: int64(r.RTOSeconds * 1000), BytesPerSecond: int64(r.BytesPerSecond)}
}

// Sweep removes from a place what has expired, and what nothing refers to any more. For
// grace, 0 is DefaultGrace.
func (d *Depot) Sweep(ctx context.Context, p Place, policy Retention, grace time.Duration, marks *Marks, dryRun bool) (SweepReport, error) {
	drills, err := d.Drills(ctx, p)
	if err != nil {
		return SweepReport{}, err
	}
	passed := map[string]time.Time{}
	for _, r := range drills {
		if r.Passed {
			passed[r.Snapshot] = r.Finished
		}
	}
	return Sweep(ctx, SweepRequest{Store: p.Store, Box: d.Box, Product: d.Product, Retention: policy, Drilled: passed, Grace: grace, Marks: marks, DryRun: dryRun})
}
