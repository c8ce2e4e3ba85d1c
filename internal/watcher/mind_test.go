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

// TestWhatIsUrgentIsJudgedWithTheMark: the tick was ended for a failover which the mind
// itself did not judge to be due, before it could give the repair up, again and again.
func TestWhatIsUrgentIsJudgedWithTheMark(t *testing.T) {
	around := &planned{stillLife: stillLife{c: caseOf(t, "master-dead/refused-and-lost-by-its-replicas"), clock: time.Now()}}
	around.open.Plan = promote.Plan{ID: 1, Product: "shop", Kind: promote.Mend, Epoch: around.c.Chain.Epoch, Steps: []promote.Step{{Goal: "unheard-of"}}}
	mind := NewMind("shop", around, func(Event) {})
	assert.True(t, mind.Urgent(t.Context(), around))

	around.open.Plan.Kind = promote.Failover
	assert.False(t, mind.Urgent(t.Context(), around), "a promotion is ended for nothing")

	around.open.Plan.Kind = promote.Mend
	mind.setHighWater(topology.MustGTIDSet("ffffffff-0000-4000-8000-00000000000f:1-9"))
	assert.False(t, mind.Urgent(t.Context(), around), "no server holds what the master was seen to have committed")
}
