package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/promote"
)

func (c *cli) failoverCommand() *cobra.Command {
	var o order
	var to string
	var acceptLoss bool
	cmd := &cobra.Command{
		Use:   "failover PRODUCT --reason TEXT",
		Short: "Promote now what failoverd does not promote by itself",
		Long: `Fails over although failoverd does not do it by itself: the product is paused or
observed, the global brake or the hold-down holds, or a failover waits for servers
that do not come back. An open failover that waits is given up for this one; one
that may have opened somebody only goes forward.

By itself it loses nothing that was acknowledged: where it would have to, it is
refused and says whom it waits for. With --accept-data-loss it goes on without
them. First it shows how much may be lost, and asks for the product's name.
Fence the old master by hand before: with ackers that cannot be asked it may go on
acknowledging writes.`,
		Example: `  failoverd failover shop --dry-run
  failoverd failover shop --accept-data-loss --dry-run
  failoverd failover shop --accept-data-loss --reason "rack a burnt down, db1 and db2 are gone"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.products,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.needReason(cmd.Context(), &o, "failover"); err != nil {
				return err
			}
			o.confirm = func(ctx context.Context, reply api.PlanReply) error {
				if reply.Plan.Loss == nil {
					return c.confirm(ctx, "Go ahead?")
				}
				return c.confirmName(ctx, "Writes may be lost for good.", args[0])
			}
			return c.order(cmd.Context(), o, func(ctx context.Context, client *api.Client, dryRun bool, as seen) (api.PlanReply, error) {
				return client.Failover(ctx, args[0], api.FailoverRequest{To: to, Reason: o.reason, AcceptDataLoss: acceptLoss, DryRun: dryRun, Epoch: as.epoch, Overrides: as.plan})
			})
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&to, "to", "", "the `server` to promote; the best heir unless given")
	cmd.Flags().BoolVar(&acceptLoss, "accept-data-loss", false, "go on without what cannot be reached")
	return c.remote(cmd)
}

// needReason asks for the reason where it was not given and somebody can be asked.
func (c *cli) needReason(ctx context.Context, o *order, command string) error {
	if strings.TrimSpace(o.reason) != "" || o.dryRun {
		return nil
	}
	if c.inTerminal && !o.yes {
		o.reason = strings.TrimSpace(c.question(ctx, "Reason, for the history: "))
	}
	if o.reason == "" {
		return &exitError{code: exitUsage, message: "--reason is missing: whoever reads the history must know why this was done",
			hint: fmt.Sprintf("failoverd %s … --reason \"what happened\"; --dry-run goes without", command)}
	}
	return nil
}

// sayLoss says how much a failover may lose, and what to do against it.
func (c *cli) sayLoss(indent, from string, loss *promote.Loss) {
	c.sayLost(indent, from, loss)
	if len(loss.Absent) > 0 {
		c.say(indent+"- ", fmt.Sprintf("as long as %s and %s run and reach each other they may go on acknowledging writes: TWO MASTERS. Fence %s by hand first: power it off, or cut it off from its clients",
			from, strings.Join(loss.Absent, ", "), from))
	}
}

// sayLost says how much a failover may have lost.
func (c *cli) sayLost(indent, from string, loss *promote.Loss) {
	if n := loss.Known.Count(); n > 0 {
		c.say(indent+"- ", fmt.Sprintf("at least %s that %s had committed: no server that answers holds %s", several(int(n), "transaction"), from, loss.Known))
	} else {
		c.say(indent+"- ", fmt.Sprintf("no transaction that %s was seen to have committed is missing at the servers that answer", from))
	}
	if len(loss.Absent) > 0 {
		absent := strings.Join(loss.Absent, ", ")
		c.say(indent+"- ", fmt.Sprintf("what %s acknowledged and nobody else received: %s cannot be asked, nor stopped", absent, absent))
	}
	if loss.SeenAgo > 0 {
		c.say(indent+"- ", fmt.Sprintf("what %s committed since it was last looked at, %s ago, is not in these numbers", from, loss.SeenAgo.Std().Round(100*time.Millisecond)))
	} else {
		c.say(indent+"- ", fmt.Sprintf("%s was not looked at since this watcher leads: how much it committed is not known", from))
	}
}
