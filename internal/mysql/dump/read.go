package dump

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// Read implements snapshot.Point.
func (p *point) Read(ctx context.Context, worker int, t snapshot.Table, r snapshot.Range, yield func(row []byte) error) error {
	check := func(columns []column) error { return checkColumns(t, columns) }
	if err := p.workers[worker].stream(ctx, selectRows(t, r), check, yield); err != nil {
		return fmt.Errorf("read %s: %w", t.ID(), err)
	}
	return p.held.done(ctx, t.ID())
}

// selectRows is the statement that reads a range. The key's own index is forced, for
// reading rows in its order needs no sorting.
func selectRows(t snapshot.Table, r snapshot.Range) string {
	var b strings.Builder
	b.WriteString("SELECT ")
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		switch c.Kind {
		case "enum", "set":
			b.WriteString("CAST(" + ident(c.Name) + " AS UNSIGNED)")
		default:
			b.WriteString(ident(c.Name))
		}
	}
	if len(t.Columns) == 0 {
		b.WriteString("0")
	}
	b.WriteString(" FROM " + name(t.ID()))
	if len(t.Key) == 0 || !slices.Contains(versioned, t.Engine) && !t.Seekable() {
		return b.String()
	}
	b.WriteString(" FORCE INDEX (" + ident(t.KeyName) + ")")
	if where := rangeCondition(t, r); where != "" {
		b.WriteString(" WHERE " + where)
	}
	b.WriteString(" ORDER BY " + keyColumns(t, ""))
	return b.String()
}

// keyColumns lists the columns of the key, each with the given order.
func keyColumns(t snapshot.Table, order string) string {
	names := make([]string, len(t.Key))
	for i, place := range t.Key {
		names[i] = ident(t.Columns[place].Name) + order
	}
	return strings.Join(names, ", ")
}

func rangeCondition(t snapshot.Table, r snapshot.Range) string {
	var parts []string
	if r.After != nil {
		parts = append(parts, "("+compareKey(t, ">", ">", r.After)+")")
	}
	if r.Upto != nil {
		parts = append(parts, "("+compareKey(t, "<", "<=", r.Upto)+")")
	}
	return strings.Join(parts, " AND ")
}

// compareKey compares the key with a value column by column: MySQL seeks by such a
// condition, but not by one of whole rows ("Range Optimization of Row Constructor
// Expressions" holds for IN alone). strict compares all but the last column.
func compareKey(t snapshot.Table, strict, last string, value snapshot.Key) string {
	var alternatives []string
	same := ""
	for i, place := range t.Key {
		column, op := ident(t.Columns[place].Name), strict
		if i == len(t.Key)-1 {
			op = last
		}
		alternatives = append(alternatives, same+column+" "+op+" "+value[i])
		same += column + " = " + value[i] + " AND "
	}
	return strings.Join(alternatives, " OR ")
}

// checkColumns compares what the server is about to send with the schema. A row would
// otherwise be cut at the wrong places, or be of other columns.
func checkColumns(t snapshot.Table, columns []column) error {
	if len(columns) != max(len(t.Columns), 1) {
		return fmt.Errorf("%d columns came instead of %d", len(columns), len(t.Columns))
	}
	for i, c := range t.Columns {
		got := columns[i]
		if c.Kind != "enum" && c.Kind != "set" && got.name != c.Name {
			return fmt.Errorf("column %s came instead of %s", got.name, c.Name)
		}
		if got.kind != byte(c.Wire) || c.Wire.Integer() && (got.flags&unsignedFlag != 0) != c.Unsigned {
			return fmt.Errorf("column %s came as type %d (flags %#x), and is to be of type %d", c.Name, got.kind, got.flags, c.Wire)
		}
	}
	return nil
}
