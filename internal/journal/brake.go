package journal

import (
	"errors"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// ErrBraked is wrapped when a failover is refused by the global brake. Nothing changed.
var ErrBraked = errors.New("the global brake holds")

// BrakeMode is what a person decided about the global brake.
type BrakeMode string

const (
	// BrakeOn stops every automatic failover.
	BrakeOn BrakeMode = "on"
	// BrakeOff lets failovers happen however many chains fail at once.
	BrakeOff BrakeMode = "off"
	// BrakeWatch is the rule: it holds when many chains fail at once.
	BrakeWatch BrakeMode = "watch"
)

// Brake is what a person decided about the global brake, and for how long.
type Brake struct {
	Mode   BrakeMode `json:"mode"`
	Actor  string    `json:"actor"`
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"` // zero: until somebody changes it
}

// brakeWindow is how long a failover counts as one of many at once.
const brakeWindow = 10 * time.Minute

// BrakeAt says what the brake does at this time.
func (s *State) BrakeAt(now time.Time) BrakeMode {
	if s.Brake == nil || (!s.Brake.Until.IsZero() && !now.Before(s.Brake.Until)) {
		return BrakeWatch
	}
	return s.Brake.Mode
}

// FailedLately are the products that failed over within the brake's window or
// are about to, and how many may do so before the brake holds: a fifth of all,
// and two at least (SAFETY: the protocol, 11).
func (s *State) FailedLately(now time.Time) (failed []string, most int) {
	for _, name := range s.Names() {
		p := s.Products[name]
		last := p.Chain.Last
		switch {
		case p.Open != nil && p.Open.Plan.Kind == promote.Failover:
			failed = append(failed, name)
		case last != nil && last.Kind == string(promote.Failover) && now.Sub(last.At).Abs() < brakeWindow:
			failed = append(failed, name)
		}
	}
	return failed, max(2, len(s.Products)/5)
}

// braked refuses an automatic failover of a further product when many failed
// already: that is more likely the watchers' own fault.
func (s *State) braked(plan promote.Plan, now time.Time) error {
	if plan.Kind != promote.Failover || plan.Rule == "operator" {
		return nil
	}
	switch s.BrakeAt(now) {
	case BrakeOff:
		return nil
	case BrakeOn:
		return fmt.Errorf("product %s: %w: %s put it on (%s): \"failoverd brake watch\" ends that, \"failoverd failover %s --reason TEXT\" does this one", plan.Product, ErrBraked, s.Brake.Actor, s.Brake.Reason, plan.Product)
	}
	failed, most := s.FailedLately(now)
	others := 0
	for _, name := range failed {
		if name != plan.Product {
			others++
		}
	}
	if others < most {
		return nil
	}
	return fmt.Errorf("product %s: %w: %d of %d products failed over within %s: look whether the watchers are at fault, then \"failoverd brake off --for 10m --reason TEXT\", or \"failoverd failover %s --reason TEXT\" for this one",
		plan.Product, ErrBraked, others, len(s.Products), brakeWindow, plan.Product)
}

// brake sets what a person decided.
func (s *State) brake(index uint64, c Command) error {
	b := *c.Brake
	if b.Mode != BrakeOn && b.Mode != BrakeOff && b.Mode != BrakeWatch {
		return fmt.Errorf("brake %q is not on, off or watch", b.Mode)
	}
	b.Actor = c.Actor
	s.Brake = &b
	if b.Mode == BrakeWatch {
		s.Brake = nil
	}
	s.record(Entry{ID: index, At: c.At, What: "brake " + string(b.Mode), Actor: c.Actor, Why: b.Reason, Until: b.Until})
	return nil
}

// skipped records a recovery that was due and not done, for whoever asks why.
func (s *State) skipped(index uint64, c Command) error {
	p, err := s.product(c.Skipped.Product)
	if err != nil {
		return err
	}
	s.record(Entry{ID: index, At: c.At, Product: c.Skipped.Product, What: string(c.Skipped.Action), Outcome: "skipped: " + c.Skipped.Because, Actor: c.Actor, Why: c.Skipped.Why, Epoch: p.Chain.Epoch})
	return nil
}

// Skipped is a recovery that was due and not done.
type Skipped struct {
	Product string          `json:"product"`
	Action  topology.Action `json:"action"`
	Rule    string          `json:"rule"`
	Why     string          `json:"why"`     // why it was due
	Because string          `json:"because"` // why it was not done
}
