package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/topology"
)

func (c *cli) pauseCommand() *cobra.Command {
	var reason string
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "pause PRODUCT --reason TEXT",
		Short: "Let failoverd only watch a product for a while",
		Long: `Stops failoverd from acting on the product by itself; it goes on watching and says
what it would do. A switchover still works. Always give --for where you can: a
forgotten pause is a failover that does not happen.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.products,
		RunE: func(cmd *cobra.Command, args []string) error {
			ask, until := api.PauseRequest{Reason: reason}, "until \"failoverd resume "+args[0]+"\""
			if cmd.Flags().Changed("for") {
				if length <= 0 {
					return usageError(fmt.Errorf("--for must be above 0"))
				}
				ask.For, until = length.String(), "for "+length.String()
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			if err := client.Pause(cmd.Context(), args[0], ask); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is paused %s\n", args[0], until)
			return nil
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever finds the pause")
	cmd.Flags().DurationVar(&length, "for", 0, "how long; until it is resumed unless given")
	_ = cmd.MarkFlagRequired("reason")
	return c.remote(cmd)
}

func (c *cli) resumeCommand() *cobra.Command {
	return c.remote(&cobra.Command{
		Use:               "resume PRODUCT",
		Short:             "End a pause",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.products,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			if err := client.Resume(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is not paused\n", args[0])
			return nil
		},
	})
}

func (c *cli) modeCommand() *cobra.Command {
	return c.remote(&cobra.Command{
		Use:   "mode PRODUCT observe|auto",
		Short: "Set whether failoverd may act by itself",
		Long: `In mode observe, in which every product starts, failoverd only watches and says
what it would do. In mode auto it does it. Look at "failoverd doctor" first.`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, to string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return []string{string(topology.Observe), string(topology.Auto)}, cobra.ShellCompDirectiveNoFileComp
			}
			return c.products(cmd, args, to)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			if err := client.SetMode(cmd.Context(), args[0], topology.Mode(args[1])); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "mode of %s is %s\n", args[0], args[1])
			return nil
		},
	})
}
