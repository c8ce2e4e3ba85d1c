package snapshot

import (
	"context"

	"github.com/failoverd/failoverd/internal/topology"
)

// Changes says what a server's own log knows of the time between two snapshots.
type Changes interface {
	// Since reads the transactions that upto has and from lacks, and gives what they
	// changed in each table of the schema, which is the server's at upto. It
	// remembers about limit bytes at most; what does not fit is told by its keys, or
	// as a table to be read whole. What the log cannot tell is no error.
	Since(ctx context.Context, from, upto topology.GTIDSet, schema Schema, limit int64) (Changed, error)
}

// Changed is what happened between two snapshots.
type Changed struct {
	// Whole says why every table must be read whole; empty when the tables know.
	Whole string
	// Tables has a row for each table that changed, or may have.
	Tables map[TableID]*TableChanges
	// ReadBytes were read from the log.
	ReadBytes int64
}

// TableChanges is what happened to one table.
type TableChanges struct {
	// Whole says why the table must be read whole: then the rest is empty.
	Whole string
	// KeysOnly says why it is not known what is in the rows, only which they are.
	KeysOnly string
	// Rows are the changed rows by their key: the canonical row of the key's columns alone.
	Rows map[string]RowChange
	// Added are the canonical rows that came to a table without a key.
	Added [][]byte
	// Bytes is about what all this takes in memory.
	Bytes int64
}

// RowChange is what became of one row from the first of these transactions to the last.
type RowChange struct {
	// Was says that there was such a row, Sum and Size are of its canonical form then.
	Was  bool
	Sum  Sum
	Size int64
	// Now is the canonical row at last, nil when it was deleted.
	Now []byte
}

// The overhead of an entry of a map of rows, bytes.
const rowOverhead = 160

// For returns the changes of a table, which are noted from now on.
func (c *Changed) For(id TableID) *TableChanges {
	t, known := c.Tables[id]
	if !known {
		t = &TableChanges{}
		if c.Tables == nil {
			c.Tables = map[TableID]*TableChanges{}
		}
		c.Tables[id] = t
	}
	return t
}

// ReadWhole forgets what is known: the table is to be read whole. The first reason stays.
func (t *TableChanges) ReadWhole(why string) {
	if t.Whole == "" {
		*t = TableChanges{Whole: why}
	}
}

// ForgetRows leaves nothing but the keys.
func (t *TableChanges) ForgetRows(why string) {
	t.KeysOnly, t.Bytes = why, 0
	for key := range t.Rows {
		t.Rows[key] = RowChange{}
		t.Bytes += int64(len(key)) + rowOverhead
	}
}

// Note takes down that a row of the table became another: before is nil for one
// that was inserted, after for one that was deleted. Rows are canonical; after is
// kept. What does not follow from what was noted so far makes the table be read whole.
func (t *TableChanges) Note(table *Table, before, after []byte) error {
	if t.Whole != "" {
		return nil
	}
	if len(table.Key) == 0 {
		if before != nil {
			t.ReadWhole("rows were updated or deleted, and it has no key to tell them by")
			return nil
		}
		t.Added = append(t.Added, after)
		t.Bytes += int64(len(after)) + rowOverhead
		return nil
	}
	if t.Rows == nil {
		t.Rows = map[string]RowChange{}
	}
	oldKey, newKey := "", ""
	for _, side := range []struct {
		row []byte
		key *string
	}{{before, &oldKey}, {after, &newKey}} {
		if side.row == nil {
			continue
		}
		key, err := KeyRow(nil, table, side.row)
		if err != nil {
			return err
		}
		*side.key = string(key)
	}
	if before != nil {
		t.leave(oldKey, before)
	}
	if after != nil {
		t.arrive(newKey, after)
	}
	return nil
}

func (t *TableChanges) leave(key string, before []byte) {
	change, known := t.Rows[key]
	switch {
	case t.Whole != "":
		return
	case !known:
		change = RowChange{Was: true, Size: int64(len(before))}
		change.Sum.Add(before)
		t.Bytes += int64(len(key)) + rowOverhead
	case t.KeysOnly == "" && string(change.Now) != string(before):
		t.ReadWhole("the binary log contradicts itself: a row was not what it had become before")
		return
	}
	t.Bytes -= int64(len(change.Now))
	change.Now = nil
	t.put(key, change)
}

func (t *TableChanges) arrive(key string, after []byte) {
	if t.Whole != "" {
		return
	}
	change, known := t.Rows[key]
	if !known {
		t.Bytes += int64(len(key)) + rowOverhead
	} else if t.KeysOnly == "" && change.Now != nil {
		t.ReadWhole("the binary log contradicts itself: a row was inserted that was there")
		return
	}
	t.Bytes += int64(len(after))
	change.Now = after
	t.put(key, change)
}

func (t *TableChanges) put(key string, change RowChange) {
	if t.KeysOnly != "" {
		t.Bytes -= int64(len(change.Now))
		change = RowChange{}
	}
	t.Rows[key] = change
}

// KeyRow appends the canonical row of the key's columns of a row.
func KeyRow(dst []byte, table *Table, row []byte) ([]byte, error) {
	fields, err := SplitRow(row, table.Wires(), make([][]byte, 0, len(table.Columns)))
	if err != nil {
		return nil, err
	}
	wires, values := make([]Wire, len(table.Key)), make([][]byte, len(table.Key))
	for i, place := range table.Key {
		wires[i], values[i] = table.Columns[place].Wire, fields[place]
	}
	return JoinRow(dst, wires, values), nil
}
