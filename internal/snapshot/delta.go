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

// writeChunks writes rows that came to a table without a key: nothing tells them
// from rows that were there, so they are chunks and no delta.
func writeChunks(ctx context.Context, packer *Packer, rows []ChangedRow) (chunks []Chunk, err error) {
	piece := deltaPiece{}
	for i, row := range rows {
		piece.add(row)
		if len(piece.plain) < deltaBytes && i < len(rows)-1 {
			continue
		}
		if piece.chunk.Ref, err = packer.Add(ctx, piece.plain); err != nil {
			return nil, err
		}
		chunks, piece = append(chunks, piece.chunk), deltaPiece{plain: piece.plain[:0]}
	}
	return chunks, nil
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
