package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/failoverd/failoverd/internal/object"
)

// copyAhead is how many objects are copied at once. Each takes about 24 MiB of memory.
const copyAhead = 2

// CatchUp brings what is kept of a product's snapshots from one store to another that
// lacks them, the newest first, and returns the names of those that it brought. One
// that cannot be copied does not keep the others back, unless a store is away.
func CatchUp(ctx context.Context, from, to object.Store, box *Box, product string, policy Retention) (brought []string, err error) {
	manifests, bad := List(ctx, from, box, product)
	there, _, err := listIDs(ctx, to, product)
	if err != nil {
		return nil, errors.Join(append(bad, err)...)
	}
	kept, _ := Keep(policy, manifests, nil, time.Now())
	slices.Reverse(kept)
	failed := bad
	for _, k := range kept {
		if slices.Contains(there, k.ID) {
			continue
		}
		err := Replicate(ctx, from, to, box, product, k.ID)
		if err == nil {
			brought = append(brought, k.ID)
			continue
		}
		failed = append(failed, err)
		if ctx.Err() != nil || errors.Is(err, object.ErrUnavailable) || errors.Is(err, ErrBusy) {
			break
		}
	}
	return brought, errors.Join(failed...)
}

// Replicate brings a snapshot from one store to another, the manifest last. Objects that
// are there already are left as they are. All stores of a product hold the same bytes,
// encrypted for the same recipients. The error wraps ErrDamaged, and names the object,
// when what is to be copied is not what was written: damage does not spread.
func Replicate(ctx context.Context, from, to object.Store, box *Box, product, id string) error {
	if err := replicate(ctx, from, to, box, product, id); err != nil {
		return fmt.Errorf("copy snapshot %s to another store: %w", id, err)
	}
	return nil
}

func replicate(ctx context.Context, from, to object.Store, box *Box, product, id string) error {
	key := ManifestKey(product, id)
	switch _, err := to.GetRange(ctx, key, 0, 1); {
	case err == nil:
		return nil
	case !errors.Is(err, object.ErrNotFound):
		return err
	}
	reading, err := Hold(ctx, from, product, id, "copy to another store")
	if errors.Is(err, object.ErrNotFound) {
		return err
	}
	defer reading.End() // it may be nil, for the store may be one that cannot be written
	writing, err := HoldAll(ctx, to, product, "copy from another store")
	if err != nil {
		return err
	}
	defer writing.End()
	manifest, err := from.Get(ctx, key)
	if err != nil {
		return err
	}
	m, err := Load(ctx, from, box, product, id)
	if err != nil {
		return err
	}
	catalog, err := LoadCatalog(ctx, from, box, m)
	if err != nil {
		return asDamage(err)
	}
	if err := copyObjects(ctx, from, to, product, refsOf(m, catalog)); err != nil {
		return err
	}
	_, err = putOnce(ctx, to, key, manifest.Body)
	return err
}

// asDamage says of something that a snapshot refers to and is not there that this is damage.
func asDamage(err error) error {
	if errors.Is(err, object.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// copyObjects copies the objects that hold the pieces, if they are not there yet.
func copyObjects(ctx context.Context, from, to object.Store, product string, refs []Ref) error {
	ours, err := sizesIn(ctx, from, product)
	if err != nil {
		return err
	}
	theirs, err := sizesIn(ctx, to, product)
	if err != nil {
		return err
	}
	spans := map[string][]span{}
	for _, s := range spansOf(refs) {
		spans[s.key] = append(spans[s.key], s)
	}
	for key := range spans {
		if _, is := ours[key]; !is {
			return fmt.Errorf("%s: %w: %w", key, ErrDamaged, object.ErrNotFound)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(copyAhead)
	for key, pieces := range spans {
		size := ours[key]
		there, is := theirs[key]
		if is && there == size {
			continue
		}
		cond := object.IfAbsent
		if is { // nobody writes it but for this, and it is not what it is to be
			cond = object.Always
		}
		group.Go(func() error { return copyObject(ctx, from, to, key, size, pieces, refs, cond) })
	}
	return group.Wait()
}

// sizesIn are the sizes of all data of the product in the store.
func sizesIn(ctx context.Context, store object.Store, product string) (map[string]int64, error) {
	entries, err := store.List(ctx, Prefix(product)+"data/")
	if err != nil {
		return nil, err
	}
	sizes := make(map[string]int64, len(entries))
	for _, e := range entries {
		sizes[e.Key] = e.Size
	}
	return sizes, nil
}

// copyObject copies an object whole and compares the pieces in it on the way; between
// them may be others, which nothing that is copied refers to.
func copyObject(ctx context.Context, from, to object.Store, key string, size int64, spans []span, refs []Ref, cond object.Condition) error {
	upload, err := to.Upload(ctx, key)
	if err != nil {
		return err
	}
	if err := copySpans(ctx, from, upload, key, size, spans, refs); err != nil {
		abort(upload)
		return err
	}
	// Whoever copied it meanwhile copied the same.
	if err := upload.Commit(ctx, cond); err != nil {
		abort(upload)
		if !errors.Is(err, object.ErrConflict) {
			return err
		}
	}
	return nil
}

func copySpans(ctx context.Context, from object.Store, upload object.Upload, key string, size int64, spans []span, refs []Ref) error {
	at := int64(0)
	between := func(upto int64) error {
		for at < upto {
			body, err := from.GetRange(ctx, key, at, min(upto-at, spanBytes))
			if err != nil {
				return err
			}
			if err := upload.Write(ctx, body); err != nil {
				return err
			}
			at += int64(len(body))
		}
		return nil
	}
	for _, s := range spans {
		if err := between(s.offset); err != nil {
			return err
		}
		body, err := from.GetRange(ctx, key, s.offset, s.bytes)
		if err != nil {
			return asDamage(err)
		}
		for _, i := range s.pieces {
			if _, err := s.cut(body, refs[i]); err != nil {
				return fmt.Errorf("%s: %w", refs[i], err)
			}
		}
		if end := s.offset + s.bytes; end > at {
			if err := upload.Write(ctx, body[at-s.offset:]); err != nil {
				return err
			}
			at = end
		}
	}
	return between(size)
}
