package snapshot

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Everything of a product is below copies/PRODUCT/ in the store:
//
//	snapshots/ID.json       the manifest, last of all
//	data/ID/…               what snapshot ID wrote: schema, catalog, packs
//	binlog/EPOCH/…          segments of the binary log
//	shipped/…               until when there are all, and what of them does not count
//	cuts/EPOCH.json         where the history of an epoch ends
//	drills/ID.json          reports of drills
//	leases/KIND/…           who uses what, so that a sweep leaves it alone

// Prefix is that of all objects of a product.
func Prefix(product string) string { return "copies/" + product + "/" }

// ManifestKey is the key of a snapshot's manifest.
func ManifestKey(product, id string) string { return Prefix(product) + "snapshots/" + id + ".json" }

// DataPrefix is that of what a snapshot wrote.
func DataPrefix(product, id string) string { return Prefix(product) + "data/" + id + "/" }

// Lasting says whether the object of that key is written once and for long: what an
// object lock may protect. Leases are renewed and given back.
func Lasting(key string) bool {
	area := strings.SplitN(key, "/", 4)
	return len(area) == 4 && area[0] == "copies" && slices.Contains([]string{"snapshots", "data", "binlog", "cuts"}, area[2])
}

const idTime = "20060102T150405Z"

// NewID is the name of a snapshot: when it began, the chain's epoch, and six random
// digits, so that two services that know nothing of each other never share one.
// IDs sort by time.
func NewID(at time.Time, epoch uint64) string {
	var random [3]byte
	_, _ = rand.Read(random[:]) // never fails (documentation of crypto/rand)
	return fmt.Sprintf("%s-e%d-%s", at.UTC().Format(idTime), epoch, hex.EncodeToString(random[:]))
}

var idForm = regexp.MustCompile(`^\d{8}T\d{6}Z-e\d+-[0-9a-f]{6}$`)

// TimeOfID is when the snapshot of that name began. The error says what a name is like.
func TimeOfID(id string) (time.Time, error) {
	if !idForm.MatchString(id) {
		return time.Time{}, fmt.Errorf("%q is no snapshot's name, which is like 20261128T190000Z-e3-1f2e3d", id)
	}
	at, _, _ := strings.Cut(id, "-")
	return time.Parse(idTime, at)
}
