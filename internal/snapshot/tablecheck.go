package snapshot

import (
	"encoding/binary"
	"fmt"
	"sync"
)

// tableCheck counts the rows of a table as they are after its deltas.
type tableCheck struct {
	table Table
	wires []Wire
	want  TableSummary

	mu   sync.Mutex
	have TableSummary
	// latest is what the deltas make of a key, by its bytes; rows of chunks with one of
	// these keys do not count.
	latest map[string]keyState
	// spoiled says that something of it could not be read, so that its totals mean nothing.
	spoiled bool
}

// keyState is a row in few bytes; gone says that there is none.
type keyState struct {
	gone  bool
	bytes int64
	sum   Sum
}

func newTableCheck(t Table, want TableSummary) *tableCheck {
	return &tableCheck{table: t, wires: t.Wires(), want: want, latest: map[string]keyState{}}
}

func (c *tableCheck) spoil() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoiled = true
}

// overlay takes in a piece of a delta. They come in order.
func (c *tableCheck) overlay(p part, plain []byte) error {
	if len(c.table.Key) == 0 {
		return fmt.Errorf("a delta of a table without a key: %w", ErrDamaged)
	}
	wires, places := c.wires, c.table.Key
	if p.deletes { // the key's columns alone
		wires, places = make([]Wire, len(places)), make([]int, len(places))
		for i, place := range c.table.Key {
			wires[i], places[i] = c.wires[place], i
		}
	}
	return c.rows(p.chunk, plain, wires, func(row []byte, fields [][]byte, sum Sum) error {
		key, err := keyBytes(fields, places)
		if err != nil {
			return err
		}
		if p.deletes {
			c.latest[key] = keyState{gone: true}
		} else {
			c.latest[key] = keyState{bytes: int64(len(row)), sum: sum}
		}
		return nil
	})
}

// count counts the rows of a chunk.
func (c *tableCheck) count(p part, plain []byte) error {
	var have TableSummary
	err := c.rows(p.chunk, plain, c.wires, func(row []byte, fields [][]byte, sum Sum) error {
		if len(c.latest) > 0 { // nobody writes to it any more
			key, err := keyBytes(fields, c.table.Key)
			if err != nil {
				return err
			}
			if _, changed := c.latest[key]; changed {
				return nil
			}
		}
		have.Rows++
		have.Bytes += int64(len(row))
		have.Sum.Join(sum)
		return nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.have.Rows += have.Rows
	c.have.Bytes += have.Bytes
	c.have.Sum.Join(have.Sum)
	return err
}

// rows gives every row to yield, and compares the piece with what is said of it.
func (c *tableCheck) rows(chunk Chunk, plain []byte, wires []Wire, yield func(row []byte, fields [][]byte, sum Sum) error) error {
	var have Chunk
	var fields [][]byte
	err := EachRow(plain, func(row []byte) (err error) {
		if fields, err = SplitRow(row, wires, fields); err != nil {
			return fmt.Errorf("row %d: %w: %w", have.Rows+1, ErrDamaged, err)
		}
		sum := sumOf(row)
		have.Rows++
		have.Raw += int64(len(row))
		have.Sum.Join(sum)
		return yield(row, fields, sum)
	})
	if err == nil && (have.Rows != chunk.Rows || have.Raw != chunk.Raw || have.Sum != chunk.Sum) {
		err = fmt.Errorf("%d rows of %d bytes with the sum %s, and it is to have %d of %d with %s: %w",
			have.Rows, have.Raw, have.Sum, chunk.Rows, chunk.Raw, chunk.Sum, ErrDamaged)
	}
	return err
}

// differs says in words how the table is not what the manifest says; empty if it is,
// or if a part of it, which was named, is not.
func (c *tableCheck) differs() string {
	for _, state := range c.latest {
		if !state.gone {
			c.have.Rows++
			c.have.Bytes += state.bytes
			c.have.Sum.Join(state.sum)
		}
	}
	if c.spoiled || c.have.Rows == c.want.Rows && c.have.Bytes == c.want.Bytes && c.have.Sum == c.want.Sum {
		return ""
	}
	return fmt.Sprintf("it has %d rows of %d bytes with the sum %s, and is to have %d of %d with %s",
		c.have.Rows, c.have.Bytes, c.have.Sum, c.want.Rows, c.want.Bytes, c.want.Sum)
}

// keyBytes tells a row from all others of its table.
func keyBytes(fields [][]byte, places []int) (string, error) {
	var key []byte
	for _, place := range places {
		if fields[place] == nil {
			return "", fmt.Errorf("a key without a value: %w", ErrDamaged)
		}
		key = append(binary.AppendUvarint(key, uint64(len(fields[place]))), fields[place]...)
	}
	return string(key), nil
}
