package journal

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

func TestAPromotionNotesWhereHistoryEnds(t *testing.T) {
	l := newLog(t)
	l.do(Command{UUIDs: &UUIDs{Product: "shop", UUIDs: map[string]string{"b": uuidA}}})
	l.do(Command{Actor: "failoverd", Accept: failover(l.chain())})
	l.do(l.done(1, 0, noteless))
	l.do(l.done(1, 1, noteless))
	executed := topology.MustGTIDSet(uuidA + ":1-9")
	l.do(l.done(1, 2, promote.Note{Cut: executed}))
	require.Len(t, l.Products["shop"].Cuts, 1)
	cut := l.Products["shop"].Cuts[0]
	assert.Equal(t, topology.Cut{Epoch: 2, Server: "b", UUID: cut.UUID, GTIDs: executed, At: l.chain().Last.At}, cut)
	l.do(l.done(1, 3, noteless))
	assert.True(t, l.History[len(l.History)-1].Phases[2].Cut.Empty(), "the history is for people")
}

func TestTheLatestCutsAreKept(t *testing.T) {
	p := &Product{Chain: topology.Chain{Epoch: 1}, Open: &promote.Progress{Plan: promote.Plan{Target: "b"}}}
	for range cutsKept + 3 {
		p.Chain.Epoch++
		p.cut(topology.MustGTIDSet(uuidA+":1-9"), noon)
	}
	require.Len(t, p.Cuts, cutsKept)
	assert.Equal(t, uint64(5), p.Cuts[0].Epoch)
	p.cut(topology.GTIDSet{}, noon)
	assert.Len(t, p.Cuts, cutsKept, "a watcher of an older version did not say")
}
