package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/inventory"
)

// application is what "apply" was asked for.
type application struct {
	file                       string
	dryRun, prune, yes, detail bool
	output                     format
}

func (c *cli) applyCommand() *cobra.Command {
	var a application
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Add and change products from a YAML inventory",
		Long: `Makes the products in the file as it describes them, and shows what changes before
it does. Products that are not in the file stay, unless --prune.

  products:
    shop:
      durability: semi-sync      # or async; this and the next four may be left out
      deadAfter: 2.5s
      linkDeadAfter: 2s
      holdDown: 5m
      probeEvery: 250ms
      servers:
        - {name: db1, host: 10.0.0.1, port: 3306, zone: a, seat: master}
        - {name: db2, host: 10.0.0.2, port: 3306, zone: b, seat: candidate}
        - {name: db3, host: 10.0.0.3, port: 3306, zone: c, seat: slave}
        - {name: db4, host: 10.0.0.4, port: 3306, zone: c, seat: dump}

The file's seats count when a server is new. Later promotions move them, and
applying the old file again moves nothing back.`,
		Example: `  failoverd inventory > products.yaml
  failoverd apply -f products.yaml --dry-run
  failoverd apply -f products.yaml --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.apply(cmd.Context(), a) },
	}
	f := cmd.Flags()
	f.StringVarP(&a.file, "file", "f", "", "the inventory `file`, - for standard input")
	f.BoolVar(&a.dryRun, "dry-run", false, "only show what would change")
	f.BoolVar(&a.prune, "prune", false, "forget the products that are not in the file")
	f.BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&a.detail, "detailed-exitcode", false, "exit with 2 when something changed, or would with --dry-run")
	formatFlag(cmd, &a.output)
	_ = cmd.MarkFlagRequired("file")
	return c.remote(cmd)
}

func (c *cli) apply(ctx context.Context, a application) error {
	source, err := c.readInventory(a.file)
	if err != nil {
		return usageError(err)
	}
	chains, err := inventory.Parse(a.file, source)
	if err != nil {
		return usageError(err)
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	ask := api.InventoryRequest{Inventory: string(source), DryRun: true}
	if a.prune {
		present, err := client.Inventory(ctx)
		if err != nil {
			return err
		}
		kept := map[string]bool{}
		for _, chain := range chains {
			kept[chain.Product] = true
		}
		ask.Remove = slices.DeleteFunc(present.Products, func(name string) bool { return kept[name] })
	}
	change, err := client.Apply(ctx, ask)
	if err != nil {
		return err
	}
	if a.output == asTable {
		c.printChange(change)
	}
	if change.Changed && !a.dryRun {
		if change, err = c.applyChange(ctx, client, a, ask); err != nil {
			return err
		}
	}
	if a.output != asTable {
		if err := c.encode(a.output, change); err != nil {
			return err
		}
	}
	if change.Changed && a.detail {
		return &exitError{code: exitUsage} // terraform's and puppet's convention; everything was said
	}
	return nil
}

func (c *cli) applyChange(ctx context.Context, client *api.Client, a application, ask api.InventoryRequest) (api.InventoryChange, error) {
	if err := c.mayAsk(a.yes); err != nil {
		return api.InventoryChange{}, err
	}
	if !a.yes {
		if err := c.confirm(ctx, "Apply this?"); err != nil {
			return api.InventoryChange{}, err
		}
	}
	ask.DryRun = false
	change, err := client.Apply(ctx, ask)
	if err == nil && a.output == asTable {
		fmt.Fprintln(c.out, c.paint(good, "applied"))
	}
	return change, err
}

func (c *cli) readInventory(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(c.in)
	}
	return os.ReadFile(path)
}

func (c *cli) printChange(change api.InventoryChange) {
	for line := range strings.Lines(change.Diff) {
		line = strings.TrimSuffix(line, "\n")
		look := plain
		switch line[:1] {
		case "+":
			look = good
		case "-":
			look = bad
		}
		fmt.Fprintln(c.out, c.paint(look, line))
	}
	if !change.Changed {
		fmt.Fprintln(c.out, "nothing changes")
	}
	for _, note := range change.Notes {
		c.say("note: ", note)
	}
	for _, f := range change.Findings {
		c.printFinding(f)
	}
}

func (c *cli) inventoryCommand() *cobra.Command {
	return c.remote(&cobra.Command{
		Use:   "inventory",
		Short: "Print the inventory as \"apply\" takes it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			reply, err := client.Inventory(cmd.Context())
			if err != nil {
				return err
			}
			_, err = io.WriteString(c.out, reply.Inventory)
			return err
		},
	})
}
