package api

import (
	"context"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
)

// Brake is what the global brake does at the moment.
type Brake struct {
	Mode journal.BrakeMode `json:"mode"`
	// Actor, Reason and Until are whose decision the mode is, and when it ends;
	// empty in mode watch, zero when somebody has to end it.
	Actor  string    `json:"actor,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until,omitzero"`
	// Failed are the products that failed over lately or are about to, of Products
	// in all; when Most of them have, the brake holds the others.
	Failed   []string `json:"failed"`
	Most     int      `json:"most"`
	Products int      `json:"products"`
	// Holds says whether a further product's automatic failover is refused now.
	Holds bool `json:"holds"`
}

// brakeOf is the brake as the journal has it.
func brakeOf(state *journal.State, now time.Time) Brake {
	b := Brake{Mode: state.BrakeAt(now), Products: len(state.Products)}
	b.Failed, b.Most = state.FailedLately(now)
	if b.Failed == nil {
		b.Failed = []string{}
	}
	switch b.Mode {
	case journal.BrakeOn:
		b.Holds = true
	case journal.BrakeWatch: // a product does not hold itself
		b.Holds = len(b.Failed) > b.Most || (len(b.Failed) == b.Most && b.Products > b.Most)
	}
	if b.Mode != journal.BrakeWatch {
		b.Actor, b.Reason, b.Until = state.Brake.Actor, state.Brake.Reason, state.Brake.Until
	}
	return b
}

func (h *handler) readBrake(context.Context, *call) (any, error) {
	return brakeOf(h.backend.State(), h.now()), nil
}

func (h *handler) setBrake(ctx context.Context, c *call) (any, error) {
	var ask BrakeRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	until, err := h.until(ask.For)
	switch {
	case err != nil:
		return nil, err
	case ask.Mode != journal.BrakeOn && ask.Mode != journal.BrakeOff && ask.Mode != journal.BrakeWatch:
		return nil, badRequest("mode %q is not on, off or watch", ask.Mode)
	case ask.Mode == journal.BrakeWatch && ask.For != "":
		return nil, badRequest("for: watch is the rule and lasts")
	case ask.Mode != journal.BrakeWatch && strings.TrimSpace(ask.Reason) == "":
		return nil, badRequest("reason is missing: whoever finds the brake %s must know what it is for", ask.Mode)
	}
	brake := journal.Brake{Mode: ask.Mode, Actor: c.actor, Reason: ask.Reason, Until: until}
	if err := h.backend.Propose(ctx, journal.Command{At: h.now(), Actor: c.actor, Brake: &brake}); err != nil {
		return nil, err
	}
	return brakeOf(h.backend.State(), h.now()), nil
}
