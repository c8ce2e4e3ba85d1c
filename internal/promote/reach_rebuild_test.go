package promote

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
)

// looked is a server that can only be looked at, and a world of such.
type looked struct {
	Server
	facts topology.Facts
	err   error
}

func (l looked) Look(context.Context) (topology.Facts, error) { return l.facts, l.err }

type lookedAt struct {
	World
	servers map[string]looked
}

func (l lookedAt) Server(s topology.Server) Server { return l.servers[s.Name] }

// TestAFailoverDoesNotWaitForARebuild: without a master nobody is rebuilt, so who
// holds what the GTIDs stood for is doubted from now on; a repair waits for it.
func TestAFailoverDoesNotWaitForARebuild(t *testing.T) {
	const rebuilt = "0b000000-0000-4000-8000-00000000000b"
	retired := topology.GTIDSpan(rebuilt, 1, 2)
	chain := topology.Chain{Product: "shop", Retired: retired, Servers: []topology.Server{
		{Name: "a", Seat: topology.Master, Standing: topology.In}, {Name: "b", Seat: topology.Candidate, Standing: topology.In},
		{Name: "c", Seat: topology.Slave, Standing: topology.Quarantined}, {Name: "d", Seat: topology.Dump, Standing: topology.In}}}
	w := lookedAt{servers: map[string]looked{
		"a": {err: ErrUnreachable}, "b": {facts: topology.Facts{UUID: rebuilt}}, "c": {facts: topology.Facts{Executed: retired}}, "d": {}}}
	note, err := Reach(t.Context(), w, chain, Plan{Kind: Failover, Target: "b"}, Step{Goal: Sole, Server: "b"})
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "c"}, note.Absent)
	assert.Equal(t, retired.String(), note.Burned.String())

	w.servers["a"] = looked{}
	_, err = Reach(t.Context(), w, chain, Plan{Kind: Mend}, Step{Goal: Sole, Server: "b"})
	assert.ErrorContains(t, err, "it is to be rebuilt first")
}
