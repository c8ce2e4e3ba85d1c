package snapshot

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// KeyOf is the key of a canonical row of a Seekable table.
func (t Table) KeyOf(row []byte) (Key, error) {
	fields, err := SplitRow(row, t.Wires(), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.ID(), err)
	}
	key := make(Key, len(t.Key))
	for i, place := range t.Key {
		if key[i], err = decimal(fields[place], t.Columns[place].Unsigned); err != nil {
			return nil, fmt.Errorf("%s: key column %s: %w", t.ID(), t.Columns[place].Name, err)
		}
	}
	return key, nil
}

// decimal is a whole number of the binary protocol in decimal.
func decimal(field []byte, unsigned bool) (string, error) {
	var wide [8]byte
	switch len(field) {
	case 1, 2, 4, 8:
	default:
		return "", fmt.Errorf("%d bytes are no whole number", len(field))
	}
	copy(wide[:], field)
	if !unsigned && field[len(field)-1]&0x80 != 0 { // the sign goes on
		for i := len(field); i < len(wide); i++ {
			wide[i] = 0xff
		}
	}
	word := binary.LittleEndian.Uint64(wide[:])
	if unsigned {
		return strconv.FormatUint(word, 10), nil
	}
	return strconv.FormatInt(int64(word), 10), nil
}

// Compare orders keys as the server does: -1, 0 or 1.
func (k Key) Compare(other Key) int {
	for i := range min(len(k), len(other)) {
		if c := compareDecimals(k[i], other[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(k), len(other))
}

func compareDecimals(a, b string) int {
	a, isNegative := strings.CutPrefix(a, "-")
	b, otherIsNegative := strings.CutPrefix(b, "-")
	switch {
	case isNegative != otherIsNegative && isNegative:
		return -1
	case isNegative != otherIsNegative:
		return 1
	case isNegative:
		a, b = b, a
	}
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}
