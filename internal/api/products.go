package api

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

func (h *handler) status(ctx context.Context, _ *call) (any, error) {
	return StatusOf(ctx, h.backend), nil
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
		Fits: topology.Explain(live.Case), Views: live.Case.Views, Open: p.Open}
	e.MayAct, e.Why = live.Case.Chain.MayAct(live.Case.Now)
	e.Plan = promote.For(live.Case, e.Verdict)
	if e.Views == nil {
		e.Views = []topology.View{}
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

func (h *handler) switchover(ctx context.Context, c *call) (any, error) {
	var ask SwitchoverRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	if ask.Reason == "" {
		ask.Reason = "asked for by " + c.actor
	}
	return h.ask(ctx, c, ask.Epoch, ask.DryRun, func(live topology.Case) (*promote.Plan, error) {
		return promote.ForSwitchover(live, ask.To, c.actor, ask.Reason)
	})
}

func (h *handler) raise(ctx context.Context, c *call) (any, error) {
	var ask RaiseRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	if ask.Server == "" {
		return nil, badRequest("server is missing: the slave that is to change places with the candidate")
	}
	if ask.Reason == "" {
		ask.Reason = "asked for by " + c.actor
	}
	return h.ask(ctx, c, ask.Epoch, ask.DryRun, func(live topology.Case) (*promote.Plan, error) {
		return promote.ForRaise(live, ask.Server, c.actor, ask.Reason)
	})
}

// ask plans what an operator wants and, unless it is a dry run, has the plan accepted.
func (h *handler) ask(ctx context.Context, c *call, epoch uint64, dryRun bool, plan func(topology.Case) (*promote.Plan, error)) (any, error) {
	name, p, err := h.product(c)
	if err != nil {
		return nil, err
	}
	if epoch != 0 && epoch != p.Chain.Epoch {
		return nil, &Error{Code: Stale, Message: "the chain is at epoch " + strconv.FormatUint(p.Chain.Epoch, 10) + " by now, not " + strconv.FormatUint(epoch, 10), Help: helpStale}
	}
	if p.Open != nil {
		id := strconv.FormatUint(p.Open.Plan.ID, 10)
		return nil, &Error{Code: Stale, Message: "plan " + id + " (" + string(p.Open.Plan.Kind) + ") is open", Plan: p.Open.Plan.ID,
			Help: "wait for its end: \"failoverd wait " + id + "\""}
	}
	live, err := h.backend.Live(ctx, name, true)
	if err != nil {
		return nil, internalError(err)
	}
	made, err := plan(live.Case)
	if err != nil {
		return nil, err
	}
	if dryRun {
		return PlanReply{Plan: *made}, nil
	}
	if err := h.backend.Propose(ctx, journal.Command{At: h.now(), Actor: c.actor, Accept: made}); err != nil {
		return nil, err
	}
	made.ID = acceptedID(h.backend.State(), *made)
	return PlanReply{Plan: *made, Accepted: true}, nil
}

// acceptedID finds the number that the journal gave to a plan; by now it may have ended. 0 when it is not there.
func acceptedID(state *journal.State, plan promote.Plan) uint64 {
	if p, ok := state.Products[plan.Product]; ok && p.Open != nil {
		if open := p.Open.Plan; open.Kind == plan.Kind && open.Actor == plan.Actor && open.Epoch == plan.Epoch {
			return open.ID
		}
	}
	for i := len(state.History) - 1; i >= 0; i-- {
		if e := state.History[i]; e.Product == plan.Product && e.What == string(plan.Kind) && e.Actor == plan.Actor && e.Plan != 0 {
			return e.Plan
		}
	}
	return 0
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
	if ask.For != "" {
		d, err := time.ParseDuration(ask.For)
		if err != nil || d <= 0 {
			return nil, badRequest("for: %q is not a duration such as 30m or 4h", ask.For)
		}
		pause.Until = h.now().Add(d).UTC().Truncate(time.Second)
	}
	return h.commit(ctx, journal.Command{At: h.now(), Actor: c.actor, Pause: &journal.SetPause{Product: name, Pause: &pause}})
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
