package journal

import "fmt"

// Copies is something that happened to the copies of a product and that the history
// keeps: a snapshot that failed, or works again, and every drill.
type Copies struct {
	Product string `json:"product"`
	Server  string `json:"server"` // the one that is copied
	// What is "snapshot", "ship" or "drill"; append, never rename.
	What    string `json:"what"`
	Outcome string `json:"outcome"` // done, or "failed" with the reason
	Why     string `json:"why,omitempty"`
	Ms      int64  `json:"ms,omitempty"` // how long it took, milliseconds
}

// sameAsOf is how many of the latest entries are looked at for the same event: who
// reports it does so again when an answer was lost.
const sameAsOf = 20

// copies records an event once. It decides nothing.
func (s *State) copies(index uint64, c Command) error {
	e := *c.Copies
	p, err := s.product(e.Product)
	if err != nil {
		return err
	}
	if e.What == "" || e.Outcome == "" {
		return fmt.Errorf("product %s: an event of its copies without a name or an outcome", e.Product)
	}
	for _, old := range s.History[max(0, len(s.History)-sameAsOf):] {
		if old.Product == e.Product && old.What == e.What && old.Outcome == e.Outcome && old.Why == e.Why && old.Ms == e.Ms && old.To == e.Server {
			return nil
		}
	}
	s.record(Entry{ID: index, At: c.At, Product: e.Product, What: e.What, Outcome: e.Outcome, Actor: c.Actor, Why: e.Why, Epoch: p.Chain.Epoch, To: e.Server, Ms: e.Ms})
	return nil
}
