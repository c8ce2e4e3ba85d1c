package sim

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestRegressions plays the seeds that once broke a promise, by what was wrong then.
// A seed stands for its world only until the faults or their order change: after
// that these are a few seeds like others.
func TestRegressions(t *testing.T) {
	for _, r := range []struct {
		was  string
		seed uint64
	}{
		{"a replica caught more from its old source between its proof and its new link", 243},
		{"an acker that followed another source was armed for ever and never moved", 61},
		{"an errant acker was asked to acknowledge again and again", 48},
		{"a repair that rested hid all others", 497},
		{"a server in quarantine went on acknowledging for the next master", 18357},
		{"the next acker was promoted before it had what the last master was opened with", 3469},
		{"a failover waited for ever while the old master was back", 1316},
		{"a master that rebooted went on replicating from its old source", 30250},
		{"a leader died between the flag and the reconnection: disarmed by looks only", 356},
	} {
		t.Run(r.was, func(t *testing.T) {
			assert.Empty(t, Run(r.seed, Options{}).Failure, "seed %d", r.seed)
		})
	}
}
