// Package journal is the replicated state: the inventory, the open plans with
// their progress, epochs, acker sets, pauses, the newest published document and
// the history. Apply changes it and is pure; raft puts the commands in order.
package journal

import (
	"encoding/json"
	"fmt"
	"sort"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// State is everything the watchers have agreed on. It is changed by Apply alone.
type State struct {
	Products map[string]*Product `json:"products"`
	// Plans counts the plans ever accepted; the latest plan's ID.
	Plans uint64 `json:"plans"`
	// Head is the newest signed document for the web servers.
	Head Head `json:"head"`
	// Brake is what a person decided about the global brake, nil for the rule.
	Brake *Brake `json:"brake,omitempty"`
	// History has the latest entries of all products, oldest first.
	History []Entry `json:"history"`
}

// Product is one product's chain and its open plan.
type Product struct {
	Chain topology.Chain    `json:"chain"`
	Open  *promote.Progress `json:"open,omitempty"`
	// OpenedAt is when the open plan was accepted, by the leader's clock.
	OpenedAt time.Time `json:"openedAt,omitzero"`
	// Cuts say where each epoch's history ends, oldest first: the latest cutsKept promotions. One
	// that was overtaken before it said so has none.
	Cuts []topology.Cut `json:"cuts,omitempty"`
}

// Head is a published document. The journal decides its version, so a document
// that followers heard of from a watcher is the one that the store gets.
type Head struct {
	Version uint64 `json:"version"`
	// Body are the signed bytes.
	Body []byte `json:"body,omitempty"`
}

// Entry is one line of history.
type Entry struct {
	ID      uint64    `json:"id"` // the journal index that made it
	At      time.Time `json:"at"`
	Product string    `json:"product"`
	What    string    `json:"what"`
	Outcome string    `json:"outcome,omitempty"`
	Actor   string    `json:"actor"`
	Why     string    `json:"why,omitempty"`
	Epoch   uint64    `json:"epoch"`
	Plan    uint64    `json:"plan,omitempty"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to,omitempty"`
	// Until is when what was decided ends by itself, zero when it does not.
	Until time.Time `json:"until,omitzero"`
	// Loss is what a person accepted to lose, nil when it was nothing.
	Loss *promote.Loss `json:"loss,omitempty"`
	// Ms is how long it took, in milliseconds; Phases are its steps.
	Ms     int64          `json:"ms,omitempty"`
	Phases []promote.Note `json:"phases,omitempty"`
}

// historyKept bounds the history, for the whole state is one raft snapshot.
const historyKept = 500

// cutsKept bounds the cuts: whoever keeps copies of a chain has written them down by then.
const cutsKept = 50

// New returns an empty state.
func New() *State { return &State{Products: map[string]*Product{}} }

// Names are the products' names, sorted.
func (s *State) Names() []string {
	var out []string
	for name := range s.Products {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// Encode writes the state for a snapshot.
func (s *State) Encode() ([]byte, error) { return json.Marshal(s) }

// Decode reads what Encode wrote.
func Decode(data []byte) (*State, error) {
	s := New()
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("journal snapshot: %w", err)
	}
	if s.Products == nil {
		s.Products = map[string]*Product{}
	}
	return s, nil
}

// Clone is a deep copy.
func (s *State) Clone() *State {
	data, err := s.Encode()
	if err != nil {
		panic(err) // plain data always encodes
	}
	out, err := Decode(data)
	if err != nil {
		panic(err)
	}
	return out
}

func (s *State) record(e Entry) {
	s.History = append(s.History, e)
	if extra := len(s.History) - historyKept; extra > 0 {
		s.History = append([]Entry(nil), s.History[extra:]...)
	}
}
