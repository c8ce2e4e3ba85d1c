package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/config"
	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/mysql/dump"
)

func (c *cli) doctorCommand() *cobra.Command {
	var output format
	var addr, path string
	var all, fix, yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "doctor [PRODUCT...]",
		Short: "Check the MySQL servers, and print the SQL that mends them",
		Long: `Checks each server of the products (all of them unless named) against what
failoverd needs: version, settings, accounts, semi-sync, replication. It changes
nothing, unless --fix. With --addr one server is examined from here, with the
accounts of a watcher's configuration, before there is any product or watcher.

With --fix it shows what can be put right while the servers work, asks, and does
it with SET PERSIST, so that it lasts. It connects to the servers from here, with
the control account of a watcher's configuration. It leaves to you what would make
writes wait or fail: the links and appliers of servers that acknowledge, my.cnf
and restarts, GTID modes, plugins, grants, events. SET PERSIST_ONLY needs
PERSIST_RO_VARIABLES_ADMIN, which "failoverd grants" does not give.

Exits with 1 when anything stands in the way of failoverd's promises, after --fix
when anything still does.`,
		Example: `  failoverd doctor shop
  failoverd doctor --fix --dry-run shop
  failoverd doctor --fix --addr 10.0.0.21:3306 --config watcher.yaml`,
		ValidArgsFunction: c.products,
		RunE: func(cmd *cobra.Command, args []string) error {
			var findings []api.Finding
			var err error
			switch {
			case addr != "" && len(args) > 0:
				return usageError(errors.New("give either products or --addr"))
			case fix && output != asTable:
				return usageError(errors.New("--fix talks to people: it has no -o"))
			case (yes || dryRun) && !fix:
				return usageError(errors.New("--yes and --dry-run go with --fix"))
			case fix:
				return c.fix(cmd.Context(), fixing{products: args, addr: addr, config: path, yes: yes, dryRun: dryRun})
			case addr != "":
				findings, err = examine(cmd.Context(), addr, path)
			default:
				findings, err = c.examineProducts(cmd.Context(), args)
			}
			if err != nil {
				return err
			}
			if output != asTable {
				err = c.encode(output, findings)
			} else {
				c.printFindings(findings, all)
			}
			if err == nil && count(findings, api.LevelError) > 0 {
				return &exitError{code: exitFailed}
			}
			return err
		},
	}
	formatFlag(cmd, &output)
	cmd.Flags().StringVar(&addr, "addr", "", "examine this one server, `host:port`, from here")
	cmd.Flags().StringVarP(&path, "config", "c", "/etc/failoverd/watcher.yaml", "a watcher's configuration `file`, for --addr and --fix")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "show also what is well")
	cmd.Flags().BoolVar(&fix, "fix", false, "put right what can be while the servers work")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask, with --fix")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show what --fix would do")
	return c.remote(cmd)
}

func (c *cli) examineProducts(ctx context.Context, products []string) ([]api.Finding, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	if len(products) == 0 {
		inventory, err := client.Inventory(ctx)
		if err != nil {
			return nil, err
		}
		products = inventory.Products
	}
	findings := []api.Finding{}
	for _, product := range products {
		found, err := client.Doctor(ctx, product)
		if err != nil {
			return nil, err
		}
		findings = append(findings, found...)
	}
	return findings, nil
}

// examine looks at one server from here.
func examine(ctx context.Context, addr, path string) ([]api.Finding, error) {
	server, err := serverAt(addr)
	if err != nil {
		return nil, err
	}
	credentials, err := credentialsOf(path)
	if err != nil {
		return nil, err
	}
	return findings("", mysql.Examine(ctx, server, credentials).Findings), nil
}

// printFindings prints what is not well, and the statements that mend it.
func (c *cli) printFindings(found []api.Finding, all bool) {
	for _, f := range found {
		if f.Level != api.LevelOK || all {
			c.printFinding(f)
		}
	}
	servers := map[string]bool{}
	for _, f := range found {
		servers[f.Product+" "+f.Server] = true
	}
	fmt.Fprintf(c.out, "%s: %s, %s, %d well\n", several(len(servers), "server"),
		several(count(found, api.LevelError), "error"), several(count(found, api.LevelWarn), "warning"), count(found, api.LevelOK))
}

func (c *cli) printFinding(f api.Finding) {
	looks := map[string]style{api.LevelError: bad, api.LevelWarn: odd, api.LevelOK: good}
	fmt.Fprintf(c.out, "%s %s  %s\n", c.paint(looks[f.Level], fmt.Sprintf("%-5s", f.Level)), c.paint(bold, where(f.Product, f.Server)), f.Check)
	c.say("      ", f.Text)
	if f.Fix != "" { // never wrapped, for it is to be copied
		fmt.Fprintf(c.out, "      mend: %s\n", f.Fix)
	}
}

func count(findings []api.Finding, level string) int {
	n := 0
	for _, f := range findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

func (c *cli) adoptCommand() *cobra.Command {
	var product string
	cmd := &cobra.Command{
		Use:   "adopt HOST:PORT",
		Short: "Describe a running chain as an inventory",
		Long: `Asks the server at HOST:PORT and those it replicates from and to, and prints the
inventory of the chain that they form. What is not yet as failoverd needs it goes
to standard error. It changes nothing: apply the inventory to take the chain in.`,
		Example: `  failoverd adopt 10.0.0.1:3306 --product shop > shop.yaml
  failoverd apply -f shop.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, _, err := net.SplitHostPort(args[0]); err != nil {
				return usageError(fmt.Errorf("%q is not HOST:PORT", args[0]))
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			reply, err := client.Adopt(cmd.Context(), api.AdoptRequest{Addr: args[0], Product: product})
			if err != nil {
				return err
			}
			if _, err := io.WriteString(c.out, reply.Inventory); err != nil {
				return err
			}
			toErr := *c
			toErr.out, toErr.outTerminal = c.err, false
			toErr.printFindings(reply.Findings, false)
			return nil
		},
	}
	cmd.Flags().StringVar(&product, "product", "adopted", "the `name` that the chain gets")
	return c.remote(cmd)
}

func (c *cli) grantsCommand() *cobra.Command {
	var path string
	var writeProbe, withDump bool
	dumper := mysql.Account{User: "failoverd_dump"}
	users := mysql.Credentials{Probe: mysql.Account{User: "failoverd_probe"}, Control: mysql.Account{User: "failoverd"},
		Replication: mysql.Replication{Account: mysql.Account{User: "failoverd_repl"}}}
	cmd := &cobra.Command{
		Use:   "grants",
		Short: "Print the SQL that creates failoverd's MySQL accounts",
		Long: `Prints the statements that create the three accounts, each with the least
privileges that suffice: one probes, one controls, one replicates. Put in the
passwords and run them as root on the master, before anything else.

With --write-probe the table of the heartbeats comes after them, which the
watchers of a product with "writeProbe" write. With --dump comes the account of the
dump service: it reads everything, password hashes included, and writes nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path != "" {
				cfg, err := config.Load(path)
				if err != nil {
					return usageError(err)
				}
				users.Probe.User, users.Control.User, users.Replication.Account.User = cfg.MySQL.Probe.User, cfg.MySQL.Control.User, cfg.MySQL.Replication.User
			}
			for _, a := range []*mysql.Account{&users.Probe, &users.Control, &users.Replication.Account, &dumper} {
				a.Password = "<password of " + a.User + ">"
			}
			statements := mysql.Grants(users)
			if writeProbe {
				statements = append(statements, mysql.HeartbeatTable(users)...)
			}
			if withDump {
				statements = append(statements, dump.Grants(dumper)...)
			}
			_, err := fmt.Fprintln(c.out, strings.Join(statements, ";\n")+";")
			return err
		},
	}
	f := cmd.Flags()
	f.StringVarP(&path, "config", "c", "", "take the names from this watcher's configuration `file`")
	f.BoolVar(&writeProbe, "write-probe", false, "also the table that write probes need")
	f.BoolVar(&withDump, "dump", false, "also the account of the dump service")
	f.StringVar(&dumper.User, "dump-user", dumper.User, "the account of the dump service")
	f.StringVar(&users.Probe.User, "probe-user", users.Probe.User, "the account that probes")
	f.StringVar(&users.Control.User, "control-user", users.Control.User, "the account that controls")
	f.StringVar(&users.Replication.Account.User, "replication-user", users.Replication.Account.User, "the account that replicates")
	return cmd
}
