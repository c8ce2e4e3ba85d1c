package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
)

func (c *cli) historyCommand() *cobra.Command {
	var output format
	var n int
	cmd := &cobra.Command{
		Use:               "history [PRODUCT]",
		Short:             "What was done, by whom, why, and how long each step took",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: c.products,
		RunE: func(cmd *cobra.Command, args []string) error {
			if n < 1 {
				return usageError(fmt.Errorf("--number must be at least 1"))
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			client.Alone = func(watcher string) {
				fmt.Fprintf(c.err, "note: %s knows of no leader: what the others have decided since it lost them is not in this\n", watcher)
			}
			entries, err := client.History(cmd.Context(), strings.Join(args, ""), n)
			if err != nil {
				return err
			}
			if output != asTable {
				return c.encode(output, entries)
			}
			for _, e := range entries {
				c.printEntry(e)
			}
			return nil
		},
	}
	formatFlag(cmd, &output)
	cmd.Flags().IntVarP(&n, "number", "n", 20, "how many entries, the latest ones")
	return c.remote(cmd)
}

func (c *cli) printEntry(e journal.Entry) {
	what := e.What
	if e.From != "" {
		what += fmt.Sprintf(" %s → %s", e.From, e.To)
	} else if e.To != "" {
		what += " " + e.To
	}
	product := e.Product
	if product == "" {
		product = "all products" // the brake's
	}
	skipped := api.IsSkipped(e)
	if skipped {
		what = c.paint(odd, what+" skipped")
	}
	line := fmt.Sprintf("%s  %s  %s", at(e.At), c.paint(bold, product), what)
	if e.Plan == 0 && e.Ms != 0 {
		line += "  " + took(e.Ms)
	}
	if e.Plan != 0 {
		line += fmt.Sprintf("  epoch %d, plan %d, %s", e.Epoch, e.Plan, took(e.Ms))
	}
	if !e.Until.IsZero() {
		line += "  until " + at(e.Until)
	}
	line += "  by " + e.Actor
	fmt.Fprintln(c.out, line)
	if e.Why != "" {
		c.say("    why: ", e.Why)
	}
	switch {
	case skipped:
		c.say("    not done: ", strings.TrimPrefix(e.Outcome, "skipped: "))
	case e.Plan == 0 && strings.HasPrefix(e.Outcome, "failed: "):
		c.say("    "+c.paint(bad, "failed")+": ", strings.TrimPrefix(e.Outcome, "failed: "))
	case e.Outcome != "" && e.Outcome != api.OutcomeDone:
		c.say("    "+c.paint(bad, "not finished")+": ", e.Outcome)
	}
	if e.Loss != nil {
		fmt.Fprintln(c.out, "    "+c.paint(bad, "loss that "+e.Actor+" accepted:"))
		c.sayLost("    ", e.From, e.Loss)
	}
	t := table{indent: "    "}
	for _, note := range e.Phases {
		t.row(noteCells(note)...)
	}
	c.print(t)
}

func noteCells(n promote.Note) []cell {
	mark := cell{"✓", good}
	if n.Failed {
		mark = cell{"–", odd} // left to the repair rules
	}
	return []cell{mark, {n.Step, plain}, {took(n.Ms), plain}, {n.Text, dim}}
}
