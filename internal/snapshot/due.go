package snapshot

import (
	"hash/fnv"
	"time"
)

// Timing is everything on which it depends whether a snapshot is due.
type Timing struct {
	Product string
	Every   time.Duration
	Now     time.Time
	// Newest is when the newest snapshot began, zero without one.
	Newest time.Time
	// Failures is how many tries failed since the last good one, Failed when the latest of them did.
	Failures int
	Failed   time.Time
	// Ordered says that a person asked for one.
	Ordered bool
	// Wait and Acks are the leader's, see Orders.
	Wait string
	Acks bool
}

// Due says whether a snapshot is to begin now, and if one is due and may not, why.
func Due(t Timing) (begin bool, why string) {
	switch {
	case !t.Ordered && !t.missing():
		return false, ""
	case t.Wait != "":
		return false, t.Wait
	case !t.Ordered && t.Now.Before(t.Failed.Add(pauseAfter(t.Failures, t.Every))):
		return false, "the last try failed, the next is made in " + t.Failed.Add(pauseAfter(t.Failures, t.Every)).Sub(t.Now).Round(time.Second).String()
	case !t.Ordered && t.Acks && !t.Newest.IsZero() && t.Now.Sub(t.Newest) < 2*t.Every:
		// An acker is spared, but not for ever: it may be one for days.
		return false, "the server acknowledges commits"
	}
	return true, ""
}

// missing says whether the present interval has no snapshot yet. One from the future
// was taken while a clock was wrong and stands for nothing.
func (t Timing) missing() bool {
	return t.Newest.Before(Slot(t.Product, t.Every, t.Now)) || t.Newest.Sub(t.Now) > t.Every
}

// Slot is the latest time at or before now when a snapshot was due: multiples of
// every on the wall clock (UTC), and a jitter from the product's name, so that not
// all products begin at the same second.
func Slot(product string, every time.Duration, now time.Time) time.Time {
	late := jitter(product, every)
	return now.Add(-late).UTC().Truncate(every).Add(late)
}

// jitter is up to a fifth of every, in whole seconds where that leaves anything.
func jitter(product string, every time.Duration) time.Duration {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(product)) // never fails (documentation of hash)
	most := uint64(every/5) + 1
	late := time.Duration(hash.Sum64() % most)
	if every >= time.Minute {
		late = late.Truncate(time.Second)
	}
	return late
}

// pauseAfter is how long to wait after so many failures: 5 s and twice as long each
// time, but never longer than until the next is due anyway.
func pauseAfter(failures int, every time.Duration) time.Duration {
	if failures == 0 {
		return 0
	}
	return min(every, 5*time.Second<<min(failures-1, 8))
}
