package snapshot

import (
	"context"
	"slices"
)

// deltaBytes is about how large a piece of a delta gets before the next is begun, bytes of rows.
const deltaBytes = 1 << 20

// WriteDelta writes changed rows, as Choose gives them, in pieces: all that are to
// be deleted, then all that are to be put in.
func WriteDelta(ctx context.Context, packer *Packer, rows []ChangedRow) ([]Delta, error) {
	var deltas []Delta
	for _, isUpsert := range []bool{false, true} {
		piece := deltaPiece{}
		for _, row := range rows {
			if (row.Now != nil) != isUpsert {
				continue
			}
			piece.add(row)
			if len(piece.plain) < deltaBytes {
				continue
			}
			delta, err := piece.write(ctx, packer, isUpsert)
			if err != nil {
				return nil, err
			}
			deltas, piece = append(deltas, delta), deltaPiece{plain: piece.plain[:0]}
		}
		if piece.chunk.Rows > 0 {
			delta, err := piece.write(ctx, packer, isUpsert)
			if err != nil {
				return nil, err
			}
			deltas = append(deltas, delta)
		}
	}
	return deltas, nil
}

type deltaPiece struct {
	plain   []byte
	chunk   Chunk
	touches []int
}

func (p *deltaPiece) add(row ChangedRow) {
	content := row.Now
	if content == nil {
		content = row.Key
	}
	p.plain = AppendRow(p.plain, content)
	p.chunk.Rows++
	p.chunk.Raw += int64(len(content))
	p.chunk.Sum.Add(content)
	if row.at >= 0 {
		p.touches = append(p.touches, row.at)
	}
}

func (p *deltaPiece) write(ctx context.Context, packer *Packer, isUpsert bool) (Delta, error) {
	ref, err := packer.Add(ctx, p.plain)
	if err != nil {
		return Delta{}, err
	}
	p.chunk.Ref = ref
	delta := Delta{Touches: runsOf(p.touches)}
	if isUpsert {
		delta.Upserts = &p.chunk
	} else {
		delta.Deletes = &p.chunk
	}
	return delta, nil
}

// runsOf are the numbers as runs of first and last, ascending.
func runsOf(numbers []int) (runs [][2]int) {
	slices.Sort(numbers)
	for _, n := range numbers {
		if last := len(runs) - 1; last >= 0 && n <= runs[last][1]+1 {
			runs[last][1] = n
		} else {
			runs = append(runs, [2]int{n, n})
		}
	}
	return runs
}

// DirtyRanges are the ranges to read again for dirty chunks: neighbours are one.
func DirtyRanges(chunks []Chunk, dirty []int) (ranges []Range) {
	for _, run := range runsOf(slices.Clone(dirty)) {
		ranges = append(ranges, Range{After: chunks[run[0]].After, Upto: chunks[run[1]].Upto})
	}
	return ranges
}

// Renew puts what was read again in the place of dirty chunks: fresh has the chunks of each of the
// DirtyRanges. A range that has no rows any more goes to its neighbour, so that the
// chunks leave no gap.
func Renew(chunks []Chunk, dirty []int, fresh [][]Chunk) []Chunk {
	var out []Chunk
	at := 0
	for i, run := range runsOf(slices.Clone(dirty)) {
		out = append(out, chunks[at:run[0]]...)
		out = append(out, fresh[i]...)
		at = run[1] + 1
	}
	out = append(out, chunks[at:]...)
	for i := range out {
		if i == 0 {
			out[i].After = nil
		} else {
			out[i].After = out[i-1].Upto
		}
		if i == len(out)-1 {
			out[i].Upto = nil
		}
	}
	return out
}
