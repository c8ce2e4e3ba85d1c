package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// Cut is where the history of earlier epochs ends.
type Cut = topology.Cut

// CutPrefix is that of all cuts of a product.
func CutPrefix(product string) string { return Prefix(product) + "cuts/" }

// CutKey is the key of the cut at the beginning of an epoch.
func CutKey(product string, epoch uint64) string {
	return fmt.Sprintf("%s%010d.json", CutPrefix(product), epoch)
}

// PutCut writes a cut where none is yet; that it is there already is no error.
func PutCut(ctx context.Context, store object.Store, product string, c Cut) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = store.Put(ctx, CutKey(product, c.Epoch), body, object.IfAbsent)
	if errors.Is(err, object.ErrConflict) {
		return nil
	}
	return err
}

// Cuts are those of a product in the store, by epoch, ascending.
func Cuts(ctx context.Context, store object.Store, product string) ([]Cut, error) {
	entries, err := store.List(ctx, CutPrefix(product))
	if err != nil {
		return nil, err
	}
	var cuts []Cut
	for _, e := range entries {
		stored, err := store.Get(ctx, e.Key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Key, err)
		}
		var c Cut
		if err := json.Unmarshal(stored.Body, &c); err != nil || CutKey(product, c.Epoch) != e.Key {
			return nil, fmt.Errorf("%s: %w", e.Key, ErrDamaged)
		}
		cuts = append(cuts, c)
	}
	return cuts, nil
}

// Diverged are the transactions of a set that did not survive the cuts. The set was
// seen in an epoch, in the log of a server or in a snapshot, which may be called one less than
// it was: a shipper hears of a promotion a moment late. A transaction survives a
// cut that has it. The last cut that lacks one leaves it alone only if its origin was made
// master then, or later while the set may have been seen: it was committed after.
func Diverged(cuts []Cut, epoch uint64, set topology.GTIDSet) topology.GTIDSet {
	out, _ := judge(cuts, epoch, set)
	return out
}

// judge also gives those that survive only if they were seen in the next epoch already.
func judge(cuts []Cut, epoch uint64, set topology.GTIDSet) (diverged, doubtful topology.GTIDSet) {
	masters := map[string]bool{} // of the epochs from the cut on
	for i := len(cuts) - 1; i >= 0 && !set.Empty(); i-- {
		c := cuts[i]
		if c.Epoch <= epoch {
			masters[strings.ToLower(c.UUID)] = true
		}
		lacking := set.Minus(c.GTIDs)
		set = set.Minus(lacking)
		for _, earlier := range cuts[:i] { // it was committed before that, so not since this one
			diverged = diverged.Union(lacking.Common(earlier.GTIDs))
			lacking = lacking.Minus(earlier.GTIDs)
		}
		for uuid := range masters {
			lacking = lacking.WithoutServer(uuid)
		}
		for _, next := range cuts[i:] {
			if next.Epoch == epoch+1 {
				doubtful = doubtful.Union(lacking.OfServer(next.UUID))
				lacking = lacking.WithoutServer(next.UUID)
			}
		}
		diverged = diverged.Union(lacking)
	}
	return diverged, doubtful
}

// Retraction says that what the segments before a number hold of some transactions does not
// count: the server whose log they came from is without them since. It
// decides where the epochs leave a doubt.
type Retraction struct {
	Before uint64           `json:"before"`
	GTIDs  topology.GTIDSet `json:"gtids"`
}

func retractionPrefix(product string) string { return shippedPrefix(product) + "retracted/" }

func putRetraction(ctx context.Context, store object.Store, product string, r Retraction) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = store.Put(ctx, fmt.Sprintf("%s%012d.json", retractionPrefix(product), r.Before), body, object.Always)
	return err
}

func retractions(ctx context.Context, store object.Store, product string) ([]Retraction, error) {
	entries, err := store.List(ctx, retractionPrefix(product))
	if err != nil {
		return nil, err
	}
	var all []Retraction
	for _, e := range entries {
		stored, err := store.Get(ctx, e.Key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Key, err)
		}
		var r Retraction
		if err := json.Unmarshal(stored.Body, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Key, ErrDamaged)
		}
		all = append(all, r)
	}
	return all, nil
}
