package snapshot

import (
	"slices"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/object"
)

// sweepView is everything on which it depends what is garbage. All times are of the
// store's clock.
type sweepView struct {
	product string
	entries []object.Entry
	now     time.Time
	// expired are the keys of manifests that go, marked those of objects that what is
	// kept refers to.
	expired []string
	marked  map[string]bool
	// newest is the point of the newest whole snapshot that is kept: the binary log
	// from then on is what would be lost, however old it is.
	newest time.Time
	grace  time.Duration
	binlog time.Duration
}

const (
	// drillsKept is how long reports of drills are kept, and the least of them.
	drillsKept      = 400 * 24 * time.Hour
	leastDrillsKept = 20
	// leasesKept is how long dead leases are left for persons to see.
	leasesKept = 24 * time.Hour
	// clockSlack is how far the clocks of the store and of the dump machine may be apart,
	// beside what a snapshot's point and its objects are.
	clockSlack = 6 * time.Hour
)

// manifests are the entries of those that expire.
func (v sweepView) manifests() []object.Entry {
	return slices.DeleteFunc(slices.Clone(v.entries), func(e object.Entry) bool { return !slices.Contains(v.expired, e.Key) })
}

// garbage is what goes beside the manifests: data of snapshots that nothing kept refers
// to, unless something of the same snapshot was written within the grace period; old
// segments of the binary log, but never the last, from which the next goes on; and old reports and leases. What is anywhere else is not
// of this program's making, and stays.
func (v sweepView) garbage() []object.Entry {
	latest := map[string]time.Time{} // that anything of a snapshot was written
	drills, last := 0, ""            // the last segment
	for _, e := range v.entries {
		area, rest := v.place(e)
		switch area {
		case "data":
			id, _, _ := strings.Cut(rest, "/")
			if e.Modified.After(latest[id]) {
				latest[id] = e.Modified
			}
		case "binlog":
			last = e.Key
		case "drills":
			drills++
		}
	}
	var garbage []object.Entry
	needed := false // this segment of the binary log, and so all after it
	for _, e := range v.entries {
		area, rest := v.place(e)
		age := v.now.Sub(e.Modified)
		goes := false
		switch area {
		case "data":
			id, _, _ := strings.Cut(rest, "/")
			goes = !v.marked[e.Key] && v.now.Sub(latest[id]) >= v.grace
		case "binlog":
			needed = needed || age < v.binlog || !e.Modified.Before(v.newest.Add(-clockSlack)) || e.Key == last
			goes = !needed
		case "drills": // their names sort by time
			if goes = age >= drillsKept && drills > leastDrillsKept; goes {
				drills--
			}
		case "leases":
			goes = age >= leasesKept
		}
		if goes {
			garbage = append(garbage, e)
		}
	}
	return garbage
}

// place is the first part of the entry's key behind the product, and the rest.
func (v sweepView) place(e object.Entry) (area, rest string) {
	area, rest, _ = strings.Cut(strings.TrimPrefix(e.Key, Prefix(v.product)), "/")
	return area, rest
}
