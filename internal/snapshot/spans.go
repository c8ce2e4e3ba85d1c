package snapshot

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/failoverd/failoverd/internal/object"
)

const (
	// spanBytes is about how much is read of an object at once.
	spanBytes = 8 << 20
	// spansAhead is how many requests are under way.
	spansAhead = 4
)

// span is a part of an object with pieces that lie side by side, by their places in
// the refs that were given.
type span struct {
	key           string
	offset, bytes int64
	pieces        []int
}

// spansOf gathers pieces so that few requests read them. No piece is in two of them.
func spansOf(refs []Ref) []span {
	order := make([]int, len(refs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(refs[a].Key, refs[b].Key), cmp.Compare(refs[a].Offset, refs[b].Offset), cmp.Compare(a, b))
	})
	var spans []span
	for _, i := range order {
		ref := refs[i]
		if last := len(spans) - 1; last >= 0 {
			s := &spans[last]
			end := s.offset + s.bytes
			if s.key == ref.Key && ref.Offset <= end && max(end, ref.Offset+ref.Bytes)-s.offset <= spanBytes {
				s.bytes = max(end, ref.Offset+ref.Bytes) - s.offset
				s.pieces = append(s.pieces, i)
				continue
			}
		}
		spans = append(spans, span{key: ref.Key, offset: ref.Offset, bytes: ref.Bytes, pieces: []int{i}})
	}
	return spans
}

// cut takes a piece out of what was read, which may end too early.
func (s span) cut(body []byte, ref Ref) ([]byte, error) {
	from := min(ref.Offset-s.offset, int64(len(body)))
	sealed := body[from:min(from+ref.Bytes, int64(len(body)))]
	if ref.check(sealed) != nil {
		return sealed, ErrDamaged
	}
	return sealed, nil
}

// readPieces gives every piece as stored to use, by its place in refs, with ErrDamaged
// or object.ErrNotFound if it is not what was written or not there. use is called by
// several goroutines at once. Any other error of the store ends it.
func readPieces(ctx context.Context, store object.Store, refs []Ref, use func(i int, sealed []byte, err error) error) error {
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(spansAhead)
	for _, s := range spansOf(refs) {
		if working.Err() != nil {
			break
		}
		group.Go(func() error {
			body, err := store.GetRange(working, s.key, s.offset, s.bytes)
			if err != nil && !errors.Is(err, object.ErrNotFound) {
				return err
			}
			for _, i := range s.pieces {
				sealed, pieceErr := []byte(nil), object.ErrNotFound
				if err == nil {
					sealed, pieceErr = s.cut(body, refs[i])
				}
				if err := use(i, sealed, pieceErr); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
