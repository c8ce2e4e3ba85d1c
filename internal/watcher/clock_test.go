package watcher

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// jumped is a reading of a clock that was set by d: its wall time differs, its monotonic time does not. The time
// package has no way to make one, so this reaches into its layout; TestJumpedClock holds that it is right.
func jumped(t time.Time, d time.Duration) time.Time {
	// A time with a monotonic reading keeps the seconds of its wall time above 30 bits of nanoseconds.
	wall := (*uint64)(unsafe.Pointer(&t))
	*wall += uint64(int64(d/time.Second) << 30)
	return t
}

func TestJumpedClock(t *testing.T) {
	now := time.Now()
	for _, d := range []time.Duration{time.Hour, -time.Hour} {
		later := jumped(now, d)
		assert.Zero(t, later.Sub(now))
		assert.Equal(t, d, later.Round(0).Sub(now.Round(0)))
	}
}

// stillLife is the world around a mind in which nothing changes but the clock: what is proposed is noted and not
// done, and steps reach nothing.
type stillLife struct {
	c        topology.Case
	clock    time.Time     // with a monotonic reading
	offset   time.Duration // by which its wall time was set
	proposed []string
}

func (s *stillLife) Now() time.Time { return jumped(s.clock, s.offset) }

func (s *stillLife) Product(string) (journal.Product, bool) {
	return journal.Product{Chain: s.c.Chain}, true
}

func (s *stillLife) Watchers() int { return s.c.Watchers }

func (s *stillLife) Views(context.Context, string, bool) []topology.View { return s.c.Views }

func (s *stillLife) Published(topology.Chain) bool { return s.c.Published }

func (s *stillLife) World(topology.Chain) promote.World { return stillWorld{} }

func (s *stillLife) Propose(_ context.Context, c journal.Command) error {
	c.At = time.Time{}
	if c.Accept != nil && c.Accept.After != nil && c.Accept.After.Last != nil {
		c.Accept.After.Last.At = time.Time{}
	}
	s.proposed = append(s.proposed, string(c.Encode()))
	return nil
}

type stillWorld struct{ promote.World }

func (stillWorld) Each(context.Context, []topology.Server, func(context.Context, topology.Server) error) map[string]error {
	return nil
}

// thinks has a mind tick once a second, its clock jumping before each tick, and returns what it thought and proposed.
func thinks(t *testing.T, c topology.Case, jumps ...time.Duration) (rules, proposed []string) {
	t.Helper()
	around := &stillLife{c: c, clock: time.Now(), offset: time.Until(c.Now)}
	mind := NewMind(c.Chain.Product, around, func(Event) {})
	around.clock = around.clock.Add(time.Minute) // what is known is known since the chain was last changed
	for _, jump := range jumps {
		around.offset += jump
		_, err := mind.Tick(t.Context())
		require.NoError(t, err)
		rules = append(rules, mind.Status().Verdict.Rule)
		around.clock = around.clock.Add(time.Second)
	}
	return rules, around.proposed
}

// ofTheClock are the rules that a clock has a say in, with what comes of a clock that is set an hour ahead, two hours
// back, and an hour ahead again: a pause, a maintenance or a hold-down is shorter or longer, and nothing else.
var ofTheClock = map[string][]string{
	"master-held-down": {"master-held-down", "master-silent", "master-silent", "master-held-down"},
	"maintenance-over": {"maintenance-over", "maintenance-over", "healthy", "maintenance-over"},
}

// TestClockThatJumpsChangesNothing plays every case of the rule table to a mind whose wall clock is set while it runs.
func TestClockThatJumpsChangesNothing(t *testing.T) {
	files, err := filepath.Glob("../topology/testdata/*/*/inputs.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	seen := map[string]bool{}
	for _, file := range files {
		dir := filepath.Dir(file)
		rule := filepath.Base(filepath.Dir(dir))
		t.Run(rule+"/"+filepath.Base(dir), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			var c topology.Case
			require.NoError(t, json.Unmarshal(data, &c))
			steadyRules, steadyProposals := thinks(t, c, 0, 0, 0, 0)
			rules, proposals := thinks(t, c, 0, time.Hour, -2*time.Hour, time.Hour)
			if filepath.Base(dir) == "after-the-leaders-clock-went-back" {
				t.Skip("is of a clock that jumped itself")
			}
			if want := ofTheClock[rule]; want != nil {
				seen[rule] = true
				assert.Equal(t, want, rules)
				return
			}
			assert.Equal(t, steadyRules, rules)
			assert.Equal(t, steadyProposals, proposals)
		})
	}
	for rule := range ofTheClock {
		assert.True(t, seen[rule], rule)
	}
}
