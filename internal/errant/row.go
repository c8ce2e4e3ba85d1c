package errant

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// rowWriter makes statements of the rows of one table.
type rowWriter struct {
	table      *replication.TableMapEvent
	name       string
	columns    []Column // nil when they are not known
	collations map[int]uint64
	// inexact is set when a statement does not say all that the row does.
	inexact bool
}

func (w *rowWriter) insert(row []any, skipped []int) string {
	var names, values []string
	for i, v := range row {
		if slices.Contains(skipped, i) || w.column(i).Generated {
			continue
		}
		names = append(names, w.label(i))
		values = append(values, w.literal(i, v))
	}
	return "INSERT INTO " + w.name + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(values, ", ") + ");"
}

func (w *rowWriter) update(before []any, skippedBefore []int, after []any, skippedAfter []int) string {
	var sets []string
	for i, v := range after {
		if slices.Contains(skippedAfter, i) || w.column(i).Generated {
			continue
		}
		sets = append(sets, w.label(i)+" = "+w.literal(i, v))
	}
	return "UPDATE " + w.name + " SET " + strings.Join(sets, ", ") + " WHERE " + w.where(before, skippedBefore) + " LIMIT 1;"
}

func (w *rowWriter) delete(row []any, skipped []int) string {
	return "DELETE FROM " + w.name + " WHERE " + w.where(row, skipped) + " LIMIT 1;"
}

// where finds the row by its primary key, or without one by all columns that can
// be compared exactly.
func (w *rowWriter) where(row []any, skipped []int) string {
	byKey := slices.ContainsFunc(w.columns, func(c Column) bool { return c.Key })
	var terms []string
	for i, v := range row {
		switch {
		case slices.Contains(skipped, i), byKey && !w.column(i).Key, !byKey && !w.isComparable(i):
			continue
		}
		terms = append(terms, w.label(i)+" <=> "+w.literal(i, v))
	}
	if len(terms) == 0 {
		w.inexact = true
		return "FALSE"
	}
	return strings.Join(terms, " AND ")
}

func (w *rowWriter) column(i int) Column {
	if i < len(w.columns) {
		return w.columns[i]
	}
	return Column{}
}

// label is the column's name, or @1, @2 and so on as mysqlbinlog has it.
func (w *rowWriter) label(i int) string {
	if i < len(w.columns) {
		return identifier(w.columns[i].Name)
	}
	return "@" + strconv.Itoa(i+1)
}

func (w *rowWriter) isComparable(i int) bool {
	switch w.table.ColumnType[i] {
	case mysql.MYSQL_TYPE_FLOAT, mysql.MYSQL_TYPE_JSON, mysql.MYSQL_TYPE_GEOMETRY, mysql.MYSQL_TYPE_VECTOR:
		return false
	}
	return true
}

// literal writes a value so that it is stored as it was.
func (w *rowWriter) literal(i int, v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case int64:
		if w.table.ColumnType[i] == mysql.MYSQL_TYPE_BIT || w.table.IsSetColumn(i) {
			return strconv.FormatUint(uint64(v), 10)
		}
		return strconv.FormatInt(v, 10)
	case int, int8, int16, int32, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v)
	case []byte:
		if w.table.ColumnType[i] == mysql.MYSQL_TYPE_JSON {
			return "'null'" // what an empty document means
		}
		return w.text(i, string(v))
	case string:
		switch w.table.ColumnType[i] {
		case mysql.MYSQL_TYPE_NEWDECIMAL:
			return v
		case mysql.MYSQL_TYPE_JSON:
			return quoted(v)
		case mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VAR_STRING, mysql.MYSQL_TYPE_STRING, mysql.MYSQL_TYPE_BLOB:
			return w.text(i, v)
		}
		return quoted(v) // times
	}
	w.inexact = true // a partial update of a JSON document
	return fmt.Sprintf("/* %T */ NULL", v)
}

// text writes characters that are the same in UTF-8 as a string, and everything
// else as bytes, which a column of any character set takes as they are.
func (w *rowWriter) text(i int, v string) string {
	collation, isText := w.collations[i]
	if isText && isReadable(v) && (isUTF8(collation) || isLatin1(collation) && isASCII(v)) {
		return quoted(v)
	}
	return "x'" + hex.EncodeToString([]byte(v)) + "'"
}

// The ids of MySQL's collations, information_schema.COLLATIONS.
func isUTF8(id uint64) bool {
	switch {
	case id == 11, id == 65, // ascii
		id == 33, id == 76, id == 83, id >= 192 && id <= 223, // utf8mb3
		id == 45, id == 46, id >= 224 && id <= 247, id >= 255 && id <= 323: // utf8mb4
		return true
	}
	return false
}

func isLatin1(id uint64) bool {
	return slices.Contains([]uint64{5, 8, 15, 31, 47, 48, 49, 94}, id)
}

func isASCII(v string) bool {
	return strings.IndexFunc(v, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// isReadable is whether a person, an editor and a terminal get along with it.
func isReadable(v string) bool {
	return utf8.ValidString(v) && strings.IndexFunc(v, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }) < 0
}

func quoted(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''", "\n", `\n`, "\r", `\r`, "\x00", `\0`, "\x1a", `\Z`).Replace(v) + "'"
}
