package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// Outline is what anybody can read of an encrypted snapshot: as much as it takes to
// decide how long it is kept, on a machine that stores snapshots and can open none.
// It stands in the first line of the manifest's object.
type Outline struct {
	Sealed   string           `json:"sealed"` // says that the rest is encrypted, and how
	Epoch    uint64           `json:"epoch"`
	Point    time.Time        `json:"point"`
	Full     bool             `json:"full"` // so that it refers to nothing but what itself wrote
	Diverged topology.GTIDSet `json:"diverged,omitzero"`
}

// sealedHow is how an outline begins, and so how an encrypted manifest does.
const (
	sealedHow    = "age"
	outlineMagic = `{"sealed":"age",`
)

// LoadOutline reads what is open of a manifest. The error names the object; ErrDamaged when it
// has no outline.
func LoadOutline(ctx context.Context, store object.Store, product, id string) (Manifest, error) {
	key := ManifestKey(product, id)
	began, err := TimeOfID(id)
	if err != nil {
		return Manifest{}, err
	}
	o, err := store.Get(ctx, key)
	if err != nil {
		return Manifest{}, err
	}
	line, _, is := cutOutline(o.Body)
	if !is {
		return Manifest{}, fmt.Errorf("%s: %w: it has no outline", key, ErrDamaged)
	}
	var outline Outline
	if err := json.Unmarshal(line, &outline); err != nil || outline.Point.IsZero() {
		return Manifest{}, fmt.Errorf("%s: %w: its outline is none", key, ErrDamaged)
	}
	return Manifest{ID: id, Product: product, Epoch: outline.Epoch, Started: began, Point: outline.Point,
		Full: outline.Full, Diverged: outline.Diverged}, nil
}

// sealManifest encrypts a manifest and puts its outline before it.
func sealManifest(box *Box, m Manifest, body []byte) ([]byte, error) {
	outline, err := json.Marshal(Outline{Sealed: sealedHow, Epoch: m.Epoch, Point: m.Point, Full: m.Full, Diverged: m.Diverged})
	if err != nil {
		return nil, err
	}
	return box.Seal(append(outline, '\n'), body)
}

// cutOutline parts the outline from what is encrypted.
func cutOutline(body []byte) (outline, sealed []byte, is bool) {
	if !bytes.HasPrefix(body, []byte(outlineMagic)) {
		return nil, body, false
	}
	outline, sealed, is = bytes.Cut(body, []byte("\n"))
	return outline, sealed, is
}
