package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestBrokenProtectionsAreSeen leaves out one protection at a time: worlds that do
// not notice prove nothing.
func TestBrokenProtectionsAreSeen(t *testing.T) {
	for _, b := range []struct {
		name   string
		faults string // empty for what the seeds draw
		first  uint64 // shortly before the first seed that notices, where that is a rare one
	}{
		{BreakRevoke, "", 1},
		{BreakDrain, "", 1},
		{BreakFeed, "one link cut + master killed + candidate killed", 1},
		{BreakFloor, "all killed + server killed in a promotion", 3190},
		{BreakProof, "", 1},
		{BreakTimeout, "", 1},
		{BreakAckers, "", 1},
		{BreakClose, "", 1},
		{BreakSync, "master's host lost + candidate's host lost", 3100},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			const enough = 6000
			seen := 0
			for seed := b.first; seed < b.first+enough; seed++ {
				if r := Run(seed, Options{Break: b.name, Scenario: b.faults}); r.Failure != "" {
					t.Logf("seen at seed %d (%s): %s", seed, r.Scenario, r.Failure)
					seen++
					break
				}
			}
			assert.Positive(t, seen, "no world of %d noticed", enough)
		})
	}
}

// TestLateOrderToOpenIsSeen freezes the target at each point of a failover for so
// long that another is promoted: an order that it reads late must not count.
func TestLateOrderToOpenIsSeen(t *testing.T) {
	play := func(protection string) (failures []string) {
		for k := 1; k <= 80; k++ {
			r := Run(uint64(k), Options{Scenario: "master killed", lasts: 25 * time.Second, Break: protection, at: func(w *World, _ *scout, n int, _ string) {
				if n == k {
					s := w.byName(w.product().Open.Plan.Target)
					w.later(s.freeze)
					w.after(20*time.Second, s.thaw)
				}
			}})
			if r.Failure != "" {
				failures = append(failures, r.Failure)
			}
		}
		return failures
	}
	assert.Empty(t, play(""))
	assert.NotEmpty(t, play(BreakDeadline))
}

// TestLateOrdersOfAStoppedLeaderAreSeen stops the leader at each point of a
// failover, until another has finished it. What it goes on with then must not be
// heard, though its pool may connect anew before it hears that it leads no more.
func TestLateOrdersOfAStoppedLeaderAreSeen(t *testing.T) {
	play := func(protection string) (failures []string) {
		for k := 1; k <= 60; k++ {
			for seed := range uint64(6) {
				r := Run(seed, Options{Scenario: "master killed", Policy: "acks from two of three", lasts: 4 * time.Second, Break: protection, at: func(w *World, x *scout, n int, _ string) {
					if n == k {
						w.later(x.pause)
						w.after(12*time.Second, x.unpause)
					}
				}})
				if r.Failure != "" {
					failures = append(failures, r.Failure)
				}
			}
		}
		return failures
	}
	assert.Empty(t, play(""))
	assert.NotEmpty(t, play(BreakAdmit))
}
