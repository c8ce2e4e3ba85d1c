package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/object"
)

// RestoreRequest says what to restore and into what.
type RestoreRequest struct {
	Store    object.Store
	Box      *Box
	Manifest Manifest
	Target   Target
	Workers  int // at least 1
	// Tables restores these alone; all of the server when empty.
	Tables []TableID
	// Progress hears how it goes, often; it must not block. May be nil.
	Progress func(RestoreProgress)
}

// RestoreProgress is how far a restore is.
type RestoreProgress struct {
	Phase  string        `json:"phase"` // see RestoreReport.Phases
	Tables int           `json:"tables"`
	Done   int           `json:"done"` // tables that are whole
	Bytes  int64         `json:"bytes"`
	Total  int64         `json:"total"`     // bytes, canonical
	Rate   float64       `json:"rate"`      // bytes/s since rows began to go in
	Left   time.Duration `json:"leftNanos"` // at this rate; 0 when not known
}

// RestoreReport is what came of it.
type RestoreReport struct {
	Tables int     `json:"tables"`
	Rows   int64   `json:"rows"`
	Bytes  int64   `json:"bytes"` // canonical, without what an earlier try had put in
	Phases []Phase `json:"phases"`
	Notes  []Note  `json:"notes,omitempty"`
}

// Phase is a part of the work and how long it took.
type Phase struct {
	Name    string  `json:"name"` // read, begin, create, load or finish
	Seconds float64 `json:"seconds"`
}

// Restore puts a snapshot into a server. Every chunk is checked before its rows go
// in; errors name what is missing or damaged. It may be called again after any
// error with the same request and goes on where it was. Keys are made when a
// table's rows are in, everything else after the last of them.
func Restore(ctx context.Context, req RestoreRequest) (RestoreReport, error) {
	r := &restore{RestoreRequest: req, began: time.Now()}
	r.turn = sync.NewCond(&r.mu)
	if r.Progress == nil {
		r.Progress = func(RestoreProgress) {}
	}
	err := r.run(ctx)
	return r.report, err
}

// restore is one run of Restore.
type restore struct {
	RestoreRequest
	began  time.Time
	report RestoreReport

	mu       sync.Mutex
	turn     *sync.Cond // something was done, or failed
	failed   error
	all      []*work
	progress RestoreProgress
	loading  time.Time
}

func (r *restore) run(ctx context.Context) error {
	lease, err := Hold(ctx, r.Store, r.Manifest.Product, r.Manifest.ID, "restore")
	if errors.Is(err, object.ErrNotFound) || ctx.Err() != nil {
		return fmt.Errorf("snapshot %s: %w", r.Manifest.ID, err)
	}
	defer lease.End()
	plan, err := readPlan(ctx, r.Store, r.Box, r.Manifest, r.Tables)
	if err != nil {
		return err
	}
	r.report.Notes = plan.notes
	r.phase("read")
	r.progress = RestoreProgress{Phase: "begin", Tables: len(plan.job.Schema.Tables)}
	done, err := r.Target.Begin(ctx, plan.job)
	if err != nil {
		return err
	}
	r.phase("begin")
	r.all = newWork(plan.job.Schema.Tables, plan.data, plan.summaries, done)
	for _, w := range r.all {
		r.progress.Total += w.bytes
		r.report.Rows += w.summary.Rows
	}
	r.report.Tables = len(r.all)
	r.progress.Phase = "create"
	if err := r.create(ctx, done); err != nil {
		return err
	}
	r.phase("create")
	r.progress.Phase, r.loading = "load", time.Now()
	for _, w := range r.all {
		left := int64(0)
		for _, p := range append(slices.Clone(w.chunks), w.deltas...) {
			left += p.bytes
		}
		r.progress.Bytes += w.bytes - left
		if w.indexed {
			r.progress.Done++
		}
	}
	before := r.progress.Bytes
	if err := r.load(ctx, before); err != nil {
		return err
	}
	r.report.Bytes = r.progress.Bytes - before
	r.phase("load")
	r.progress.Phase = "finish"
	r.Progress(r.progress)
	notes, err := r.Target.Finish(ctx)
	r.report.Notes = append(r.report.Notes, notes...)
	if err != nil {
		return err
	}
	r.phase("finish")
	return nil
}

// phase closes a phase.
func (r *restore) phase(name string) {
	now := time.Now()
	r.report.Phases = append(r.report.Phases, Phase{Name: name, Seconds: now.Sub(r.began).Seconds()})
	r.began = now
}

// plan is what a restore consists of.
type plan struct {
	job       Job
	data      map[TableID]TableData
	summaries map[TableID]TableSummary
	notes     []Note
}

// readPlan reads what a snapshot consists of and checks that its parts fit.
func readPlan(ctx context.Context, store object.Store, box *Box, m Manifest, tables []TableID) (plan, error) {
	if m.Format > Format {
		return plan{}, fmt.Errorf("snapshot %s has format %d, this program reads up to %d", m.ID, m.Format, Format)
	}
	p := plan{job: Job{ID: m.ID, Version: m.Version, At: m.Point, GTIDs: m.GTIDs}}
	var err error
	if p.job.Schema, err = LoadSchema(ctx, store, box, m); err != nil {
		return plan{}, err
	}
	catalog, err := LoadCatalog(ctx, store, box, m)
	if err != nil {
		return plan{}, err
	}
	if len(tables) > 0 {
		if err := p.choose(tables); err != nil {
			return plan{}, fmt.Errorf("snapshot %s: %w", m.ID, err)
		}
	}
	p.data, p.summaries = map[TableID]TableData{}, map[TableID]TableSummary{}
	for _, d := range catalog.Tables {
		p.data[d.TableID] = d
	}
	for _, s := range m.Tables {
		p.summaries[s.TableID] = s
	}
	for _, t := range p.job.Schema.Tables {
		if _, there := p.data[t.ID()]; !there {
			return plan{}, fmt.Errorf("snapshot %s: table %s is in the schema, but not in the catalog: %w", m.ID, t.ID(), ErrDamaged)
		}
	}
	for _, w := range m.Warnings {
		p.notes = append(p.notes, Note{Text: "of the snapshot: " + w})
	}
	return p, nil
}

// choose leaves only the given tables and their databases.
func (p *plan) choose(tables []TableID) error {
	names := make([]string, len(tables))
	schema := Schema{Settings: p.job.Schema.Settings}
	for i, id := range tables {
		names[i] = id.String()
		at := slices.IndexFunc(p.job.Schema.Tables, func(t Table) bool { return t.ID() == id })
		if at < 0 {
			return fmt.Errorf("it holds no table %s", id)
		}
		schema.Tables = append(schema.Tables, p.job.Schema.Tables[at])
	}
	for _, d := range p.job.Schema.Databases {
		if slices.ContainsFunc(tables, func(id TableID) bool { return id.Database == d.Name }) {
			schema.Databases = append(schema.Databases, d)
		}
	}
	slices.Sort(names)
	p.job.ID += " " + strings.Join(names, " ")
	p.job.Single, p.job.Schema = true, schema
	p.notes = append(p.notes, Note{Text: "single tables come without their triggers"})
	return nil
}

// create makes the tables that are not there yet.
func (r *restore) create(ctx context.Context, done Done) error {
	var missing []*work
	for _, w := range r.all {
		if d := done[w.table.ID()]; d == nil || !d.Created {
			missing = append(missing, w)
		}
	}
	return r.workers(ctx, func(ctx context.Context) error {
		for {
			r.mu.Lock()
			if len(missing) == 0 || r.failed != nil {
				r.mu.Unlock()
				return nil
			}
			w := missing[0]
			missing = missing[1:]
			r.mu.Unlock()
			if err := r.Target.Create(ctx, w.table, w.bytes); err != nil {
				return fmt.Errorf("table %s: %w", w.table.ID(), err)
			}
		}
	})
}

// load puts the rows in, and makes each table's keys when its rows are in.
func (r *restore) load(ctx context.Context, before int64) error {
	return r.workers(ctx, func(ctx context.Context) error {
		for {
			t, left := r.take()
			if !left {
				return nil
			}
			if err := r.do(ctx, t); err != nil {
				return fmt.Errorf("table %s: %w", t.table.ID(), err)
			}
			r.mu.Lock()
			t.running--
			if t.batch != nil {
				r.progress.Bytes += t.batch.bytes
			} else {
				r.progress.Done++
			}
			if gone := time.Since(r.loading).Seconds(); gone > 0 {
				r.progress.Rate = float64(r.progress.Bytes-before) / gone
			}
			if r.progress.Rate > 0 {
				r.progress.Left = time.Duration(float64(r.progress.Total-r.progress.Bytes) / r.progress.Rate * float64(time.Second))
			}
			r.Progress(r.progress)
			r.turn.Broadcast()
			r.mu.Unlock()
		}
	})
}

// take waits for something to do. left is false when all is done, or something failed.
func (r *restore) take() (t task, left bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.failed == nil {
		if t, left = nextTask(r.all); t.work != nil || !left {
			return t, left
		}
		r.turn.Wait()
	}
	return task{}, false
}

func (r *restore) do(ctx context.Context, t task) error {
	switch {
	case t.batch == nil:
		if t.deltaBased {
			rows, err := r.Target.Count(ctx, t.table.ID())
			if err != nil {
				return err
			}
			if rows != t.summary.Rows {
				return fmt.Errorf("it has %d rows after all deltas, the manifest says %d: %w", rows, t.summary.Rows, ErrDamaged)
			}
		}
		return r.Target.Index(ctx, t.table)
	case t.batch.delta != nil:
		d := t.batch.delta
		return r.Target.Apply(ctx, t.table, t.batch.name, r.rows(ctx, d.Deletes), r.rows(ctx, d.Upserts))
	}
	chunks := make([]*Chunk, len(t.batch.chunks))
	for i := range t.batch.chunks {
		chunks[i] = &t.batch.chunks[i]
	}
	return r.Target.Load(ctx, t.table, t.batch.name, r.rows(ctx, chunks...))
}

// rows gives the checked rows of the chunks that are not nil.
func (r *restore) rows(ctx context.Context, chunks ...*Chunk) Rows {
	chunks = slices.DeleteFunc(chunks, func(c *Chunk) bool { return c == nil })
	if len(chunks) == 0 {
		return nil
	}
	return func(yield func(row []byte) error) error {
		return eachChunk(ctx, r.Store, r.Box, chunks, func(plain []byte) error { return EachRow(plain, yield) })
	}
}

// workers runs work in as many goroutines as there are workers, and returns the
// error that came first; the others are then cancelled.
func (r *restore) workers(ctx context.Context, work func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for range max(1, r.Workers) {
		group.Go(func() {
			err := work(ctx)
			if err == nil {
				return
			}
			r.mu.Lock()
			if r.failed == nil {
				r.failed = err
				if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
					r.failed = cause
				}
			}
			r.turn.Broadcast()
			r.mu.Unlock()
			cancel(err)
		})
	}
	group.Wait()
	return r.failed
}
