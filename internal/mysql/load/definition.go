package load

import (
	"errors"
	"strings"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// definition is the statement that makes a table, cut into its parts, as SHOW CREATE
// TABLE lays it out: the head up to the opening bracket, an item a line (columns,
// keys, constraints), and from the closing bracket the options.
type definition struct {
	head  string
	items []string
	tail  string
}

const (
	definitionOpens  = " (\n  "
	definitionJoins  = ",\n  "
	definitionCloses = "\n)"
)

var errDefinition = errors.New("statement is not laid out as SHOW CREATE TABLE does")

// parseDefinition cuts a statement. Put together again the parts are the same, byte
// for byte, or the error says that they are not.
func parseDefinition(create string) (definition, error) {
	var d definition
	start, depth := 0, 0
	for i := 0; i < len(create); i++ {
		switch create[i] {
		case '`', '\'', '"':
			end := quotedEnd(create, i)
			if end < 0 {
				return d, errDefinition
			}
			i = end - 1
		case '(':
			if depth++; depth == 1 && d.head == "" {
				if i == 0 {
					return d, errDefinition
				}
				d.head, start = create[:i-1], i+1
			}
		case ',':
			if depth == 1 {
				d.items = append(d.items, strings.TrimPrefix(create[start:i], "\n  "))
				start = i + 1
			}
		case ')':
			if depth--; depth == 0 {
				d.items = append(d.items, strings.TrimSuffix(strings.TrimPrefix(create[start:i], "\n  "), "\n"))
				d.tail = create[i+1:]
				if d.String() != create {
					return d, errDefinition
				}
				return d, nil
			}
		}
	}
	return d, errDefinition
}

// quotedEnd is where what begins at start with a quote ends, or -1. A quote is
// doubled in every kind; in strings a backslash guards the next byte as well.
func quotedEnd(text string, start int) int {
	quote := text[start]
	for i := start + 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote != '`':
			i++
		case text[i] == quote && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return -1
}

func (d definition) String() string {
	return d.head + definitionOpens + strings.Join(d.items, definitionJoins) + definitionCloses + d.tail
}

// without is the definition without those items that drop says.
func (d definition) without(drop func(item string) bool) definition {
	kept := make([]string, 0, len(d.items))
	for _, item := range d.items {
		if !drop(item) {
			kept = append(kept, item)
		}
	}
	d.items = kept
	return d
}

// missing are the items that other has and d lacks, in order.
func (d definition) missing(other definition) []string {
	have := map[string]bool{}
	for _, item := range d.items {
		have[item] = true
	}
	return other.without(func(item string) bool { return have[item] }).items
}

// inheriting is the definition in which columns that have the table's collation
// because it is the table's say nothing of it, as when they were made. The server
// shows them with COLLATE alone, and those that were given one with CHARACTER SET too;
// to be told COLLATE alone makes a column one of the latter.
func (d definition) inheriting() definition {
	at := indexUnquoted(d.tail, " COLLATE=")
	if at < 0 {
		return d
	}
	collation, _, _ := strings.Cut(d.tail[at+len(" COLLATE="):], " ")
	collation, _, _ = strings.Cut(collation, "\n")
	clause := " COLLATE " + collation
	items := make([]string, len(d.items))
	for i, item := range d.items {
		items[i] = item
		if !strings.HasPrefix(item, "`") || indexUnquoted(item, " CHARACTER SET ") >= 0 {
			continue
		}
		at := indexUnquoted(item, clause)
		if at < 0 {
			continue
		}
		if rest := item[at+len(clause):]; rest == "" || rest[0] == ' ' {
			items[i] = item[:at] + rest
		}
	}
	d.items = items
	return d
}

// keyName is the name of the key that an item defines, quoted; empty if it is none
// or the primary one.
func keyName(item string) string {
	for _, kind := range []string{"KEY ", "UNIQUE KEY ", "FULLTEXT KEY ", "SPATIAL KEY "} {
		if rest, ok := strings.CutPrefix(item, kind); ok && strings.HasPrefix(rest, "`") {
			if end := quotedEnd(rest, 0); end > 0 {
				return rest[:end]
			}
		}
	}
	return ""
}

func isFulltext(item string) bool { return strings.HasPrefix(item, "FULLTEXT KEY ") }

// isForeignKey says whether the item is CONSTRAINT `name` FOREIGN KEY ….
func isForeignKey(item string) bool {
	rest, ok := strings.CutPrefix(item, "CONSTRAINT ")
	if !ok || !strings.HasPrefix(rest, "`") {
		return false
	}
	end := quotedEnd(rest, 0)
	return end > 0 && strings.HasPrefix(rest[end:], " FOREIGN KEY ")
}

// deferrable are the keys that may be made when the rows are in: all but the one
// that rows are found by, those of an AUTO_INCREMENT column, which cannot be without
// one, and InnoDB's own for full text.
func (d definition) deferrable(t snapshot.Table) []string {
	counted := ""
	for _, item := range d.items {
		if strings.HasPrefix(item, "`") {
			end := quotedEnd(item, 0)
			if end > 0 && indexUnquoted(item, " AUTO_INCREMENT") >= 0 {
				counted = item[:end]
			}
		}
	}
	var keys []string
	for _, item := range d.items {
		name := keyName(item)
		if name == "" || name == quote(t.KeyName) || name == "`FTS_DOC_ID_INDEX`" {
			continue
		}
		if counted != "" && strings.Contains(item[len(name):], counted) {
			continue
		}
		keys = append(keys, item)
	}
	return keys
}

// indexUnquoted is where the first sought begins that is in no name and no string, or -1.
func indexUnquoted(text, sought string) int {
	for i := 0; i < len(text); i++ {
		if strings.HasPrefix(text[i:], sought) {
			return i
		}
		if c := text[i]; c == '`' || c == '\'' || c == '"' {
			end := quotedEnd(text, i)
			if end < 0 {
				return -1
			}
			i = end - 1
		}
	}
	return -1
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func quoteID(t snapshot.TableID) string { return quote(t.Database) + "." + quote(t.Name) }
