package check

import (
	"slices"
	"time"
)

// Outage is the longest time without an acknowledged write of a client, from the last acknowledgement before a gap to
// the first after it. Only gaps that end after the event count. ok is false when nothing was acknowledged after it.
func Outage(writes []Write, event time.Time) (longest time.Duration, ok bool) {
	var acked []time.Time
	for _, w := range writes {
		if w.Outcome == Acked {
			acked = append(acked, w.Known)
		}
	}
	slices.SortFunc(acked, time.Time.Compare)
	for i := 1; i < len(acked); i++ {
		if !acked[i].Before(event) {
			longest, ok = max(longest, acked[i].Sub(acked[i-1])), true
		}
	}
	return longest, ok
}
