package promote

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
)

// oneServer tells what it was asked.
type oneServer struct {
	Server
	facts topology.Facts
	waits []int // what it was told to wait for
}

func (o *oneServer) Look(context.Context) (topology.Facts, error) { return o.facts, nil }

func (o *oneServer) SetSourceSemiSync(_ context.Context, acks int) error {
	o.waits = append(o.waits, acks)
	return nil
}

func (o *oneServer) SetSuperReadOnly(context.Context, bool) error { return nil }

// itsWorld has no other server.
type itsWorld struct {
	World
	one *oneServer
}

func (w itsWorld) Server(topology.Server) Server { return w.one }

func TestOnlyAcksLowersWhatAnOpenMasterWaitsFor(t *testing.T) {
	chain := topology.Chain{Product: "shop", Acks: 1, Policy: topology.DefaultPolicy(), Servers: []topology.Server{{Name: "a", Seat: topology.Master, Standing: topology.In}}}
	on := func(acks int) topology.SourceSemiSync {
		return topology.SourceSemiSync{Installed: true, Enabled: true, On: true, Acks: acks}
	}
	for _, c := range []struct {
		name   string
		goal   Goal
		closed bool
		source topology.SourceSemiSync
		want   []int
	}{
		{"an old order to open finds it waiting for more", Writable, false, on(2), nil},
		{"it is not open yet: nobody counts on more", Writable, true, on(2), []int{1}},
		{"it waits for nobody", Writable, false, topology.SourceSemiSync{Installed: true}, []int{1}},
		{"it fell back", Writable, false, topology.SourceSemiSync{Installed: true, Enabled: true, Acks: 2}, []int{1}},
		{"the goal that is about it", Acks, false, on(2), []int{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := &oneServer{facts: topology.Facts{ReadOnly: c.closed, SuperReadOnly: c.closed, Source: c.source}}
			_, err := Reach(t.Context(), itsWorld{one: server}, chain, Plan{Kind: Protect, Product: "shop"}, Step{Goal: c.goal, Server: "a", Need: 1})
			require.NoError(t, err)
			assert.Equal(t, c.want, server.waits)
		})
	}
}

func TestWhatTheNextMasterHoldsIsNotedWhenItIsOpened(t *testing.T) {
	executed := topology.MustGTIDSet("0a000000-0000-4000-8000-00000000000a:1-9")
	chain := topology.Chain{Product: "shop", Policy: topology.DefaultPolicy(), Servers: []topology.Server{{Name: "a", Seat: topology.Master}, {Name: "b", Seat: topology.Candidate}}}
	server := &oneServer{facts: topology.Facts{ReadOnly: true, SuperReadOnly: true, Executed: executed, Source: topology.SourceSemiSync{Installed: true, Enabled: true, On: true, Acks: 1}}}
	note, err := Reach(t.Context(), itsWorld{one: server}, chain, Plan{Kind: Failover, Product: "shop", Target: "b"}, Step{Goal: Writable, Server: "b"})
	require.NoError(t, err)
	assert.Equal(t, executed, note.Cut)
	note, err = Reach(t.Context(), itsWorld{one: server}, chain, Plan{Kind: Protect, Product: "shop"}, Step{Goal: Writable, Server: "b"})
	require.NoError(t, err)
	assert.True(t, note.Cut.Empty(), "nothing ends here")
}
