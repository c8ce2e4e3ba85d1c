package promote

import (
	"context"
	"errors"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// ErrUnreachable is wrapped by every Server method when no answer came: the
// server is down, frozen or cut off, and the outcome of a change is unknown.
var ErrUnreachable = errors.New("unreachable")

// Server is what the steps need of one MySQL server, in MySQL's own terms. Each
// call bounds itself (a few seconds at most, with a short lock_wait_timeout) and
// may be repeated. Errors other than ErrUnreachable are the server's own
// refusals. The MySQL adapter and the simulator's fake implement it and pass one
// conformance suite.
type Server interface {
	// Look gathers the full facts.
	Look(ctx context.Context) (topology.Facts, error)
	// StopReceiver stops the IO thread; no error when there is no link.
	StopReceiver(ctx context.Context) error
	// StartReceiver starts the IO thread. The semi-sync replica flag takes effect here.
	StartReceiver(ctx context.Context) error
	// StartApplier starts the SQL thread and leaves the IO thread alone.
	StartApplier(ctx context.Context) error
	// Follow points the server at source with GTID auto-position and starts both
	// threads. It replaces an earlier link, and refuses with ErrNotYet while the
	// relay log holds what is not executed; the receiver is then stopped.
	Follow(ctx context.Context, source topology.Server) error
	// ForgetSource stops replication and removes the link (RESET REPLICA ALL). It
	// refuses an undrained relay log as Follow does.
	ForgetSource(ctx context.Context) error
	// SetSuperReadOnly closes the server, or opens it for writes.
	SetSuperReadOnly(ctx context.Context, on bool) error
	// SetOffline turns offline mode on (every ordinary client, and the replicas'
	// dump threads, lose their connections) or off.
	SetOffline(ctx context.Context, on bool) error
	// SetSourceSemiSync makes the server wait for this many acknowledgements per
	// commit with no time limit (AFTER_SYNC, wait-no-replica), or stop waiting at 0.
	SetSourceSemiSync(ctx context.Context, acks int) error
	// SetReplicaSemiSync offers acknowledgements at the next StartReceiver, or stops offering.
	SetReplicaSemiSync(ctx context.Context, on bool) error
	// WaitExecuted waits until every transaction of set is executed. It returns
	// ErrNotYet when that takes longer than atMost.
	WaitExecuted(ctx context.Context, set topology.GTIDSet, atMost time.Duration) error
	// Nudge commits a transaction without content and waits for its
	// acknowledgement. A replica that begins to acknowledge is never asked about
	// commits that it had received before: those wait until a later one is
	// acknowledged, and then are let go with it.
	Nudge(ctx context.Context) error
	// Clone replaces all data of the server by a copy of the donor's, and restarts
	// it. It returns nil once the order is under way or if one is already; how far
	// it is shows in Look, and the server is away while it restarts. Whatever it
	// held is lost.
	Clone(ctx context.Context, donor topology.Server) error
	// WakeEvents lets the scheduled events run that were asleep because they came
	// by replication, and returns how many. Those named in leave, as schema.name, were
	// disabled by a person: they become DISABLED here instead. The replicas learn of
	// both by replication, and keep all of them asleep. ErrNotYet when some are left
	// after the bound.
	WakeEvents(ctx context.Context, leave []string) (int, error)
	// Burn commits an empty transaction for each GTID of the set that the server has
	// not executed. The server is open. ErrNotYet when some are left after the bound.
	Burn(ctx context.Context, set topology.GTIDSet) error
	// KillOlderSessions ends every other session of failoverd's control account,
	// so that no statement of an earlier leader takes effect later.
	KillOlderSessions(ctx context.Context) error
}

// ErrNotYet says that a wait ended before its condition held.
var ErrNotYet = errors.New("not yet")

// World is the servers of the chain that a plan is about, and the means to wait.
type World interface {
	// Server returns the server by its name in the inventory.
	Server(s topology.Server) Server
	// Each calls f for all servers at once and returns when all calls have.
	// The result has an entry for each server, nil for success.
	Each(ctx context.Context, servers []topology.Server, f func(context.Context, topology.Server) error) map[string]error
	// Publish makes the chain known to the outside. It returns when watchers can
	// tell followers; the object store catches up by itself when it is away.
	Publish(ctx context.Context, product string) error
	// Pause waits, and returns early with an error when ctx ends.
	Pause(ctx context.Context, d time.Duration) error
	// Save keeps transactions of a server's binary log outside of it, in the
	// object store, and returns where. It may be repeated; what is saved is not saved twice.
	Save(ctx context.Context, product string, s topology.Server, set topology.GTIDSet) (where string, err error)
}

// ErrUnderway is wrapped when a goal takes longer than a try and nothing is
// wrong: the step is tried again, and other repairs may go first.
var ErrUnderway = errors.New("under way")
