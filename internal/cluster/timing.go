package cluster

import (
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Timing holds the clocks of a node. A zero field takes its default.
//
// The defaults are a compromise between two promises. The first is that a master that dies together with the
// leading watcher is replaced within 6 s (p99), detection and promotion included: the cluster may take about 2 s
// of that. A follower waits between one and two Heartbeats before it stands for election, the first of two
// standing after 1⅓ on average; a split vote costs one to two Elections more. The second promise is that a
// loaded machine with two cores does not lose leaders for nothing: the leader sends a heartbeat about ten to
// twenty times per Heartbeat, so five or more in a row must fail before anybody moves, and a pre-vote keeps a
// follower that was itself too slow from unseating a leader that the others still hear. Half a second was not
// enough: a leader lost its lease while a MySQL server started beside it on two cores.
type Timing struct {
	Heartbeat time.Duration // silence after which a follower stands for election, and up to twice that (800 ms)
	Election  time.Duration // how long a candidate waits for votes, and up to twice that (800 ms)
	Lease     time.Duration // how long a leader that hears no majority goes on; at most Heartbeat (640 ms)
	RPC       time.Duration // limit on one exchange between peers, and on dialling (2 s)

	// Stuck is how long a write to disk, the machine's Apply or raft's main loop may take before the node lets go
	// of its leadership (3 s). A journal flush of a busy file system can take a second or two.
	Stuck time.Duration
	// Hopeless is how long it may take before Config.OnStuck is told, for the process to end (10 s).
	Hopeless  time.Duration
	DiskProbe time.Duration // how often disk and main loop are asked whether they still answer (2 s)

	SnapshotEvery   time.Duration // how often it is looked whether a snapshot is due (1 min)
	SnapshotAfter   uint64        // log entries since the last snapshot that make one due (2048)
	TrailingEntries uint64        // log entries kept behind a snapshot, to feed a slow follower from (4096)
}

// DefaultTiming returns the defaults.
func DefaultTiming() Timing { return Timing{}.withDefaults() }

func (t Timing) withDefaults() Timing {
	setDefault(&t.Heartbeat, 800*time.Millisecond)
	setDefault(&t.Election, 800*time.Millisecond)
	setDefault(&t.Lease, t.Heartbeat*4/5)
	setDefault(&t.RPC, 2*time.Second)
	setDefault(&t.Stuck, 3*time.Second)
	setDefault(&t.Hopeless, max(10*time.Second, t.Stuck))
	setDefault(&t.DiskProbe, 2*time.Second)
	setDefault(&t.SnapshotEvery, time.Minute)
	setDefault(&t.SnapshotAfter, 2048)
	setDefault(&t.TrailingEntries, 4096)
	return t
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (t Timing) check() error {
	// A lease longer than the followers' patience would leave two leaders standing at once.
	if t.Lease > t.Heartbeat || t.Heartbeat > t.Election {
		return fmt.Errorf("cluster timing: lease %s ≤ heartbeat %s ≤ election %s must hold", t.Lease, t.Heartbeat, t.Election)
	}
	if t.Lease < 5*time.Millisecond || t.RPC <= 0 || t.Stuck < t.Lease || t.Hopeless < t.Stuck || t.DiskProbe <= 0 {
		return fmt.Errorf("cluster timing: lease %s, rpc %s, stuck %s, hopeless %s or disk probe %s is too short", t.Lease, t.RPC, t.Stuck, t.Hopeless, t.DiskProbe)
	}
	return nil
}

func (t Timing) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.HeartbeatTimeout = t.Heartbeat
	c.ElectionTimeout = t.Election
	c.LeaderLeaseTimeout = t.Lease
	c.SnapshotInterval = t.SnapshotEvery
	c.SnapshotThreshold = t.SnapshotAfter
	c.TrailingLogs = t.TrailingEntries
	// A removed node keeps running: the operator may want to look at it, and Close must find it alive.
	c.ShutdownOnRemove = false
	c.NoLegacyTelemetry = true
	return c
}
