package cluster

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRecoverGoesOnAloneWithWhatItHas(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	c.apply(c.leader(), "one")
	last := c.members["a"]
	c.hold(last, "one")
	cfg := last.cfg
	require.ErrorContains(t, Recover(cfg, &ledger{}), "in use by another process")
	for _, m := range c.members {
		m.stopHard()
	}

	require.NoError(t, Recover(cfg, &ledger{}))
	c.open("a")
	require.Equal(t, last, c.leader())
	c.hold(last, "one")
	assert.Equal(t, []string{"a"}, ids(last.Peers()))

	// The others start again from nothing.
	other := c.members["b"]
	other.cfg.Bootstrap = false
	require.NoError(t, os.RemoveAll(other.cfg.Dir))
	c.open("b")
	require.NoError(t, last.Join(within(t, patience), "b", other.cfg.Advertise))
	c.apply(last, "two")
	c.hold(other, "one", "two")
}

func TestRecoverNeedsState(t *testing.T) {
	c := prepareTrio(t, "a")
	assert.ErrorContains(t, Recover(c.members["a"].cfg, &ledger{}), "no state to recover from")
}
