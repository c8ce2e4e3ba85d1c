package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
)

func (c *cli) watchersCommand() *cobra.Command {
	var output format
	var local bool
	cmd := &cobra.Command{
		Use:   "watchers",
		Short: "The watchers and who leads",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			status, err := client.Status(cmd.Context(), local)
			if err != nil {
				return err
			}
			if output != asTable {
				return c.encode(output, status.Watchers)
			}
			t := table{}
			t.head("WATCHER", "ROLE", "RAFT", "API", "HEARD")
			for _, w := range status.Watchers {
				role, look := "follower", plain
				switch {
				case w.Leader:
					role, look = "leader", good
				case !w.Voter:
					role, look = "no voter yet", odd
				}
				heard := ""
				if w.LastContactMs >= 0 {
					heard = took(w.LastContactMs) + " ago"
				}
				t.row(cell{w.ID, bold}, cell{role, look}, cell{w.Raft, plain}, cell{w.API, plain}, cell{heard, plain})
			}
			c.print(t)
			if status.Leader.ID == "" {
				c.say("", c.paint(bad, "no watcher leads")+": this is what "+status.Watcher+" knows; a majority must be up and see each other")
			}
			return nil
		},
	}
	formatFlag(cmd, &output)
	cmd.Flags().BoolVar(&local, "local", false, "what the first endpoint itself knows, without going to the leader")
	return c.remote(cmd)
}

func (c *cli) joinCommand() *cobra.Command {
	return c.remote(&cobra.Command{
		Use:   "join ID RAFT-HOST:PORT",
		Short: "Add a watcher that runs without state",
		Long: `Makes a watcher a member. It must be running ("failoverd serve", without
--bootstrap) with an empty data directory. To replace one that lost its disk,
remove the old member first and give the new one another ID.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			if err := client.Join(cmd.Context(), api.JoinRequest{ID: args[0], Raft: args[1]}); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is a member\n", args[0])
			return nil
		},
	})
}

func (c *cli) removeCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "remove ID",
		Short: "Take a watcher out of the cluster",
		Long: `Takes a watcher out for good. Its ID cannot be used again. The leader cannot remove
itself: transfer the leadership first.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.mayAsk(yes); err != nil {
				return err
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			if !yes {
				if err := c.confirm(cmd.Context(), "Remove watcher "+args[0]+" for good?"); err != nil {
					return err
				}
			}
			if err := client.Remove(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is removed\n", args[0])
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c.remote(cmd)
}

func (c *cli) transferCommand() *cobra.Command {
	return c.remote(&cobra.Command{
		Use:   "transfer [ID]",
		Short: "Hand the leadership to another watcher",
		Long:  "Hands the leadership to the named watcher, or to the one that is most up to date. Writes to MySQL are not touched.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			to := ""
			if len(args) == 1 {
				to = args[0]
			}
			if err := client.Transfer(cmd.Context(), to); err != nil {
				return err
			}
			fmt.Fprintln(c.out, "the leadership was handed over")
			return nil
		},
	})
}
