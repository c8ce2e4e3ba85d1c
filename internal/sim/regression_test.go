package sim

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestRegressions plays the faults that once broke a promise, by what was wrong
// then, each in a few worlds. What a seed draws changes with the model, so single
// seeds would not keep what they found.
func TestRegressions(t *testing.T) {
	const worlds = 40
	for _, r := range []struct{ was, faults string }{
		{"a replica caught more from its old source between its proof and its new link", "master frozen + switchover"},
		{"an acker that followed another source was armed for ever and never moved", "candidate killed + slave receives slowly"},
		{"an errant acker was asked to acknowledge again and again", "replica opened by hand + candidate frozen"},
		{"a repair that rested hid all others", "applier of the slave stopped + dump slave frozen"},
		{"a server in quarantine went on acknowledging for the next master", "replica opened by hand + master killed"},
		{"the next acker was promoted before it had what the last master was opened with", "slave receives slowly + master killed + master flaps"},
		{"a failover waited for ever while the old master was back", "applier of the candidate slow + master frozen"},
		{"a master that rebooted went on replicating from its old source", "switchover + all killed"},
		{"a leader died between the flag and the reconnection: disarmed by looks only", "candidate killed + leader crashes"},
		{"a server in maintenance held what nobody else did and was asked back for ever", "master frozen + maintenance"},
		{"an acker that restarted after it was stopped kept the failover waiting", "dump slave's host lost, master's disk full + server killed in a promotion"},
		{"a slave in maintenance was armed for the next master and in nobody's set", "maintenance + cut in two for 43 s"},
		{"a slave that acknowledged in place of the candidate was moved away from the master", "acker's disk stalls + dump slave killed"},
		{"a copy that broke off could never be saved from again", "master flaps + master flaps + server killed in a promotion"},
		{"the next leader opened a target that was still executing", "applier of the candidate slow + master killed + leader crashes in a promotion"},
		{"a leader that was stopped went on where it was and told the next one's master to wait for fewer", "leader stopped in a promotion + master flaps"},
		{"write probes that a cut network had held back counted as a full disk", "master cut from the watchers"},
	} {
		t.Run(r.was, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= worlds; seed++ {
				result := Run(seed, Options{Scenario: r.faults})
				assert.Empty(t, result.Failure, "seed %d (%s)", seed, result.Scenario)
			}
		})
	}
}
