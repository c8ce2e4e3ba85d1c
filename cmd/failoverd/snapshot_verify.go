package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/snapshot"
)

func (c *cli) snapshotVerifyCommand() *cobra.Command {
	var output format
	var from depotFlags
	var quick bool
	cmd := &cobra.Command{
		Use:   "verify PRODUCT [SNAPSHOT]",
		Short: "Read all of a snapshot in every store, and count its rows",
		Long: `Reads everything that a snapshot refers to, the newest unless one is named, in every
store that has it: every checksum, and the number and the content hash of the rows of
every piece and table. It restores nothing: "failoverd drill" does.

Exits with 1 when something is not as it was written, and says what and where.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			depot, _, err := c.openDepot(cmd.Context(), from, args[0])
			if err != nil {
				return err
			}
			_, m, err := depot.Find(cmd.Context(), strings.Join(args[1:], ""), time.Time{})
			if err != nil {
				return c.notFound(err, args[0])
			}
			return c.verify(cmd.Context(), depot, m, !quick, output)
		},
	}
	formatFlag(cmd, &output)
	from.flags(cmd)
	cmd.Flags().BoolVar(&quick, "quick", false, "compare checksums only")
	return cmd
}

// verified is what was found in one store.
type verified struct {
	Store   string   `json:"store"`
	ID      string   `json:"id"`
	Deep    bool     `json:"deep"`
	Pieces  int      `json:"pieces"`
	Bytes   int64    `json:"bytes"`
	Rows    int64    `json:"rows"`
	Damages []string `json:"damages"`
}

func (c *cli) verify(ctx context.Context, depot *snapshot.Depot, m snapshot.Manifest, deep bool, output format) error {
	held, _ := depot.List(ctx)
	found, damaged := []verified{}, false
	for _, h := range held {
		if h.ID != m.ID {
			continue
		}
		for _, name := range h.Places {
			began := time.Now()
			report, err := snapshot.Verify(ctx, depot.Place(name).Store, depot.Box, m, deep)
			if err != nil && !errors.Is(err, snapshot.ErrDamaged) {
				return fmt.Errorf("store %s: %w", name, err)
			}
			v := verified{Store: name, ID: m.ID, Deep: deep, Pieces: report.Pieces, Bytes: report.Bytes, Rows: report.Rows, Damages: []string{}}
			for _, d := range report.Damages {
				v.Damages = append(v.Damages, d.String())
			}
			damaged = damaged || len(v.Damages) > 0
			found = append(found, v)
			if output == asTable {
				c.printVerified(v, time.Since(began))
			}
		}
	}
	if output != asTable {
		if err := c.encode(output, found); err != nil {
			return err
		}
	}
	if damaged {
		return &exitError{code: exitFailed}
	}
	return nil
}

func (c *cli) printVerified(v verified, spent time.Duration) {
	rows := ""
	if v.Deep {
		rows = groupText(v.Rows) + " rows, "
	}
	verdict := c.paint(good, "as it was written")
	if len(v.Damages) > 0 {
		verdict = c.paint(bad, "DAMAGED")
	}
	fmt.Fprintf(c.out, "store %s: %s is %s (%d pieces, %s%s as stored, in %s)\n", v.Store, v.ID, verdict, v.Pieces, rows, sizeText(v.Bytes), took(spent.Milliseconds()))
	for _, d := range v.Damages {
		c.say("  - ", d)
	}
}

func (c *cli) snapshotPruneCommand() *cobra.Command {
	var output format
	var from depotFlags
	var dryRun bool
	var grace time.Duration
	var keep snapshot.Retention
	cmd := &cobra.Command{
		Use:   "prune PRODUCT",
		Short: "Remove the snapshots that expired, and what nothing refers to any more",
		Long: `Does at once what the dump service does every hour: snapshots that the retention
no longer keeps go, then every object that no snapshot refers to. Neither the newest
snapshot nor the one that a drill last restored ever goes, nor what a restore is
reading, nor what a snapshot that is being taken has written.

What a snapshot wrote that is in no list may be of one that is being taken: only after
--grace without a sign of it, data and uploads are taken for what a dead one left. With
less than the longest time between two packs of a snapshot, this command removes the
data of one that is being taken, which is then listed and cannot be restored: shorten it
only while no dump service of the product runs a snapshot ("failoverd status").`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if grace <= 0 {
				return usageError(fmt.Errorf("--grace %s: it must be more than nothing", grace))
			}
			depot, cfg, err := c.openDepot(cmd.Context(), from, args[0])
			if err != nil {
				return err
			}
			policy := snapshot.DefaultRetention
			if cfg != nil {
				policy = snapshot.Retention(cfg.Retention)
			}
			for _, given := range []struct {
				name     string
				from, to *time.Duration
			}{{"all", &keep.All, &policy.All}, {"hourly", &keep.Hourly, &policy.Hourly}, {"daily", &keep.Daily, &policy.Daily}} {
				if cmd.Flags().Changed(given.name) {
					*given.to = *given.from
				}
			}
			return c.prune(cmd.Context(), depot, policy, grace, dryRun, output)
		},
	}
	formatFlag(cmd, &output)
	from.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&dryRun, "dry-run", false, "show what would go and what would stay, remove nothing")
	f.DurationVar(&grace, "grace", snapshot.DefaultGrace, "take for dead what was written of a snapshot that is not listed so long ago; see above what less than that risks")
	f.DurationVar(&keep.All, "all", 0, "keep all snapshots that are younger (the configuration's, else 24h)")
	f.DurationVar(&keep.Hourly, "hourly", 0, "keep the first of each hour for so long (168h)")
	f.DurationVar(&keep.Daily, "daily", 0, "keep the first of each day for so long (720h)")
	return cmd
}

// pruned is what a sweep of one store did, or would do.
type pruned struct {
	Store    string          `json:"store"`
	DryRun   bool            `json:"dryRun"`
	Kept     []snapshot.Kept `json:"kept"`
	Expired  []string        `json:"expired"`
	Objects  int             `json:"objects"`
	Uploads  int             `json:"uploads"` // unfinished ones
	Bytes    int64           `json:"bytes"`
	Left     int             `json:"left"`
	LeftSize int64           `json:"leftBytes"`
	Held     string          `json:"held,omitempty"`
	Warnings []string        `json:"warnings,omitempty"`
}

func (c *cli) prune(ctx context.Context, depot *snapshot.Depot, policy snapshot.Retention, grace time.Duration, dryRun bool, output format) error {
	all := []pruned{}
	for _, p := range depot.Places {
		r, err := depot.Sweep(ctx, p, policy, grace, &snapshot.Marks{}, dryRun)
		switch {
		case errors.Is(err, snapshot.ErrBusy):
			return &exitError{code: exitRefused, message: fmt.Sprintf("store %s: %v", p.Name, err), cause: err, hint: "somebody prunes already; see again in a minute"}
		case err != nil:
			return fmt.Errorf("store %s: %w", p.Name, err)
		}
		all = append(all, pruned{p.Name, dryRun, r.Kept, r.Expired, r.Removed, r.Discarded, r.RemovedBytes, r.Left, r.LeftBytes, r.Held, r.Warnings})
	}
	if output != asTable {
		return c.encode(output, all)
	}
	for _, r := range all {
		c.printPruned(r)
	}
	return nil
}

func (c *cli) printPruned(r pruned) {
	verb := "removed"
	if r.DryRun {
		verb = "would remove"
	}
	uploads := ""
	if r.Uploads > 0 {
		uploads = " and " + several(r.Uploads, "unfinished upload")
	}
	fmt.Fprintf(c.out, "store %s: %s %s with %s (%s)%s; %s stay, %s\n", c.paint(bold, r.Store), verb, several(len(r.Expired), "snapshot"), several(r.Objects, "object"), sizeText(r.Bytes), uploads,
		several(len(r.Kept), "snapshot"), sizeText(r.LeftSize))
	if r.Held != "" {
		c.say("  ", "data was left alone: "+r.Held)
	}
	for _, w := range r.Warnings {
		c.say("  warning: ", w)
	}
	if !r.DryRun {
		return
	}
	t := table{indent: "  "}
	for _, id := range r.Expired {
		t.row(cell{id, bad}, cell{"expired", plain})
	}
	for _, k := range r.Kept {
		t.row(cell{k.ID, plain}, cell{"stays: " + k.Why, dim})
	}
	c.print(t)
}
