package publish

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Input is what the leader wants published.
type Input struct {
	// Products by name. A product that is published already but not named here
	// stays as it is.
	Products map[string]Product
	// Zones of the deployment; nil leaves them as they are.
	Zones []string
	// Remove names products to drop. One that is not published, or is in
	// Products too, is left alone, so the list may be passed every time.
	Remove []string
	// LastVersion is the highest version ever committed to the replicated
	// state, 0 if none.
	LastVersion uint64
}

// Render makes the document that follows prev (nil if there is none). It returns
// prev itself when in changes nothing. The error wraps ErrEpochBehind when prev
// has a higher epoch for a product than in.
func Render(prev *Head, in Input, key PrivateKey, now time.Time) (*Head, error) {
	d, err := compose(prev, in, now)
	if err != nil {
		return nil, err
	}
	// A committed version above prev's may have been served with other content,
	// so then even the same content needs a version above it. And a rotated key
	// signs anew, or the old one could never be retired.
	if prev != nil && prev.Document.Version >= in.LastVersion &&
		prev.KeyID == key.ID() && d.sameContent(prev.Document) {
		return prev, nil
	}
	return key.Seal(d)
}

func compose(prev *Head, in Input, now time.Time) (Document, error) {
	d := Document{
		APIVersion: APIVersion, Version: in.LastVersion + 1, GeneratedAt: now,
		Products: map[string]Product{}, Zones: in.Zones,
	}
	before := map[string]Product{}
	if prev != nil {
		before = prev.Document.Products
		d.Version = max(prev.Document.Version, in.LastVersion) + 1
		d.Previous = prev.Hash
		maps.Copy(d.Products, before)
		if in.Zones == nil {
			d.Zones = prev.Document.Zones
		}
	}
	for _, name := range in.Remove {
		delete(d.Products, name)
	}
	for _, name := range slices.Sorted(maps.Keys(in.Products)) {
		p := in.Products[name]
		if was := before[name].Epoch; was > p.Epoch {
			return Document{}, fmt.Errorf("publish product %s with epoch %d: version %d has epoch %d: %w",
				name, p.Epoch, prev.Document.Version, was, ErrEpochBehind)
		}
		if p.Readers == nil {
			p.Readers = []Server{}
		}
		d.Products[name] = p
	}
	if d.Zones == nil {
		d.Zones = []string{}
	}
	return d, nil
}
