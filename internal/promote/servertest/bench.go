package servertest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
)

const (
	// soon is enough for what should happen at once, on a loaded machine.
	soon = 10 * time.Second
	// still is how long a test watches that something does not happen.
	still = 700 * time.Millisecond
	tick  = 10 * time.Millisecond
)

// bench is a world with the assertions that facts are written in.
type bench struct {
	*testing.T
	World
}

func (b *bench) ctx() context.Context { return b.Context() }

// ok requires a call to succeed.
func (b *bench) ok(err error) {
	b.Helper()
	require.NoError(b, err)
}

func (b *bench) look(n Node) topology.Facts {
	b.Helper()
	facts, err := n.Server().Look(b.ctx())
	require.NoError(b, err, "look at %s", n.Place().Name)
	return facts
}

// becomes waits for an outcome.
func (b *bench) becomes(want Outcome, write <-chan Outcome) {
	b.Helper()
	select {
	case got := <-write:
		require.Equal(b, want, got)
	case <-time.After(soon):
		require.Fail(b, "the write has no outcome", "wanted %s", want)
	}
}

// waits requires that a write stays without an outcome.
func (b *bench) waits(write <-chan Outcome) {
	b.Helper()
	select {
	case got := <-write:
		require.Fail(b, "the write did not wait", "it was %s", got)
	case <-time.After(still):
	}
}

// eventually polls the facts of a server.
func (b *bench) eventually(n Node, why string, holds func(topology.Facts) bool) {
	b.Helper()
	var last topology.Facts
	var lastErr error
	done := assert.Eventually(b, func() bool {
		facts, err := n.Server().Look(b.ctx())
		if lastErr = err; err != nil {
			return false
		}
		last = facts
		return holds(facts)
	}, soon, tick)
	if !done {
		require.Fail(b, why, "%s is %+v, link %+v, last error %v", n.Place().Name, last, last.Link, lastErr)
	}
}

// sees waits until a server has executed a value.
func (b *bench) sees(n Node, value string) {
	b.Helper()
	require.Eventually(b, func() bool { return n.Visible(value) }, soon, tick, "%s sees %s", n.Place().Name, value)
}

// waiting begins a write at a server whose ackers are gone and requires that it waits.
func (b *bench) waiting(n Node, value string) <-chan Outcome {
	b.Helper()
	write := n.Write(value)
	b.eventually(n, "a session should wait for an acknowledgement", func(f topology.Facts) bool { return f.Source.Waiting == 1 })
	b.waits(write)
	return write
}

// revoke stops B's receiver and requires that it is off.
func (b *bench) revoke(n Node) {
	b.Helper()
	b.ok(n.Server().StopReceiver(b.ctx()))
	require.Equal(b, topology.Off, b.look(n).Link.IO)
}

// rearm reconnects n, so that its semi-sync flag takes effect, until source counts it.
func (b *bench) rearm(n, source Node) {
	b.Helper()
	b.ok(n.Server().StopReceiver(b.ctx()))
	b.ok(n.Server().StartReceiver(b.ctx()))
	b.eventually(source, "the source should count its acker", func(f topology.Facts) bool { return f.Source.Clients == 1 })
}

// caughtUp waits until n has executed all that source has.
func (b *bench) caughtUp(n, source Node) {
	b.Helper()
	b.ok(n.Server().WaitExecuted(b.ctx(), b.look(source).Executed, soon))
}
