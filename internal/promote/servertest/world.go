// Package servertest is the conformance suite of promote.Server: facts about
// replication and semi-sync that plans rely on. The MySQL adapter proves them on
// real servers, and the simulator's fake has to agree.
package servertest

import (
	"testing"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// Outcome is what a client was told about its write.
type Outcome string

const (
	// Acked: the commit was acknowledged.
	Acked Outcome = "acked"
	// Refused: the server answered that it does not write.
	Refused Outcome = "refused"
	// Lost: the connection broke, so the client does not know.
	Lost Outcome = "lost"
)

// Node is one server of a world, and what only a test may do to it.
type Node interface {
	// Server is what is being tested.
	Server() promote.Server
	// Place is the server as the inventory has it; Follow is given the Place of the source.
	Place() topology.Server
	// Write begins one client's commit of a value that was never written before, on
	// a connection of its own. The outcome comes on the channel, which is buffered:
	// nothing comes while the commit waits.
	Write(value string) <-chan Outcome
	// Visible says whether a session that has just begun would see the value.
	// It works while the server is closed or offline.
	Visible(value string) bool
	// StopApplier stops the SQL thread.
	StopApplier()
	// Kill ends the server like kill -9 and returns when it is gone.
	Kill()
	// Start boots a killed server and returns when it answers.
	Start()
	// Freeze stops the process like SIGSTOP; Thaw lets it go on.
	Freeze()
	Thaw()
}

// World is a fresh chain A ← B ← C: B replicates from A and C from B, all links
// are up. A is open and waits for one acknowledgement; B offers to acknowledge
// and does not wait itself; C does neither. B and C are closed. Methods of Node
// fail the test themselves.
type World struct {
	A, B, C Node
}

// Run proves every fact in a world of its own.
func Run(t *testing.T, newWorld func(t *testing.T) World) {
	for _, fact := range facts {
		t.Run(fact.name, func(t *testing.T) {
			fact.holds(&bench{T: t, World: newWorld(t)})
		})
	}
}

var facts = []struct {
	name  string
	holds func(*bench)
}{
	{"a commit is acknowledged and replicated to all", acknowledged},
	{"a commit waits without an acker and nobody sees it", waitsUnseen},
	{"receipt acknowledges, execution comes later", receiptAcknowledges},
	{"the right to acknowledge does not survive a restart", bootsClosed},
	{"a late acker does not acknowledge what it had received before", lateAcker},
	{"a revoked acker acknowledges nothing, not even a thawed source's commit", revokedThenThawed},
	{"an asynchronous replica executes a commit before it is acknowledged", asyncRunsAhead},
	{"closing gives up behind a commit that waits, and takes no effect later", closingGivesUp},
	{"offline, semi-sync off, closed: a fence without false acknowledgement", fence},
	{"a crash keeps the unacknowledged commit", crashKeepsCommit},
	{"following shows errant transactions and does not mend them", followingShowsErrant},
	{"following and forgetting refuse to throw the relay log away", relayLogIsKept},
	{"a replica opens while it is attached, then the old source follows it", opensAttached},
	{"a new master forgets its old source when its own transactions came round", ownComesRound},
	{"waiting for what does not come ends with ErrNotYet", notYet},
	{"a frozen source shows as silence while its link looks alive", frozenIsSilent},
	{"goals may be repeated", repeated},
	{"a dead or frozen server is unreachable", unreachable},
	{"older sessions are killed and our own go on", olderSessions},
	{"a clone replaces the data and leaves the server closed", clone},
	{"a clone without its donor changes nothing", cloneRefused},
	{"burned GTIDs are given to nobody again", burnt},
	{"events wake on the new master and sleep on its replicas, disabled ones stay disabled", eventsMove},
	{"no event runs on a closed server", closedRunsNoEvents},
}
