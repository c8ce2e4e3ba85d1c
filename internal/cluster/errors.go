package cluster

import (
	"errors"
	"fmt"
)

var (
	// ErrNotLeader says that another node must be asked; nothing was changed. It comes as a *NotLeaderError.
	ErrNotLeader = errors.New("this watcher is not the leader")

	// ErrNoQuorum says that nobody can take the command at the moment; nothing was changed.
	ErrNoQuorum = errors.New("no majority of watchers is in touch")

	// ErrUnknownOutcome says that the command was handed to the log and that it is not known what became of
	// it: it may have been applied, it may still be, it may never be. Ask the current leader after a Barrier.
	ErrUnknownOutcome = errors.New("it is not known whether the command took effect")

	// ErrLostLeadership is the cause of a term context's end.
	ErrLostLeadership = errors.New("leadership lost")

	// ErrStuck is the cause of a term context's end when this node's disk or machine hangs. It is also an
	// ErrLostLeadership.
	ErrStuck = fmt.Errorf("%w: this watcher's disk or state machine hangs", ErrLostLeadership)

	// ErrClosed says that the node is closed or being closed.
	ErrClosed = errors.New("cluster node is closed")
)

// NotLeaderError is an ErrNotLeader that knows where the leader is.
type NotLeaderError struct{ ID, Addr string }

func (e *NotLeaderError) Error() string {
	return fmt.Sprintf("%s: ask %s at %s", ErrNotLeader, e.ID, e.Addr)
}

// Is makes errors.Is(err, ErrNotLeader) hold.
func (e *NotLeaderError) Is(target error) bool { return target == ErrNotLeader }
