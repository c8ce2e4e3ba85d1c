package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// byOperator is the rule of a plan that a person asked for.
const byOperator = "operator"

func (h *handler) failover(ctx context.Context, c *call) (any, error) {
	var ask FailoverRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	if !ask.DryRun && strings.TrimSpace(ask.Reason) == "" {
		return nil, badRequest("reason is missing: whoever reads the history must know why a person promoted somebody")
	}
	return h.ask(ctx, c, order{epoch: ask.Epoch, dryRun: ask.DryRun, mayOverride: ask.mayOverride, notes: failoverNotes,
		because: fmt.Sprintf("overridden by %s: %s", c.actor, ask.Reason),
		plan: func(live topology.Case) (*promote.Plan, error) {
			made, err := promote.ForFailover(live, ask.To, c.actor, ask.Reason, ask.AcceptDataLoss)
			var refusal promote.Refusal
			if errors.As(err, &refusal) {
				return nil, refusedFailover(live, ask, refusal)
			}
			return made, err
		}})
}

// mayOverride: a plan that may have opened somebody only goes forward, and the
// plan of another person is overridden only by who has seen it.
func (ask FailoverRequest) mayOverride(open promote.Progress) error {
	plan := open.Plan
	switch {
	case plan.Kind.Promotes() && open.MayHaveOpened():
		return &Error{Code: Refused, Message: fmt.Sprintf("plan %d (%s) is past its point of no return, %s may be open for writes: nothing was changed", plan.ID, planText(plan), plan.Target),
			Plan: plan.ID, Help: fmt.Sprintf("\"failoverd wait %d\" follows it to its end, then see \"failoverd status %s\"", plan.ID, plan.Product)}
	case plan.Rule == byOperator && plan.ID != ask.Overrides && !ask.DryRun:
		return &Error{Code: Stale, Message: fmt.Sprintf("plan %d (%s) of %s is open", plan.ID, planText(plan), plan.Actor), Plan: plan.ID,
			Help: fmt.Sprintf("somebody was faster: \"failoverd wait %d\" follows it; asking again overrides it", plan.ID)}
	}
	return nil
}

// refusedFailover adds the command that goes on without what is waited for.
func refusedFailover(live topology.Case, ask FailoverRequest, refusal promote.Refusal) error {
	e := &Error{Code: Refused, Message: "refused, nothing was changed", Reasons: refusal.Reasons}
	if command, loss := override(live, ask.To); loss != nil && !ask.AcceptDataLoss {
		e.Help = fmt.Sprintf("bring one of them back; or see what would be lost without them: \"%s --dry-run\"", command)
	}
	return e
}

// override is the command with which a person has a failover done that failoverd
// does not do by itself, and what that may lose. Empty when there is nobody to promote.
func override(live topology.Case, to string) (command string, loss *promote.Loss) {
	plan, err := promote.ForFailover(live, to, "", "", true)
	if err != nil {
		return "", nil
	}
	command = "failoverd failover " + live.Chain.Product
	if to != "" {
		command += " --to " + to
	}
	if plan.Loss != nil {
		command += " --accept-data-loss"
	}
	return command, plan.Loss
}

// wantsAPerson says whether the master is lost and failoverd does not act, or
// waits for somebody.
func wantsAPerson(e Explanation) bool {
	switch e.Verdict.Rule {
	case "master-missing-data", "master-dead-no-target", "master-held-down", "master-below-high-water":
		return true
	}
	return e.Verdict.Action == topology.Failover && (!e.MayAct || e.Waiting != "")
}

// failoverNotes say what else the person should know who decides on a failover.
func failoverNotes(live topology.Case, plan promote.Plan) []string {
	var notes []string
	if may, why := live.Chain.MayAct(live.Now); !may {
		notes = append(notes, "only this is done: no repair after it, so that its commits wait when nobody acknowledges: "+why)
	}
	if p := live.Digest(); p.Up(plan.From) {
		notes = append(notes, fmt.Sprintf("%s answers (%s): its clients are cut off", plan.From, p.Contacts(plan.From)))
	}
	return notes
}
