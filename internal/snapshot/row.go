package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A canonical row is what a server sends for it in the binary protocol (MySQL
// source documentation, "Binary Protocol Resultset Row"), without the leading
// zero byte: a bitmap of NULLs that begins at its third bit, then the values that
// are not NULL. Numbers and dates are exact that way, and the server formats
// nothing. Strings are in their column's own character set. It depends on nothing
// but the values and the columns' types.

// Wire is a column's type in the binary protocol ("enum_field_types").
type Wire byte

// The types whose length is not written before the value as for a string.
const (
	WireTiny      Wire = 1
	WireShort     Wire = 2
	WireLong      Wire = 3
	WireFloat     Wire = 4
	WireDouble    Wire = 5
	WireTimestamp Wire = 7
	WireLongLong  Wire = 8
	WireInt24     Wire = 9
	WireDate      Wire = 10
	WireTime      Wire = 11
	WireDatetime  Wire = 12
	WireYear      Wire = 13
)

// width is the bytes of a value: fixed, or -1 for one length byte before it, or -2
// for a length-encoded string.
func (w Wire) width() int {
	switch w {
	case WireTiny:
		return 1
	case WireShort, WireYear:
		return 2
	case WireLong, WireInt24, WireFloat:
		return 4
	case WireLongLong, WireDouble:
		return 8
	case WireTimestamp, WireDate, WireTime, WireDatetime:
		return -1
	}
	return -2
}

// Integer says whether the type is a whole number of fixed width.
func (w Wire) Integer() bool {
	switch w {
	case WireTiny, WireShort, WireLong, WireInt24, WireLongLong, WireYear:
		return true
	}
	return false
}

// IsString says whether values are sent as strings: a length and bytes.
func (w Wire) IsString() bool { return w.width() == -2 }

var errRow = errors.New("row does not fit its table's columns")

// SplitRow cuts a canonical row into its values: those of fixed width in little
// endian, dates and times in the protocol's form without their length, strings
// without their length; nil is NULL. The values share the row's memory and are
// written over fields, which is grown as needed.
func SplitRow(row []byte, wires []Wire, fields [][]byte) ([][]byte, error) {
	nulls := (len(wires) + 9) / 8
	if len(row) < nulls {
		return nil, fmt.Errorf("%w: %d bytes, %d columns", errRow, len(row), len(wires))
	}
	bitmap, rest := row[:nulls], row[nulls:]
	fields = fields[:0]
	for i, wire := range wires {
		if bitmap[(i+2)/8]&(1<<((i+2)%8)) != 0 {
			fields = append(fields, nil)
			continue
		}
		size := wire.width()
		switch {
		case size == -1 && len(rest) > 0:
			size, rest = int(rest[0]), rest[1:]
		case size == -2:
			length, used := LengthEncoded(rest)
			if used == 0 || length > uint64(len(rest)-used) {
				return nil, fmt.Errorf("%w: column %d of %d is cut off", errRow, i+1, len(wires))
			}
			size, rest = int(length), rest[used:]
		}
		if size < 0 || size > len(rest) {
			return nil, fmt.Errorf("%w: column %d of %d is cut off", errRow, i+1, len(wires))
		}
		fields = append(fields, rest[:size:size])
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes are left after %d columns", errRow, len(rest), len(wires))
	}
	return fields, nil
}

// JoinRow appends the canonical row of the values, as SplitRow cuts them, to dst.
func JoinRow(dst []byte, wires []Wire, fields [][]byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, (len(wires)+9)/8)...)
	for i, wire := range wires {
		value := fields[i]
		if value == nil {
			dst[start+(i+2)/8] |= 1 << ((i + 2) % 8)
			continue
		}
		switch wire.width() {
		case -1:
			dst = append(dst, byte(len(value)))
		case -2:
			dst = appendLength(dst, uint64(len(value)))
		}
		dst = append(dst, value...)
	}
	return dst
}

// LengthEncoded reads an integer as the protocol has them before strings and in the
// headers of results ("Protocol::LengthEncodedInteger"); used is 0 when it is cut off.
func LengthEncoded(b []byte) (n uint64, used int) {
	if len(b) == 0 {
		return 0, 0
	}
	size := 0
	switch b[0] {
	case 0xfc:
		size = 2
	case 0xfd:
		size = 3
	case 0xfe:
		size = 8
	default:
		return uint64(b[0]), 1
	}
	if len(b) < 1+size {
		return 0, 0
	}
	var word [8]byte
	copy(word[:], b[1:1+size])
	return binary.LittleEndian.Uint64(word[:]), 1 + size
}

func appendLength(dst []byte, n uint64) []byte {
	switch {
	case n < 0xfb:
		return append(dst, byte(n))
	case n < 1<<16:
		return append(dst, 0xfc, byte(n), byte(n>>8))
	case n < 1<<24:
		return append(dst, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	}
	return binary.LittleEndian.AppendUint64(append(dst, 0xfe), n)
}
