package snapshot

import (
	"context"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// Target is a server that a snapshot is put into. Its methods may be called by
// several goroutines at once, for different tables or pieces.
type Target interface {
	// Begin refuses a server that is not empty or does not fit, saying what is there,
	// unless it holds an unfinished try of the same job; it makes the server ready and
	// says what of the job is done.
	Begin(ctx context.Context, job Job) (Done, error)
	// Create makes a table, and its database. Keys that can wait until the rows are in
	// may be left out when bytes, of its canonical rows, are many.
	Create(ctx context.Context, t Table, bytes int64) error
	// Load puts rows in and remembers, in the same transaction where the engine has
	// any, that the piece is done. It fails when one of them is not taken as it is.
	Load(ctx context.Context, t Table, piece string, rows Rows) error
	// Apply deletes the rows with the keys of deletes, which are rows of the key's
	// columns alone, then puts those of upserts in. It remembers the piece as Load does.
	Apply(ctx context.Context, t Table, piece string, deletes, upserts Rows) error
	// Count counts a table's rows.
	Count(ctx context.Context, t TableID) (int64, error)
	// Index makes the keys that Create left out.
	Index(ctx context.Context, t Table) error
	// Finish makes everything else, sets what the server has executed, and leaves it
	// closed. Notes are for a person to read; a difference is one too.
	Finish(ctx context.Context) (notes []Note, err error)
	// Close ends its sessions. A server that is not finished is left closed.
	Close() error
}

// Rows gives each canonical row to yield, until that fails. A row is only good
// during the call.
type Rows func(yield func(row []byte) error) error

// Job says what a Target is to hold.
type Job struct {
	ID      string // the snapshot's; with single tables their names too
	Version string // of the server that it was taken from
	Schema  Schema
	// Single says that only Schema's databases and tables are to be made, in a server
	// that may hold others: no accounts, no GTIDs, and the server is not closed.
	Single bool
	// At is the point of the snapshot: what is made is made as if it were then.
	At    time.Time
	GTIDs topology.GTIDSet
}

// Done is what an earlier try has done, by table.
type Done map[TableID]*TableDone

// TableDone is what has been done of a table.
type TableDone struct {
	Created bool
	Indexed bool
	Pieces  map[string]bool
}

// Note is something about a restored server that a person should know.
type Note struct {
	// Differs says that it is not what the snapshot says, though its rows are.
	Differs bool   `json:"differs,omitempty"`
	Text    string `json:"text"`
}

func (n Note) String() string { return n.Text }
