package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// Segment is a piece of the binary log in the store: what was shipped at once.
type Segment struct {
	Format  int    `json:"format"`
	Product string `json:"product"`
	// Epoch is the chain's when the segment was begun, as the shipper knew it. Seq counts
	// the segments of the product from 1, over all epochs, without a gap.
	Epoch uint64 `json:"epoch"`
	Seq   uint64 `json:"seq"`
	// UUID is that of the server whose log it is.
	UUID string `json:"uuid"`
	// Previous are all transactions before it: those that the segments before hold, and those
	// that history began with.
	Previous topology.GTIDSet `json:"previous"`
	// GTIDs are the transactions that end in it, First and Last their first and last
	// time of commit, zero without any.
	GTIDs topology.GTIDSet `json:"gtids"`
	First time.Time        `json:"first,omitzero"`
	Last  time.Time        `json:"last,omitzero"`
	// Continues says that it begins in the midst of the transaction that the segment
	// before it left Unfinished.
	Continues  bool   `json:"continues,omitempty"`
	Unfinished string `json:"unfinished,omitempty"`
	// Gap says why something is missing between the segment before it and this one.
	Gap string `json:"gap,omitempty"`
	// SHA256 is of Events as stored, hexadecimal.
	SHA256 string `json:"sha256"`
	// Events are laid out as rows of a chunk: a raw format description, then events as closeEvent has them.
	Events []byte `json:"-"`
}

// SegmentPrefix is that of all segments of a product; they sort by epoch and number.
func SegmentPrefix(product string) string { return Prefix(product) + "binlog/" }

// SegmentKey is the key of a segment.
func SegmentKey(product string, epoch, seq uint64) string {
	return fmt.Sprintf("%s%010d/%012d", SegmentPrefix(product), epoch, seq)
}

// SegmentID is what a segment's key says of it.
type SegmentID struct{ Epoch, Seq uint64 }

// Segments are the segments of a product in the store, in order.
func Segments(ctx context.Context, store object.Store, product string) ([]SegmentID, error) {
	entries, err := store.List(ctx, SegmentPrefix(product))
	if err != nil {
		return nil, err
	}
	var ids []SegmentID
	for _, e := range entries {
		var id SegmentID
		rest := strings.TrimPrefix(e.Key, SegmentPrefix(product))
		if _, err := fmt.Sscanf(rest, "%d/%d", &id.Epoch, &id.Seq); err == nil && SegmentKey(product, id.Epoch, id.Seq) == e.Key {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// PutSegment writes a segment where none is yet. That it is there already, as
// happens when an answer was lost, is no error; another one is object.ErrConflict.
func PutSegment(ctx context.Context, store object.Store, box *Box, s Segment) (bytes int64, err error) {
	s.Format = Format
	s.SHA256 = hexSum(s.Events)
	header, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	plain := append(binary.AppendUvarint(make([]byte, 0, len(header)+len(s.Events)+10), uint64(len(header))), header...)
	sealed, err := box.Seal(nil, append(plain, s.Events...))
	if err != nil {
		return 0, err
	}
	key := SegmentKey(s.Product, s.Epoch, s.Seq)
	_, err = store.Put(ctx, key, sealed, object.IfAbsent)
	if errors.Is(err, object.ErrConflict) {
		there, readErr := GetSegment(ctx, store, box, s.Product, SegmentID{s.Epoch, s.Seq})
		if readErr != nil {
			return 0, readErr
		}
		if there.SHA256 != s.SHA256 || !there.Previous.Equal(s.Previous) {
			return 0, fmt.Errorf("%s: somebody else ships the binary log of %s: %w", key, s.Product, err)
		}
		err = nil
	}
	return int64(len(sealed)), err
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// GetSegment reads a segment. The error names it when it is missing (object.ErrNotFound)
// or not what was written (ErrDamaged).
func GetSegment(ctx context.Context, store object.Store, box *Box, product string, id SegmentID) (Segment, error) {
	key := SegmentKey(product, id.Epoch, id.Seq)
	stored, err := store.Get(ctx, key)
	if err != nil {
		return Segment{}, fmt.Errorf("segment %s of the binary log: %w", key, err)
	}
	plain, err := box.Open(stored.Body)
	if err != nil {
		return Segment{}, fmt.Errorf("segment %s of the binary log: %w: %w", key, ErrDamaged, err)
	}
	var s Segment
	size, used := binary.Uvarint(plain)
	if used <= 0 || size > uint64(len(plain)-used) {
		return Segment{}, fmt.Errorf("segment %s of the binary log: %w", key, ErrDamaged)
	}
	if err := json.Unmarshal(plain[used:used+int(size)], &s); err != nil {
		return Segment{}, fmt.Errorf("segment %s of the binary log: %w: %w", key, ErrDamaged, err)
	}
	s.Events = plain[used+int(size):]
	switch {
	case s.Format > Format:
		return Segment{}, fmt.Errorf("segment %s of the binary log is of format %d, which this version of failoverd does not know", key, s.Format)
	case s.Product != product || s.Epoch != id.Epoch || s.Seq != id.Seq || s.SHA256 != hexSum(s.Events):
		return Segment{}, fmt.Errorf("segment %s of the binary log: %w", key, ErrDamaged)
	}
	return s, nil
}

// CaughtUp says that nothing that was committed until some time was left to ship: until
// then history is whole, though no transaction may be as young.
type CaughtUp struct {
	At    time.Time        `json:"at"`
	GTIDs topology.GTIDSet `json:"gtids"`
}

// shippedPrefix is that of what is known of the segments of a product, which the sweep leaves alone.
func shippedPrefix(product string) string { return Prefix(product) + "shipped/" }

func caughtUpKey(product string) string { return shippedPrefix(product) + "caught-up.json" }

func putCaughtUp(ctx context.Context, store object.Store, product string, c CaughtUp) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = store.Put(ctx, caughtUpKey(product), body, object.Always)
	return err
}

// getCaughtUp gives the zero value where it was never written.
func getCaughtUp(ctx context.Context, store object.Store, product string) (c CaughtUp, err error) {
	stored, err := store.Get(ctx, caughtUpKey(product))
	if errors.Is(err, object.ErrNotFound) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(stored.Body, &c); err != nil {
		return c, fmt.Errorf("%s: %w: %w", caughtUpKey(product), ErrDamaged, err)
	}
	return c, nil
}
