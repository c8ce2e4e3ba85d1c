package watcher

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/publish"
	"github.com/failoverd/failoverd/internal/topology"
)

func chainOf(standing map[string]topology.Standing) topology.Chain {
	c := topology.Chain{Product: "shop", Policy: topology.DefaultPolicy(), Mode: topology.Auto, Epoch: 3}
	for i, seat := range []topology.Seat{topology.Master, topology.Candidate, topology.Slave, topology.Dump} {
		s := topology.Server{Name: string(seat), Host: "10.0.0." + string(rune('1'+i)), Port: 3306, Zone: "a", Seat: seat, Standing: topology.In}
		if other, ok := standing[s.Name]; ok {
			s.Standing = other
		}
		c.Servers = append(c.Servers, s)
	}
	return c
}

func TestWhatIsPublishedOfAChain(t *testing.T) {
	p := render(chainOf(nil))
	assert.Equal(t, uint64(3), p.Epoch)
	assert.Equal(t, "healthy", p.State)
	assert.True(t, p.Protected)
	assert.Equal(t, "10.0.0.1", p.Writer.Host)
	require.Len(t, p.Readers, 2)
	assert.Equal(t, "10.0.0.3", p.Readers[0].Host, "the slave is read from first")
	assert.Equal(t, "10.0.0.4", p.Dump.Host)
}

func TestWhoIsOutOrInQuarantineIsNeverPublished(t *testing.T) {
	p := render(chainOf(map[string]topology.Standing{"slave": topology.Out, "candidate": topology.Quarantined}))
	assert.Empty(t, p.Readers)
	assert.Nil(t, p.Slave)
	assert.Nil(t, p.Candidate)
	assert.Equal(t, "degraded", p.State)
}

func TestUnprotectedIsSaid(t *testing.T) {
	c := chainOf(nil)
	c.Policy.Durability = topology.Async
	p := render(c)
	assert.False(t, p.Protected)
	assert.Equal(t, "unprotected", p.State)
}

// Every inventory that is taken can be published: a promotion must not fail at that.
func TestWhateverValidatesCanBePublished(t *testing.T) {
	key, err := publish.GenerateKey()
	require.NoError(t, err)
	state := journal.New()
	for _, c := range []topology.Chain{chainOf(nil), chainOf(nil)} {
		c.Servers[0].Zone, c.Servers[1].Host, c.Servers[2].Host, c.Servers[3].Name = "", "db-2.example.net", "fd00::3", "dump_1.b"
		require.NoError(t, c.Validate())
		state.Products[c.Product] = &journal.Product{Chain: c}
	}
	head, err := publish.Render(nil, input(state, nil), key, time.Unix(1, 0))
	require.NoError(t, err)
	assert.True(t, shows(head, state.Products["shop"].Chain))
	assert.Equal(t, []string{"a"}, head.Document.Zones)
}

func TestObservedProductsAreNotAnnounced(t *testing.T) {
	state := journal.New()
	c := chainOf(nil)
	c.Mode, c.Epoch = topology.Observe, 1
	state.Products["shop"] = &journal.Product{Chain: c}
	assert.Empty(t, input(state, nil).Products)
}
