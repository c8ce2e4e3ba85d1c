package promote

import (
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
