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

// TestACopyThatHasNotTakenTheDataIsNoReasonNotToSave: a clone whose process died early
// shows as under way for ever, and what the server held is still there.
func TestACopyThatHasNotTakenTheDataIsNoReasonNotToSave(t *testing.T) {
	errant := topology.GTIDSpan("0a000000-0000-4000-8000-00000000000a", 1, 2)
	chain := topology.Chain{Product: "shop", Servers: []topology.Server{
		{Name: "b", Seat: topology.Master, Standing: topology.In}, {Name: "d", Seat: topology.Dump, Standing: topology.Quarantined, CloneMark: "none"}}}
	clone := &topology.Clone{State: topology.CloneInProgress, Begun: "first"}
	w := &saving{lookedAt: lookedAt{servers: map[string]looked{"b": {}, "d": {facts: topology.Facts{Executed: errant, Clone: clone}}}}}
	note, err := Reach(t.Context(), w, chain, Plan{Kind: Rebuild, Target: "d"}, Step{Goal: Saved, Server: "d"})
	require.NoError(t, err)
	assert.Equal(t, errant.String(), w.saved.String())
	assert.Equal(t, errant.String(), note.Errant.String())
	assert.Equal(t, "none", note.Clone, "and when it is complete it counts")

	clone.Emptied, w.saved = true, topology.GTIDSet{}
	_, err = Reach(t.Context(), w, chain, Plan{Kind: Rebuild, Target: "d"}, Step{Goal: Saved, Server: "d"})
	require.NoError(t, err)
	assert.True(t, w.saved.Empty(), "nothing is left to save")
}

type saving struct {
	lookedAt
	saved topology.GTIDSet
}

func (s *saving) Save(_ context.Context, _ string, _ topology.Server, set topology.GTIDSet) (string, error) {
	s.saved = set
	return "the store", nil
}
