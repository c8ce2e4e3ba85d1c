package snapshot

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/failoverd/failoverd/internal/object"
)

// loadAhead is how many manifests are read at once.
const loadAhead = 8

// List returns the snapshots of a product, the oldest first. A manifest that cannot be
// read, or that is not what it should be, is left out, and the error for it names its
// key; the other snapshots are there all the same.
func List(ctx context.Context, store object.Store, box *Box, product string) ([]Manifest, []error) {
	ids, strange, err := listIDs(ctx, store, product)
	if err != nil {
		return nil, []error{err}
	}
	found, bad := loadAll(ctx, store, box, product, ids)
	return found, append(strange, bad...)
}

// loadAll reads the manifests that are there, in the order of the IDs.
func loadAll(ctx context.Context, store object.Store, box *Box, product string, ids []string) (found []Manifest, bad []error) {
	loaded, errs := make([]Manifest, len(ids)), make([]error, len(ids))
	var group errgroup.Group
	group.SetLimit(loadAhead)
	for i, id := range ids {
		group.Go(func() error {
			loaded[i], errs[i] = Load(ctx, store, box, product, id)
			return nil
		})
	}
	_ = group.Wait() // it has none
	for i, err := range errs {
		switch {
		case err == nil:
			found = append(found, loaded[i])
		case !errors.Is(err, object.ErrNotFound): // else it expired meanwhile
			bad = append(bad, &unreadError{id: ids[i], err: err})
		}
	}
	return found, bad
}

// unreadError is about one snapshot, whose manifest the error in it names.
type unreadError struct {
	id  string
	err error
}

func (e *unreadError) Error() string { return e.err.Error() }
func (e *unreadError) Unwrap() error { return e.err }

// listIDs returns the names of a product's snapshots, the oldest first, without reading
// any, and an error for each object that is named unlike one.
func listIDs(ctx context.Context, store object.Store, product string) (ids []string, strange []error, err error) {
	entries, err := store.List(ctx, Prefix(product)+"snapshots/")
	if err != nil {
		return nil, nil, fmt.Errorf("list the snapshots of %s: %w", product, err)
	}
	ids, strange = idsOf(entries, product)
	return ids, strange, nil
}

// idsOf are the snapshots whose manifests are among the entries of a listing.
func idsOf(entries []object.Entry, product string) (ids []string, strange []error) {
	for _, e := range entries {
		name, isManifest := strings.CutPrefix(e.Key, Prefix(product)+"snapshots/")
		if !isManifest {
			continue
		}
		id, isJSON := strings.CutSuffix(name, ".json")
		if _, err := TimeOfID(id); err != nil || !isJSON {
			strange = append(strange, fmt.Errorf("%s is named unlike any manifest", e.Key))
			continue
		}
		ids = append(ids, id)
	}
	return ids, strange
}

// Load reads the manifest of a snapshot. The error names the object: object.ErrNotFound
// when there is no such snapshot, ErrSealed when it is encrypted for others, ErrDamaged
// when it is no manifest, or one that contradicts itself.
func Load(ctx context.Context, store object.Store, box *Box, product, id string) (Manifest, error) {
	key := ManifestKey(product, id)
	if _, err := TimeOfID(id); err != nil {
		return Manifest{}, err
	}
	o, err := store.Get(ctx, key)
	if err != nil {
		return Manifest{}, err
	}
	m, err := decodeManifest(box, o.Body)
	if err == nil {
		err = m.check(product, id)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", key, err)
	}
	return m, nil
}

// PutManifest makes the snapshot exist: everything else of it must be there. The
// manifest can be read by anybody unless the box encrypts, when only its Outline can. object.ErrConflict when there
// is another snapshot of its name.
func PutManifest(ctx context.Context, store object.Store, box *Box, m Manifest) error {
	body, err := json.MarshalIndent(m, "", " ")
	if err == nil {
		err = m.check(m.Product, m.ID)
	}
	if err == nil && box.Encrypts() {
		body, err = sealManifest(box, m, body)
	}
	if err == nil {
		_, err = putOnce(ctx, store, ManifestKey(m.Product, m.ID), body)
	}
	if err != nil {
		return fmt.Errorf("manifest of %s: %w", m.ID, err)
	}
	return nil
}

func decodeManifest(box *Box, body []byte) (m Manifest, err error) {
	if _, sealed, _ := cutOutline(body); !json.Valid(body) {
		if body, err = box.Open(sealed); err != nil {
			return Manifest{}, err
		}
	}
	var format struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(body, &format); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if format.Format > Format {
		return Manifest{}, fmt.Errorf("it has format %d, and this failoverd knows %d: use a newer one", format.Format, Format)
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return m, nil
}

// check says whether the manifest can be that of the snapshot of this name.
func (m Manifest) check(product, id string) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
	}
	switch {
	case m.Format < 1:
		return wrong("it has no format")
	case m.Product != product || m.ID != id:
		return wrong("it says that it is snapshot %q of product %q", m.ID, m.Product)
	case m.Point.IsZero() || m.Started.IsZero() || m.Finished.IsZero():
		return wrong("it does not say when it was taken")
	}
	for name, ref := range map[string]Ref{"schema": m.Schema, "catalog": m.Catalog} {
		if err := ref.checkPlace(product); err != nil {
			return wrong("its %s: %w", name, err)
		}
	}
	var sums Totals
	for _, t := range m.Tables {
		sums.Tables++
		sums.Rows += t.Rows
		sums.Bytes += t.Bytes
	}
	if sums.Tables != m.Totals.Tables || sums.Rows != m.Totals.Rows || sums.Bytes != m.Totals.Bytes {
		return wrong("its tables have %d rows of %d bytes in %d tables, its totals %d of %d in %d",
			sums.Rows, sums.Bytes, sums.Tables, m.Totals.Rows, m.Totals.Bytes, m.Totals.Tables)
	}
	return nil
}

// checkPlace says whether it can refer to something of the product: a manifest that
// somebody made up must not have other objects read, kept or taken for rows.
func (r Ref) checkPlace(product string) error {
	sum, err := hex.DecodeString(r.SHA256)
	switch {
	case object.CheckKey(r.Key) != nil || !strings.HasPrefix(r.Key, Prefix(product)+"data/"):
		return fmt.Errorf("%q is not where its data can be", r.Key)
	case r.Offset < 0 || r.Bytes < 1:
		return fmt.Errorf("%s is no piece of an object", r)
	case err != nil || len(sum) != 32:
		return fmt.Errorf("%s has no SHA-256", r)
	}
	return nil
}

// LoadSchema reads the schema of a snapshot.
func LoadSchema(ctx context.Context, store object.Store, box *Box, m Manifest) (s Schema, err error) {
	if err := loadJSON(ctx, store, box, m.Schema, &s); err != nil {
		return Schema{}, fmt.Errorf("schema of %s: %w", m.ID, err)
	}
	return s, nil
}

// LoadCatalog reads the catalog of a snapshot and holds it against the manifest.
func LoadCatalog(ctx context.Context, store object.Store, box *Box, m Manifest) (c Catalog, err error) {
	if err = loadJSON(ctx, store, box, m.Catalog, &c); err == nil {
		err = c.check(m)
	}
	if err != nil {
		return Catalog{}, fmt.Errorf("catalog of %s: %w", m.ID, err)
	}
	return c, nil
}

func loadJSON(ctx context.Context, store object.Store, box *Box, ref Ref, into any) error {
	plain, err := Read(ctx, store, box, ref)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, into); err != nil {
		return fmt.Errorf("%s: %w: %w", ref, ErrDamaged, err)
	}
	return nil
}

// check says whether the catalog can be the manifest's: the same tables, and of those
// without deltas as many rows with the same sum.
func (c Catalog) check(m Manifest) error {
	summaries := make(map[TableID]TableSummary, len(m.Tables))
	for _, t := range m.Tables {
		summaries[t.TableID] = t
	}
	if len(summaries) != len(m.Tables) || len(c.Tables) != len(m.Tables) {
		return fmt.Errorf("%w: %d tables, and %d in the manifest", ErrDamaged, len(c.Tables), len(m.Tables))
	}
	for _, t := range c.Tables {
		summary, known := summaries[t.TableID]
		if !known {
			return fmt.Errorf("%w: table %s is not in the manifest, or is here twice", ErrDamaged, t.TableID)
		}
		delete(summaries, t.TableID)
		for _, piece := range t.pieces() {
			if err := piece.checkPlace(m.Product); err != nil {
				return fmt.Errorf("%w: table %s: %w", ErrDamaged, t.TableID, err)
			}
		}
		var have TableSummary
		for _, chunk := range t.Chunks {
			have.Rows += chunk.Rows
			have.Bytes += chunk.Raw
			have.Sum.Join(chunk.Sum)
		}
		if len(t.Deltas) == 0 && (have.Rows != summary.Rows || have.Bytes != summary.Bytes || have.Sum != summary.Sum) {
			return fmt.Errorf("%w: table %s: its chunks have %d rows of %d bytes with the sum %s, and it is to have %d of %d with %s", ErrDamaged,
				t.TableID, have.Rows, have.Bytes, have.Sum, summary.Rows, summary.Bytes, summary.Sum)
		}
	}
	return nil
}

// refsOf is everything that the snapshot refers to.
func refsOf(m Manifest, c Catalog) []Ref {
	refs := []Ref{m.Schema, m.Catalog}
	for _, t := range c.Tables {
		for _, piece := range t.pieces() {
			refs = append(refs, piece.Ref)
		}
	}
	return refs
}

// pieces are all that hold rows of the table.
func (t TableData) pieces() []Chunk {
	pieces := slices.Clone(t.Chunks)
	for _, d := range t.Deltas {
		for _, c := range []*Chunk{d.Deletes, d.Upserts} {
			if c != nil {
				pieces = append(pieces, *c)
			}
		}
	}
	return pieces
}
