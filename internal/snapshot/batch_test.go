package snapshot

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func chunksOf(megabytes ...int64) (chunks []Chunk) {
	for _, m := range megabytes {
		chunks = append(chunks, Chunk{Raw: m << 20, Rows: m})
	}
	return chunks
}

func TestChunksGoInTogether(t *testing.T) {
	var got []string
	for _, b := range chunkBatches(chunksOf(3, 3, 3, 100, 1, 7, 1)) {
		got = append(got, fmt.Sprintf("%s: %d MB", b.name, b.bytes>>20))
	}
	assert.Equal(t, []string{"chunks 0 to 1: 6 MB", "chunks 2 to 2: 3 MB", "chunks 3 to 3: 100 MB", "chunks 4 to 5: 8 MB", "chunks 6 to 6: 1 MB"}, got)
	assert.Empty(t, chunkBatches(nil))
}

// TestTheWorkIsDoneInOrder has several take tasks and end them in any order: every
// batch is done once, deltas one after the other after the chunks, and the keys last.
func TestTheWorkIsDoneInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tables []Table
		data := map[TableID]TableData{}
		done := Done{}
		total := 0
		for i := range rapid.IntRange(0, 4).Draw(t, "tables") {
			table := Table{Database: "d", Name: fmt.Sprint("t", i)}
			d := TableData{Chunks: chunksOf(rapid.SliceOfN(rapid.Int64Range(1, 12), 0, 6).Draw(t, "chunks")...)}
			for range rapid.IntRange(0, 3).Draw(t, "deltas") {
				d.Deltas = append(d.Deltas, Delta{Upserts: &Chunk{Raw: 1}})
			}
			tables = append(tables, table)
			data[table.ID()] = d
			total += len(chunkBatches(d.Chunks)) + len(d.Deltas) + 1
			if len(d.Chunks) > 0 && rapid.Bool().Draw(t, "begun") {
				done[table.ID()] = &TableDone{Pieces: map[string]bool{chunkBatches(d.Chunks)[0].name: true}}
				total--
			}
		}
		all := newWork(tables, data, nil, done)
		var running []task
		order := map[TableID][]string{}
		seen := 0
		for {
			next, left := nextTask(all)
			if next.work != nil {
				name := "keys"
				if next.batch != nil {
					name = next.batch.name
				}
				for _, other := range running {
					if other.work == next.work && (next.batch == nil || next.batch.delta != nil || other.batch == nil || other.batch.delta != nil) {
						t.Fatalf("%s of %s beside another", name, next.table.ID())
					}
				}
				order[next.table.ID()] = append(order[next.table.ID()], name)
				running = append(running, next)
				seen++
			} else if !left {
				break
			}
			if len(running) > 0 && (next.work == nil || rapid.Bool().Draw(t, "ends")) {
				at := rapid.IntRange(0, len(running)-1).Draw(t, "which")
				running[at].running--
				running = append(running[:at], running[at+1:]...)
			} else if next.work == nil {
				t.Fatal("nothing to do, and nothing is being done")
			}
		}
		require.Equal(t, total, seen)
		for id, names := range order {
			want := len(chunkBatches(data[id].Chunks))
			if done[id] != nil {
				want--
			}
			for i, d := range deltaBatches(data[id].Deltas) {
				require.Equal(t, d.name, names[want+i])
			}
			require.Equal(t, "keys", names[len(names)-1])
		}
	})
}
