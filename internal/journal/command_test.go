package journal

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
)

func TestInventory(t *testing.T) {
	l := newLog(t)
	assert.Equal(t, uint64(1), l.chain().Epoch)
	assert.Equal(t, []string{"b"}, l.chain().Ackers)
	for _, s := range l.chain().Servers {
		assert.Equal(t, topology.In, s.Standing)
	}
	assert.Equal(t, []string{"shop"}, l.Names())
}

func TestNewProductOnlyWatches(t *testing.T) {
	s := New()
	require.NoError(t, s.Do(1, Command{Inventory: &Inventory{Chains: []topology.Chain{inventory()}}}))
	assert.Equal(t, topology.Observe, s.Products["shop"].Chain.Mode)
}

func TestInventoryKeepsWhatFailoverdMoved(t *testing.T) {
	l := newLog(t)
	l.do(Command{Accept: failover(l.chain())})
	require.Error(t, l.try(Command{Inventory: &Inventory{Chains: []topology.Chain{inventory()}}}), "a plan is open")
	for i := range 4 {
		l.do(l.done(1, i, noteless))
	}
	again := inventory()
	again.Servers[0].Host = "10.9.9.9"
	again.Servers = append(again.Servers, topology.Server{Name: "e", Host: "10.0.0.5", Port: 3306, Seat: topology.Slave})
	l.do(Command{Inventory: &Inventory{Chains: []topology.Chain{again}}})
	a, _ := l.chain().Server("a")
	assert.Equal(t, "10.9.9.9", a.Host)
	assert.Equal(t, topology.Slave, a.Seat, "seats are failoverd's")
	assert.Equal(t, topology.Out, a.Standing)
	e, _ := l.chain().Server("e")
	assert.Equal(t, topology.Out, e.Standing, "a new server proves itself first")
	assert.Equal(t, uint64(2), l.chain().Epoch)

	without := inventory()
	without.Servers = without.Servers[:3] // d goes, which nothing depends on
	l.do(Command{Inventory: &Inventory{Chains: []topology.Chain{without}}})
	_, there := l.chain().Server("d")
	assert.False(t, there)
	acker := inventory()
	acker.Servers = append(acker.Servers[:2:2], acker.Servers[3])
	require.Error(t, l.try(Command{Inventory: &Inventory{Chains: []topology.Chain{acker}}}), "c acknowledges")
}

func TestRemove(t *testing.T) {
	l := newLog(t)
	require.Error(t, l.try(Command{Inventory: &Inventory{Remove: []string{"x"}}}))
	l.do(Command{Inventory: &Inventory{Remove: []string{"shop"}}})
	assert.Empty(t, l.Names())
}

func TestHighWaterOnlyGrows(t *testing.T) {
	l := newLog(t)
	raise := func(epoch uint64, set string) Command {
		return Command{HighWater: &HighWater{Product: "shop", Epoch: epoch, Set: topology.MustGTIDSet(uuidA + ":" + set)}}
	}
	l.do(raise(1, "1-9"))
	l.do(raise(1, "1-5"))
	assert.Equal(t, uuidA+":1-9", l.chain().HighWater.String())
	l.stale(raise(2, "1-20"))
}

func TestPublishedVersionOnlyGrows(t *testing.T) {
	l := newLog(t)
	l.do(Command{Publish: &Head{Version: 3, Body: []byte("three")}})
	l.stale(Command{Publish: &Head{Version: 3, Body: []byte("another three")}})
	l.stale(Command{Publish: &Head{Version: 2}})
	assert.Equal(t, "three", string(l.Head.Body))
}

func TestModeAndPause(t *testing.T) {
	l := newLog(t)
	l.do(Command{Actor: "ann", Pause: &SetPause{Product: "shop", Pause: &topology.Pause{Actor: "ann", Reason: "kernel"}}})
	assert.True(t, l.chain().Paused(noon))
	l.do(Command{Actor: "ann", Pause: &SetPause{Product: "shop"}})
	assert.False(t, l.chain().Paused(noon))
	require.Error(t, l.try(Command{Mode: &SetMode{Product: "shop", Mode: "yolo"}}))
	entries := len(l.History)
	l.do(Command{Mode: &SetMode{Product: "shop", Mode: topology.Auto}})
	assert.Len(t, l.History, entries, "what changes nothing leaves no entry")
}

func TestUnknownCommandIsRefused(t *testing.T) {
	assert.ErrorContains(t, New().Apply(7, []byte(`{"fromTheFuture":{}}`)), "upgrade this watcher")
	assert.Error(t, New().Apply(7, []byte(`{`)))
}

// TestSnapshot: a watcher that restores a snapshot has the same state as one that
// applied the log, with a plan open in the middle.
func TestSnapshot(t *testing.T) {
	l := newLog(t)
	l.do(Command{Accept: failover(l.chain())})
	l.do(l.done(1, 0, noteless))
	data, err := l.Encode()
	require.NoError(t, err)
	restored, err := Decode(data)
	require.NoError(t, err)
	next := l.done(1, 1, noteless)
	require.NoError(t, l.Do(100, next))
	require.NoError(t, restored.Do(100, next))
	a, err := l.Encode()
	require.NoError(t, err)
	b, err := restored.Encode()
	require.NoError(t, err)
	assert.Equal(t, string(a), string(b))
}

func TestCloneSharesNothing(t *testing.T) {
	l := newLog(t)
	clone := l.Clone()
	l.do(Command{Accept: failover(l.chain())})
	assert.Nil(t, clone.Products["shop"].Open)
}

func TestHistoryIsBounded(t *testing.T) {
	l := newLog(t)
	for range historyKept + 10 {
		l.do(Command{Pause: &SetPause{Product: "shop"}})
	}
	assert.Len(t, l.History, historyKept)
	assert.Equal(t, l.index, l.History[historyKept-1].ID)
}
