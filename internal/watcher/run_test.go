package watcher

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// only tells the time.
type only struct {
	Around
	now time.Time
}

func (o *only) Now() time.Time { return o.now }

func TestAfterARescueMoreAcknowledgementsAreTriedLessAndLessOften(t *testing.T) {
	around := &only{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	mind := NewMind("shop", around, func(Event) {})
	chain := topology.Chain{Product: "shop", Acks: 2, Policy: topology.DefaultPolicy(), Servers: []topology.Server{{Name: "a", Seat: topology.Master}}}
	lowers := promote.Plan{Rule: "ackers-lost", Steps: []promote.Step{{Goal: promote.Ackers, Need: 1}, {Goal: promote.Acks, Server: "a", Need: 1}}}
	rests := func() (out time.Duration) {
		for began := around.now; len(mind.restingAt(around.now)) > 0; around.now = around.now.Add(time.Second) {
			assert.Equal(t, []string{topology.MoreAcks + "/a"}, mind.restingAt(around.now))
			out = around.now.Sub(began) + time.Second
		}
		return out
	}

	mind.restRaise(promote.Plan{Rule: "ackers-lost", Steps: []promote.Step{{Goal: promote.Armed, Server: "d"}}}, chain)
	assert.Zero(t, rests(), "another server took over")
	mind.restRaise(promote.Plan{Rule: "ackers-astray", Steps: []promote.Step{{Goal: promote.Acks, Server: "a", Need: 3}}}, chain)
	assert.Zero(t, rests(), "it was raised")

	for _, want := range []time.Duration{5, 10, 20, 40, 60, 60} {
		mind.restRaise(lowers, chain)
		assert.Equal(t, want*time.Second, rests())
	}
	around.now = around.now.Add(10 * time.Minute)
	mind.restRaise(lowers, chain)
	assert.Equal(t, 5*time.Second, rests(), "that is long ago")
}
