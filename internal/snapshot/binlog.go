package snapshot

import (
	"context"
	"errors"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// Log is a server's binary log as it is.
type Log interface {
	// State says what the server has. The log holds what is executed and not purged.
	State(ctx context.Context) (LogState, error)
	// Follow gives the events of all transactions but those in without to yield, in the
	// order of the log, and goes on with what is written later. Each time there is no
	// more for the moment it calls idle. It ends with the first error of either, or of
	// its own: ErrPurged when the log lacks what was asked for.
	Follow(ctx context.Context, without topology.GTIDSet, yield func(LogEvent) error, idle func() error) error
}

// ErrPurged says that a server no longer has a part of its binary log.
var ErrPurged = errors.New("the server no longer has that part of its binary log")

// LogState is what a server holds.
type LogState struct {
	UUID             string
	Executed, Purged topology.GTIDSet
	// Fresh says that Executed has everything that the server's source had at that
	// time; zero when nobody knows. A server that takes writes itself is as fresh as can be.
	Fresh time.Time
}

// LogEvent is one event of a binary log.
type LogEvent struct {
	// Raw is the event without a checksum, good during the call only.
	Raw []byte
	// Format says that it tells how to read what follows, and belongs to no transaction.
	Format bool
	// Begins says that it is the first of a transaction, GTID which, and Committed when that
	// was committed first, by the clock of the server that did.
	Begins    bool
	GTID      topology.GTIDSet
	Committed time.Time
	// Ends says that it is the last of its transaction.
	Ends bool
}
