package snapshot

import (
	"encoding/binary"
	"fmt"
)

// AppendRow appends a row to a chunk's plain content.
func AppendRow(plain, row []byte) []byte {
	return append(binary.AppendUvarint(plain, uint64(len(row))), row...)
}

// EachRow gives every row of a chunk's plain content to yield, until that fails.
func EachRow(plain []byte, yield func(row []byte) error) error {
	for at := 0; at < len(plain); {
		size, used := binary.Uvarint(plain[at:])
		if used <= 0 || size > uint64(len(plain)-at-used) {
			return fmt.Errorf("row at byte %d of the chunk is cut off: %w", at, ErrDamaged)
		}
		at += used
		if err := yield(plain[at : at+int(size)]); err != nil {
			return err
		}
		at += int(size)
	}
	return nil
}
