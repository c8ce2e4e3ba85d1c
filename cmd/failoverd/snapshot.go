package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/snapshot"
)

func (c *cli) snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Take, list and check the copies in object stores",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.snapshotNowCommand(), c.snapshotLsCommand(), c.snapshotShowCommand(), c.snapshotVerifyCommand(), c.snapshotPruneCommand())
	return cmd
}

func (c *cli) snapshotNowCommand() *cobra.Command {
	var output format
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "now PRODUCT",
		Short: "Have the dump service take a snapshot now",
		Long: `Asks the dump service of the product, by way of the watchers, for a snapshot now,
and follows it. One that runs already is not what was asked for: the next is.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.products,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			reply, err := client.Snapshot(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if output == asTable && reply.Waiting != "" {
				c.say("", "it waits: "+reply.Waiting)
			}
			if wait <= 0 {
				if output != asTable {
					return c.encode(output, reply)
				}
				fmt.Fprintln(c.out, "asked for")
				return nil
			}
			return c.followSnapshot(cmd.Context(), client, args[0], reply.Order, wait, output)
		},
	}
	formatFlag(cmd, &output)
	cmd.Flags().DurationVar(&wait, "wait", time.Hour, "how long to follow it; 0 returns once it is asked for")
	return c.remote(cmd)
}

// lookEvery is the time between two looks at a snapshot that is followed.
const lookEvery = 500 * time.Millisecond

// followSnapshot waits until the order is carried out.
func (c *cli) followSnapshot(ctx context.Context, client *api.Client, product string, order uint64, wait time.Duration, output format) error {
	end := time.Now().Add(wait)
	line := c.newProgressLine()
	defer line.end()
	hint := fmt.Sprintf("it goes on by itself: \"failoverd status %s\" and \"failoverd snapshot ls %s\" show what came of it", product, product)
	for known := false; ; {
		copies, err := copiesOf(ctx, client, product)
		switch {
		case ctx.Err() != nil:
			return &exitError{code: exitUnknown, message: "interrupted", hint: hint}
		case err != nil && !isAway(err):
			return err
		case err != nil:
		case copies.Done >= order:
			line.end()
			return c.snapshotDone(*copies, output)
		case copies.Ordered == 0 && known:
			return &exitError{code: exitUnknown, message: "another watcher leads by now and knows nothing of the order", hint: fmt.Sprintf("ask again: \"failoverd snapshot now %s\"", product)}
		case copies.Running != nil:
			known = true
			line.show(progressText(copies.Running.Bytes, copies.Running.Of, time.Duration(copies.Running.ForMs)*time.Millisecond))
		case copies.Waiting != "":
			known = true
			line.show("waiting: " + copies.Waiting)
		}
		if time.Now().After(end) {
			return &exitError{code: exitUnknown, message: fmt.Sprintf("it is not done after %s", wait), hint: hint}
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
	}
}

// copiesOf are a product's copies; without a dump service there are none to speak of.
func copiesOf(ctx context.Context, client *api.Client, product string) (*api.Copies, error) {
	status, err := client.Status(ctx, false)
	if err != nil {
		return nil, err
	}
	if err := choose(&status, []string{product}); err != nil {
		return nil, err
	}
	if copies := status.Products[0].Copies; copies != nil {
		return copies, nil
	}
	return &api.Copies{}, nil
}

func (c *cli) snapshotDone(copies api.Copies, output format) error {
	switch {
	case copies.DoneWhy != "":
		return &exitError{code: exitFailed, message: "no snapshot: " + copies.DoneWhy, hint: "it is tried again by itself; \"journalctl -u failoverd-dump\" on the dump machine has more"}
	case output != asTable:
		return c.encode(output, copies.Newest)
	case copies.Newest == nil:
		fmt.Fprintln(c.out, "done")
		return nil
	}
	c.printTaken(*copies.Newest)
	return nil
}

// printTaken says what a snapshot that was just taken is.
func (c *cli) printTaken(n snapshot.Copy) {
	fmt.Fprintf(c.out, "%s: %s rows, %s, %s stored, in %s; the applier stood still for %s\n", c.paint(good, n.ID), groupText(n.Rows), sizeText(n.Bytes), sizeText(n.StoredBytes), took(n.TookMs), took(n.StallMs))
}

// groupText is a number with its thousands apart.
func groupText(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
