package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/snapshot"
)

func (c *cli) snapshotLsCommand() *cobra.Command {
	var output format
	var from depotFlags
	cmd := &cobra.Command{
		Use:   "ls PRODUCT",
		Short: "List the snapshots in the stores",
		Long: `Lists the snapshots of a product in all stores, the newest last. A snapshot is in
the list if and only if all of it was stored. It asks the stores, not the watchers.

READ is what was read from the server for it, STORED what was added to the store. A
diverged one holds transactions that no surviving server has.`,
		Example: `  failoverd snapshot ls shop
  failoverd snapshot ls shop --store s3://example-copies/shop?region=eu-central-1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			depot, _, err := c.openDepot(cmd.Context(), from, args[0])
			if err != nil {
				return err
			}
			held, errs := depot.List(cmd.Context())
			if len(held) == 0 && len(errs) > 0 {
				return errors.Join(errs...)
			}
			defer func() {
				for _, err := range errs {
					fmt.Fprintf(c.err, "failoverd: %v\n", err)
				}
			}()
			if output != asTable {
				list := []listed{}
				for _, h := range held {
					list = append(list, listed{snapshot.CopyOf(h.Manifest, c.now()), h.GTIDs.String(), h.Server, h.Places})
				}
				return c.encode(output, list)
			}
			if len(held) == 0 {
				fmt.Fprintf(c.out, "no snapshots of %s yet\n", args[0])
				return nil
			}
			c.printHeld(held)
			return nil
		},
	}
	formatFlag(cmd, &output)
	from.flags(cmd)
	return cmd
}

// listed is a snapshot as ls shows it to programs.
type listed struct {
	snapshot.Copy
	GTIDs  string   `json:"gtids"`
	Server string   `json:"server"`
	Stores []string `json:"stores"`
}

func (c *cli) printHeld(held []snapshot.Held) {
	t := table{}
	t.head("SNAPSHOT", "AGE", "EPOCH", "KIND", "ROWS", "SIZE", "READ", "STORED", "TOOK", "STORES")
	for _, h := range held {
		age, kind := ageText(c.now().Sub(h.Point).Milliseconds()), cell{"part", plain}
		switch {
		case !h.Diverged.Empty():
			kind = cell{"diverged", bad}
		case h.Full:
			kind = cell{"full", plain}
		}
		t.row(cell{h.ID, bold}, cell{age, plain}, cell{fmt.Sprint(h.Epoch), plain}, kind, cell{groupText(h.Totals.Rows), plain}, cell{sizeText(h.Totals.Bytes), plain},
			cell{sizeText(h.Totals.ReadBytes), plain}, cell{sizeText(h.Totals.StoredBytes), plain}, cell{took(h.Finished.Sub(h.Started).Milliseconds()), plain}, cell{strings.Join(h.Places, ","), plain})
	}
	c.print(t)
}

func (c *cli) snapshotShowCommand() *cobra.Command {
	var output format
	var from depotFlags
	cmd := &cobra.Command{
		Use:   "show PRODUCT [SNAPSHOT]",
		Short: "Show what a snapshot holds, the newest unless one is named",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			depot, _, err := c.openDepot(cmd.Context(), from, args[0])
			if err != nil {
				return err
			}
			place, m, err := depot.Find(cmd.Context(), strings.Join(args[1:], ""), time.Time{})
			if err != nil {
				return c.notFound(err, args[0])
			}
			if output != asTable {
				return c.encode(output, m)
			}
			c.printManifest(place, m)
			return nil
		},
	}
	formatFlag(cmd, &output)
	from.flags(cmd)
	return cmd
}

// notFound adds to an error how to see what there is.
func (c *cli) notFound(err error, product string) error {
	if errors.Is(err, snapshot.ErrNoSnapshot) {
		return &exitError{code: exitUsage, message: err.Error(), cause: err, hint: fmt.Sprintf("\"failoverd snapshot ls %s\" lists them", product)}
	}
	return err
}

func (c *cli) printManifest(place snapshot.Place, m snapshot.Manifest) {
	kind := "full"
	if !m.Full {
		kind = "part, on " + m.Parent
	}
	t := table{}
	for _, row := range [][2]string{
		{"snapshot", m.ID + " (" + kind + ")"}, {"in store", place.Name},
		{"data as of", at(m.Point) + ", " + ageText(c.now().Sub(m.Point).Milliseconds()) + " ago"},
		{"server", fmt.Sprintf("%s (%s), MySQL %s, epoch %d", m.Server, m.UUID, m.Version, m.Epoch)},
		{"taken in", took(m.Finished.Sub(m.Started).Milliseconds()) + ", the applier stood still for " + took(m.StallMs)},
		{"holds", fmt.Sprintf("%s rows, %s in %s; read %s, stored %s", groupText(m.Totals.Rows), sizeText(m.Totals.Bytes), several(m.Totals.Tables, "table"), sizeText(m.Totals.ReadBytes), sizeText(m.Totals.StoredBytes))},
	} {
		t.row(cell{row[0], dim}, cell{row[1], plain})
	}
	c.print(t)
	c.say("", "GTIDs: "+m.GTIDs.String())
	if !m.Diverged.Empty() {
		c.say(c.paint(bad, "diverged")+": ", "no surviving server has "+m.Diverged.String()+"; it is restored only when it is named, with --include-diverged")
	}
	for _, w := range m.Warnings {
		c.say("note: ", w)
	}
	fmt.Fprintln(c.out)
	tables := table{}
	tables.head("TABLE", "ROWS", "SIZE", "WAY", "SUM")
	for _, s := range m.Tables {
		tables.row(cell{s.TableID.String(), plain}, cell{groupText(s.Rows), plain}, cell{sizeText(s.Bytes), plain}, cell{string(s.Way), plain}, cell{s.Sum.String()[:16], dim})
	}
	c.print(tables)
}
