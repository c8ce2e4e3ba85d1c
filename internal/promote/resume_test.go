package promote

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
)

func TestResume(t *testing.T) {
	all := cases(t)
	well, dead := all["healthy/all-well"], all["master-dead/refused-and-lost-by-its-replicas"]
	failover := For(dead, topology.Judge(dead))
	require.NotNil(t, failover)
	switchover, err := ForSwitchover(well, "", "ann", "test")
	require.NoError(t, err)
	reform := For(all["ackers-lost/candidate-refused"], topology.Judge(all["ackers-lost/candidate-refused"]))
	behind := For(all["master-behind-acker/came-back-with-less"], topology.Judge(all["master-behind-acker/came-back-with-less"]))
	asked, askedWell, askedDead := *failover, well, dead
	asked.Rule, asked.Actor = "operator", "ann"
	askedWell.Resting, askedDead.Resting = []string{"target/b"}, []string{"target/b"}
	opened := func(kind Kind, c topology.Case) Progress {
		return Progress{Next: 2, Plan: Plan{Kind: kind, From: "b", Target: "a", After: &c.Chain, Commit: 1,
			Steps: []Step{{Goal: Drained, Server: "a"}, {Goal: Writable, Server: "a"}, {Goal: Awake, Server: "a", Lenient: true}}}}
	}
	opening := opened(Switchover, dead)
	opening.Next = 1
	for _, c := range []struct {
		name   string
		c      topology.Case
		open   Progress
		failed string
		want   Course
	}{
		{"a new leader goes on", dead, Progress{Plan: *failover, Next: 1}, "", GoOn},
		{"a failover waits for its target", all["master-dead-no-target/candidate-refused-too"], Progress{Plan: *failover}, "b is gone", GoOn},
		{"a failover gives way to a master that is back", well, Progress{Plan: *failover, Next: 2}, "b lacks 1", Abort},
		{"but not to one that came back with less", all["master-behind-acker/came-back-with-less"], Progress{Plan: *behind}, "slow", GoOn},
		{"one that a person asked for goes on at first", well, Progress{Plan: asked}, "b is slow", GoOn},
		{"and is given up when its target had its time and the old master is there", askedWell, Progress{Plan: asked}, "b is slow", Abort},
		{"but not while the old master is missed", askedDead, Progress{Plan: asked}, "b is slow", GoOn},
		{"a switchover that fails before it opened is taken back", well, Progress{Plan: *switchover, Next: 1}, "b is slow", Abort},
		{"a switchover goes on", well, Progress{Plan: *switchover, Next: 1}, "", GoOn},
		{"and is taken back for whom commits wait", all["ackers-lost/candidate-refused"], Progress{Plan: *switchover}, "", Abort},
		{"and when the master dies first", dead, Progress{Plan: *switchover, Next: switchover.Commit - 1}, "", Abort},
		{"but not once it may have opened", dead, Progress{Plan: *switchover, Next: switchover.Commit}, "", GoOn},
		{"nor while it opens", dead, opening, "", GoOn},
		{"but what is left of it is dropped when the new master dies", dead, opened(Switchover, dead), "", Supersede},
		{"and of a failover", dead, opened(Failover, dead), "", Supersede},
		{"and when nobody can take over", all["master-dead-no-target/candidate-refused-too"], opened(Switchover, dead), "", Supersede},
		{"and not for less", all["ackers-lost/candidate-refused"], opened(Switchover, well), "", GoOn},
		{"nothing is taken back once it may have opened", well, Progress{Plan: *failover, Next: failover.Commit}, "no answer", GoOn},
		{"a plan that is taken back goes on doing so", well, Progress{Plan: *switchover, Undoing: true}, "no answer", GoOn},
		{"but not once the old master is dead", dead, Progress{Plan: *switchover, Undoing: true}, "no answer", Abort},
		{"a repair that fails is dropped", well, Progress{Plan: *reform}, "d is gone", Abort},
		{"a repair gives way to a failover", dead, Progress{Plan: *reform}, "", Abort},
		{"a repair goes on", well, Progress{Plan: *reform}, "", GoOn},
	} {
		t.Run(c.name, func(t *testing.T) {
			course, why := Resume(c.c, c.open, c.failed)
			assert.Equal(t, c.want, course, why)
			assert.Equal(t, course == GoOn, why == "", "every other course has a reason")
		})
	}
}

// TestResumeSupersedes: the target may have been opened and died in its turn.
func TestResumeSupersedes(t *testing.T) {
	all := cases(t)
	dead := all["master-dead/refused-and-lost-by-its-replicas"]
	plan := For(dead, topology.Judge(dead))
	gone := all["master-dead-no-target/no-direct-replica-answers"] // b and d are gone too
	for _, v := range gone.Views {
		if facts := v.Sightings["c"].Facts; facts != nil {
			facts.Link.IO, facts.Link.Silence = topology.Connecting, topology.Duration(4*time.Second)
		}
	}
	course, why := Resume(gone, Progress{Plan: *plan, Next: plan.Commit}, "no answer")
	assert.Equal(t, Supersede, course)
	assert.Contains(t, why, "may have been opened")
}

func TestGoalsAreKnown(t *testing.T) {
	seen := map[Goal]bool{}
	for _, g := range Goals {
		assert.False(t, seen[g.Goal], "%s once", g.Goal)
		seen[g.Goal] = true
		assert.NotEmpty(t, g.Holds)
	}
	_, err := Reach(t.Context(), nil, topology.Chain{}, Plan{}, Step{Goal: "unheard-of"})
	assert.ErrorContains(t, err, "upgrade this watcher")
}
