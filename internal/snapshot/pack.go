package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/object"
)

// packBytes is how large a pack gets before the next is begun. Stores charge by the
// request, and a pack takes six; on the other hand a pack goes only when nothing in
// it is used any more.
const packBytes = 32 << 20

// abortTimeout bounds the removal of an upload that failed.
const abortTimeout = 10 * time.Second

// Packer gathers pieces in packs, objects of 32 MiB and more, and sends them out
// while they grow. It is used by one goroutine; each has its own. Whoever ends before
// a Flush calls Close.
type Packer struct {
	store  object.Store
	box    *Box
	prefix string // of the packs' keys; a number follows
	number int

	upload object.Upload // of the present pack; nil before its first piece
	bytes  int64         // of the present pack
	last   Ref           // its last piece
	sealed []byte        // memory for one piece
}

// NewPacker returns a Packer whose packs' keys are prefix and a number. Nobody else may
// write keys with that prefix, ever.
func NewPacker(store object.Store, box *Box, prefix string) *Packer {
	return &Packer{store: store, box: box, prefix: prefix, number: 1}
}

// Add seals a piece and says where it will be. It is there after a later Flush. After
// an error, which names the object, the pack is gone and the Packer of no more use.
func (p *Packer) Add(ctx context.Context, plain []byte) (Ref, error) {
	ref, err := p.add(ctx, plain)
	if err != nil {
		p.Close()
		return Ref{}, fmt.Errorf("pack %s: %w", p.key(), err)
	}
	if p.bytes >= packBytes {
		err = p.Flush(ctx)
	}
	return ref, err
}

func (p *Packer) add(ctx context.Context, plain []byte) (Ref, error) {
	sealed, err := p.box.Seal(p.sealed[:0], plain)
	if err != nil {
		return Ref{}, err
	}
	p.sealed = sealed
	if p.upload == nil {
		if p.upload, err = p.store.Upload(ctx, p.key()); err != nil {
			return Ref{}, err
		}
	}
	if err := p.upload.Write(ctx, sealed); err != nil {
		return Ref{}, err
	}
	p.last = refTo(p.key(), sealed)
	p.last.Offset = p.bytes
	p.bytes += p.last.Bytes
	return p.last, nil
}

// Flush completes the pack of what was added since the last one, if anything was.
func (p *Packer) Flush(ctx context.Context) error {
	if p.upload == nil {
		return nil
	}
	if err := commit(ctx, p.store, p.upload, p.last); err != nil {
		p.Close()
		return fmt.Errorf("pack %s: %w", p.key(), err)
	}
	p.upload, p.bytes = nil, 0
	p.number++
	return nil
}

// Close removes what was added and not flushed. It may be called at any time and
// outlives its caller's context; what it cannot remove, a sweep does.
func (p *Packer) Close() {
	if p.upload == nil {
		return
	}
	abort(p.upload)
	p.upload, p.bytes = nil, 0
}

func (p *Packer) key() string { return fmt.Sprintf("%s%06d", p.prefix, p.number) }

// PutSealed seals a whole object and writes it where nothing is yet.
func PutSealed(ctx context.Context, store object.Store, box *Box, key string, plain []byte) (Ref, error) {
	sealed, err := box.Seal(nil, plain)
	if err != nil {
		return Ref{}, err
	}
	return putOnce(ctx, store, key, sealed)
}

// putOnce writes an object where nothing is yet, unless it is this very one.
func putOnce(ctx context.Context, store object.Store, key string, body []byte) (Ref, error) {
	ref := refTo(key, body)
	upload, err := store.Upload(ctx, key)
	if err != nil {
		return Ref{}, err
	}
	if err = upload.Write(ctx, body); err == nil {
		err = commit(ctx, store, upload, ref)
	}
	if err != nil {
		abort(upload)
		return Ref{}, err
	}
	return ref, nil
}

// commit makes an upload an object. Its reply may be lost, so what the error of one
// that took would be is read: the last piece tells whether the object is ours.
func commit(ctx context.Context, store object.Store, upload object.Upload, last Ref) error {
	err := upload.Commit(ctx, object.IfAbsent)
	if !errors.Is(err, object.ErrConflict) && !errors.Is(err, object.ErrUnavailable) {
		return err
	}
	if last.Bytes == 0 {
		return err
	}
	if _, readErr := readSealed(ctx, store, last); readErr != nil {
		return err
	}
	return nil
}

// abort forgets the error: what is left in the store is swept some day.
func abort(upload object.Upload) {
	ctx, cancel := context.WithTimeout(context.Background(), abortTimeout)
	defer cancel()
	_ = upload.Abort(ctx)
}

func refTo(key string, sealed []byte) Ref {
	sum := sha256.Sum256(sealed)
	return Ref{Key: key, Bytes: int64(len(sealed)), SHA256: hex.EncodeToString(sum[:])}
}

// Read returns what ref refers to, opened. The error names the object, and the place
// in it, that is missing or not what was written.
func Read(ctx context.Context, store object.Store, box *Box, ref Ref) ([]byte, error) {
	sealed, err := readSealed(ctx, store, ref)
	if err != nil {
		return nil, err
	}
	plain, err := box.Open(sealed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return plain, nil
}

func readSealed(ctx context.Context, store object.Store, ref Ref) ([]byte, error) {
	sealed, err := store.GetRange(ctx, ref.Key, ref.Offset, ref.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	if err := ref.check(sealed); err != nil {
		return nil, err
	}
	return sealed, nil
}

func (r Ref) check(sealed []byte) error {
	if got := refTo(r.Key, sealed); got.Bytes != r.Bytes || got.SHA256 != r.SHA256 {
		return fmt.Errorf("%s: %w", r, ErrDamaged)
	}
	return nil
}

func (r Ref) String() string {
	return fmt.Sprintf("bytes %d to %d of %s", r.Offset, r.Offset+r.Bytes, r.Key)
}
