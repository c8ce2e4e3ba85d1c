package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/failoverd/failoverd/internal/object"
)

// packBytes is how large a pack gets before the next is begun.
const packBytes = 16 << 20

// Packer gathers pieces in packs, objects of 16 MiB and more, since stores charge
// by the request. It is used by one goroutine; each has its own.
type Packer struct {
	store  object.Store
	box    *Box
	prefix string // of the packs' keys; a number follows
	number int
	buffer []byte
}

// NewPacker returns a Packer whose packs' keys are prefix and a number.
func NewPacker(store object.Store, box *Box, prefix string) *Packer {
	return &Packer{store: store, box: box, prefix: prefix, number: 1}
}

// Add seals a piece and says where it will be. It is there after a later Flush.
func (p *Packer) Add(ctx context.Context, plain []byte) (Ref, error) {
	start := len(p.buffer)
	buffer, err := p.box.Seal(p.buffer, plain)
	if err != nil {
		return Ref{}, err
	}
	p.buffer = buffer
	ref := refTo(p.key(), buffer[start:])
	ref.Offset = int64(start)
	if len(p.buffer) >= packBytes {
		err = p.Flush(ctx)
	}
	return ref, err
}

// Flush writes what was added and not yet written.
func (p *Packer) Flush(ctx context.Context) error {
	if len(p.buffer) == 0 {
		return nil
	}
	if _, err := p.store.Put(ctx, p.key(), p.buffer, object.IfAbsent); err != nil {
		return err
	}
	p.buffer = p.buffer[:0]
	p.number++
	return nil
}

func (p *Packer) key() string { return fmt.Sprintf("%s%06d", p.prefix, p.number) }

// PutSealed seals a whole object and writes it where nothing is yet.
func PutSealed(ctx context.Context, store object.Store, box *Box, key string, plain []byte) (Ref, error) {
	sealed, err := box.Seal(nil, plain)
	if err != nil {
		return Ref{}, err
	}
	_, err = store.Put(ctx, key, sealed, object.IfAbsent)
	return refTo(key, sealed), err
}

func refTo(key string, sealed []byte) Ref {
	sum := sha256.Sum256(sealed)
	return Ref{Key: key, Bytes: int64(len(sealed)), SHA256: hex.EncodeToString(sum[:])}
}

// Read returns what ref refers to, opened. The error names the object, and the place
// in it, that is missing or not what was written.
func Read(ctx context.Context, store object.Store, box *Box, ref Ref) ([]byte, error) {
	sealed, err := store.GetRange(ctx, ref.Key, ref.Offset, ref.Bytes)
	if err != nil {
		return nil, fmt.Errorf("bytes %d to %d of %s: %w", ref.Offset, ref.Offset+ref.Bytes, ref.Key, err)
	}
	if got := refTo(ref.Key, sealed); got.Bytes != ref.Bytes || got.SHA256 != ref.SHA256 {
		return nil, fmt.Errorf("bytes %d to %d of %s: %w", ref.Offset, ref.Offset+ref.Bytes, ref.Key, ErrDamaged)
	}
	plain, err := box.Open(sealed)
	if err != nil {
		return nil, fmt.Errorf("bytes %d to %d of %s: %w", ref.Offset, ref.Offset+ref.Bytes, ref.Key, err)
	}
	return plain, nil
}
