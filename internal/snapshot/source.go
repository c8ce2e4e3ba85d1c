package snapshot

import (
	"context"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// Source is a server that can be copied.
type Source interface {
	// Open fixes a Point with so many sessions to read it. The server's applier stands
	// still for as long as that takes, and runs again before Open returns, whatever it
	// returns.
	Open(ctx context.Context, workers int) (Point, error)
}

// Point is a server at one set of transactions, however long it is read.
type Point interface {
	About() About
	// Schema is everything but the rows, at the same point.
	Schema(ctx context.Context) (Schema, error)
	// Estimate is about how large a table is, bytes: good enough to begin with the
	// largest, and for nothing else.
	Estimate(t Table) int64
	// Ranges cuts a table into at most n ranges that leave no gap and can be read side
	// by side. It gives one without bounds for a table that is not Seekable, and none for
	// one whose rows are another table's or another server's.
	Ranges(ctx context.Context, t Table, n int) ([]Range, error)
	// Read gives the canonical rows of a range to yield, in the order of the key if the
	// table is Seekable. Workers are numbered from 0, and each reads one range at a time.
	// A row is only good during the call.
	Read(ctx context.Context, worker int, t Table, r Range, yield func(row []byte) error) error
	Close() error
}

// About says what a Point is.
type About struct {
	// GTIDs is exactly what the point holds.
	GTIDs topology.GTIDSet
	// UUID and Version are the server's.
	UUID, Version string
	// At is when the data was as it is in the point, by the own clock.
	At time.Time
	// Stall is for how long the applier stood still, or, at a server that takes writes,
	// for how long those waited.
	Stall time.Duration
	// Warnings are sentences on what the point cannot hold exactly.
	Warnings []string
}

// Range are the rows with After < key <= Upto; nil is no bound.
type Range struct{ After, Upto Key }
