package snapshot

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSlotsAreOnTheWallClock(t *testing.T) {
	const every = 15 * time.Minute
	now := time.Date(2026, 11, 28, 19, 7, 0, 0, time.UTC)
	late := jitter("shop", every)
	assert.Equal(t, time.Date(2026, 11, 28, 19, 0, 0, 0, time.UTC).Add(late), Slot("shop", every, now))
	assert.Equal(t, Slot("shop", every, now).Add(every), Slot("shop", every, now.Add(every)))
	assert.Equal(t, Slot("shop", every, now), Slot("shop", every, Slot("shop", every, now)), "a slot is its own")
	assert.Equal(t, Slot("shop", every, now), Slot("shop", every, now.In(time.FixedZone("x", 1800))).UTC(), "whatever the machine's zone")
}

func TestProductsDoNotBeginTogether(t *testing.T) {
	seen := map[time.Duration]bool{}
	for _, name := range []string{"shop", "blog", "search", "orders", "mail", "cart"} {
		late := jitter(name, 15*time.Minute)
		assert.Less(t, late, 3*time.Minute+time.Second)
		assert.Zero(t, late%time.Second)
		seen[late] = true
	}
	assert.Greater(t, len(seen), 4)
}

func TestDue(t *testing.T) {
	const every = 15 * time.Minute
	slot := Slot("shop", every, time.Date(2026, 11, 28, 19, 20, 0, 0, time.UTC))
	for _, c := range []struct {
		fact   string
		timing Timing
		begin  bool
		why    string
	}{
		{"there is none yet", Timing{Now: slot.Add(7 * time.Minute)}, true, ""},
		{"this interval has one", Timing{Now: slot.Add(time.Minute), Newest: slot}, false, ""},
		{"one that was asked for counts for its interval", Timing{Now: slot.Add(14 * time.Minute), Newest: slot.Add(time.Minute)}, false, ""},
		{"the next interval begins", Timing{Now: slot, Newest: slot.Add(-every)}, true, ""},
		{"the machine slept over it", Timing{Now: slot.Add(10 * time.Minute), Newest: slot.Add(-2 * every)}, true, ""},
		{"a person asks", Timing{Now: slot.Add(time.Minute), Newest: slot, Ordered: true}, true, ""},
		{"a person asks in the midst of a failover", Timing{Now: slot.Add(time.Minute), Newest: slot, Ordered: true, Wait: "a failover is open"}, false, "a failover is open"},
		{"a failover is open", Timing{Now: slot, Newest: slot.Add(-every), Wait: "a failover is open"}, false, "a failover is open"},
		{"a failover is open and none is due", Timing{Now: slot.Add(1), Newest: slot, Wait: "a failover is open"}, false, ""},
		{"the server acknowledges", Timing{Now: slot, Newest: slot.Add(-every), Acks: true}, false, "the server acknowledges commits"},
		{"it has done so for long", Timing{Now: slot.Add(time.Minute), Newest: slot.Add(-2 * every), Acks: true}, true, ""},
		{"it does so and there is none yet", Timing{Now: slot, Acks: true}, true, ""},
		{"a try failed just now", Timing{Now: slot.Add(3 * time.Second), Newest: slot.Add(-every), Failures: 1, Failed: slot}, false, "the last try failed, the next is made in 2s"},
		{"a try failed a while ago", Timing{Now: slot.Add(5 * time.Second), Newest: slot.Add(-every), Failures: 1, Failed: slot}, true, ""},
		{"tries failed for a day", Timing{Now: slot.Add(every), Newest: slot.Add(-96 * every), Failures: 200, Failed: slot}, true, ""},
		{"a person asks after a failure", Timing{Now: slot.Add(time.Second), Newest: slot.Add(-every), Failures: 9, Failed: slot, Ordered: true}, true, ""},
		{"the newest is a little in the future", Timing{Now: slot, Newest: slot.Add(time.Second)}, false, ""},
		{"the newest is far in the future", Timing{Now: slot, Newest: slot.Add(2 * every)}, true, ""},
	} {
		t.Run(c.fact, func(t *testing.T) {
			c.timing.Product, c.timing.Every = "shop", every
			begin, why := Due(c.timing)
			assert.Equal(t, c.begin, begin)
			assert.Equal(t, c.why, why)
		})
	}
}
