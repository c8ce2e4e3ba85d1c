package snapshot

import (
	"fmt"
	"slices"
	"time"
)

// Retention is how long snapshots are kept, by their age: all of them, then the first of
// each hour, then the first of each day (UTC).
type Retention struct {
	All    time.Duration
	Hourly time.Duration
	Daily  time.Duration
}

// DefaultRetention keeps all for a day, hourly ones for a week, daily ones for a month.
var DefaultRetention = Retention{All: 24 * time.Hour, Hourly: 7 * 24 * time.Hour, Daily: 30 * 24 * time.Hour}

// Kept is a snapshot that is kept, and why.
type Kept struct{ ID, Why string }

// Keep decides which snapshots are kept and which expire, each from the oldest to the
// newest. drilled says when a drill last restored a snapshot, by its ID; only drills
// that passed. Whatever the policy: neither the newest whole snapshot nor the one that
// was last drilled expires, nor one from the future, where a clock must be wrong.
// Diverged snapshots stand for no hour or day, since they are not restored by
// themselves; they are kept as long as hourly ones for a person to look at.
func Keep(policy Retention, manifests []Manifest, drilled map[string]time.Time, now time.Time) (keep []Kept, expire []string) {
	sorted := slices.SortedFunc(slices.Values(manifests), func(a, b Manifest) int { return a.Point.Compare(b.Point) })
	firstOf := map[string]string{} // the first snapshot of each period
	newest := ""
	for _, m := range sorted {
		if !m.Diverged.Empty() {
			continue
		}
		newest = m.ID
		for _, period := range []string{hourOf(m), dayOf(m)} {
			if _, seen := firstOf[period]; !seen {
				firstOf[period] = m.ID
			}
		}
	}
	lastDrilled := ""
	for _, m := range sorted {
		if at, passed := drilled[m.ID]; passed && (lastDrilled == "" || at.After(drilled[lastDrilled])) {
			lastDrilled = m.ID
		}
	}
	for _, m := range sorted {
		age := now.Sub(m.Point)
		why := ""
		switch {
		case m.ID == newest:
			why = "the newest"
		case m.ID == lastDrilled:
			why = "the last that a drill restored"
		case age < 0:
			why = "from the future"
		case age < policy.All:
			why = fmt.Sprintf("younger than %s", inWords(policy.All))
		case !m.Diverged.Empty() && age < policy.Hourly:
			why = "diverged, for a person to look at"
		case !m.Diverged.Empty():
		case age < policy.Hourly && firstOf[hourOf(m)] == m.ID:
			why = "the first of its hour"
		case age < policy.Daily && firstOf[dayOf(m)] == m.ID:
			why = "the first of its day"
		}
		if why == "" {
			expire = append(expire, m.ID)
			continue
		}
		keep = append(keep, Kept{ID: m.ID, Why: why})
	}
	return keep, expire
}

func hourOf(m Manifest) string { return m.Point.UTC().Format("2006-01-02T15") }
func dayOf(m Manifest) string  { return m.Point.UTC().Format("2006-01-02") }

// inWords is a duration as an operator writes it.
func inWords(d time.Duration) string {
	day := 24 * time.Hour
	switch {
	case d > 0 && d%day == 0 && d > day:
		return fmt.Sprintf("%d days", d/day)
	case d > 0 && d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return d.String()
}
