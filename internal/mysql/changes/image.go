package changes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// errImage says that a row in the binary log is not as its table map says.
var errImage = errors.New("row image in the binary log does not fit its table map")

// layout is how the row images of one table in the binary log become canonical
// rows (see snapshot/row.go): equal, byte for byte, to what the server sends for
// the same row.
type layout struct {
	table snapshot.Table
	wires []snapshot.Wire
	// Of the log's columns, which are the table's and the generated ones.
	columns []logColumn
	fields  [][]byte // one per column of table, reused
	scratch []byte
}

// logColumn is a column as the binary log has it.
type logColumn struct {
	storage byte // "enum_field_types", the real one for what is logged as STRING
	meta    int  // see size
	place   int  // in the table's columns, -1 when it is not stored
	column  snapshot.Column
	zeros   int // digits of a DECIMAL ZEROFILL before its point, 0 without
}

// newLayout matches the log's columns with the table's, by name where the log has
// names (binlog_row_metadata=FULL). The error says what does not fit.
func newLayout(t snapshot.Table, m *replication.TableMapEvent) (*layout, error) {
	names := m.ColumnNameString()
	if len(names) != int(m.ColumnCount) {
		if int(m.ColumnCount) != len(t.Columns) {
			return nil, fmt.Errorf("the binary log has %d columns and no names of them, the table stores %d (binlog_row_metadata=FULL helps)", m.ColumnCount, len(t.Columns))
		}
		names = nil
	}
	l := &layout{table: t, wires: t.Wires(), fields: make([][]byte, len(t.Columns))}
	found := 0
	for i := range int(m.ColumnCount) {
		c := logColumn{storage: m.ColumnType[i], meta: int(m.ColumnMeta[i]), place: -1}
		if names == nil {
			c.place = i
		}
		for place, column := range t.Columns {
			if names != nil && column.Name == names[i] {
				c.place = place
			}
		}
		if c.storage == gomysql.MYSQL_TYPE_STRING {
			c.unfold()
		}
		if c.place >= 0 {
			found++
			c.column = t.Columns[c.place]
			if c.storage == gomysql.MYSQL_TYPE_NEWDECIMAL && strings.Contains(c.column.Type, "zerofill") {
				c.zeros = c.meta>>8 - c.meta&0xff
			}
			if !c.fits() {
				return nil, fmt.Errorf("column %s is %s, but of type %d in the binary log", c.column.Name, c.column.Type, c.storage)
			}
		}
		l.columns = append(l.columns, c)
	}
	if found != len(t.Columns) {
		return nil, fmt.Errorf("the binary log has %d of the table's %d columns", found, len(t.Columns))
	}
	return l, nil
}

// unfold finds what a column that is logged as STRING really is, and its length: the
// type's byte also holds two bits of it (MySQL source, "Field_string::do_save_field_metadata").
func (c *logColumn) unfold() {
	kind, length := byte(c.meta>>8), c.meta&0xff
	if kind&0x30 != 0x30 {
		length |= int((kind&0x30)^0x30) << 4
		kind |= 0x30
	}
	c.storage, c.meta = kind, length
}

// fits is whether the column's type in the protocol is the one that belongs to how it is stored.
func (c *logColumn) fits() bool {
	w := c.column.Wire
	switch c.storage {
	case gomysql.MYSQL_TYPE_TINY:
		return w == snapshot.WireTiny
	case gomysql.MYSQL_TYPE_SHORT:
		return w == snapshot.WireShort
	case gomysql.MYSQL_TYPE_INT24:
		return w == snapshot.WireInt24
	case gomysql.MYSQL_TYPE_LONG:
		return w == snapshot.WireLong
	case gomysql.MYSQL_TYPE_LONGLONG, gomysql.MYSQL_TYPE_ENUM, gomysql.MYSQL_TYPE_SET:
		return w == snapshot.WireLongLong
	case gomysql.MYSQL_TYPE_FLOAT:
		return w == snapshot.WireFloat
	case gomysql.MYSQL_TYPE_DOUBLE:
		return w == snapshot.WireDouble
	case gomysql.MYSQL_TYPE_YEAR:
		return w == snapshot.WireYear
	case gomysql.MYSQL_TYPE_DATE, gomysql.MYSQL_TYPE_NEWDATE:
		return w == snapshot.WireDate
	case gomysql.MYSQL_TYPE_TIME2:
		return w == snapshot.WireTime
	case gomysql.MYSQL_TYPE_DATETIME2:
		return w == snapshot.WireDatetime
	case gomysql.MYSQL_TYPE_TIMESTAMP2:
		return w == snapshot.WireTimestamp
	}
	return w.IsString()
}

// next appends the canonical row of the first image to dst and returns what
// follows it. present is the event's bitmap of the columns that it logs: an image
// without some column of the table is an error.
func (l *layout) next(dst, image, present []byte) (row, rest []byte, err error) {
	logged := 0
	for i := range l.columns {
		if bit(present, i) {
			logged++
		} else if l.columns[i].place >= 0 {
			return nil, nil, fmt.Errorf("column %s is not in the image (binlog_row_image=FULL helps)", l.columns[i].column.Name)
		}
	}
	size := (logged + 7) / 8
	if len(image) < size {
		return nil, nil, errImage
	}
	nulls, rest := image[:size], image[size:]
	l.scratch = l.scratch[:0]
	at := 0
	for i := range l.columns {
		c := &l.columns[i]
		if !bit(present, i) {
			continue
		}
		isNull := bit(nulls, at)
		at++
		var value []byte
		if !isNull {
			prefix, size := c.size(rest)
			if size < 0 || prefix+size > len(rest) {
				return nil, nil, errImage
			}
			value, rest = rest[prefix:prefix+size], rest[prefix+size:]
		}
		if c.place < 0 {
			continue
		}
		if isNull {
			l.fields[c.place] = nil
			continue
		}
		start := len(l.scratch)
		if l.scratch, err = c.canonical(l.scratch, value); err != nil {
			return nil, nil, fmt.Errorf("column %s: %w", c.column.Name, err)
		}
		// When scratch grows, earlier fields keep its former memory, which is as good.
		l.fields[c.place] = l.scratch[start:len(l.scratch):len(l.scratch)]
		if l.fields[c.place] == nil {
			l.fields[c.place] = []byte{}
		}
	}
	return snapshot.JoinRow(dst, l.wires, l.fields), rest, nil
}

func bit(bitmap []byte, i int) bool { return i/8 < len(bitmap) && bitmap[i/8]&(1<<(i%8)) != 0 }

// size is how many bytes of length precede the value, and how many it has; -1 for
// a type that is not known.
func (c *logColumn) size(rest []byte) (prefix, size int) {
	fraction := (c.meta + 1) / 2 // of the second, for the temporal types
	switch c.storage {
	case gomysql.MYSQL_TYPE_TINY, gomysql.MYSQL_TYPE_YEAR:
		return 0, 1
	case gomysql.MYSQL_TYPE_SHORT:
		return 0, 2
	case gomysql.MYSQL_TYPE_INT24, gomysql.MYSQL_TYPE_DATE, gomysql.MYSQL_TYPE_NEWDATE:
		return 0, 3
	case gomysql.MYSQL_TYPE_LONG, gomysql.MYSQL_TYPE_FLOAT:
		return 0, 4
	case gomysql.MYSQL_TYPE_LONGLONG, gomysql.MYSQL_TYPE_DOUBLE:
		return 0, 8
	case gomysql.MYSQL_TYPE_TIME2:
		return 0, 3 + fraction
	case gomysql.MYSQL_TYPE_TIMESTAMP2:
		return 0, 4 + fraction
	case gomysql.MYSQL_TYPE_DATETIME2:
		return 0, 5 + fraction
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		return 0, decimalSize(c.meta>>8, c.meta&0xff)
	case gomysql.MYSQL_TYPE_BIT: // whole bytes, and bits of another
		return 0, c.meta>>8 + (c.meta&0xff+7)/8
	case gomysql.MYSQL_TYPE_ENUM, gomysql.MYSQL_TYPE_SET:
		return 0, c.meta
	case gomysql.MYSQL_TYPE_STRING, gomysql.MYSQL_TYPE_VARCHAR, gomysql.MYSQL_TYPE_VAR_STRING:
		if c.meta > 255 {
			return sized(rest, 2)
		}
		return sized(rest, 1)
	case gomysql.MYSQL_TYPE_BLOB, gomysql.MYSQL_TYPE_GEOMETRY, gomysql.MYSQL_TYPE_JSON, gomysql.MYSQL_TYPE_VECTOR:
		return sized(rest, c.meta)
	}
	return 0, -1
}

func sized(rest []byte, prefix int) (int, int) {
	if prefix < 1 || prefix > 4 || len(rest) < prefix {
		return 0, -1
	}
	return prefix, int(little(rest[:prefix]))
}

func little(b []byte) uint64 {
	var word [8]byte
	copy(word[:], b)
	return binary.LittleEndian.Uint64(word[:])
}

func big(b []byte) uint64 {
	var word [8]byte
	copy(word[8-len(b):], b)
	return binary.BigEndian.Uint64(word[:])
}

// canonical appends what the protocol has for a value: without its length.
func (c *logColumn) canonical(dst, value []byte) ([]byte, error) {
	switch c.storage {
	case gomysql.MYSQL_TYPE_INT24:
		sign := byte(0)
		if !c.column.Unsigned && value[2]&0x80 != 0 {
			sign = 0xff
		}
		return append(dst, value[0], value[1], value[2], sign), nil
	case gomysql.MYSQL_TYPE_YEAR:
		year := uint16(value[0])
		if year != 0 {
			year += 1900
		}
		return binary.LittleEndian.AppendUint16(dst, year), nil
	case gomysql.MYSQL_TYPE_DATE, gomysql.MYSQL_TYPE_NEWDATE:
		v := little(value)
		return moment{year: int(v >> 9), month: int(v >> 5 & 15), day: int(v & 31)}.date(dst), nil
	case gomysql.MYSQL_TYPE_DATETIME2:
		return datetime2(value).date(dst), nil
	case gomysql.MYSQL_TYPE_TIMESTAMP2:
		return timestamp2(value).date(dst), nil
	case gomysql.MYSQL_TYPE_TIME2:
		return time2(value).time(dst), nil
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		return appendDecimal(dst, value, c.meta>>8, c.meta&0xff, c.zeros), nil
	case gomysql.MYSQL_TYPE_ENUM, gomysql.MYSQL_TYPE_SET:
		return binary.LittleEndian.AppendUint64(dst, little(value)), nil
	case gomysql.MYSQL_TYPE_STRING:
		dst = append(dst, value...)
		if strings.HasPrefix(c.column.Type, "binary") { // the log leaves zeros at its end out
			dst = append(dst, make([]byte, max(0, c.meta-len(value)))...)
		}
		return dst, nil
	case gomysql.MYSQL_TYPE_JSON:
		return appendDocument(dst, value)
	}
	return append(dst, value...), nil
}
