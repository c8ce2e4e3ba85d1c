package api

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/publish"
)

const defaultEntries = 50

func (h *handler) history(_ context.Context, c *call) (any, error) {
	query := c.request.URL.Query()
	n := defaultEntries
	if text := query.Get("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			return nil, badRequest("n: %q is not a number from 1", text)
		}
	}
	state := h.backend.State()
	product := query.Get("product")
	entries, own := []journal.Entry{}, 0
	for _, e := range state.History {
		if product == "" || e.Product == product || e.Product == "" { // what is of no product is of all
			entries = append(entries, e)
		}
		if e.Product == product {
			own++
		}
	}
	// A product that was removed still has a history.
	if _, ok := state.Products[product]; product != "" && !ok && own == 0 {
		return nil, noProduct(product, state.Names())
	}
	return entries[max(0, len(entries)-n):], nil
}

// plan answers as soon as the plan has ended, or wait is over.
func (h *handler) plan(ctx context.Context, c *call) (any, error) {
	id, err := strconv.ParseUint(c.request.PathValue("id"), 10, 64)
	if err != nil || id == 0 {
		return nil, badRequest("%q is not the number of a plan", c.request.PathValue("id"))
	}
	var wait time.Duration
	if text := c.request.URL.Query().Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 {
			return nil, badRequest("wait: %q is not a duration such as 30s", text)
		}
	}
	expired := time.NewTimer(min(wait, publish.MaxWait))
	defer expired.Stop()
	for {
		changed := h.backend.Changed()
		state := h.backend.State()
		found, err := planState(state, id)
		if err != nil || found.Finished() {
			return found, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, internalError(ctx.Err())
		case <-expired.C:
			if live, err := h.backend.Live(ctx, found.Open.Plan.Product, false); err == nil {
				found.Waiting = live.Waiting
			}
			return found, nil
		}
	}
}

func planState(state *journal.State, id uint64) (PlanState, error) {
	for _, name := range state.Names() {
		if open := state.Products[name].Open; open != nil && open.Plan.ID == id {
			return PlanState{Open: open}, nil
		}
	}
	for i := len(state.History) - 1; i >= 0; i-- {
		if state.History[i].Plan == id {
			entry := state.History[i]
			return PlanState{Outcome: &entry}, nil
		}
	}
	e := &Error{Code: NotFound, Message: fmt.Sprintf("there is no plan %d", id), Help: "\"failoverd history\" lists those that ended"}
	if id <= state.Plans {
		e.Message = fmt.Sprintf("plan %d ended so long ago that the history does not reach back to it", id)
	}
	return PlanState{}, e
}
