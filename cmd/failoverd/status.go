package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

func (c *cli) statusCommand() *cobra.Command {
	var output format
	var watch, local bool
	cmd := &cobra.Command{
		Use:   "status [PRODUCT...]",
		Short: "One line per product: master, protection, lag, verdict",
		Long: `One line per product, and a sentence for each that is not well.

PROT says whether every acknowledged write is on two servers, as measured at the
moment. UP counts the servers that answer, LAG is the most transactions that one
of them is behind, COPY the age of the newest snapshot in an object store where a
dump service takes them. The verdict is the name of a rule: "failoverd explain
PRODUCT" shows why it fits.`,
		ValidArgsFunction: c.products,
		RunE: func(cmd *cobra.Command, only []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			if !watch {
				return c.status(cmd.Context(), client, only, local, output)
			}
			return c.watchStatus(cmd.Context(), client, only, local, output)
		},
	}
	formatFlag(cmd, &output)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again every second until interrupted")
	cmd.Flags().BoolVar(&local, "local", false, "what the first endpoint itself knows, without going to the leader")
	return c.remote(cmd)
}

// watchStatus goes on when the watchers are away for a while: that is when one looks.
func (c *cli) watchStatus(ctx context.Context, client *api.Client, only []string, local bool, output format) error {
	client.Patience = 0
	for {
		if c.outTerminal && output == asTable {
			fmt.Fprint(c.out, "\x1b[H\x1b[2J")
		}
		if output == asTable {
			fmt.Fprintln(c.out, at(c.now()))
		}
		if err := c.status(ctx, client, only, local, output); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			fmt.Fprintf(c.err, "failoverd: %v\n", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
		if output == asTable && !c.outTerminal {
			fmt.Fprintln(c.out)
		}
	}
}

func (c *cli) status(ctx context.Context, client *api.Client, only []string, local bool, output format) error {
	status, err := client.Status(ctx, local)
	if err != nil {
		return err
	}
	if err := choose(&status, only); err != nil {
		return err
	}
	if output != asTable {
		return c.encode(output, status)
	}
	c.printHead(status)
	if status.Brake.Holds || status.Brake.Mode != journal.BrakeWatch {
		c.sayBrake(status.Brake)
	}
	if len(status.Products) == 0 {
		fmt.Fprintln(c.out, "no products yet: \"failoverd adopt HOST:PORT\" describes a running chain, \"failoverd apply\" adds it")
		return nil
	}
	t := table{}
	words, copies := []string{"PRODUCT", "MODE", "MASTER", "EPOCH", "PROT", "UP", "LAG", "VERDICT"}, anyCopies(status.Products)
	if copies {
		words = slices.Insert(words, 7, "COPY")
	}
	t.head(words...)
	for _, p := range status.Products {
		row := productRow(p)
		if copies {
			row = slices.Insert(row, 7, copiesCell(p))
		}
		t.row(row...)
	}
	c.print(t)
	for _, p := range status.Products {
		c.sayProduct(p, status.Brake)
	}
	return nil
}

// choose keeps the products that were asked for.
func choose(status *api.Status, only []string) error {
	for _, name := range only {
		if !slices.ContainsFunc(status.Products, func(p api.Product) bool { return p.Name == name }) {
			return &exitError{code: exitUsage, message: fmt.Sprintf("there is no product %q", name), hint: "\"failoverd status\" lists them"}
		}
	}
	if len(only) > 0 {
		status.Products = slices.DeleteFunc(status.Products, func(p api.Product) bool { return !slices.Contains(only, p.Name) })
	}
	return nil
}

// printHead says who leads, and how far the published config got.
func (c *cli) printHead(s api.Status) {
	voters := 0
	for _, w := range s.Watchers {
		if w.Voter {
			voters++
		}
	}
	line := c.paint(bad, "no watcher leads") + fmt.Sprintf(", %s answered (%d voters)", s.Watcher, voters)
	if s.Leader.ID != "" {
		line = fmt.Sprintf("%s leads %d watchers, term %d", s.Leader.ID, voters, s.Term)
		if !s.Leads {
			line += c.paint(odd, fmt.Sprintf("; this is the view of %s alone", s.Watcher))
		}
	}
	switch {
	case s.Head.Version == 0:
		line += "; nothing is published yet"
	case s.Head.StoreError != "":
		line += fmt.Sprintf("; config %d, ", s.Head.Version) + c.paint(odd, fmt.Sprintf("the store has %d", s.Head.StoredVersion))
	case s.Head.StoredVersion < s.Head.Version:
		line += fmt.Sprintf("; config %d, the store has %d", s.Head.Version, s.Head.StoredVersion)
	default:
		line += fmt.Sprintf("; config %d is stored", s.Head.Version)
	}
	fmt.Fprintln(c.out, line)
	if s.Head.StoreError != "" {
		c.say("  store: ", s.Head.StoreError)
	}
}

func productRow(p api.Product) []cell {
	mode := cell{string(p.Mode), plain}
	switch {
	case p.Pause != nil:
		mode = cell{"paused", odd}
	case p.Mode != topology.Auto:
		mode.style = odd
	}
	protected := cell{"no", bad}
	if p.Protected {
		protected = cell{"yes", good}
	}
	master, up, lag := cell{"none", bad}, 0, int64(-1)
	for _, s := range p.Servers {
		if s.Seat == topology.Master {
			master = cell{s.Name, bold}
			if s.Zone != "" {
				master.text += " (" + s.Zone + ")"
			}
		}
		if s.Up {
			up++
			if s.Lag != nil {
				lag = max(lag, *s.Lag)
			}
		}
	}
	ups := cell{fmt.Sprintf("%d/%d", up, len(p.Servers)), plain}
	if up < len(p.Servers) {
		ups.style = bad
	}
	return []cell{{p.Name, bold}, mode, master, {strconv.FormatUint(p.Epoch, 10), plain}, protected, ups, {lagText(lag), plain},
		{verdictText(p.Verdict), verdictStyle(p.Verdict)}}
}

func lagText(lag int64) string {
	if lag < 0 {
		return "?"
	}
	return strconv.FormatInt(lag, 10)
}

func verdictText(v topology.Verdict) string {
	if v.Server == "" {
		return v.Rule
	}
	return v.Rule + " " + v.Server
}

func verdictStyle(v topology.Verdict) style {
	switch v.Action {
	case topology.None:
		return good
	case topology.Failover, topology.Alert, topology.Fence, topology.Quarantine:
		return bad
	}
	return odd
}

// sayProduct adds what one should know of a product that is not simply well.
func (c *cli) sayProduct(p api.Product, brake api.Brake) {
	if p.Verdict.Action != topology.None {
		c.say(p.Name+": ", p.Verdict.Why)
	}
	switch {
	case brake.Holds && p.Verdict.Action == topology.Failover && p.Open == nil && p.Pause == nil && p.Mode == topology.Auto:
		c.say(p.Name+": ", fmt.Sprintf("would failover, but the brake holds: \"failoverd failover %s --reason TEXT\" does it", p.Name))
	case p.Would != "":
		c.say(p.Name+": ", p.Would)
	case p.Pause != nil:
		c.say(p.Name+": ", fmt.Sprintf("paused by %s (%s) %s", p.Pause.Actor, p.Pause.Reason, untilText(p.Pause.Until, "it is resumed")))
	}
	for _, s := range p.Servers {
		said := s.Name == p.Verdict.Server && p.Verdict.Action != topology.None
		if text := standingText(p.Name, s.Server); text != "" && (!said || s.Standing == topology.Maintenance) {
			c.say(p.Name+": ", s.Name+": "+text)
		}
		if text := rebuildText(p, s.Server); text != "" {
			c.say(p.Name+": ", text)
		}
	}
	if text := acksText(p.Policy.Durability, p.Acks, p.Ackers); text != "" && !usualAcks(p) {
		c.say(p.Name+": ", text)
	}
	if !p.Protected && p.ProtectedWhy != "" {
		c.say(p.Name+": ", "not protected: "+p.ProtectedWhy)
	}
	if p.Open != nil {
		c.say(p.Name+": ", openText(*p.Open))
	}
	if p.Waiting != "" {
		c.say(p.Name+": ", waitingText(p.Waiting))
	}
	c.sayCopies(p)
}

// standingText says why a server is not in rotation and how it comes back.
func standingText(product string, s topology.Server) string {
	switch s.Standing {
	case topology.Maintenance:
		return fmt.Sprintf("%s, %s", s.Why, untilText(s.Until, fmt.Sprintf("\"failoverd maintenance %s %s --end\"", product, s.Name)))
	case topology.Quarantined:
		return "quarantined: " + s.Why
	case topology.Out:
		return "out of rotation until it answers and has shown that it holds nothing foreign: " + s.Why
	}
	return ""
}

// rebuildText says how a person brings a quarantined server back, where that is left to one.
func rebuildText(p api.Product, s topology.Server) string {
	rebuilt := p.Open != nil && p.Open.Plan.Kind == promote.Rebuild && p.Open.Plan.Target == s.Name
	switch {
	case s.Standing != topology.Quarantined || rebuilt:
		return ""
	case p.Policy.Rebuild == topology.RebuildAsk:
		return fmt.Sprintf("%s: its data has to be replaced: \"failoverd rebuild %s %s\" saves what only it holds and does that", s.Name, p.Name, s.Name)
	case p.Policy.Rebuild == topology.RebuildNever:
		return fmt.Sprintf("%s: its data has to be replaced by hand, for the policy says rebuild: never", s.Name)
	}
	return ""
}

// acksText says how many of whom acknowledge each commit.
func acksText(durability topology.Durability, acks int, ackers []string) string {
	if durability != topology.SemiSync {
		return ""
	}
	return fmt.Sprintf("each commit is acknowledged by %d of {%s}", acks, strings.Join(ackers, ", "))
}

// usualAcks says that the candidate alone acknowledges, as everywhere.
func usualAcks(p api.Product) bool {
	if p.Acks != 1 || len(p.Ackers) != 1 {
		return false
	}
	return slices.ContainsFunc(p.Servers, func(s api.Server) bool { return s.Name == p.Ackers[0] && s.Seat == topology.Candidate })
}

// openText says how far an open plan is.
func openText(open promote.Progress) string {
	text := fmt.Sprintf("plan %d, %s", open.Plan.ID, open.Plan.Kind)
	if open.Plan.From != "" {
		text += fmt.Sprintf(" %s → %s", open.Plan.From, open.Plan.Target)
	}
	if open.Undoing {
		text += " (taken back: " + open.AbortWhy + ")"
	}
	steps := open.Steps()
	if open.Next < len(steps) {
		text += fmt.Sprintf(": step %d of %d, %s", open.Next+1, len(steps), steps[open.Next])
	}
	return text
}
