package api

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

func (h *handler) status(ctx context.Context, _ *call) (any, error) {
	return statusOf(ctx, h.backend, h.desk, h.now()), nil
}

// product returns the named product of the journal and its name.
func (h *handler) product(c *call) (string, *journal.Product, error) {
	name := c.request.PathValue("product")
	state := h.backend.State()
	p, ok := state.Products[name]
	if !ok {
		return "", nil, noProduct(name, state.Names())
	}
	return name, p, nil
}

func (h *handler) explain(ctx context.Context, c *call) (any, error) {
	name, p, err := h.product(c)
	if err != nil {
		return nil, err
	}
	live, err := h.backend.Live(ctx, name, true)
	if err != nil {
		return nil, internalError(err)
	}
	e := Explanation{Product: name, Verdict: topology.Judge(live.Case), Waiting: live.Waiting,
		Fits: topology.Explain(live.Case), Views: live.Case.Views, Open: p.Open,
		Ackers: live.Case.Chain.Ackers, Acks: live.Case.Chain.AcksNeeded()}
	e.MayAct, e.Why = live.Case.Chain.MayAct(live.Case.Now)
	e.Plan = promote.For(live.Case, e.Verdict)
	if e.MayAct && e.Plan != nil && p.Open == nil {
		// The state is our own copy, so the journal's own rule can be asked.
		state := h.backend.State()
		if err := state.Do(0, journal.Command{At: h.now(), Accept: e.Plan}); errors.Is(err, journal.ErrBraked) {
			e.MayAct, e.Why = false, err.Error()
		}
	}
	if wantsAPerson(e) {
		e.Override, e.Loss = override(live.Case, "")
	}
	if e.Views == nil {
		e.Views = []topology.View{}
	}
	if e.Ackers == nil {
		e.Ackers = []string{}
	}
	return e, nil
}

func (h *handler) doctor(ctx context.Context, c *call) (any, error) {
	_, p, err := h.product(c)
	if err != nil {
		return nil, err
	}
	return append([]Finding{}, h.backend.Examine(ctx, p.Chain)...), nil
}

func (h *handler) mode(ctx context.Context, c *call) (any, error) {
	var ask ModeRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	name, _, err := h.product(c)
	if err != nil {
		return nil, err
	}
	if ask.Mode != topology.Observe && ask.Mode != topology.Auto {
		return nil, badRequest("mode %q is not observe or auto", ask.Mode)
	}
	return h.commit(ctx, journal.Command{At: h.now(), Actor: c.actor, Mode: &journal.SetMode{Product: name, Mode: ask.Mode}})
}

func (h *handler) pause(ctx context.Context, c *call) (any, error) {
	var ask PauseRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	name, _, err := h.product(c)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(ask.Reason) == "" {
		return nil, badRequest("reason is missing: whoever finds the pause must know what it is for")
	}
	pause := topology.Pause{Actor: c.actor, Reason: ask.Reason}
	if pause.Until, err = h.until(ask.For); err != nil {
		return nil, err
	}
	return h.commit(ctx, journal.Command{At: h.now(), Actor: c.actor, Pause: &journal.SetPause{Product: name, Pause: &pause}})
}

// until is the end of what lasts so long, zero when that is not said.
func (h *handler) until(length string) (time.Time, error) {
	if length == "" {
		return time.Time{}, nil
	}
	d, err := time.ParseDuration(length)
	if err != nil || d <= 0 {
		return time.Time{}, badRequest("for: %q is not a duration such as 30m or 4h", length)
	}
	return h.now().Add(d).UTC().Truncate(time.Second), nil
}

func (h *handler) resume(ctx context.Context, c *call) (any, error) {
	if err := c.body(&struct{}{}); err != nil {
		return nil, err
	}
	name, p, err := h.product(c)
	if err != nil {
		return nil, err
	}
	if p.Chain.Pause == nil {
		return Ack{OK: true}, nil
	}
	return h.commit(ctx, journal.Command{At: h.now(), Actor: c.actor, Pause: &journal.SetPause{Product: name}})
}

func (h *handler) commit(ctx context.Context, c journal.Command) (any, error) {
	if err := h.backend.Propose(ctx, c); err != nil {
		return nil, err
	}
	return Ack{OK: true}, nil
}

func (h *handler) views(ctx context.Context, c *call) (any, error) {
	query := c.request.URL.Query()
	names := h.backend.State().Names()
	if product := query.Get("product"); product != "" {
		if !slices.Contains(names, product) {
			return nil, noProduct(product, names)
		}
		names = []string{product}
	}
	views := []topology.View{}
	for _, name := range names {
		view, err := h.backend.Views(ctx, name, query.Get("look") == "1")
		if errors.Is(err, ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, internalError(err)
		}
		views = append(views, view)
	}
	return views, nil
}
