package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
)

func (c *cli) maintenanceCommand() *cobra.Command {
	var o order
	var length time.Duration
	var end bool
	cmd := &cobra.Command{
		Use:   "maintenance PRODUCT SERVER --reason TEXT",
		Short: "Take a server out of rotation for a while, or back in",
		Long: `Takes a server other than the master out of rotation: nobody reads from it, it
acknowledges nothing, and nothing is done to it until the time given with --for is
over or somebody says --end. Writes go on: where it acknowledges, another server
takes over first. It comes back once it has shown that it holds nothing foreign.`,
		Example: `  failoverd maintenance shop db3 --reason "new disk" --for 2h
  failoverd maintenance shop db3 --end`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: c.productsAndServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			ask := api.MaintenanceRequest{Server: args[1], End: end}
			switch {
			case end && cmd.Flags().Changed("for"):
				return usageError(fmt.Errorf("--for is for the beginning of maintenance, --end for its end"))
			case cmd.Flags().Changed("for") && length <= 0:
				return usageError(fmt.Errorf("--for must be above 0"))
			case cmd.Flags().Changed("for"):
				ask.For = length.String()
			}
			if !end {
				if err := c.needReason(cmd.Context(), &o, "maintenance"); err != nil {
					return err
				}
			}
			return c.order(cmd.Context(), o, func(ctx context.Context, client *api.Client, dryRun bool, as seen) (api.PlanReply, error) {
				ask.Reason, ask.DryRun, ask.Epoch = o.reason, dryRun, as.epoch
				return client.Maintenance(ctx, args[0], ask)
			})
		},
	}
	o.flags(cmd)
	cmd.Flags().DurationVar(&length, "for", 0, "how long; until --end unless given")
	cmd.Flags().BoolVar(&end, "end", false, "take it back in")
	return c.remote(cmd)
}

// productsAndServers completes a product's name, then its servers'.
func (c *cli) productsAndServers(cmd *cobra.Command, args []string, to string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return c.products(cmd, args, to)
	}
	client, err := c.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client.Patience = 0
	status, err := client.Status(cmd.Context(), false)
	if err != nil || choose(&status, args) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, s := range status.Products[0].Servers {
		names = append(names, s.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
