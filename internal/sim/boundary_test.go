package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote"
)

// promotions are the two ways to a new master, as the faults that bring them about.
var promotions = []struct{ name, faults string }{
	{"failover", "master killed"},
	{"failover of a frozen master", "master frozen"},
	{"switchover", "switchover"},
}

// blows is what happens at a point of a promotion.
var blows = []struct {
	name string
	fall func(w *World, leader *scout)
}{
	{"leader crashes", func(w *World, leader *scout) {
		w.after(5*time.Second, leader.start)
		leader.crash()
	}},
	{"leader is stopped", func(w *World, leader *scout) {
		w.later(leader.pause)
		w.after(4*time.Second, leader.unpause)
	}},
	{"leader is cut off", func(w *World, leader *scout) {
		w.later(func() {
			mend := w.cutPairs(leader.node(), others(leader.node()), 0)
			w.linksChanged()
			w.after(4*time.Second, func() { mend(); w.linksChanged() })
		})
	}},
	{"target is killed", func(w *World, _ *scout) {
		s := w.byName(w.product().Open.Plan.Target)
		w.later(func() { s.kill(false) })
		w.after(3*time.Second, s.start)
	}},
	{"target is frozen", func(w *World, _ *scout) {
		s := w.byName(w.product().Open.Plan.Target)
		w.later(s.freeze)
		w.after(6*time.Second, s.thaw)
	}},
	{"next acker is killed", func(w *World, _ *scout) {
		s := w.servers[2]
		w.later(func() { s.kill(false) })
		w.after(3*time.Second, s.start)
	}},
	{"old master is killed", func(w *World, _ *scout) {
		s := w.byName(w.product().Open.Plan.From)
		w.later(func() { s.kill(false) })
		w.after(3*time.Second, s.start)
	}},
	{"everything but the leader is killed", func(w *World, _ *scout) {
		for i, s := range w.servers {
			w.later(func() { s.kill(false) })
			w.after(time.Duration(2+i)*time.Second, s.start)
		}
	}},
}

// TestLeaderCrashAtEveryStepBoundary plays each promotion once for every point at
// which its leader calls a server or the journal, before the call and after its
// effect, and lets something happen there. Whoever leads next finishes, nothing is
// done twice, and nothing that was acknowledged is lost.
func TestLeaderCrashAtEveryStepBoundary(t *testing.T) {
	for _, promotion := range promotions {
		for _, blow := range blows {
			t.Run(promotion.name+"/"+blow.name, func(t *testing.T) {
				t.Parallel()
				points := 0
				for k := 1; ; k++ {
					r := Run(uint64(7000+k), Options{Scenario: promotion.faults, lasts: 10 * time.Second, at: func(w *World, leader *scout, n int, _ string) {
						points = max(points, n)
						if n == k {
							w.say("blow: %s", blow.name)
							blow.fall(w, leader)
						}
					}})
					require.Empty(t, r.Failure, "at point %d of %s, seed %d", k, promotion.name, r.Seed)
					if k > points {
						break
					}
				}
				assert.Greater(t, points, 30, "a promotion has that many points at least")
			})
		}
	}
}

// TestFinishedByTheNextLeader looks at what the journal says after a crash at
// each step of a failover: one promotion, one epoch more.
func TestFinishedByTheNextLeader(t *testing.T) {
	for step := range 8 {
		t.Run(fmt.Sprintf("step %d", step), func(t *testing.T) {
			var world *World
			crashed := false
			r := Run(4711, Options{Scenario: "master killed", lasts: 10 * time.Second, at: func(w *World, leader *scout, _ int, point string) {
				world = w
				if open := w.product().Open; !crashed && open.Plan.Kind == promote.Failover && open.Next == step && point == "before commit" {
					crashed = true
					w.after(20*time.Second, leader.start)
					leader.crash()
				}
			}})
			require.Empty(t, r.Failure)
			require.True(t, crashed, "the plan has this step")
			assert.Equal(t, uint64(2), world.product().Chain.Epoch)
			assert.Equal(t, 1, r.Stats.Promotions)
			assert.Equal(t, 1, world.oracle.openings[2])
			assert.Equal(t, "b", world.product().Chain.Master())
		})
	}
}
