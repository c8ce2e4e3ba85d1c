package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// Sum is the content hash of a set of rows: the sum, modulo 2^256, of the SHA-256
// of each canonical row. Rows may be added in any order and taken out again, so
// that a table's sum follows from the rows that changed; a row that is there twice
// counts twice. It guards against damage and mistakes, not against an adversary
// who can choose rows.
type Sum [4]uint64

// Add counts a row in.
func (s *Sum) Add(row []byte) { s.Join(sumOf(row)) }

// Remove counts a row out.
func (s *Sum) Remove(row []byte) { s.Part(sumOf(row)) }

// Part counts all rows of another sum out.
func (s *Sum) Part(other Sum) {
	borrow := uint64(0)
	for i := range s {
		s[i], borrow = bits.Sub64(s[i], other[i], borrow)
	}
}

// Join counts all rows of another sum in.
func (s *Sum) Join(other Sum) {
	carry := uint64(0)
	for i := range s {
		s[i], carry = bits.Add64(s[i], other[i], carry)
	}
}

func sumOf(row []byte) Sum {
	var s Sum
	hash := sha256.Sum256(row)
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(hash[8*i:])
	}
	return s
}

// String is 64 hexadecimal digits.
func (s Sum) String() string {
	var raw [sha256.Size]byte
	for i, word := range s {
		binary.LittleEndian.PutUint64(raw[8*i:], word)
	}
	return hex.EncodeToString(raw[:])
}

// MarshalText implements encoding.TextMarshaler.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Sum) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != sha256.Size {
		return fmt.Errorf("content hash %q is not %d hexadecimal digits", text, 2*sha256.Size)
	}
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return nil
}
