package promote

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
)

func TestForFailover(t *testing.T) {
	all := cases(t)
	for _, c := range []struct {
		name, inputs, to string
		acceptLoss       bool
		want             string // of the refusal, empty for a plan
	}{
		{"a master that answers", "healthy/all-well", "", false, "failoverd switchover shop"},
		{"a held-down master goes when a person says so", "master-held-down/silent-a-minute-after-a-failover", "", false, ""},
		{"an acker that may hold more is waited for", "master-dead-no-target/an-acker-is-silent", "", false, "It waits for them"},
		{"unless the loss is accepted", "master-dead-no-target/an-acker-is-silent", "", true, ""},
		{"nobody promotes the dump slave", "master-dead/refused-and-lost-by-its-replicas", "d", true, "never promoted"},
		{"nor a server that is gone", "master-dead-no-target/candidate-refused-too", "b", true, "does not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, ok := all[c.inputs]
			require.True(t, ok, c.inputs)
			plan, err := ForFailover(in, c.to, "ann", "the rack is on fire", c.acceptLoss)
			if c.want != "" {
				assert.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "ann", plan.Actor)
			assert.Equal(t, c.acceptLoss, plan.Loss != nil)
			golden(t, "operator/failover-"+plan.Target+map[bool]string{true: "-lossy"}[c.acceptLoss], asText(plan))
			if !c.acceptLoss {
				wellFormed(t, in, plan)
				return
			}
			assert.NotEmpty(t, plan.Loss.Absent, "it says who may hold more")
			for _, s := range plan.Steps[:plan.Commit] {
				assert.Zero(t, s.Need, "%s needs nobody", s)
			}
		})
	}
}

func TestForMaintenance(t *testing.T) {
	all := cases(t)
	until := time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	for _, server := range []string{"b", "c", "d"} {
		plan, err := ForMaintenance(all["healthy/all-well"], server, "ann", "new disk", until)
		require.NoError(t, err)
		golden(t, "operator/maintenance-"+server, asText(plan))
		wellFormed(t, all["healthy/all-well"], plan)
		disarmed := false
		for _, s := range plan.Steps {
			disarmed = disarmed || s.Goal == Disarmed && s.Server == server
			if s.Goal == Standing {
				assert.True(t, disarmed, "%s acknowledges no more when it leaves", server)
				assert.Equal(t, until, s.Until)
			}
		}
	}
	_, err := ForMaintenance(all["healthy/all-well"], "a", "ann", "", time.Time{})
	assert.ErrorContains(t, err, "failoverd switchover shop")
	_, err = ForMaintenance(all["server-rebuild/dump-slave-was-errant"], "d", "ann", "", time.Time{})
	assert.ErrorContains(t, err, "quarantined")
}

func TestForReturnAndForRebuild(t *testing.T) {
	all := cases(t)
	plan, err := ForReturn(all["healthy/dump-slave-in-maintenance"], "d", "ann", "done")
	require.NoError(t, err)
	assert.Equal(t, []Step{{Goal: Standing, Server: "d", Standing: topology.Out, Why: "its maintenance is over"}}, plan.Steps, "it then comes back by proof")
	_, err = ForReturn(all["healthy/all-well"], "d", "ann", "")
	assert.ErrorContains(t, err, "not in maintenance")

	plan, err = ForRebuild(all["server-quarantined/rebuild-asks"], "d", "b", "ann", "now")
	require.NoError(t, err)
	golden(t, "operator/rebuild", asText(plan))
	_, err = ForRebuild(all["healthy/all-well"], "d", "", "ann", "")
	assert.ErrorContains(t, err, "only what is quarantined")
}

func TestForRestored(t *testing.T) {
	c := cases(t)["server-quarantined/rebuild-asks"]
	change := func(change func(*topology.Facts)) topology.Case {
		out := c
		out.Views = slices.Clone(c.Views)
		for i, v := range out.Views {
			out.Views[i].Sightings = maps.Clone(v.Sightings)
			s := v.Sightings["d"]
			if s.Facts == nil {
				continue
			}
			f := *s.Facts
			f.Link, f.UUID, f.ReadOnly, f.SuperReadOnly = nil, "99999999-0000-0000-0000-000000000000", true, true
			change(&f)
			s.Facts = &f
			out.Views[i].Sightings["d"] = s
		}
		return out
	}
	const was = "11111111-0000-0000-0000-000000000000"
	plan, err := ForRestored(change(func(*topology.Facts) {}), "d", "S", was, "ann", "all gone")
	require.NoError(t, err)
	assert.Equal(t, []Step{{Goal: Standing, Server: "d", Standing: topology.Out, Why: "was restored from snapshot S"}}, plan.Steps, "it then comes back by proof")
	for says, how := range map[string]func(*topology.Facts){
		"still has the UUID":     func(f *topology.Facts) { f.UUID = was },
		"is open for writes":     func(f *topology.Facts) { f.ReadOnly, f.SuperReadOnly = false, false },
		"holds no transaction":   func(f *topology.Facts) { f.Executed = topology.GTIDSet{} },
		"replicates from b:3306": func(f *topology.Facts) { f.Link = &topology.Link{SourceAddr: "b:3306"} },
	} {
		_, err := ForRestored(change(how), "d", "S", was, "ann", "")
		assert.ErrorContains(t, err, says)
	}
	_, err = ForRestored(cases(t)["healthy/all-well"], "d", "S", was, "ann", "")
	assert.ErrorContains(t, err, "only what is quarantined or in maintenance")
}
