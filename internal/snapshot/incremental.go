package snapshot

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
)

// Way is how a table gets into a snapshot.
type Way string

// The ways, from the cheapest. They are written in manifests: append, never rename.
const (
	BySame   Way = "same"   // nothing changed: the parent's chunks and deltas
	ByDelta  Way = "delta"  // the changed rows on top of these
	ByChunks Way = "chunks" // the chunks in which rows changed are read again
	ByWhole  Way = "whole"  // everything is read again
)

// What a table costs is reckoned in bytes. What is read from the server is stored too; a
// row of a delta is stored now, read on top at each restore, and read once more when
// its chunk or its table is read again.
const (
	readCost  = 2
	deltaCost = 3
	// rangeCost is what one more range to read costs.
	rangeCost = 16 << 10
	// maxDeltaShare bounds a table's deltas to this part of its chunks, and
	// maxDeltas their number: a restore must not spend most of its time on deltas.
	maxDeltaShare = 2
	maxDeltas     = 64
)

// Parent is what the earlier snapshot says of a table.
type Parent struct {
	Table   Table
	Summary TableSummary
	Data    TableData
}

// Choice is how one table is taken, and what for.
type Choice struct {
	Way Way
	// Why says what speaks against the cheaper ways, empty for BySame.
	Why string
	// Dirty are the places of the parent's chunks to read again, ascending.
	Dirty []int
	// Rows are the changed ones, by key, of a ByDelta.
	Rows []ChangedRow
	// Expected says that Summary is what the table must be now: the
	// parent's rows with the changes of the log.
	Expected bool
	Summary  TableSummary
}

// ChangedRow is a row of a delta.
type ChangedRow struct {
	Key   []byte // canonical, see KeyRow
	Now   []byte // nil when it is deleted
	at    int    // the place of its chunk, -1 when unknown
	seek  Key
	grows int64 // by so many bytes
}

// Choose picks the cheapest way for a table as it is defined now. parent is nil
// when the earlier snapshot lacks it, change is nil when the log has nothing of it.
// An error says that the change does not fit the table.
func Choose(table Table, parent *Parent, change *TableChanges) (Choice, error) {
	switch {
	case parent == nil:
		return Choice{Way: ByWhole, Why: "it is new"}, nil
	case !sameDefinition(parent.Table, table):
		return Choice{Way: ByWhole, Why: "its definition changed"}, nil
	case change == nil:
		return Choice{Way: BySame, Expected: true, Summary: parent.Summary}, nil
	case change.Whole != "":
		return Choice{Way: ByWhole, Why: change.Whole}, nil
	}
	choice := Choice{Way: ByWhole, Why: change.KeysOnly, Summary: parent.Summary}
	added, err := choice.gather(table, parent, change)
	if err != nil {
		return Choice{}, err
	}
	if len(choice.Rows) == 0 {
		choice.Way = BySame
		return choice, nil
	}
	best := readCost*(parent.Summary.Bytes+max(0, grown(choice.Rows))) + rangeCost
	if dirty, cost, possible := dirtyChunks(table, parent, choice.Rows); possible && cost < best {
		choice.Way, choice.Dirty, best = ByChunks, dirty, cost
	}
	switch why := againstDelta(parent, added); {
	case change.KeysOnly != "":
	case why != "":
		choice.Why = why
	case deltaCost*added < best:
		choice.Way, choice.Dirty = ByDelta, nil
	}
	if choice.Why == "" && choice.Way != ByDelta {
		choice.Why = "that many rows changed"
	}
	if choice.Way != ByDelta {
		choice.Rows = nil
	}
	return choice, nil
}

// gather sorts the rows that are others than before, and reckons the table's new
// summary from them. It returns about how many bytes they have.
func (c *Choice) gather(table Table, parent *Parent, change *TableChanges) (added int64, err error) {
	c.Expected = change.KeysOnly == ""
	for _, row := range change.Added {
		c.Summary.Sum.Add(row)
		c.Summary.Rows++
		c.Summary.Bytes += int64(len(row))
		c.Rows = append(c.Rows, ChangedRow{Now: row, at: -1, grows: int64(len(row))})
		added += int64(len(row))
	}
	isKey := keyTable(table)
	average := int64(100)
	if parent.Summary.Rows > 0 {
		average = parent.Summary.Bytes / parent.Summary.Rows
	}
	for key, row := range change.Rows {
		if change.KeysOnly == "" {
			var now Sum
			if row.Now != nil {
				now.Add(row.Now)
			}
			if row.Was == (row.Now != nil) && row.Sum == now {
				continue // it is as it was
			}
			c.Summary.Sum.Part(row.Sum)
			c.Summary.Sum.Join(now)
			c.Summary.Bytes += int64(len(row.Now)) - row.Size
			if row.Was {
				c.Summary.Rows--
			}
			if row.Now != nil {
				c.Summary.Rows++
			}
			added += int64(len(key) + len(row.Now))
		} else {
			added += average
		}
		changed := ChangedRow{Key: []byte(key), Now: row.Now, at: -1, grows: int64(len(row.Now)) - row.Size}
		if table.Seekable() {
			if changed.seek, err = isKey.KeyOf(changed.Key); err != nil {
				return 0, err
			}
			changed.at = placeOf(parent.Data.Chunks, changed.seek)
		}
		c.Rows = append(c.Rows, changed)
	}
	slices.SortStableFunc(c.Rows, func(a, b ChangedRow) int {
		if a.seek != nil {
			return a.seek.Compare(b.seek)
		}
		return slices.Compare(a.Key, b.Key)
	})
	return added, nil
}

// grown is by how many bytes the rows became more.
func grown(rows []ChangedRow) (bytes int64) {
	for _, row := range rows {
		bytes += row.grows
	}
	return bytes
}

// keyTable is a table of the key's columns alone.
func keyTable(t Table) Table {
	out := Table{Database: t.Database, Name: t.Name}
	for i, place := range t.Key {
		out.Columns = append(out.Columns, t.Columns[place])
		out.Key = append(out.Key, i)
	}
	return out
}

// placeOf is the place of the chunk that a key belongs to, -1 without chunks.
func placeOf(chunks []Chunk, key Key) int {
	at, _ := slices.BinarySearchFunc(chunks, key, func(c Chunk, key Key) int {
		if c.Upto == nil {
			return 1
		}
		return cmp.Compare(c.Upto.Compare(key), 0)
	})
	if at == len(chunks) {
		return len(chunks) - 1
	}
	return at
}

// dirtyChunks are those in which rows changed since they were read: now, or in a
// delta of the parent's, for the deltas are dropped when chunks are read again.
func dirtyChunks(table Table, parent *Parent, rows []ChangedRow) (dirty []int, cost int64, possible bool) {
	if !table.Seekable() || len(parent.Data.Chunks) == 0 {
		return nil, 0, false
	}
	isDirty := make([]bool, len(parent.Data.Chunks))
	for _, delta := range parent.Data.Deltas {
		if len(delta.Touches) == 0 {
			return nil, 0, false
		}
		for _, run := range delta.Touches {
			for at := max(run[0], 0); at <= min(run[1], len(isDirty)-1); at++ {
				isDirty[at] = true
			}
		}
	}
	for _, row := range rows {
		isDirty[row.at] = true
		cost += readCost * max(0, row.grows)
	}
	for at, is := range isDirty {
		if !is {
			continue
		}
		if at == 0 || !isDirty[at-1] {
			cost += rangeCost
		}
		dirty = append(dirty, at)
		cost += readCost * parent.Data.Chunks[at].Raw
	}
	return dirty, cost, true
}

// againstDelta says why the table gets no delta more.
func againstDelta(parent *Parent, added int64) string {
	bytes, count := added, len(parent.Data.Deltas)
	for _, delta := range parent.Data.Deltas {
		for _, c := range []*Chunk{delta.Deletes, delta.Upserts} {
			if c != nil {
				bytes += c.Raw
			}
		}
	}
	chunks := int64(0)
	for _, c := range parent.Data.Chunks {
		chunks += c.Raw
	}
	switch {
	case bytes > max(chunks/maxDeltaShare, 1<<20):
		return fmt.Sprintf("its deltas would be more than one part in %d of it", maxDeltaShare)
	case count >= maxDeltas:
		return fmt.Sprintf("it has %d deltas", count)
	}
	return ""
}

var autoIncrement = regexp.MustCompile(`(?m)(^\).*?) AUTO_INCREMENT=\d+`)

// sameDefinition is whether rows mean the same in both. The next value of
// AUTO_INCREMENT is in the schema, and not a matter of rows.
func sameDefinition(a, b Table) bool {
	return autoIncrement.ReplaceAllString(a.Create, "$1") == autoIncrement.ReplaceAllString(b.Create, "$1") &&
		slices.Equal(a.Columns, b.Columns) && slices.Equal(a.Key, b.Key)
}
