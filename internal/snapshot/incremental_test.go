package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
)

// account is a table with a number for a key and a text.
var accountTable = Table{Database: "shop", Name: "account", Create: "CREATE TABLE `account` (\n  `id` int\n) ENGINE=InnoDB",
	Columns: []Column{{Name: "id", Type: "int", Wire: WireLong}, {Name: "note", Type: "text", Wire: 252}}, Key: []int{0}}

func accountRow(id int, note string) []byte {
	return JoinRow(nil, accountTable.Wires(), [][]byte{binary.LittleEndian.AppendUint32(nil, uint32(id)), []byte(note)})
}

// world is a table, and a store with snapshots of it.
type tableWorld struct {
	t      *testing.T
	table  Table
	store  object.Store
	box    *Box
	rows   map[int]string
	parent *Parent
	change *TableChanges
	serial int
	ways   map[Way]int
}

func (w *tableWorld) set(id int, note string, there bool) {
	var before, after []byte
	if old, was := w.rows[id]; was {
		before = accountRow(id, old)
	}
	if there {
		after = accountRow(id, note)
		w.rows[id] = note
	} else {
		delete(w.rows, id)
	}
	if before == nil && after == nil {
		return
	}
	require.NoError(w.t, w.change.Note(&w.table, before, after))
}

// read cuts the rows of a range in chunks of about ten rows.
func (w *tableWorld) read(ctx context.Context, p *Packer, r Range) (chunks []Chunk) {
	var ids []int
	for id := range w.rows {
		key := Key{fmt.Sprint(id)}
		if (r.After == nil || key.Compare(r.After) > 0) && (r.Upto == nil || key.Compare(r.Upto) <= 0) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	after := r.After
	for part := range slices.Chunk(ids, 10) {
		c := Chunk{After: after, Upto: Key{fmt.Sprint(part[len(part)-1])}}
		var plain []byte
		for _, id := range part {
			row := accountRow(id, w.rows[id])
			plain = AppendRow(plain, row)
			c.Rows, c.Raw = c.Rows+1, c.Raw+int64(len(row))
			c.Sum.Add(row)
		}
		var err error
		c.Ref, err = p.Add(ctx, plain)
		require.NoError(w.t, err)
		after = c.Upto
		chunks = append(chunks, c)
	}
	if len(chunks) > 0 {
		chunks[len(chunks)-1].Upto = r.Upto
	}
	return chunks
}

// snapshot takes the table and returns how.
func (w *tableWorld) snapshot(ctx context.Context) Choice {
	w.serial++
	packer := NewPacker(w.store, w.box, fmt.Sprintf("data/%d/", w.serial))
	choice, err := Choose(w.table, w.parent, w.change)
	require.NoError(w.t, err)
	next := &Parent{Table: w.table}
	switch choice.Way {
	case BySame:
		next.Data = w.parent.Data
	case ByDelta:
		deltas, err := WriteDelta(ctx, packer, choice.Rows)
		require.NoError(w.t, err)
		next.Data = TableData{Chunks: w.parent.Data.Chunks, Deltas: append(slices.Clone(w.parent.Data.Deltas), deltas...)}
	case ByChunks:
		plan := tablePlan{Pieces: piecesOf(w.parent.Data.Chunks, choice.Dirty)}
		fresh := make([][]Chunk, len(plan.Pieces))
		for i, p := range plan.Pieces {
			if p.Read != nil {
				if fresh[i] = w.read(ctx, packer, *p.Read); len(fresh[i]) == 0 {
					fresh[i] = []Chunk{{Upto: p.Read.Upto}}
				}
			}
		}
		next.Data.Chunks = assemble(w.table, plan, fresh)
	case ByWhole:
		next.Data.Chunks = w.read(ctx, packer, Range{})
	}
	require.NoError(w.t, packer.Flush(ctx))
	for id, note := range w.rows {
		row := accountRow(id, note)
		next.Summary.Rows, next.Summary.Bytes = next.Summary.Rows+1, next.Summary.Bytes+int64(len(row))
		next.Summary.Sum.Add(row)
	}
	if choice.Expected {
		assert.Equal(w.t, next.Summary, choice.Summary)
	}
	w.parent, w.change = next, &TableChanges{}
	w.ways[choice.Way]++
	return choice
}

// restored are the rows as the newest snapshot has them.
func (w *tableWorld) restored(ctx context.Context) map[int]string {
	out := map[int]string{}
	each := func(c *Chunk, do func(id int, note string)) {
		if c == nil {
			return
		}
		plain, err := Read(ctx, w.store, w.box, c.Ref)
		require.NoError(w.t, err)
		require.NoError(w.t, EachRow(plain, func(row []byte) error {
			wires := w.table.Wires()
			if do == nil {
				wires = wires[:1]
			}
			fields, err := SplitRow(row, wires, nil)
			require.NoError(w.t, err)
			id := int(int32(binary.LittleEndian.Uint32(fields[0])))
			if do == nil {
				delete(out, id)
			} else {
				do(id, string(fields[1]))
			}
			return nil
		}))
	}
	for i := range w.parent.Data.Chunks {
		c := &w.parent.Data.Chunks[i]
		each(c, func(id int, note string) {
			_, twice := out[id]
			assert.False(w.t, twice)
			out[id] = note
		})
	}
	for _, d := range w.parent.Data.Deltas {
		each(d.Deletes, nil)
		each(d.Upserts, func(id int, note string) { out[id] = note })
	}
	return out
}

func TestEveryWayGivesTheRowsThereAre(t *testing.T) {
	seen := map[Way]int{}
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 1))
		box, err := NewBox()
		require.NoError(t, err)
		w := &tableWorld{t: t, table: accountTable, store: object.NewMemory(), box: box, rows: map[int]string{}, change: &TableChanges{}, ways: seen}
		note := func() string {
			text := make([]byte, 50+r.IntN(5000))
			for i := range text {
				text[i] = byte('a' + r.IntN(26))
			}
			return string(text)
		}
		for range r.IntN(200) {
			w.set(r.IntN(1000)-500, note(), true)
		}
		for range 12 {
			from := r.IntN(1000) - 500
			switch r.IntN(6) {
			case 0: // nothing
			case 1: // one place
				for id := from; id < from+20; id++ {
					w.set(id, note(), r.IntN(3) > 0)
				}
			case 2: // a whole range goes
				for id := from; id < from+100; id++ {
					w.set(id, "", false)
				}
			case 3: // undone
				old, was := w.rows[from]
				w.set(from, note(), true)
				w.set(from, old, was)
			case 4: // everywhere, little
				for range 3 {
					w.set(r.IntN(1000)-500, note(), r.IntN(3) > 0)
				}
			default:
				for range r.IntN(300) {
					w.set(r.IntN(1000)-500, note(), r.IntN(3) > 0)
				}
			}
			if r.IntN(4) == 0 {
				w.change.ForgetRows("asked for")
			}
			w.snapshot(t.Context())
			require.True(t, maps.Equal(w.rows, w.restored(t.Context())), "seed %d", seed)
			for i, c := range w.parent.Data.Chunks {
				if i > 0 {
					require.Equal(t, w.parent.Data.Chunks[i-1].Upto, c.After)
				}
			}
		}
	}
	t.Log(seen)
	for _, way := range []Way{BySame, ByDelta, ByChunks, ByWhole} {
		assert.NotZero(t, seen[way], way)
	}
}

func TestChoiceNamesItsReason(t *testing.T) {
	chunk := func(raw int64, upto string) Chunk {
		c := Chunk{Raw: raw}
		if upto != "" {
			c.Upto = Key{upto}
		}
		return c
	}
	big := &Parent{Table: accountTable, Summary: TableSummary{Rows: 1000, Bytes: 100 << 20}, Data: TableData{Chunks: []Chunk{chunk(50<<20, "100"), chunk(50<<20, "")}}}
	changed := func(notes ...int) *TableChanges {
		c := &TableChanges{}
		for i, size := range notes {
			require.NoError(t, c.Note(&accountTable, accountRow(i*150, string(make([]byte, size))), accountRow(i*150, string(bytes.Repeat([]byte{1}, size)))))
		}
		return c
	}
	full := *big
	full.Data.Deltas = slices.Repeat([]Delta{{Touches: [][2]int{{1, 1}}}}, maxDeltas)
	altered := accountTable
	altered.Create += " COMMENT='x'"
	counted := accountTable
	counted.Create = "CREATE TABLE `account` (\n  `id` int\n) ENGINE=InnoDB AUTO_INCREMENT=7"
	cases := map[string]struct {
		table  Table
		parent *Parent
		change *TableChanges
		way    Way
		why    string
	}{
		"new":              {accountTable, nil, nil, ByWhole, "it is new"},
		"altered":          {altered, big, nil, ByWhole, "its definition changed"},
		"counted on":       {counted, big, nil, BySame, ""},
		"untold":           {accountTable, big, &TableChanges{Whole: "TRUNCATE"}, ByWhole, "TRUNCATE"},
		"few rows":         {accountTable, big, changed(100, 100), ByDelta, ""},
		"one large place":  {accountTable, big, changed(45 << 20), ByChunks, "that many rows changed"},
		"everywhere, much": {accountTable, big, changed(45<<20, 45<<20), ByWhole, "its deltas would be"},
		"deltas piled up":  {accountTable, &full, changed(100), ByWhole, "it has 64 deltas"},
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		choice, err := Choose(c.table, c.parent, c.change)
		require.NoError(t, err)
		assert.Equal(t, c.way, choice.Way, name)
		if c.why != "" {
			assert.Contains(t, choice.Why, c.why, name)
		}
	}
}

func TestKeysAreOrderedAsNumbers(t *testing.T) {
	ordered := []string{"-9223372036854775808", "-100", "-99", "-1", "0", "7", "10", "99", "18446744073709551615"}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			assert.Equal(t, want, Key{a}.Compare(Key{b}), "%s %s", a, b)
		}
	}
}
