package sim

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestRegressions plays the faults that once broke a promise, by what was wrong
// then, each in a few worlds of safety, or of liveness. What a seed draws changes with the model, so single
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
		{"an errant server was found out late, its looks being younger than the master's", "replica opened by hand + dump slave's host lost, master's disk full"},
		{"a server left maintenance while it was silent, armed and in nobody's set", "cut in two for 43 s + candidate killed, then the master + maintenance"},
		{"a server whose copy broke off received more and was copied again", "replica opened by hand + all killed + slave killed"},
		{"a hand wrote to a server whose copy had begun", "replica opened by hand + replica opened by hand"},
	} {
		t.Run(r.was, func(t *testing.T) {
			t.Parallel()
			playAll(t, Options{Scenario: r.faults}, worlds)
		})
	}
	for _, r := range []struct{ was, faults string }{
		{"a failover that a person asked for waited for ever and the verdict was healthy", "two operators race + two operators race"},
		{"a target whose disk hung kept a person's failover waiting while the master was there", "server frozen in a promotion + two operators race"},
		{"a repair that rested hid that no server could acknowledge", "server killed in a promotion + server killed in a promotion + master cut off with its clients"},
		{"a server whose disk hung could not be disarmed and stayed published", "replica opened by hand + candidate killed, then the master"},
		{"a repair was ended for a failover that the mark forbade, again and again", "acker's disk stalls + master killed"},
	} {
		t.Run(r.was, func(t *testing.T) {
			t.Parallel()
			playAll(t, Options{Scenario: r.faults, Mode: Liveness}, worlds)
		})
	}
}

func playAll(t *testing.T, opts Options, worlds uint64) {
	t.Helper()
	for seed := uint64(1); seed <= worlds; seed++ {
		result := Run(seed, opts)
		assert.Empty(t, result.Failure, "seed %d (%s)", seed, result.Scenario)
	}
}
