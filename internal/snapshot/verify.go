package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/failoverd/failoverd/internal/object"
)

// VerifyReport says what was found of a snapshot in a store.
type VerifyReport struct {
	ID string
	// Deep says that every row was counted.
	Deep bool
	// Pieces were read, of Bytes as stored; Rows were counted.
	Pieces int
	Bytes  int64
	Rows   int64
	// Damages are all that is not as it was written, in no order that means anything.
	Damages []Damage
}

// Damage is something that is not what was written.
type Damage struct {
	// Table is what it belongs to, zero for what is of no table.
	Table TableID
	// Place is the piece of an object, zero when it is about a whole table.
	Place Ref
	What  string
}

func (d Damage) String() string {
	var where []string
	if d.Table != (TableID{}) {
		where = append(where, "table "+d.Table.String())
	}
	if d.Place != (Ref{}) {
		where = append(where, d.Place.String())
	}
	return strings.Join(append(where, d.What), ": ")
}

// Verify reads everything that a snapshot refers to and compares its SHA-256; deep, it
// opens it too, and compares the rows of every piece and of every table, after its
// deltas, in number and content hash. The error is ErrDamaged when there are damages, which
// the report holds; any other says why not all could be looked at.
func Verify(ctx context.Context, store object.Store, box *Box, m Manifest, deep bool) (VerifyReport, error) {
	v := verifying{box: box, report: VerifyReport{ID: m.ID, Deep: deep}}
	schema, err := LoadSchema(ctx, store, box, m)
	if err = v.found(m.Schema, "schema", err); err != nil {
		return v.report, err
	}
	catalog, err := LoadCatalog(ctx, store, box, m)
	if err = v.found(m.Catalog, "catalog", err); err != nil {
		return v.report, err
	}
	if deep {
		err = v.deep(ctx, store, m, schema, catalog)
	} else {
		err = v.shallow(ctx, store, catalog)
	}
	if err == nil && len(v.report.Damages) > 0 {
		err = fmt.Errorf("snapshot %s: %d things are not as they were written, the first: %s: %w",
			m.ID, len(v.report.Damages), v.report.Damages[0], ErrDamaged)
	}
	return v.report, err
}

type verifying struct {
	box *Box

	mu     sync.Mutex
	report VerifyReport
}

// found notes damage to the schema or the catalog, and returns what else went wrong.
func (v *verifying) found(ref Ref, name string, err error) error {
	if err == nil {
		v.report.Pieces++
		v.report.Bytes += ref.Bytes
		return nil
	}
	if !isDamage(err) {
		return err
	}
	v.damage(Damage{Place: ref, What: fmt.Sprintf("%s: %v", name, err)})
	return nil
}

func isDamage(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, object.ErrNotFound)
}

func (v *verifying) damage(d Damage) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Damages = append(v.report.Damages, d)
}

// part is one piece of a table's rows.
type part struct {
	table   *tableCheck
	chunk   Chunk
	deletes bool
}

func (v *verifying) shallow(ctx context.Context, store object.Store, catalog Catalog) error {
	var parts []part
	for _, t := range catalog.Tables {
		for _, c := range t.pieces() {
			parts = append(parts, part{table: &tableCheck{table: Table{Database: t.Database, Name: t.Name}}, chunk: c})
		}
	}
	return v.read(ctx, store, parts, func(part, []byte) error { return nil })
}

// deep reads the deltas first, since they say which rows of the chunks count.
func (v *verifying) deep(ctx context.Context, store object.Store, m Manifest, schema Schema, catalog Catalog) error {
	tables := make(map[TableID]Table, len(schema.Tables))
	for _, t := range schema.Tables {
		tables[t.ID()] = t
	}
	summaries := make(map[TableID]TableSummary, len(m.Tables))
	for _, t := range m.Tables {
		summaries[t.TableID] = t
	}
	var checks []*tableCheck
	var chunks []part
	for _, data := range catalog.Tables {
		table, known := tables[data.TableID]
		if !known {
			v.damage(Damage{Table: data.TableID, What: "it is not in the schema"})
			continue
		}
		check := newTableCheck(table, summaries[data.TableID])
		checks = append(checks, check)
		for _, d := range data.Deltas {
			for _, p := range []part{{check, deref(d.Deletes), true}, {check, deref(d.Upserts), false}} {
				if p.chunk.Bytes == 0 {
					continue
				}
				if err := v.read(ctx, store, []part{p}, check.overlay); err != nil {
					return err
				}
			}
		}
		if what := gapIn(table, data.Chunks); what != "" {
			v.damage(Damage{Table: data.TableID, What: what})
		}
		for _, c := range data.Chunks {
			chunks = append(chunks, part{table: check, chunk: c})
		}
	}
	if err := v.read(ctx, store, chunks, func(p part, plain []byte) error { return p.table.count(p, plain) }); err != nil {
		return err
	}
	for _, check := range checks {
		if what := check.differs(); what != "" {
			v.damage(Damage{Table: check.table.ID(), What: what})
		}
		v.report.Rows += check.have.Rows
	}
	return nil
}

func deref(c *Chunk) Chunk {
	if c == nil {
		return Chunk{}
	}
	return *c
}

// read gives the plain content of each part that is whole to use; when the
// verification is not deep, nothing.
func (v *verifying) read(ctx context.Context, store object.Store, parts []part, use func(p part, plain []byte) error) error {
	refs := make([]Ref, len(parts))
	for i, p := range parts {
		refs[i] = p.chunk.Ref
	}
	return readPieces(ctx, store, refs, func(i int, sealed []byte, err error) error {
		p := parts[i]
		v.mu.Lock()
		v.report.Pieces++
		v.report.Bytes += int64(len(sealed))
		v.mu.Unlock()
		if err == nil && v.report.Deep {
			var plain []byte
			if plain, err = v.box.Open(sealed); err == nil {
				err = use(p, plain)
			}
		}
		if err == nil {
			return nil
		}
		p.table.spoil()
		if !isDamage(err) {
			return fmt.Errorf("table %s: %s: %w", p.table.table.ID(), p.chunk.Ref, err)
		}
		v.damage(Damage{Table: p.table.table.ID(), Place: p.chunk.Ref, What: err.Error()})
		return nil
	})
}

// gapIn says in words where the ranges of a table's chunks leave a gap or overlap.
func gapIn(t Table, chunks []Chunk) string {
	if !t.Seekable() || len(chunks) == 0 {
		return ""
	}
	if chunks[0].After != nil || chunks[len(chunks)-1].Upto != nil {
		return "its chunks do not reach from the least to the greatest key"
	}
	for i := range chunks[1:] {
		if chunks[i].Upto == nil || !slices.Equal(chunks[i].Upto, chunks[i+1].After) {
			return fmt.Sprintf("chunk %d does not begin where chunk %d ends", i+1, i)
		}
	}
	return ""
}
