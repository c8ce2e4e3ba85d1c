package promote

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
)

// With asynchronous durability nobody acknowledges, and still the target must
// stop receiving before it is opened: a thawed master would go on feeding it.
func TestAnAsynchronousTargetIsRevokedToo(t *testing.T) {
	chain := topology.Chain{Product: "shop", Epoch: 1, Mode: topology.Auto, Policy: topology.DefaultPolicy(), Servers: []topology.Server{
		{Name: "a", Host: "a", Port: 1, Seat: topology.Master, Standing: topology.In},
		{Name: "b", Host: "b", Port: 1, Seat: topology.Candidate, Standing: topology.In},
	}}
	chain.Policy.Durability = topology.Async
	view := func(watcher string) topology.View {
		return topology.View{Watcher: watcher, Product: "shop", Sightings: map[string]topology.Sighting{
			"a": {Server: "a", Contact: topology.Refused, Unanswered: topology.Duration(time.Second)},
			"b": {Server: "b", Contact: topology.Answered, Facts: &topology.Facts{UUID: "b", SuperReadOnly: true, Link: &topology.Link{SourceAddr: "a:1", IO: topology.Connecting, SQL: topology.On}}},
		}}
	}
	c := topology.Case{Chain: chain, Watchers: 3, Views: []topology.View{view("w1"), view("w2"), view("w3")}}
	verdict := topology.Judge(c)
	require.Equal(t, topology.Failover, verdict.Action, verdict.Why)
	plan := For(c, verdict)
	require.NotNil(t, plan)
	assert.Equal(t, Revoked, plan.Steps[0].Goal)
	assert.Equal(t, "b", plan.Steps[0].Server)
	assert.Empty(t, plan.After.Ackers)
}
