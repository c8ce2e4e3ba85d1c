package snapshot

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// madeCopy is a snapshot of one table, made without a server: rows of a number and a
// text. It is as a real one is, but for its size.
type madeCopy struct {
	Manifest
	Data TableData
}

var madeTable = Table{Database: "shop", Name: "items", Engine: "InnoDB", Key: []int{0}, KeyName: "PRIMARY",
	Columns: []Column{{Name: "id", Type: "int", Wire: WireLong}, {Name: "note", Type: "text", Wire: 252, Charset: "utf8mb4"}}}

// madeRow is a row of madeTable.
func madeRow(id int, note string) []byte {
	return JoinRow(nil, madeTable.Wires(), [][]byte{binary.LittleEndian.AppendUint32(nil, uint32(id)), []byte(note)})
}

// make is what it takes to make one.
type makeCopy struct {
	store  object.Store
	box    *Box
	at     time.Time
	parent *madeCopy
	// chunks of rows by number, of which those of the parent are kept; changed rows,
	// "" for deleted ones, become a delta.
	chunks  []map[int]string
	changed map[int]string
	unlike  func(*Manifest)
}

const madeProduct = "shop"

func (c makeCopy) make(t *testing.T) madeCopy {
	t.Helper()
	ctx := context.Background()
	id := NewID(c.at, 1)
	m := Manifest{Format: Format, ID: id, Product: madeProduct, Epoch: 1, Server: "db4", Version: "9.7.4",
		Started: c.at, Point: c.at, Finished: c.at.Add(time.Second), Full: c.parent == nil}
	data := TableData{TableID: madeTable.ID()}
	rows := map[int]string{}
	packer := NewPacker(c.store, c.box, DataPrefix(madeProduct, id)+"w0-")
	if c.parent != nil {
		m.Parent = c.parent.ID
		data.Chunks = append(data.Chunks, c.parent.Data.Chunks...)
		data.Deltas = append(data.Deltas, c.parent.Data.Deltas...)
		for _, chunk := range data.Chunks {
			c.eachRow(t, chunk, rows)
		}
		for _, d := range data.Deltas {
			c.apply(t, d, rows)
		}
	}
	for i, part := range c.chunks {
		chunk := c.write(t, packer, part)
		_, last := bounds(part)
		if i > 0 {
			chunk.After = data.Chunks[i-1].Upto
		}
		if i < len(c.chunks)-1 {
			chunk.Upto = Key{fmt.Sprint(last)}
		}
		data.Chunks = append(data.Chunks, chunk)
		for id, note := range part {
			rows[id] = note
		}
	}
	if c.changed != nil {
		upserts, deletes := map[int]string{}, map[int]string{}
		for id, note := range c.changed {
			if delete(rows, id); note == "" {
				deletes[id] = ""
			} else {
				upserts[id], rows[id] = note, note
			}
		}
		var delta Delta
		if len(deletes) > 0 {
			chunk := c.writeKeys(t, packer, deletes)
			delta.Deletes = &chunk
		}
		if len(upserts) > 0 {
			chunk := c.write(t, packer, upserts)
			delta.Upserts = &chunk
		}
		data.Deltas = append(data.Deltas, delta)
	}
	require.NoError(t, packer.Flush(ctx))
	summary := TableSummary{TableID: madeTable.ID(), Way: "whole"}
	for id, note := range rows {
		row := madeRow(id, note)
		summary.Rows++
		summary.Bytes += int64(len(row))
		summary.Sum.Add(row)
	}
	m.Tables = []TableSummary{summary}
	m.Totals = Totals{Tables: 1, Rows: summary.Rows, Bytes: summary.Bytes}
	m.Schema = c.put(t, DataPrefix(madeProduct, id)+"schema", Schema{Tables: []Table{madeTable}})
	m.Catalog = c.put(t, DataPrefix(madeProduct, id)+"catalog", Catalog{Tables: []TableData{data}})
	if c.unlike != nil {
		c.unlike(&m)
	}
	require.NoError(t, PutManifest(ctx, c.store, c.box, m))
	return madeCopy{Manifest: m, Data: data}
}

func (c makeCopy) put(t *testing.T, key string, content any) Ref {
	t.Helper()
	plain, err := json.Marshal(content)
	require.NoError(t, err)
	ref, err := PutSealed(context.Background(), c.store, c.box, key, plain)
	require.NoError(t, err)
	return ref
}

func (c makeCopy) write(t *testing.T, packer *Packer, rows map[int]string) Chunk {
	t.Helper()
	return c.writeRows(t, packer, rows, madeRow)
}

func (c makeCopy) writeKeys(t *testing.T, packer *Packer, rows map[int]string) Chunk {
	t.Helper()
	return c.writeRows(t, packer, rows, func(id int, _ string) []byte {
		return JoinRow(nil, []Wire{WireLong}, [][]byte{binary.LittleEndian.AppendUint32(nil, uint32(id))})
	})
}

func (c makeCopy) writeRows(t *testing.T, packer *Packer, rows map[int]string, encode func(int, string) []byte) (chunk Chunk) {
	t.Helper()
	var plain []byte
	first, last := bounds(rows)
	for id := first; id <= last; id++ {
		note, is := rows[id]
		if !is {
			continue
		}
		row := encode(id, note)
		plain = AppendRow(plain, row)
		chunk.Rows++
		chunk.Raw += int64(len(row))
		chunk.Sum.Add(row)
	}
	ref, err := packer.Add(context.Background(), plain)
	require.NoError(t, err)
	chunk.Ref = ref
	return chunk
}

func (c makeCopy) eachRow(t *testing.T, chunk Chunk, rows map[int]string) {
	t.Helper()
	plain, err := Read(context.Background(), c.store, c.box, chunk.Ref)
	require.NoError(t, err)
	require.NoError(t, EachRow(plain, func(row []byte) error {
		fields, err := SplitRow(row, madeTable.Wires(), nil)
		if err == nil {
			rows[int(binary.LittleEndian.Uint32(fields[0]))] = string(fields[1])
		}
		return err
	}))
}

func (c makeCopy) apply(t *testing.T, d Delta, rows map[int]string) {
	t.Helper()
	if d.Deletes != nil {
		plain, err := Read(context.Background(), c.store, c.box, d.Deletes.Ref)
		require.NoError(t, err)
		require.NoError(t, EachRow(plain, func(row []byte) error {
			fields, err := SplitRow(row, []Wire{WireLong}, nil)
			if err == nil {
				delete(rows, int(binary.LittleEndian.Uint32(fields[0])))
			}
			return err
		}))
	}
	if d.Upserts != nil {
		c.eachRow(t, *d.Upserts, rows)
	}
}

func bounds(rows map[int]string) (first, last int) {
	first, last = 1<<30, 0
	for id := range rows {
		first, last = min(first, id), max(last, id)
	}
	return first, last
}

// twoChunks are the rows of a small table.
func twoChunks(note string) []map[int]string {
	return []map[int]string{{1: note, 2: note + "2", 3: note + "3"}, {7: note + "7", 9: ""}}
}

// gtids is a set that is not empty.
func gtids(t *testing.T) topology.GTIDSet {
	t.Helper()
	set, err := topology.ParseGTIDSet("3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5")
	require.NoError(t, err)
	return set
}
