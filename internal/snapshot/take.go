package snapshot

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// TakeRequest says what to take a snapshot of, and how.
type TakeRequest struct {
	Source  Source
	Store   object.Store
	Box     *Box
	Product string
	// Epoch is the chain's, Server the name of the server that is read.
	Epoch  uint64
	Server string
	// Workers is how many sessions read side by side; 4 when zero.
	Workers int
	// BytesPerSecond bounds what is read from the server, canonical bytes; 0 is no bound.
	BytesPerSecond int64
	// Parent is the snapshot before, in the same store, and Changes what the server's log
	// says of the time since: with both, only what changed is read. Nil: everything is.
	Parent  *Manifest
	Changes Changes
	// Full reads everything all the same, and holds it against Parent and Changes.
	Full bool
	// Diverged says which of the point's transactions the chain does not have. May be nil.
	Diverged func(ctx context.Context, point topology.GTIDSet) (topology.GTIDSet, error)
	// Progress hears how far it is, about once a megabyte. It must not wait. May be nil.
	Progress func(Progress)
}

// Progress is how far a snapshot is.
type Progress struct {
	ID string
	// Tables are all of them, Done those that are read to the end.
	Tables, Done int
	// Rows and Bytes (canonical) were read, Stored bytes were made of them.
	Rows, Bytes, Stored int64
	// Estimate is about how many bytes there are to read, as the server reckons.
	Estimate int64
	Elapsed  time.Duration
}

// Take takes a snapshot. Memory is bounded whatever the size of the database: by some
// megabytes for each worker, and by the largest rows. When the context ends, what was
// stored until then belongs to no snapshot, and the sweep removes it; the error is the
// context's cause.
func Take(ctx context.Context, r TakeRequest) (Manifest, error) {
	if r.Workers <= 0 {
		r.Workers = 4
	}
	m := Manifest{Format: Format, Product: r.Product, Epoch: r.Epoch, Server: r.Server, Started: time.Now().UTC(), Full: true}
	m.ID = NewID(m.Started, r.Epoch)
	point, err := r.Source.Open(ctx, r.Workers)
	if err != nil {
		return m, fmt.Errorf("fix a point: %w", err)
	}
	defer point.Close()
	about := point.About()
	m.UUID, m.Version, m.GTIDs, m.Warnings = about.UUID, about.Version, about.GTIDs, about.Warnings
	m.Point, m.StallMs = about.At.UTC(), about.Stall.Milliseconds()
	if r.Diverged != nil {
		if m.Diverged, err = r.Diverged(ctx, about.GTIDs); err != nil {
			return m, fmt.Errorf("compare with the chain: %w", err)
		}
	}
	schema, err := point.Schema(ctx)
	if err != nil {
		return m, fmt.Errorf("read the schema: %w", err)
	}
	before, why, err := findBase(ctx, r, about, schema)
	if err != nil {
		return m, caused(ctx, err)
	}
	if why != "" {
		m.Warnings = append(m.Warnings, "everything was read: "+why)
	}
	reading := newReading(r, m.ID, point, schema)
	plans := make([]tablePlan, len(schema.Tables))
	for i := range plans {
		plans[i].Way = wayWhole
	}
	m.FullAt = m.Point
	if before != nil && !r.Full {
		m.Full, m.Parent, m.FullAt = false, before.manifest.ID, before.manifest.FullAt
		packer := NewPacker(r.Store, r.Box, reading.prefix+"d-")
		defer packer.Close()
		if plans, err = before.plans(ctx, packer, schema); err != nil {
			return m, caused(ctx, err)
		}
		reading.progress.Estimate = before.estimate(point, schema.Tables)
	}
	catalog, err := reading.run(ctx, plans)
	if err != nil {
		return m, caused(ctx, err)
	}
	m.sum(catalog, plans)
	if before != nil {
		m.Drifted = before.drifted(m.Tables)
	}
	m.Totals.ReadBytes, m.Totals.StoredBytes = reading.progress.Bytes, reading.progress.Stored
	return m, finish(ctx, r, before, &m, schema, catalog)
}

// caused is the context's cause where it ended, err otherwise.
func caused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// finish writes what refers to the rows: the manifest last of all.
func finish(ctx context.Context, r TakeRequest, before *base, m *Manifest, schema Schema, catalog Catalog) error {
	schemaPlain, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	catalogPlain, err := json.Marshal(catalog)
	if err != nil {
		return err
	}
	hasSchema, hasCatalog := false, false
	if before != nil && !m.Full {
		hasSchema, hasCatalog = before.reuse(m, schemaPlain)
	}
	put := func(name string, plain []byte) (Ref, error) {
		ref, err := PutSealed(ctx, r.Store, r.Box, DataPrefix(m.Product, m.ID)+name, plain)
		m.Totals.StoredBytes += ref.Bytes
		return ref, err
	}
	if !hasSchema {
		if m.Schema, err = put("schema", schemaPlain); err != nil {
			return fmt.Errorf("store the schema: %w", err)
		}
	}
	if !hasCatalog {
		if m.Catalog, err = put("catalog", catalogPlain); err != nil {
			return fmt.Errorf("store the catalog: %w", err)
		}
	}
	m.Finished = time.Now().UTC()
	return PutManifest(ctx, r.Store, r.Box, *m)
}

// sum fills in what the manifest says of the tables.
func (m *Manifest) sum(catalog Catalog, plans []tablePlan) {
	m.Tables = make([]TableSummary, len(catalog.Tables))
	for i, t := range catalog.Tables {
		s := TableSummary{TableID: t.TableID, Way: plans[i].Way, Why: plans[i].Why}
		for _, c := range t.Chunks {
			s.Rows += c.Rows
			s.Bytes += c.Raw
			s.Sum.Join(c.Sum)
		}
		if total := plans[i].Total; total != nil {
			s.Rows, s.Bytes, s.Sum = total.Rows, total.Bytes, total.Sum
		}
		m.Tables[i] = s
		m.Totals.Tables++
		m.Totals.Rows += s.Rows
		m.Totals.Bytes += s.Bytes
	}
}
