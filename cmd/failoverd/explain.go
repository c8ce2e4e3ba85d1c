package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

func (c *cli) explainCommand() *cobra.Command {
	var output format
	var all bool
	cmd := &cobra.Command{
		Use:   "explain PRODUCT",
		Short: "Why the verdict is what it is, and what would be done",
		Long: `Looks at the product's servers anew and shows which rule fits and why, what
each watcher sees, and the plan that the verdict asks for. It changes nothing.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.products,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			e, err := client.Explain(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if output != asTable {
				return c.encode(output, e)
			}
			c.printExplanation(e, all)
			return nil
		},
	}
	formatFlag(cmd, &output)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "every rule in order, not only those that fit")
	return c.remote(cmd)
}

func (c *cli) printExplanation(e api.Explanation, all bool) {
	fmt.Fprintf(c.out, "%s: %s, action %s\n", c.paint(bold, e.Product), c.paint(verdictStyle(e.Verdict), verdictText(e.Verdict)), e.Verdict.Action)
	c.say("  ", e.Verdict.Why)
	if e.MayAct {
		c.say("  ", "failoverd may act by itself.")
	} else {
		c.say("  ", "failoverd does not act by itself: "+e.Why)
	}
	if e.Open != nil {
		c.say("  ", openText(*e.Open))
	}
	if e.Waiting != "" {
		c.say("  ", waitingText(e.Waiting))
	}
	if e.Acks > 0 {
		c.say("  ", acksText(topology.SemiSync, e.Acks, e.Ackers)+".")
	}
	if e.Override != "" {
		c.say("  ", fmt.Sprintf("to have it done all the same: \"%s --reason TEXT\", first with --dry-run", e.Override))
		if e.Loss != nil {
			c.say("  ", "what that may lose:")
			c.sayLoss("  ", e.Verdict.Server, e.Loss)
		}
	}
	fmt.Fprintln(c.out, "\nrules, the first that fits wins:")
	for i, fit := range e.Fits {
		last := i == len(e.Fits)-1 // it always fits, which says nothing about a chain that is not well
		switch {
		case fit.Fits && (!last || fit.Rule == e.Verdict.Rule):
			c.say("  "+c.paint(good, "✓")+" ", fmt.Sprintf("%s → %s: %s", fit.Rule, fit.Action, fit.Why))
		case all:
			c.say("  · ", fmt.Sprintf("%s → %s", fit.Rule, fit.Action))
		}
	}
	c.printViews(e.Views)
	if e.Plan != nil {
		fmt.Fprintln(c.out, "\nthe plan for this verdict:")
		c.printSteps(*e.Plan)
	}
}

// printViews has a line per server and a column per watcher.
func (c *cli) printViews(views []topology.View) {
	if len(views) == 0 {
		fmt.Fprintln(c.out, "\nno watcher has a view")
		return
	}
	fmt.Fprintln(c.out, "\nwhat the watchers see:")
	names := map[string]bool{}
	head := []string{""}
	for _, v := range views {
		head = append(head, v.Watcher)
		for name := range v.Sightings {
			names[name] = true
		}
	}
	t := table{indent: "  "}
	t.head(head...)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		row := []cell{{name, plain}}
		for _, v := range views {
			row = append(row, sightingCell(v.Sightings[name]))
		}
		t.row(row...)
	}
	ages := []cell{{"age", dim}}
	for _, v := range views {
		ages = append(ages, cell{v.Age.Std().Round(time.Millisecond).String(), dim})
	}
	t.row(ages...)
	c.print(t)
}

func sightingCell(s topology.Sighting) cell {
	switch {
	case s.Contact == "":
		return cell{"not seen", odd}
	case s.Contact == topology.Answered:
		return cell{"answered", good}
	case s.Contact.Missed():
		return cell{fmt.Sprintf("%s for %s", s.Contact, s.Unanswered.Std().Round(100*time.Millisecond)), bad}
	}
	return cell{string(s.Contact), odd}
}

// printSteps lists a plan's steps and its point of no return.
func (c *cli) printSteps(plan promote.Plan) {
	t := table{indent: "  "}
	for i, step := range plan.Steps {
		remark := cell{}
		switch {
		case i == plan.Commit:
			remark = cell{"← from here it only goes forward", odd}
		case step.Lenient:
			remark = cell{"tried once, else left to repairs", dim}
		}
		t.row(cell{fmt.Sprintf("%2d", i+1), dim}, cell{step.String(), plain}, remark)
	}
	c.print(t)
	for _, step := range plan.Undo {
		c.say("  if given up before that: ", step.String())
	}
}
