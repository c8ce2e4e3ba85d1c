package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// changesMemory bounds what is remembered of the log, bytes: a good part of what the
// whole service may take.
const changesMemory = 64 << 20

// base is an earlier snapshot on which one is built.
type base struct {
	manifest Manifest
	schema   Schema
	plain    []byte // of the schema
	catalog  Catalog
	tables   map[TableID]*Parent
	choices  []Choice // by table, of the new snapshot
}

// FullDue says whether everything is to be read again, and why: the newest snapshot
// is none that can be built on, or the last full one is older than every. A full one
// is held against what the log says of the time since the one before it.
func FullDue(newest *Manifest, every time.Duration, now time.Time) (due bool, why string) {
	switch {
	case newest == nil:
		return true, "it is the first"
	case !newest.Diverged.Empty():
		return true, "the newest snapshot has diverged"
	case now.Sub(newest.FullAt) >= every:
		return true, fmt.Sprintf("the last full one is of %s", newest.FullAt.UTC().Format(time.RFC3339))
	}
	return false, ""
}

// findBase loads the earlier snapshot, and chooses for each table how it is taken.
// Without one why says so, as a sentence; an error is about the store or the server.
func findBase(ctx context.Context, r TakeRequest, about About, schema Schema) (b *base, why string, err error) {
	switch {
	case r.Parent == nil || r.Changes == nil:
		return nil, "", nil
	case r.Parent.UUID != about.UUID:
		return nil, "the snapshot before is of another server", nil
	case !r.Parent.Diverged.Empty():
		return nil, "the snapshot before has diverged", nil
	}
	b = &base{manifest: *r.Parent, tables: map[TableID]*Parent{}}
	if b.plain, err = Read(ctx, r.Store, r.Box, r.Parent.Schema); err != nil {
		return nil, fmt.Sprintf("the snapshot before cannot be read: %v", err), ctx.Err()
	}
	if err := json.Unmarshal(b.plain, &b.schema); err != nil {
		return nil, fmt.Sprintf("the snapshot before cannot be read: %v", err), nil
	}
	if b.catalog, err = LoadCatalog(ctx, r.Store, r.Box, *r.Parent); err != nil {
		return nil, fmt.Sprintf("the snapshot before cannot be read: %v", err), ctx.Err()
	}
	for _, t := range b.schema.Tables {
		b.tables[t.ID()] = &Parent{Table: t}
	}
	for _, s := range b.manifest.Tables {
		if p := b.tables[s.TableID]; p != nil {
			p.Summary = s
		}
	}
	for _, d := range b.catalog.Tables {
		if p := b.tables[d.TableID]; p != nil {
			p.Data = d
		}
	}
	return b, "", b.choose(ctx, r, about, schema)
}

func (b *base) choose(ctx context.Context, r TakeRequest, about About, schema Schema) error {
	changed, err := r.Changes.Since(ctx, b.manifest.GTIDs, about.GTIDs, schema, changesMemory)
	if err != nil {
		return fmt.Errorf("what changed since %s: %w", b.manifest.ID, err)
	}
	b.choices = make([]Choice, len(schema.Tables))
	for i, t := range schema.Tables {
		change := changed.Tables[t.ID()]
		if changed.Whole != "" {
			change = &TableChanges{Whole: changed.Whole}
		}
		if b.choices[i], err = Choose(t, b.tables[t.ID()], change); err != nil {
			return fmt.Errorf("what changed in %s since %s: %w", t.ID(), b.manifest.ID, err)
		}
	}
	return nil
}

// plans are how the tables are read; deltas are stored on the way.
func (b *base) plans(ctx context.Context, packer *Packer, schema Schema) ([]tablePlan, error) {
	plans := make([]tablePlan, len(schema.Tables))
	for i, t := range schema.Tables {
		choice, parent := &b.choices[i], b.tables[t.ID()]
		plan := &plans[i]
		plan.Way, plan.Why = string(choice.Way), choice.Why
		switch choice.Way {
		case ByWhole:
			continue
		case BySame, ByDelta:
			plan.Pieces = []piece{{Keep: parent.Data.Chunks}}
			plan.Deltas = parent.Data.Deltas
			plan.Total = &choice.Summary
		case ByChunks:
			plan.Pieces = piecesOf(parent.Data.Chunks, choice.Dirty)
		}
		switch {
		case choice.Way == ByDelta && len(t.Key) == 0: // rows that came are chunks like others
			added, err := writeChunks(ctx, packer, choice.Rows)
			if err != nil {
				return nil, fmt.Errorf("store the new rows of %s: %w", t.ID(), err)
			}
			plan.Pieces = append(plan.Pieces, piece{Keep: added})
		case choice.Way == ByDelta:
			deltas, err := WriteDelta(ctx, packer, choice.Rows)
			if err != nil {
				return nil, fmt.Errorf("store the changed rows of %s: %w", t.ID(), err)
			}
			plan.Deltas = append(plan.Deltas[:len(plan.Deltas):len(plan.Deltas)], deltas...)
		}
		choice.Rows = nil
	}
	if err := packer.Flush(ctx); err != nil {
		return nil, fmt.Errorf("store changed rows: %w", err)
	}
	return plans, nil
}

// piecesOf are the chunks that are kept and the ranges that are read, in order.
func piecesOf(chunks []Chunk, dirty []int) (pieces []piece) {
	at := 0
	for _, run := range runsOf(slices.Clone(dirty)) { // neighbours are read as one
		if run[0] > at {
			pieces = append(pieces, piece{Keep: chunks[at:run[0]]})
		}
		pieces = append(pieces, piece{Read: &Range{After: chunks[run[0]].After, Upto: chunks[run[1]].Upto}})
		at = run[1] + 1
	}
	if at < len(chunks) {
		pieces = append(pieces, piece{Keep: chunks[at:]})
	}
	return pieces
}

// estimate is about how much is read from the server.
func (b *base) estimate(point Point, tables []Table) (total int64) {
	for i, choice := range b.choices {
		switch choice.Way {
		case ByWhole:
			total += point.Estimate(tables[i])
		case ByChunks:
			for _, at := range choice.Dirty {
				total += b.tables[tables[i].ID()].Data.Chunks[at].Raw
			}
		}
	}
	return total
}

// drifted are the tables that were read and are not what the snapshot before and the
// log say: something changed them past the log, or something is wrong with either.
func (b *base) drifted(summaries []TableSummary) (ids []TableID) {
	for i, s := range summaries {
		if c := b.choices[i]; c.Expected && (s.Rows != c.Summary.Rows || s.Sum != c.Summary.Sum) {
			ids = append(ids, s.TableID)
		}
	}
	return ids
}

// reuse lets the manifest refer to the schema and the catalog of the snapshot before
// where these say the same, so that an interval without a change costs a manifest.
func (b *base) reuse(m *Manifest, schema []byte) (sameSchema, sameCatalog bool) {
	if bytes.Equal(schema, b.plain) {
		m.Schema, sameSchema = b.manifest.Schema, true
	}
	sameCatalog = len(b.choices) == len(b.catalog.Tables)
	for i, c := range b.choices {
		sameCatalog = sameCatalog && c.Way == BySame && b.catalog.Tables[i].TableID == m.Tables[i].TableID
	}
	if sameCatalog {
		m.Catalog = b.manifest.Catalog
	}
	return sameSchema, sameCatalog
}
