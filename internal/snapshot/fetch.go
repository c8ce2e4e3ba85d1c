package snapshot

import (
	"context"
	"fmt"

	"github.com/failoverd/failoverd/internal/object"
)

// fetchAhead is how many chunks are read and checked while others are used.
const fetchAhead = 2

// eachChunk reads chunks, in order and a little ahead, and gives the plain content of
// each to use once it is known to be what was written: its SHA-256, its number of
// rows, their bytes and their sum.
func eachChunk(ctx context.Context, store object.Store, box *Box, chunks []*Chunk, use func(plain []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type fetched struct {
		plain []byte
		err   error
	}
	ahead := make(chan fetched, fetchAhead-1)
	go func() {
		defer close(ahead)
		for _, c := range chunks {
			plain, err := readChunk(ctx, store, box, *c)
			select {
			case ahead <- fetched{plain, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	defer func() {
		cancel()
		for range ahead { // so that nobody reads any more when this returns
		}
	}()
	for range chunks {
		select {
		case f, more := <-ahead:
			if !more { // it gave up because ctx ended
				return context.Cause(ctx)
			}
			if f.err != nil {
				return f.err
			}
			if err := use(f.plain); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// readChunk returns the plain content of a chunk, checked.
func readChunk(ctx context.Context, store object.Store, box *Box, c Chunk) ([]byte, error) {
	plain, err := Read(ctx, store, box, c.Ref)
	if err != nil {
		return nil, err
	}
	var rows, raw int64
	var sum Sum
	err = EachRow(plain, func(row []byte) error {
		rows, raw = rows+1, raw+int64(len(row))
		sum.Add(row)
		return nil
	})
	if err == nil && (rows != c.Rows || raw != c.Raw || sum != c.Sum) {
		err = fmt.Errorf("%d rows of %d bytes with the sum %s, not %d of %d with %s: %w", rows, raw, sum, c.Rows, c.Raw, c.Sum, ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("chunk at byte %d of %s: %w", c.Offset, c.Key, err)
	}
	return plain, nil
}
