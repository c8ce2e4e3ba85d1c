package load

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// text writes the canonical rows of one table as LOAD DATA reads them: fields that a
// tabulator ends, lines that a newline ends, a backslash before what would be
// mistaken for either, and \N for NULL (MySQL Reference Manual, "LOAD DATA
// Statement"). Numbers are written so that the server reads the same bits.
type text struct {
	columns []snapshot.Column
	wires   []snapshot.Wire
	fields  [][]byte
	// withOdds has a line end with the odd numbers of its documents; see odd.
	withOdds bool
}

func newText(t snapshot.Table) *text {
	return &text{columns: t.Columns, wires: t.Wires()}
}

// append appends the line of a row to dst.
func (x *text) append(dst, row []byte) ([]byte, error) {
	fields, err := snapshot.SplitRow(row, x.wires, x.fields)
	if err != nil {
		return dst, err
	}
	x.fields = fields
	for i, field := range fields {
		if i > 0 {
			dst = append(dst, '\t')
		}
		if field == nil {
			dst = append(dst, '\\', 'N')
			continue
		}
		if dst, err = appendField(dst, x.columns[i], field); err != nil {
			return dst, fmt.Errorf("column %s: %w", x.columns[i].Name, err)
		}
	}
	if x.withOdds {
		for _, o := range oddNumbers(x.columns, fields) {
			dst = append(append(dst, '\t'), o.token...)
		}
	}
	return append(dst, '\n'), nil
}

// odds are the odd numbers of a row's documents.
func (x *text) odds(row []byte) ([]odd, error) {
	fields, err := snapshot.SplitRow(row, x.wires, x.fields)
	if err != nil {
		return nil, err
	}
	x.fields = fields
	return oddNumbers(x.columns, fields), nil
}

func appendField(dst []byte, c snapshot.Column, v []byte) ([]byte, error) {
	switch c.Wire {
	case snapshot.WireTiny:
		return appendInteger(dst, c.Unsigned, int64(int8(v[0])), uint64(v[0])), nil
	case snapshot.WireShort:
		n := binary.LittleEndian.Uint16(v)
		return appendInteger(dst, c.Unsigned, int64(int16(n)), uint64(n)), nil
	case snapshot.WireYear:
		// '0' is the year 2000, '0000' is no year.
		return appendPadded(dst, int(binary.LittleEndian.Uint16(v)), 4), nil
	case snapshot.WireLong, snapshot.WireInt24:
		n := binary.LittleEndian.Uint32(v)
		return appendInteger(dst, c.Unsigned, int64(int32(n)), uint64(n)), nil
	case snapshot.WireLongLong:
		n := binary.LittleEndian.Uint64(v)
		return appendInteger(dst, c.Unsigned, int64(n), n), nil
	case snapshot.WireFloat:
		// The server reads a double and rounds it to a float: the float's own value,
		// written as a double, is not rounded at all.
		return strconv.AppendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(v))), 'e', -1, 64), nil
	case snapshot.WireDouble:
		return strconv.AppendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(v)), 'e', -1, 64), nil
	case snapshot.WireDate, snapshot.WireDatetime, snapshot.WireTimestamp:
		return appendDate(dst, v, c.Wire == snapshot.WireDate)
	case snapshot.WireTime:
		return appendTime(dst, v)
	}
	return appendEscaped(dst, v), nil
}

func appendInteger(dst []byte, unsigned bool, signed int64, plain uint64) []byte {
	if unsigned {
		return strconv.AppendUint(dst, plain, 10)
	}
	return strconv.AppendInt(dst, signed, 10)
}

// appendPadded writes n with at least so many digits.
func appendPadded(dst []byte, n, digits int) []byte {
	for limit, k := 10, 1; k < digits; limit, k = limit*10, k+1 {
		if n < limit {
			for ; k < digits; k++ {
				dst = append(dst, '0')
			}
			break
		}
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

// appendDate writes what the protocol sends in 0, 4, 7 or 11 bytes; what is left out
// is zero.
func appendDate(dst, v []byte, dateOnly bool) ([]byte, error) {
	var whole [11]byte
	switch len(v) {
	case 0, 4, 7, 11:
		copy(whole[:], v)
	default:
		return dst, fmt.Errorf("a date of %d bytes: %w", len(v), snapshot.ErrDamaged)
	}
	dst = appendPadded(dst, int(binary.LittleEndian.Uint16(whole[:])), 4)
	dst = appendPadded(append(dst, '-'), int(whole[2]), 2)
	dst = appendPadded(append(dst, '-'), int(whole[3]), 2)
	if dateOnly {
		return dst, nil
	}
	return appendClock(append(dst, ' '), int(whole[4]), whole[5], whole[6], binary.LittleEndian.Uint32(whole[7:])), nil
}

// appendTime writes what the protocol sends in 0, 8 or 12 bytes: a sign, days, and
// the time of day.
func appendTime(dst, v []byte) ([]byte, error) {
	var whole [12]byte
	switch len(v) {
	case 0, 8, 12:
		copy(whole[:], v)
	default:
		return dst, fmt.Errorf("a time of %d bytes: %w", len(v), snapshot.ErrDamaged)
	}
	if whole[0] != 0 {
		dst = append(dst, '-')
	}
	hours := int(binary.LittleEndian.Uint32(whole[1:]))*24 + int(whole[5])
	return appendClock(dst, hours, whole[6], whole[7], binary.LittleEndian.Uint32(whole[8:])), nil
}

func appendClock(dst []byte, hours int, minutes, seconds byte, micros uint32) []byte {
	dst = appendPadded(dst, hours, 2)
	dst = appendPadded(append(dst, ':'), int(minutes), 2)
	dst = appendPadded(append(dst, ':'), int(seconds), 2)
	if micros == 0 {
		return dst
	}
	return appendPadded(append(dst, '.'), int(micros), 6)
}

// appendEscaped writes bytes. Those that stand for themselves go in runs.
func appendEscaped(dst, v []byte) []byte {
	start := 0
	for i, b := range v {
		switch b {
		case '\\', '\t', '\n':
		case 0:
			b = '0'
		default:
			continue
		}
		dst = append(dst, v[start:i]...)
		if b == '\t' {
			b = 't'
		} else if b == '\n' {
			b = 'n'
		}
		dst = append(dst, '\\', b)
		start = i + 1
	}
	return append(dst, v[start:]...)
}
