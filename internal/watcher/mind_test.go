package watcher

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// planned is a still life with an open plan.
type planned struct {
	stillLife
	open promote.Progress
}

func (p *planned) Product(string) (journal.Product, bool) {
	return journal.Product{Chain: p.c.Chain, Open: &p.open}, true
}

// caseOf is a case of the rule table.
func caseOf(t *testing.T, name string) (c topology.Case) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../topology/testdata", filepath.FromSlash(name), "inputs.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &c))
	return c
}

// TestAPlanThatWaitsSaysWhatIsTrueNow: the verdict is not the one from before the
// plan; and what a person asked for is given up when it cannot be done in ten
// seconds and nobody misses the old master.
func TestAPlanThatWaitsSaysWhatIsTrueNow(t *testing.T) {
	around := &planned{stillLife: stillLife{c: caseOf(t, "server-missing/dump-slave-refused"), clock: time.Now()}}
	after := around.c.Chain.Promoted("b", topology.Out, "")
	around.open.Plan = promote.Plan{ID: 1, Product: "shop", Kind: promote.Failover, Epoch: after.Epoch, Rule: "operator", Actor: "ann", From: "a", Target: "b",
		Steps: []promote.Step{{Goal: "unheard-of"}, {Goal: promote.Writable, Server: "b"}}, Commit: 1, After: &after}
	mind := NewMind("shop", around, func(Event) {})
	for range 2 {
		around.clock = around.clock.Add(5 * time.Second)
		_, err := mind.Tick(t.Context())
		require.NoError(t, err)
	}
	assert.Equal(t, "server-missing", mind.Status().Verdict.Rule)
	assert.Contains(t, mind.Status().Waiting, "unheard-of")
	assert.Empty(t, around.proposed)

	around.clock = around.clock.Add(5 * time.Second)
	_, err := mind.Tick(t.Context())
	require.NoError(t, err)
	require.Len(t, around.proposed, 1)
	assert.Contains(t, around.proposed[0], "abort")
}

// TestARepairThatRestsHidesNothing: what else is wrong may be why it failed.
func TestARepairThatRestsHidesNothing(t *testing.T) {
	c := caseOf(t, "master-attached/rebooted-with-its-old-link")
	for _, v := range c.Views {
		for name, s := range v.Sightings {
			if name != c.Chain.Master() {
				v.Sightings[name] = topology.Sighting{Server: name, Contact: topology.Refused, Error: s.Error, Unanswered: topology.Duration(time.Minute)}
			}
		}
	}
	around := &stillLife{c: c, clock: time.Now()}
	mind := NewMind("shop", around, func(Event) {})
	around.clock = around.clock.Add(time.Minute)
	mind.resting[restKey(topology.Verdict{Rule: "master-attached", Server: c.Chain.Master()})] = rest{until: around.Now().Add(time.Second)}
	_, err := mind.Tick(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "commits-stalled", mind.Status().Verdict.Rule)
	assert.Contains(t, mind.Status().Waiting, "still replicates from")
	around.clock = around.clock.Add(2 * time.Second)
	_, err = mind.Tick(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "master-attached", mind.Status().Verdict.Rule)
	assert.Empty(t, mind.Status().Waiting)
}

// TestWhatIsUrgentIsJudgedAsTheMindJudges: the tick was ended for a failover which the
// mind itself did not judge to be due, before it could give the plan up, again and again.
func TestWhatIsUrgentIsJudgedAsTheMindJudges(t *testing.T) {
	urgent := func(name string, kind promote.Kind, change func(*planned, *Mind)) bool {
		around := &planned{stillLife: stillLife{c: caseOf(t, name), clock: time.Now()}}
		around.open.Plan = promote.Plan{ID: 1, Product: "shop", Kind: kind, Epoch: around.c.Chain.Epoch,
			Steps: []promote.Step{{Goal: "unheard-of"}, {Goal: promote.Writable}, {Goal: promote.Awake, Lenient: true}}, Commit: 1, After: &around.c.Chain}
		mind := NewMind("shop", around, func(Event) {})
		mind.guarded.Store(&guarded{nil, around.clock.Add(-time.Hour)})
		change(around, mind)
		return mind.Urgent(t.Context(), around)
	}
	dead, lost := "master-dead/refused-and-lost-by-its-replicas", "ackers-lost/candidate-refused"
	asIs := func(*planned, *Mind) {}
	assert.True(t, urgent(dead, promote.Mend, asIs), "a repair stands in nobody's way")
	assert.True(t, urgent(dead, promote.Switchover, asIs))
	assert.True(t, urgent(lost, promote.Switchover, asIs), "commits wait")
	assert.False(t, urgent(lost, promote.Mend, asIs), "another repair may be what helps")
	assert.False(t, urgent(lost, promote.Rebuild, asIs), "a rebuild gives way to other repairs, and not in the midst of a step")
	assert.False(t, urgent(dead, promote.Failover, asIs), "a failover is ended for nothing")
	assert.False(t, urgent(dead, promote.Switchover, func(p *planned, _ *Mind) { p.open.Next = 1 }), "it may have opened")
	opened := func(p *planned, _ *Mind) { p.open.Next = 2 }
	assert.True(t, urgent(dead, promote.Switchover, opened), "the new master is dead, and what is left is left to repairs")
	assert.True(t, urgent(dead, promote.Failover, opened))
	assert.False(t, urgent(lost, promote.Switchover, opened), "what is left may be what helps")
	assert.False(t, urgent(dead, promote.Mend, func(_ *planned, m *Mind) {
		m.setHighWater(topology.MustGTIDSet("ffffffff-0000-4000-8000-00000000000f:1-9"))
	}), "no server holds what the master was seen to have committed")
	assert.False(t, urgent(lost, promote.Switchover, func(p *planned, m *Mind) {
		var resting []string
		for _, s := range p.c.Chain.Servers {
			resting = append(resting, restKey(topology.Verdict{Rule: "ackers-lost", Server: s.Name}))
		}
		m.guarded.Store(&guarded{resting, p.clock.Add(-time.Hour)})
	}), "whoever could take over rests")
}

// TestWhatWasSeenBeforeAPromotionSaysNothing: a server that is the master now was
// another's replica a moment ago, and what was accepted to be lost is no measure.
func TestWhatWasSeenBeforeAPromotionSaysNothing(t *testing.T) {
	around := &planned{stillLife: stillLife{c: caseOf(t, "healthy/all-well"), clock: time.Now()}}
	around.open.Plan = promote.Plan{ID: 1, Product: "shop", Kind: promote.Failover, From: "b", Target: "a", After: &around.c.Chain, Loss: &promote.Loss{},
		Steps: []promote.Step{{Goal: promote.Drained, Server: "a"}, {Goal: promote.Standing}, {Goal: promote.Standing}}, Commit: 1}
	mind := NewMind("shop", around, func(Event) {})
	mind.setHighWater(topology.MustGTIDSet("ffffffff-0000-4000-8000-00000000000f:1-9"))
	step := func(next int) {
		around.clock = around.clock.Add(time.Minute)
		around.open.Next = next
		done, err := mind.step(t.Context(), journal.Product{Chain: around.c.Chain, Open: &around.open})
		require.NoError(t, err)
		require.True(t, done)
	}
	step(1)
	assert.Equal(t, around.Now(), mind.settledAt)
	assert.Equal(t, around.Now(), mind.guarded.Load().settledAt)
	assert.True(t, mind.HighWater().Empty())
	step(2)
	assert.Equal(t, around.Now().Add(-time.Minute), mind.settledAt, "the steps after it change nothing of that")
}
