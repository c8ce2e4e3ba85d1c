package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/config"
	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/mysql/dump"
	"github.com/failoverd/failoverd/internal/mysql/load"
	"github.com/failoverd/failoverd/internal/mysql/scratch"
	"github.com/failoverd/failoverd/internal/snapshot"
)

func (c *cli) drillCommand() *cobra.Command {
	var output format
	var from depotFlags
	var id, dir, mysqld string
	var alone bool
	var workers int
	cmd := &cobra.Command{
		Use:   "drill PRODUCT",
		Short: "Rehearse a restore, and prove that it is exact",
		Long: `Restores the newest snapshot, or the one that is named, from the store alone on a
server that it starts for this, and removes afterwards. Then it looks whether that is
the server that was copied: every checksum, every row of every table, definitions,
accounts and grants, the executed GTIDs; and whether it replicates from the dump slave
by auto-position. What was found goes to the store, to the history and to the metrics.

Exits with 1 when anything differs, and says what and where.`,
		Example: `  failoverd drill shop
  failoverd drill shop --store s3://example-copies/shop?region=eu-central-1 --dir /srv/scratch`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			depot, cfg, err := c.openDepot(ctx, from, args[0])
			if err != nil {
				return err
			}
			place, m, err := depot.Find(ctx, id, time.Time{})
			if err != nil {
				return c.notFound(err, args[0])
			}
			rehearsals, err := rehearsals(cfg, dir, mysqld, alone)
			if err != nil {
				return err
			}
			line := c.newProgressLine()
			report, err := depot.Drill(ctx, place, m, rehearsals, workers, func(p snapshot.RestoreProgress) { line.show(restoreText(p)) })
			line.end()
			if ctx.Err() != nil {
				return &exitError{code: exitFailed, message: "interrupted: the server of the drill is gone, the copy is as it was"}
			}
			if report.Snapshot != "" {
				if said := c.printDrill(place, report, output); said != nil {
					return said
				}
			}
			if cfg != nil && err == nil {
				c.tellOfDrill(ctx, *cfg, report)
			}
			if err == nil && !report.Passed {
				return &exitError{code: exitFailed}
			}
			return err
		},
	}
	formatFlag(cmd, &output)
	from.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&id, "snapshot", "", "the `name` of the snapshot, or how it begins; the newest unless given")
	f.StringVar(&dir, "dir", "", "the `directory` for the server's data (the configuration's, else a temporary one)")
	f.StringVar(&mysqld, "mysqld", "", "the `program` to start (the configuration's, else FAILOVERD_MYSQLD, else the one on PATH)")
	f.BoolVar(&alone, "no-join", false, "do not replicate from the dump slave")
	f.IntVar(&workers, "workers", 4, "sessions that put rows in side by side")
	return cmd
}

// rehearsals are servers for drills, as a dump service's configuration says; cfg may be nil.
func rehearsals(cfg *config.Dump, dir, mysqld string, alone bool) (scratch.Scratch, error) {
	s := scratch.Scratch{Dir: dir, Mysqld: mysqld,
		Target: func(server mysql.Config) (snapshot.Target, error) {
			return load.New(server, load.Options{Workers: 4})
		},
		Source: func(server mysql.Config) (snapshot.Source, error) { return dump.New(server), nil }}
	if cfg != nil {
		if s.Dir == "" {
			s.Dir = cfg.Drill.Dir
		}
		if s.Mysqld == "" {
			s.Mysqld = cfg.Drill.Mysqld
		}
		if !alone {
			password, err := cfg.MySQL.Password.Read()
			if err != nil {
				return s, fmt.Errorf("mysql.password: %w", err)
			}
			s.From = cfg.Server.Addr
			s.Replication = mysql.Replication{Account: mysql.Account{User: cfg.MySQL.User, Password: password}, TLS: cfg.MySQL.CA != "", CA: cfg.MySQL.CA}
		}
	}
	if s.Dir != "" {
		if err := os.MkdirAll(s.Dir, 0o700); err != nil {
			return s, err
		}
	}
	return s, nil
}

// tellOfDrill has the watchers keep it in the history. They may be away: the report is
// in the store.
func (c *cli) tellOfDrill(ctx context.Context, cfg config.Dump, report snapshot.DrillReport) {
	parts, err := prepareDump(ctx, cfg, c.err)
	if err == nil && parts.client != nil {
		event := snapshot.EventOfDrill(snapshot.NoteOfDrill(report))
		event.Server = cfg.Server.Name
		err = parts.client.NoteCopies(ctx, cfg.Product, event)
	}
	if err != nil {
		fmt.Fprintf(c.err, "failoverd: the watchers were not told: %v\n", err)
	}
}

func (c *cli) printDrill(place snapshot.Place, r snapshot.DrillReport, output format) error {
	if output != asTable {
		return c.encode(output, r)
	}
	verdict := c.paint(good, "passed")
	if !r.Passed {
		verdict = c.paint(bad, "FAILED")
	}
	fmt.Fprintf(c.out, "drill of %s from store %s: %s\n", r.Snapshot, place.Name, verdict)
	for _, what := range r.Failed {
		c.say("  - ", what)
	}
	t := table{indent: "  "}
	for _, p := range r.Phases {
		t.row(cell{p.Name, plain}, cell{took(int64(p.Seconds * 1000)), plain})
	}
	c.print(t)
	if r.RTOSeconds > 0 {
		fmt.Fprintf(c.out, "  a server that holds everything in %s, %s rows, %s, %s/s\n", took(int64(r.RTOSeconds*1000)), groupText(r.Rows), sizeText(r.Bytes), sizeText(int64(r.BytesPerSecond)))
	}
	fmt.Fprintf(c.out, "  the snapshot was %s old; what came later is in the binary log\n", ageText(int64(r.RPOSeconds*1000)))
	if r.Joined != "" {
		c.say("  ", "replication: "+r.Joined)
	}
	for _, n := range r.Notes {
		c.say("  note: ", n.Text)
	}
	return nil
}

// restoreText is how far a restore is, in a line.
func restoreText(p snapshot.RestoreProgress) string {
	text := p.Phase
	if p.Total > 0 {
		text += fmt.Sprintf(": %s of %s (%d %%), %d of %d tables", sizeText(p.Bytes), sizeText(p.Total), p.Bytes*100/max(p.Total, 1), p.Done, p.Tables)
	}
	if p.Rate > 0 {
		text += fmt.Sprintf(", %s/s", sizeText(int64(p.Rate)))
	}
	if p.Left > 0 {
		text += ", " + ageText(p.Left.Milliseconds()) + " left"
	}
	return text
}
