package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/snapshot"
)

// newest is what --snapshot calls the newest whole snapshot and the binary log after it.
const newest = "newest"

func (c *cli) rebuildCommand() *cobra.Command {
	var o order
	var from string
	var r restoring
	cmd := &cobra.Command{
		Use:   "rebuild PRODUCT SERVER",
		Short: "Replace the data of a quarantined server by a copy of a healthy one, or of the object store",
		Long: `Replaces ALL DATA of a server in quarantine by a copy of a healthy one (CLONE), and
takes it back in. What only it holds is saved to the object store first. The copy
takes as long as it takes; it gives way to whatever is more urgent and is followed
anew. With rebuild: auto failoverd does this by itself.

When no server lives that could be copied, a copy in the object store takes its place:
start the server on an empty data directory, and say --snapshot newest on a machine
that reaches the store. It gets the newest snapshot and all of the binary log that was
shipped after it, or with the name of a snapshot that one as it is. A server in
maintenance is filled as well. Afterwards it is taken in by proof, as any that was away.`,
		Example: `  failoverd rebuild shop db3
  failoverd rebuild shop db3 --snapshot newest --password-file pw
  failoverd rebuild shop db3 --snapshot newest --store s3://example-copies/shop?region=eu-central-1`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: c.productsAndServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.output = o.output
			if r.id != "" {
				return c.rebuildFromCopy(cmd.Context(), args[0], args[1], o, r)
			}
			o.confirm = func(ctx context.Context, _ api.PlanReply) error {
				return c.confirm(ctx, fmt.Sprintf("Replace all data of %s?", args[1]))
			}
			err := c.order(cmd.Context(), o, func(ctx context.Context, client *api.Client, dryRun bool, as seen) (api.PlanReply, error) {
				return client.Rebuild(ctx, args[0], api.RebuildRequest{Server: args[1], From: from, Reason: o.reason, DryRun: dryRun, Epoch: as.epoch})
			})
			var refused *api.Error
			if !errors.As(err, &refused) || refused.Copy == nil || o.dryRun || o.yes {
				return err // --yes is said to a CLONE, not to older data
			}
			for _, reason := range refused.Reasons {
				fmt.Fprintf(c.err, "  - %s\n", reason)
			}
			r.id = newest
			return c.fillMember(cmd.Context(), args[0], *refused.Copy, o, r)
		},
	}
	o.flags(cmd)
	o.wait = rebuildWait
	cmd.Flags().Lookup("wait").DefValue = rebuildWait.String()
	cmd.Flags().StringVar(&from, "from", "", "the `server` to copy; the least useful healthy one unless given")
	cmd.Flags().StringVar(&r.id, "snapshot", "", "when no server can be copied, this snapshot: its `name` or how that begins, or newest")
	cmd.MarkFlagsMutuallyExclusive("from", "snapshot")
	r.from.flags(cmd)
	r.accountFlags(cmd)
	return c.remote(cmd)
}

// rebuildWait is how long a rebuild is followed unless --wait says otherwise.
const rebuildWait = time.Hour

// rebuildFromCopy fills the server from the stores, if the watchers say that no server
// could be copied. A copy is always older than that.
func (c *cli) rebuildFromCopy(ctx context.Context, product, name string, o order, r restoring) error {
	if !o.dryRun {
		if err := c.mayAsk(o.yes); err != nil {
			return err
		}
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	dry, err := client.Rebuild(ctx, product, api.RebuildRequest{Server: name, DryRun: true})
	var refused *api.Error
	switch {
	case err == nil:
		return &exitError{code: exitRefused, message: fmt.Sprintf("nothing was changed: %s lives and can be copied, and no copy in a store is as new", donorOf(dry.Plan)),
			hint: fmt.Sprintf("\"failoverd rebuild %s %s\" does that", product, name)}
	case !errors.As(err, &refused) || refused.Copy == nil:
		return err
	}
	return c.fillMember(ctx, product, *refused.Copy, o, r)
}

func donorOf(plan promote.Plan) string {
	for _, step := range plan.Steps {
		if step.Goal == promote.Cloned {
			return step.Source
		}
	}
	return "a server"
}

// fillMember restores into a server of a chain, and has the watchers prove it.
func (c *cli) fillMember(ctx context.Context, product string, to api.CopyInstead, o order, r restoring) error {
	which := "snapshot " + r.id
	if r.id == newest {
		which, r.id = "the newest snapshot and the binary log after it", ""
	}
	r.into, r.member = to.Addr, true
	if o.dryRun {
		return c.wouldFill(ctx, product, to, r)
	}
	if !o.yes {
		if err := c.confirm(ctx, fmt.Sprintf("Fill %s (%s), which must be empty, with %s?", to.Server, to.Addr, which)); err != nil {
			return err
		}
	}
	id, err := c.restoreInto(ctx, product, r)
	if err != nil {
		return err
	}
	return c.takeIn(ctx, product, to, id, o)
}

// wouldFill shows what would be put into the server.
func (c *cli) wouldFill(ctx context.Context, product string, to api.CopyInstead, r restoring) error {
	depot, _, err := c.openDepot(ctx, r.from, product)
	if err != nil {
		return err
	}
	place, m, err := r.find(ctx, depot)
	if err != nil {
		return c.notFound(err, product)
	}
	history, err := r.history(ctx, depot, place, m)
	if err != nil {
		return historyError(err, product, m)
	}
	aside := *c
	if r.output != asTable {
		aside.out = c.err
	}
	fmt.Fprintf(aside.out, "%s (%s) would be filled, if it is empty:\n", to.Server, to.Addr)
	aside.sayPlan(place, m, history)
	fmt.Fprintln(aside.out, "dry run: nothing was changed")
	return nil
}

// takeIn tells the watchers that the server's data is another now. When they refuse, it
// stays out of rotation, and the copy of a donor that comes back takes its place.
func (c *cli) takeIn(ctx context.Context, product string, to api.CopyInstead, id string, o order) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	reply, err := c.toldRestored(ctx, client, product, api.RebuildRequest{Server: to.Server, Restored: id, Was: to.UUID, Reason: o.reason})
	if err != nil {
		failed := explainError(ctx, err)
		return &exitError{code: exitUnknown, message: fmt.Sprintf("%s is restored, and stays out of rotation: %s", to.Server, failed.message), reasons: failed.reasons, cause: err,
			hint: fmt.Sprintf("once a server of %s lives, \"failoverd rebuild %s %s\" replaces its data by a copy of that, or, where it is in maintenance, \"failoverd maintenance %s %s --end\" takes it in", product, product, to.Server, product, to.Server)}
	}
	aside := *c
	if o.output != asTable {
		aside.out = c.err // standard output has the restore already
	}
	if o.wait > 0 && reply.Plan.ID != 0 {
		if err := aside.follow(ctx, client, reply.Plan.ID, o.wait, asTable); err != nil {
			return err
		}
	}
	aside.say("", fmt.Sprintf("%s comes back into rotation once the master answers and has all that it holds. If no server of %s ever comes back, \"failoverd apply\" makes it the master of a new chain.", to.Server, product))
	return nil
}

// The watchers see a server that they can log in to again within their next rounds.
const (
	toldPatience = 30 * time.Second
	toldEvery    = 500 * time.Millisecond
)

// toldRestored asks until the watchers have seen the server as it is now.
func (c *cli) toldRestored(ctx context.Context, client *api.Client, product string, ask api.RebuildRequest) (api.PlanReply, error) {
	patience := toldPatience
	if c.patience > 0 {
		patience = c.patience
	}
	for end := time.Now().Add(patience); ; {
		reply, err := client.Rebuild(ctx, product, ask)
		var refused *api.Error
		waits := isAway(err) || errors.As(err, &refused) && (refused.Code == api.Refused || refused.Code == api.Stale)
		if err == nil || !waits || time.Now().After(end) {
			return reply, err
		}
		select {
		case <-ctx.Done():
			return reply, ctx.Err()
		case <-time.After(toldEvery):
		}
	}
}

// restoreInto is restore, with hints for a server of a chain. It returns the snapshot's name.
func (c *cli) restoreInto(ctx context.Context, product string, r restoring) (id string, err error) {
	done, err := c.restoreCopy(ctx, product, r)
	var said *exitError
	if errors.As(err, &said) && said.code == exitRefused && errors.Is(err, snapshot.ErrHistory) && done.Snapshot != "" { // it was the plan that failed, not the replay
		return "", &exitError{code: exitRefused, message: err.Error(), cause: err,
			hint: fmt.Sprintf("nothing was begun. --snapshot %s restores what was there then, and nothing after it", done.Snapshot)}
	}
	return done.Snapshot, err
}
