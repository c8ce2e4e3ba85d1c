package cluster

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMeasure reports what a trio on this machine's disk and loopback achieves. It takes two minutes and proves
// nothing, so it runs only when asked: FAILOVERD_MEASURE=1 go test -run TestMeasure -v ./internal/cluster
func TestMeasure(t *testing.T) {
	if os.Getenv("FAILOVERD_MEASURE") == "" {
		t.Skip("set FAILOVERD_MEASURE to measure")
	}
	c := newTrio(t, "a", "b", "c")

	var commits []time.Duration
	leader := c.leader()
	for range 1000 {
		began := time.Now()
		c.apply(leader, "a command of ordinary length, as a plan's step that is done would be: epoch 7 step 3")
		commits = append(commits, time.Since(began))
	}
	report(t, "Apply", commits)

	var verified []time.Duration
	for range 200 {
		began := time.Now()
		require.NoError(t, leader.VerifyLeader(within(t, patience)))
		verified = append(verified, time.Since(began))
	}
	report(t, "VerifyLeader", verified)

	var crashes, handovers []time.Duration
	for range 25 {
		old := c.leader()
		began := time.Now()
		old.stopHard()
		c.leader()
		crashes = append(crashes, time.Since(began))
		c.open(old.cfg.ID)
		c.hold(old, c.leader().machine.all()...)
	}
	report(t, "new leader after a crash", crashes)
	for range 25 {
		old := c.leader()
		began := time.Now()
		require.NoError(t, old.Close())
		old.Node = nil
		c.leader()
		handovers = append(handovers, time.Since(began))
		c.open(old.cfg.ID)
		c.hold(old, c.leader().machine.all()...)
	}
	report(t, "new leader after Close", handovers)

	// Run it beside a heavy load to see whether the timing holds. A lost leadership shows as a new term.
	term, worst := c.leader().Status().Term, time.Duration(0)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 450 {
		<-tick.C
		began := time.Now()
		c.apply(c.leader(), "steady")
		worst = max(worst, time.Since(began))
	}
	t.Logf("steady for 45 s: %d changes of term, slowest Apply %s", c.leader().Status().Term-term, worst)
}

func report(t *testing.T, what string, took []time.Duration) {
	slices.Sort(took)
	at := func(percent int) time.Duration {
		return took[min(len(took)*percent/100, len(took)-1)].Round(10 * time.Microsecond)
	}
	t.Logf("%s (%d): p50 %s p90 %s p99 %s max %s", what, len(took), at(50), at(90), at(99), took[len(took)-1].Round(10*time.Microsecond))
}
