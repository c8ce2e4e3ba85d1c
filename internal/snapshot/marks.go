package snapshot

import (
	"context"
	"strings"
	"sync"

	"github.com/failoverd/failoverd/internal/object"
)

// Marks remembers which objects catalogs refer to, since that never changes and
// catalogs are large. It may be used by many goroutines at once; its zero value is empty.
type Marks struct {
	mu      sync.Mutex
	objects map[string][]string // by the SHA-256 of the catalog
	names   map[string]string   // one copy of each name
}

// add marks what the snapshot refers to.
func (k *Marks) add(ctx context.Context, store object.Store, box *Box, m Manifest, marked map[string]bool) error {
	marked[m.Schema.Key], marked[m.Catalog.Key] = true, true
	objects, err := k.of(ctx, store, box, m)
	for _, key := range objects {
		marked[key] = true
	}
	return err
}

// of are the keys of the objects that hold the snapshot's rows.
func (k *Marks) of(ctx context.Context, store object.Store, box *Box, m Manifest) ([]string, error) {
	k.mu.Lock()
	objects, known := k.objects[m.Catalog.SHA256]
	k.mu.Unlock()
	if known {
		return objects, nil
	}
	catalog, err := LoadCatalog(ctx, store, box, m)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.objects == nil {
		k.objects, k.names = map[string][]string{}, map[string]string{}
	}
	seen := map[string]bool{}
	for _, t := range catalog.Tables {
		for _, piece := range t.pieces() {
			if seen[piece.Key] {
				continue
			}
			seen[piece.Key] = true
			if _, known := k.names[piece.Key]; !known {
				k.names[piece.Key] = strings.Clone(piece.Key)
			}
			objects = append(objects, k.names[piece.Key])
		}
	}
	k.objects[m.Catalog.SHA256] = objects
	return objects, nil
}

// forget drops all but the catalogs of these snapshots.
func (k *Marks) forget(kept []Manifest) {
	k.mu.Lock()
	defer k.mu.Unlock()
	objects, names := map[string][]string{}, map[string]string{}
	for _, m := range kept {
		for _, key := range k.objects[m.Catalog.SHA256] {
			names[key] = key
		}
		if marks, known := k.objects[m.Catalog.SHA256]; known {
			objects[m.Catalog.SHA256] = marks
		}
	}
	k.objects, k.names = objects, names
}
