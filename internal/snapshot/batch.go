package snapshot

import (
	"cmp"
	"fmt"
	"slices"
)

// batchBytes is about what one transaction of a restore puts in, canonical bytes: a
// few of a table's chunks, so that neither the transactions nor what has to be done
// again after a crash become many or large.
const batchBytes = 8 << 20

// batch is what is put in at once: chunks of a table that follow one another, or
// one of its deltas.
type batch struct {
	name   string
	chunks []Chunk
	delta  *Delta
	bytes  int64
}

// chunkBatches cuts a table's chunks. The same chunks give the same ones, for their
// names are remembered.
func chunkBatches(chunks []Chunk) []batch {
	var batches []batch
	for first := 0; first < len(chunks); {
		p := batch{}
		next := first
		for ; next < len(chunks) && (next == first || p.bytes+chunks[next].Raw <= batchBytes); next++ {
			p.bytes += chunks[next].Raw
		}
		p.name, p.chunks = fmt.Sprintf("chunks %d to %d", first, next-1), chunks[first:next]
		batches, first = append(batches, p), next
	}
	return batches
}

func deltaBatches(deltas []Delta) []batch {
	batches := make([]batch, len(deltas))
	for i := range deltas {
		batches[i] = batch{name: fmt.Sprintf("delta %d", i), delta: &deltas[i]}
		for _, c := range []*Chunk{deltas[i].Deletes, deltas[i].Upserts} {
			if c != nil {
				batches[i].bytes += c.Raw
			}
		}
	}
	return batches
}

// work is what is left to do of one table: chunks in any order, then the deltas one
// after the other, then the count and the keys.
type work struct {
	table   Table
	summary TableSummary
	chunks  []batch
	deltas  []batch
	// deltaBased says that there are deltas, so that the rows must be counted.
	deltaBased bool
	running    int
	indexed    bool
	bytes      int64
}

// task is one thing to do for a table: a batch, or else its end.
type task struct {
	*work
	batch *batch
}

// newWork says what is left to do, the largest tables first: they take longest.
func newWork(tables []Table, data map[TableID]TableData, summaries map[TableID]TableSummary, done Done) []*work {
	all := make([]*work, 0, len(tables))
	for _, t := range tables {
		d := data[t.ID()]
		w := &work{table: t, summary: summaries[t.ID()], deltaBased: len(d.Deltas) > 0}
		before := done[t.ID()]
		if before == nil {
			before = &TableDone{}
		}
		isDone := func(p batch) bool {
			w.bytes += p.bytes
			return before.Pieces[p.name]
		}
		w.chunks = slices.DeleteFunc(chunkBatches(d.Chunks), isDone)
		w.deltas = slices.DeleteFunc(deltaBatches(d.Deltas), isDone)
		w.indexed = before.Indexed
		all = append(all, w)
	}
	slices.SortStableFunc(all, func(a, b *work) int { return cmp.Compare(b.bytes, a.bytes) })
	return all
}

// nextTask chooses what to do next and takes it: of a table that nobody works on, if
// there is one, since two who put rows into one table are in each other's way. left
// says whether there is anything left at all, now or when others have done theirs.
func nextTask(all []*work) (t task, left bool) {
	var best *work
	for _, w := range all {
		if w.indexed {
			continue
		}
		left = true
		alone := len(w.chunks) == 0 // what comes then wants the table for itself
		if alone && w.running > 0 || best != nil && w.running >= best.running {
			continue
		}
		best = w
	}
	if best == nil {
		return task{}, left
	}
	t.work = best
	switch {
	case len(best.chunks) > 0:
		t.batch, best.chunks = &best.chunks[0], best.chunks[1:]
	case len(best.deltas) > 0:
		t.batch, best.deltas = &best.deltas[0], best.deltas[1:]
	default:
		best.indexed = true
	}
	best.running++
	return t, left
}
