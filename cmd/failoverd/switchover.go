package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/promote"
)

// order is a plan that an operator asks for.
type order struct {
	reason      string
	dryRun, yes bool
	wait        time.Duration
	output      format
	// confirm asks before it is done; "Go ahead?" when nil.
	confirm func(context.Context, api.PlanReply) error
}

// seen is a chain as the dry run showed it: its epoch, and the number of its open
// plan. It goes with the order, so that nobody does twice what another did.
type seen struct{ epoch, plan uint64 }

func (o *order) flags(cmd *cobra.Command) {
	formatFlag(cmd, &o.output)
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, for the history")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "check everything and show the steps, change nothing")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	cmd.Flags().DurationVar(&o.wait, "wait", time.Minute, "how long to follow the plan; 0 returns once it is accepted")
}

func (c *cli) switchoverCommand() *cobra.Command {
	var o order
	var to string
	cmd := &cobra.Command{
		Use:   "switchover PRODUCT",
		Short: "Hand over to the candidate while the master is alive",
		Long: `Makes the candidate the master while the old one is alive: writes pause for some
ten milliseconds and none is lost. What speaks against it is listed, and then
nothing is changed. The old master stays in the chain, as its last slave.

Shows the steps and asks before it acts; without a terminal it needs --yes.
Up to the point of no return a failing step takes everything back.`,
		Example: `  failoverd switchover shop --dry-run
  failoverd switchover shop --reason "kernel update of db1"
  failoverd raise shop db3 && failoverd switchover shop --to db3`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.products,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.order(cmd.Context(), o, func(ctx context.Context, client *api.Client, dryRun bool, as seen) (api.PlanReply, error) {
				return client.Switchover(ctx, args[0], api.SwitchoverRequest{To: to, Reason: o.reason, DryRun: dryRun, Epoch: as.epoch})
			})
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&to, "to", "", "the `server` to promote; the candidate unless given")
	return c.remote(cmd)
}

func (c *cli) raiseCommand() *cobra.Command {
	var o order
	cmd := &cobra.Command{
		Use:   "raise PRODUCT SERVER",
		Short: "Let a slave and the candidate change places",
		Long: `Makes the named slave the candidate, and the candidate a slave. Writes go on. It
is the step before a switchover to that server.`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: c.products,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.order(cmd.Context(), o, func(ctx context.Context, client *api.Client, dryRun bool, as seen) (api.PlanReply, error) {
				return client.Raise(ctx, args[0], api.RaiseRequest{Server: args[1], Reason: o.reason, DryRun: dryRun, Epoch: as.epoch})
			})
		},
	}
	o.flags(cmd)
	return c.remote(cmd)
}

// order shows what would be done, asks, has it done and follows it to its end.
func (c *cli) order(ctx context.Context, o order, ask func(context.Context, *api.Client, bool, seen) (api.PlanReply, error)) error {
	if !o.dryRun {
		if err := c.mayAsk(o.yes); err != nil {
			return err
		}
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	dry, err := ask(ctx, client, true, seen{})
	if err != nil {
		return err
	}
	switch {
	case o.output == asTable:
		c.printReply(dry)
	case o.dryRun:
		return c.encode(o.output, dry)
	case !o.yes: // what is asked must be seen
		aside := *c
		aside.out = c.err
		aside.printReply(dry)
	}
	if o.dryRun {
		fmt.Fprintln(c.out, "dry run: nothing was changed")
		return nil
	}
	if !o.yes {
		confirm := o.confirm
		if confirm == nil {
			confirm = func(ctx context.Context, _ api.PlanReply) error { return c.confirm(ctx, "Go ahead?") }
		}
		if err := confirm(ctx, dry); err != nil {
			return err
		}
	}
	as := seen{epoch: dry.Plan.Epoch}
	if dry.Plan.Kind.Promotes() {
		as.epoch-- // the chain's present one
	}
	if dry.Overrides != nil {
		as.plan = dry.Overrides.Plan.ID
	}
	accepted, err := ask(ctx, client, false, as)
	if err != nil {
		return err
	}
	if o.wait <= 0 || accepted.Plan.ID == 0 {
		if o.output != asTable {
			return c.encode(o.output, accepted)
		}
		fmt.Fprintf(c.out, "plan %d is accepted: \"failoverd wait %d\" follows it\n", accepted.Plan.ID, accepted.Plan.ID)
		return nil
	}
	return c.follow(ctx, client, accepted.Plan.ID, o.wait, o.output)
}

// printReply shows a plan, what else one should know, and what it may cost.
func (c *cli) printReply(reply api.PlanReply) {
	c.printPlan(reply.Plan)
	if reply.Overrides != nil {
		c.say("  gives up ", openText(*reply.Overrides))
		if reply.Waiting != "" {
			c.say("    waiting: ", reply.Waiting)
		}
	}
	for _, note := range reply.Notes {
		c.say("  note: ", note)
	}
	if reply.Plan.Loss != nil {
		fmt.Fprintln(c.out, c.paint(bad, "what may be lost:"))
		c.sayLoss("  ", reply.Plan.From, reply.Plan.Loss)
	} else if reply.Plan.Kind == promote.Failover {
		fmt.Fprintln(c.out, c.paint(good, "no acknowledged write is lost by it"))
	}
}

func (c *cli) printPlan(plan promote.Plan) {
	title := fmt.Sprintf("%s of %s", plan.Kind, plan.Product)
	switch {
	case plan.From != "":
		title += fmt.Sprintf(": %s → %s, epoch %d → %d", plan.From, plan.Target, plan.Epoch-1, plan.Epoch)
	case plan.Target != "":
		title += ": " + plan.Target
	}
	fmt.Fprintln(c.out, c.paint(bold, title))
	c.printSteps(plan)
}

func (c *cli) waitCommand() *cobra.Command {
	var output format
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "wait PLAN",
		Short: "Follow a plan to its end",
		Long:  "Follows a plan, by its number, to its end and exits as the command that asked for it would have.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var id uint64
			if _, err := fmt.Sscanf(args[0], "%d", &id); err != nil || fmt.Sprint(id) != args[0] {
				return usageError(fmt.Errorf("%q is not the number of a plan", args[0]))
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			return c.follow(cmd.Context(), client, id, wait, output)
		},
	}
	formatFlag(cmd, &output)
	cmd.Flags().DurationVar(&wait, "wait", 10*time.Minute, "how long to wait")
	return c.remote(cmd)
}

// follow prints a plan's steps as they end, and turns its outcome into an exit code.
func (c *cli) follow(ctx context.Context, client *api.Client, id uint64, wait time.Duration, output format) error {
	end := time.Now().Add(wait)
	var seen progress
	for {
		left := time.Until(end)
		state, err := client.Plan(ctx, id, min(max(left, 0), 500*time.Millisecond))
		switch {
		case ctx.Err() != nil:
			return unfinished(id, "interrupted: the plan goes on by itself")
		case err != nil && left > 0 && isAway(err):
			continue // Plan has been patient already; a new leader goes on with the plan
		case err != nil:
			return fmt.Errorf("plan %d: %w", id, err)
		}
		if output == asTable {
			c.printProgress(&seen, state)
		}
		if state.Finished() {
			return c.finished(state, output)
		}
		if left <= 0 {
			return unfinished(id, fmt.Sprintf("plan %d is not finished after %s", id, wait))
		}
	}
}

// progress is what was printed already.
type progress struct {
	notes   int
	waiting string
}

func (c *cli) printProgress(seen *progress, state api.PlanState) {
	var notes []promote.Note
	width := 0
	if state.Open != nil {
		notes = state.Open.Notes
		for _, step := range state.Open.Plan.Steps {
			width = max(width, utf8.RuneCountInString(step.String()))
		}
	} else {
		notes = state.Outcome.Phases
		for _, note := range notes {
			width = max(width, utf8.RuneCountInString(note.Step))
		}
	}
	for ; seen.notes < len(notes); seen.notes++ {
		note := notes[seen.notes]
		note.Step += strings.Repeat(" ", max(0, width-utf8.RuneCountInString(note.Step)))
		t := table{indent: "  "}
		t.row(noteCells(note)...)
		c.print(t)
	}
	if state.Waiting != seen.waiting {
		seen.waiting = state.Waiting
		if state.Waiting != "" {
			c.say("  … ", waitingText(state.Waiting))
		}
	}
}

// waitingText tells what takes its time from what waits for somebody.
func waitingText(waiting string) string {
	// What follows is why the server cannot be asked, which goes by itself.
	if text, _, ok := strings.Cut(waiting, ": "+promote.ErrUnderway.Error()); ok {
		return text
	}
	return "waiting: " + waiting
}

func (c *cli) finished(state api.PlanState, output format) error {
	e := state.Outcome
	if output != asTable {
		if err := c.encode(output, state); err != nil {
			return err
		}
	}
	if !state.Succeeded() && promote.Kind(e.What) == promote.Rebuild && strings.Contains(e.Outcome, promote.GivesWay) {
		return &exitError{code: exitUnknown, message: fmt.Sprintf("plan %d (rebuild of %s) %s: the copy goes on at the server", e.Plan, e.Product, e.Outcome),
			hint: fmt.Sprintf("\"failoverd status %s\" shows it; \"failoverd rebuild %s %s\" goes on with it unless failoverd does by itself", e.Product, e.Product, e.To)}
	}
	if !state.Succeeded() {
		return &exitError{code: exitRefused, message: fmt.Sprintf("plan %d (%s of %s) was %s", e.Plan, e.What, e.Product, e.Outcome),
			hint: fmt.Sprintf("\"failoverd explain %s\" shows how the chain is now", e.Product)}
	}
	if output == asTable {
		text := fmt.Sprintf("%s of %s is done", e.What, e.Product)
		if e.To != "" && promote.Kind(e.What).Promotes() {
			text = fmt.Sprintf("%s is the master of %s, epoch %d", e.To, e.Product, e.Epoch)
		}
		fmt.Fprintf(c.out, "%s, in %s\n", c.paint(good, text), took(e.Ms))
	}
	return nil
}

func unfinished(id uint64, message string) error {
	return &exitError{code: exitUnknown, message: message, hint: fmt.Sprintf("\"failoverd wait %d\" follows it", id)}
}

// isAway says that the watchers could not be asked, as during an election.
func isAway(err error) bool {
	return errors.Is(err, api.ErrUnreachable) || errors.Is(err, api.ErrNoQuorum)
}
