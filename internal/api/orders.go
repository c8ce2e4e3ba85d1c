package api

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// order is a plan that a person asks for.
type order struct {
	epoch  uint64 // of the chain as the person saw it, 0 when that is not said
	dryRun bool
	plan   func(topology.Case) (*promote.Plan, error)
	// mayOverride says why an open plan does not make room for this one, nil when it does.
	mayOverride func(promote.Progress) error
	// because is what an overridden plan's outcome says.
	because string
	// notes are what a person should know before it is done.
	notes func(topology.Case, promote.Plan) []string
}

func (h *handler) switchover(ctx context.Context, c *call) (any, error) {
	var ask SwitchoverRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	reason := c.reason(ask.Reason)
	return h.ask(ctx, c, order{epoch: ask.Epoch, dryRun: ask.DryRun, plan: func(live topology.Case) (*promote.Plan, error) {
		return promote.ForSwitchover(live, ask.To, c.actor, reason)
	}})
}

func (h *handler) raise(ctx context.Context, c *call) (any, error) {
	var ask RaiseRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	if ask.Server == "" {
		return nil, badRequest("server is missing: the slave that is to change places with the candidate")
	}
	reason := c.reason(ask.Reason)
	return h.ask(ctx, c, order{epoch: ask.Epoch, dryRun: ask.DryRun, plan: func(live topology.Case) (*promote.Plan, error) {
		return promote.ForRaise(live, ask.Server, c.actor, reason)
	}})
}

func (h *handler) maintenance(ctx context.Context, c *call) (any, error) {
	var ask MaintenanceRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	until, err := h.until(ask.For)
	switch {
	case err != nil:
		return nil, err
	case ask.Server == "":
		return nil, badRequest("server is missing: the one that is to leave rotation, or to come back")
	case ask.End && ask.For != "":
		return nil, badRequest("for is for the beginning of maintenance, not for its end")
	case ask.End:
		reason := c.reason(ask.Reason)
		return h.ask(ctx, c, order{epoch: ask.Epoch, dryRun: ask.DryRun, notes: backNotes, plan: func(live topology.Case) (*promote.Plan, error) {
			return promote.ForReturn(live, ask.Server, c.actor, reason)
		}})
	case !ask.DryRun && strings.TrimSpace(ask.Reason) == "":
		return nil, badRequest("reason is missing: whoever finds %s out of rotation must know what it is for", ask.Server)
	}
	return h.ask(ctx, c, order{epoch: ask.Epoch, dryRun: ask.DryRun, notes: awayNotes, plan: func(live topology.Case) (*promote.Plan, error) {
		return promote.ForMaintenance(live, ask.Server, c.actor, ask.Reason, until)
	}})
}

func (h *handler) rebuild(ctx context.Context, c *call) (any, error) {
	var ask RebuildRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	if ask.Server == "" {
		return nil, badRequest("server is missing: the one whose data is to be replaced")
	}
	if ask.Restored != "" && ask.From != "" {
		return nil, badRequest("from is the server to copy: it does not go with restored")
	}
	reason := c.reason(ask.Reason)
	if ask.Restored != "" {
		return h.ask(ctx, c, order{epoch: ask.Epoch, dryRun: ask.DryRun, plan: func(live topology.Case) (*promote.Plan, error) {
			return promote.ForRestored(live, ask.Server, ask.Restored, ask.Was, c.actor, reason)
		}})
	}
	return h.ask(ctx, c, order{epoch: ask.Epoch, dryRun: ask.DryRun, notes: rebuildNotes, mayOverride: openError,
		plan: func(live topology.Case) (*promote.Plan, error) {
			made, err := promote.ForRebuild(live, ask.Server, ask.From, c.actor, reason)
			return made, orRestore(live, ask.Server, err)
		}})
}

// orRestore adds to a refused rebuild how the server gets its data where nobody is
// left to copy it from. Only what nobody takes in while it is half full is filled.
func orRestore(live topology.Case, name string, err error) error {
	var refusal promote.Refusal
	server, known := live.Chain.Server(name)
	donor, why := live.Digest().Donor(name)
	if !errors.As(err, &refusal) || !known || donor != "" || !strings.HasPrefix(why, "no server") || server.Standing == topology.In {
		return err
	}
	refused := &Error{Code: Refused, Message: "refused, nothing was changed", Reasons: refusal.Reasons,
		Help: fmt.Sprintf("a copy in the object store can take the place of a donor: start %s on an empty data directory, then run \"failoverd rebuild %s %s --snapshot newest\" where dump.yaml is",
			name, live.Chain.Product, name)}
	if server.Standing == topology.Out {
		refused.Help = fmt.Sprintf("a copy in the object store can take the place of a donor: first \"failoverd maintenance %s %s --reason …\", so that it is not taken in half full, then \"failoverd rebuild %s %s --snapshot newest\"",
			live.Chain.Product, name, live.Chain.Product, name)
		return refused
	}
	refused.Copy = &CopyInstead{Server: name, Addr: server.Addr(), UUID: server.UUID}
	return refused
}

func (c *call) reason(given string) string {
	if strings.TrimSpace(given) == "" {
		return "asked for by " + c.actor
	}
	return given
}

// triesToAccept is how often an order is planned anew because the chain changed
// while it was planned.
const triesToAccept = 4

// repairPatience is how long an order lets a repair of failoverd's own end first, most
// of which take a tenth of a second.
const repairPatience = 3 * time.Second

// ask plans what an operator wants and, unless it is a dry run, has the plan accepted.
func (h *handler) ask(ctx context.Context, c *call, o order) (any, error) {
	if o.mayOverride == nil {
		o.mayOverride, o.because = givesWay, promote.GivesWay+"to "+c.actor
	}
	patience := time.After(repairPatience)
	for try := 1; ; try++ {
		name, p, err := h.product(c)
		if err != nil {
			return nil, err
		}
		if err := o.stale(p.Chain); err != nil {
			return nil, err
		}
		if p.Open != nil {
			if err := o.mayOverride(*p.Open); err != nil {
				if !h.repaired(ctx, name, *p.Open, patience) {
					return nil, err
				}
				continue
			}
		}
		live, err := h.backend.Live(ctx, name, true)
		if err != nil {
			return nil, internalError(err)
		}
		if err := o.stale(live.Case.Chain); err != nil { // somebody's promotion may have ended meanwhile
			return nil, err
		}
		made, err := o.plan(live.Case)
		if err != nil {
			return nil, err
		}
		reply := PlanReply{Plan: *made, Overrides: p.Open, Notes: []string{}}
		if p.Open != nil {
			reply.Waiting = live.Waiting
		}
		if o.notes != nil {
			reply.Notes = append(reply.Notes, o.notes(live.Case, *made)...)
		}
		if o.dryRun {
			return reply, nil
		}
		err = h.accept(ctx, c, o, live.Case.Chain, p.Open, made)
		switch {
		case errors.Is(err, journal.ErrStale) && try < triesToAccept:
			continue // nothing was changed; what is now in the way is named if it stays
		case err != nil:
			return nil, err
		}
		reply.Plan.ID, reply.Accepted = acceptedID(h.backend.State(), *made), true
		return reply, nil
	}
}

// repaired says whether an open plan came to its end in time, and waits for that. Only
// a repair that nobody asked for is waited for.
func (h *handler) repaired(ctx context.Context, product string, open promote.Progress, patience <-chan time.Time) bool {
	if open.Plan.Kind.Promotes() || open.Plan.Rule == byOperator {
		return false
	}
	for {
		changed := h.backend.Changed()
		if p := h.backend.State().Products[product]; p.Open == nil || p.Open.Plan.ID != open.Plan.ID {
			return true
		}
		select {
		case <-changed:
		case <-patience:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// stale says that the chain is not the one that the person decided on.
func (o order) stale(chain topology.Chain) error {
	if o.epoch == 0 || o.epoch == chain.Epoch {
		return nil
	}
	return &Error{Code: Stale, Message: fmt.Sprintf("the chain is at epoch %d by now, not %d", chain.Epoch, o.epoch), Help: helpStale}
}

// accept has the plan committed, after the plan that it overrides was given up.
// It is stale when the chain is not as it was planned for.
func (h *handler) accept(ctx context.Context, c *call, o order, planned topology.Chain, over *promote.Progress, made *promote.Plan) error {
	if err := h.unchanged(planned, over); err != nil {
		return err
	}
	if over != nil {
		end := journal.End{Product: planned.Product, Plan: over.Plan.ID, Why: o.because, Outright: true}
		if err := h.backend.Propose(ctx, journal.Command{At: h.now(), Actor: c.actor, Abort: &end}); err != nil {
			return err
		}
		if err := h.unchanged(planned, nil); err != nil {
			return err
		}
	}
	return h.backend.Propose(ctx, journal.Command{At: h.now(), Actor: c.actor, Accept: made})
}

// unchanged is nil while the journal has the chain that a plan was made for, and
// the open plan that was seen.
func (h *handler) unchanged(planned topology.Chain, open *promote.Progress) error {
	p, ok := h.backend.State().Products[planned.Product]
	switch {
	case !ok:
		return fmt.Errorf("product %s is gone: %w", planned.Product, journal.ErrStale)
	case p.Open != nil && (open == nil || p.Open.Plan.ID != open.Plan.ID):
		return openError(*p.Open)
	}
	now := p.Chain
	now.HighWater, now.Mode, now.Pause = planned.HighWater, planned.Mode, planned.Pause // no plan depends on these
	if !reflect.DeepEqual(normal(now), normal(planned)) {
		return fmt.Errorf("the chain of %s changed while this was planned: %w", planned.Product, journal.ErrStale)
	}
	return nil
}

// normal is the chain without the difference between an empty list and none.
func normal(c topology.Chain) topology.Chain {
	if len(c.Ackers) == 0 {
		c.Ackers = nil
	}
	if len(c.Policy.Ackers) == 0 {
		c.Policy.Ackers = nil
	}
	c.Last = nil
	return c
}

// openError says that a plan is open, and how to see it through.
func openError(open promote.Progress) error {
	return &Error{Code: Stale, Message: fmt.Sprintf("plan %d (%s) is open", open.Plan.ID, planText(open.Plan)), Plan: open.Plan.ID,
		Help: fmt.Sprintf("wait for its end: \"failoverd wait %d\"", open.Plan.ID)}
}

// givesWay lets every order go before a rebuild, whose copy goes on without its plan.
func givesWay(open promote.Progress) error {
	if open.Plan.Kind == promote.Rebuild {
		return nil
	}
	return openError(open)
}

func planText(plan promote.Plan) string {
	if plan.From != "" {
		return fmt.Sprintf("%s %s → %s", plan.Kind, plan.From, plan.Target)
	}
	return string(plan.Kind)
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

// awayNotes say what a server's leaving changes.
func awayNotes(live topology.Case, plan promote.Plan) []string {
	p := live.Digest()
	var notes []string
	if live.Chain.IsAcker(plan.Target) && live.Chain.Policy.Durability == topology.SemiSync {
		change, _ := p.Without(plan.Target)
		switch {
		case len(change.Grow) > 0:
			notes = append(notes, fmt.Sprintf("%s acknowledges for %s: %s takes over first", plan.Target, live.Chain.Master(), strings.Join(change.Grow, ", ")))
		case len(change.Drop) == 0:
			notes = append(notes, fmt.Sprintf("%s does not answer and may be acknowledging: it stays in the acker set", plan.Target))
		}
	}
	if s, _ := live.Chain.Server(plan.Target); s.Seat == topology.Candidate {
		notes = append(notes, fmt.Sprintf("%s is the candidate: a slave takes its seat where there is one, else nobody can be promoted meanwhile", plan.Target))
	}
	for _, step := range plan.Steps {
		if step.Goal == promote.Standing && step.Until.IsZero() {
			notes = append(notes, fmt.Sprintf("it lasts until \"failoverd maintenance %s %s --end\": give --for where you can", plan.Product, plan.Target))
		}
	}
	return notes
}

// backNotes say how a server comes back.
func backNotes(live topology.Case, plan promote.Plan) []string {
	p := live.Digest()
	switch may, why := live.Chain.MayAct(live.Now); {
	case !p.Up(plan.Target):
		return []string{fmt.Sprintf("%s does not answer (%s): it comes back by itself once it does", plan.Target, p.Contacts(plan.Target))}
	case !may:
		return []string{fmt.Sprintf("%s is not let in by itself: %s", plan.Target, why)}
	}
	return []string{plan.Target + " comes back once it has shown that it holds nothing foreign; else it is quarantined"}
}

// rebuildNotes say what becomes of the server's data.
func rebuildNotes(live topology.Case, plan promote.Plan) []string {
	server, _ := live.Chain.Server(plan.Target)
	notes := []string{fmt.Sprintf("%s is %s: %s", server.Name, server.Standing, server.Why)}
	for _, step := range plan.Steps {
		if step.Goal == promote.Cloned {
			donor, _ := live.Chain.Server(step.Source)
			notes = append(notes, fmt.Sprintf("ALL DATA of %s (%s) will be replaced by a copy of %s (%s), which is busy with it meanwhile", server.Name, server.Addr(), donor.Name, donor.Seat))
		}
	}
	errant := live.Digest().Errant(plan.Target)
	if errant.Empty() {
		return append(notes, "it holds no errant transactions that are known of; what is found is saved to the object store first")
	}
	return append(notes, fmt.Sprintf("its %d errant transactions are saved to the object store first: %s. The note of the step \"saved\" says where: \"failoverd history %s\"",
		errant.Count(), errant, plan.Product))
}
