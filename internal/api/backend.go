package api

import (
	"context"
	"errors"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/topology"
)

// Backend is what the handler needs of the watcher that it speaks for. Its
// methods are called by many goroutines at once.
type Backend interface {
	// ID is this watcher's.
	ID() string
	// State is a private copy of the journal as this watcher has it.
	State() *journal.State
	// Changed returns a channel that is closed when the journal changes next. Who
	// takes it before State misses nothing.
	Changed() <-chan struct{}
	// IsLeader says whether this watcher leads and may be asked for changes.
	IsLeader() bool
	// Leader is the leader's ID and the base URL of its API ("https://w1:7480"),
	// empty as far as they are not known.
	Leader() (id, api string)
	// Term is the number of the present leadership.
	Term() uint64
	// Watchers are the members of the cluster.
	Watchers() []Watcher
	// Live is what this watcher knows of a product at the moment; with look, the
	// servers are looked at anew first. A watcher that does not lead has its own
	// view only. The error wraps ErrNotFound when there is no such product.
	Live(ctx context.Context, product string, look bool) (Live, error)
	// Views is this watcher's own view of a product's chain, for the leader. The
	// error wraps ErrNotFound when there is no such product.
	Views(ctx context.Context, product string, look bool) (topology.View, error)
	// Propose commits a command. Errors: ErrNotLeader, ErrNoQuorum,
	// journal.ErrStale and any other mean that nothing changed, the last with the
	// journal's reason; ErrUnknownOutcome means that it may have changed.
	Propose(ctx context.Context, c journal.Command) error
	// Join makes a watcher a voting member. Errors as for Propose.
	Join(ctx context.Context, id, raft string) error
	// Remove takes a watcher out of the cluster. Errors as for Propose.
	Remove(ctx context.Context, id string) error
	// Transfer hands the leadership to a watcher, to any when to is empty. Errors
	// as for Propose.
	Transfer(ctx context.Context, to string) error
	// Adopt finds the chain that the server at addr (host:port) belongs to, and
	// what in it is not yet as failoverd needs it. It changes nothing.
	Adopt(ctx context.Context, product, addr string) (topology.Chain, []Finding, error)
	// Examine examines the servers of a chain, in the journal or not. It changes
	// nothing; a server that cannot be reached is a finding.
	Examine(ctx context.Context, chain topology.Chain) []Finding
	// Stored is the version of the document that the object store has, as far as
	// this watcher knows, and why the newest could not be stored.
	Stored() (version uint64, err error)
	// Ready says why this watcher cannot do its part, nil when it can.
	Ready() error
}

// What a Backend says in its errors. A watcher that does not lead, has lost the
// others, or has lost track of a command is an everyday thing.
var (
	ErrNotLeader      = errors.New("this watcher is not the leader")
	ErrNoQuorum       = errors.New("no majority of watchers is in touch")
	ErrNotFound       = errors.New("not found")
	ErrUnknownOutcome = errors.New("it is not known whether the change took effect")
)

// Live is what a watcher knows of a product at one moment, beside the journal.
type Live struct {
	// Case is everything that the verdict depends on.
	Case topology.Case
	// Verdict is the latest tick's, and Waiting says whom the open plan waits for
	// or which repair failed and rests.
	Verdict topology.Verdict
	// Would is what failoverd would do if it were allowed to.
	Would, Waiting string
	// At is when the tick was; zero on a watcher that does not lead.
	At time.Time
}

// Watcher is one member of the cluster.
type Watcher struct {
	ID string `json:"id"`
	// Raft and API are its addresses: host:port, and a base URL that is empty
	// when the answering watcher has not heard it.
	Raft   string `json:"raft"`
	API    string `json:"api,omitempty"`
	Voter  bool   `json:"voter"`
	Leader bool   `json:"leader"`
	// LastContactMs is the time since the answering watcher heard of it, in
	// milliseconds; -1 when it never did or is it.
	LastContactMs int64 `json:"lastContactMs"`
}

// Finding is one thing about a server that is or is not as failoverd needs it.
type Finding struct {
	Product string `json:"product,omitempty"`
	Server  string `json:"server"` // its name, or host:port before it has one
	// Level is "error" when failoverd cannot keep its promises so, "warn" when a
	// person should know, "ok" when all is well.
	Level string `json:"level"`
	// Check names what was examined, in a stable word or two.
	Check string `json:"check"`
	// Text is a sentence for a person.
	Text string `json:"text"`
	// Fix is the SQL or the my.cnf line that mends it, empty when there is none.
	Fix string `json:"fix,omitempty"`
}

// The levels of a Finding.
const (
	LevelError = "error"
	LevelWarn  = "warn"
	LevelOK    = "ok"
)
