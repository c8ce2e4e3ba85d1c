package snapshot

import (
	"context"
	"slices"

	"github.com/failoverd/failoverd/internal/object"
)

// Scrub reads everything that snapshots of a product refer to, each piece once, and
// compares its SHA-256. It returns, by the snapshot, what is not as it was written: such
// a one is not to be the parent of another. The error says why not all was looked at.
func Scrub(ctx context.Context, store object.Store, box *Box, manifests []Manifest) (map[string][]Damage, error) {
	damages := map[string][]Damage{}
	users := map[Ref][]string{}
	tables := map[Ref]TableID{}
	var refs []Ref
	use := func(id string, table TableID, ref Ref) {
		if users[ref] == nil {
			refs = append(refs, ref)
			tables[ref] = table
		}
		if !slices.Contains(users[ref], id) {
			users[ref] = append(users[ref], id)
		}
	}
	for _, m := range manifests {
		use(m.ID, TableID{}, m.Schema)
		use(m.ID, TableID{}, m.Catalog)
		catalog, err := LoadCatalog(ctx, store, box, m)
		if isDamage(err) {
			damages[m.ID] = append(damages[m.ID], Damage{What: err.Error()})
			continue
		}
		if err != nil {
			return damages, err
		}
		for _, t := range catalog.Tables {
			for _, piece := range t.pieces() {
				use(m.ID, t.TableID, piece.Ref)
			}
		}
	}
	broken := make([]error, len(refs))
	err := readPieces(ctx, store, refs, func(i int, _ []byte, err error) error {
		broken[i] = err
		return nil
	})
	for i, ref := range refs {
		if broken[i] == nil {
			continue
		}
		for _, id := range users[ref] {
			damages[id] = append(damages[id], Damage{Table: tables[ref], Place: ref, What: broken[i].Error()})
		}
	}
	return damages, err
}
