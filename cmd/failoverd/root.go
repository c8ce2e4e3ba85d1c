package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/pki"
)

// cli is what all commands share.
type cli struct {
	streams
	connection connection
	lines      *bufio.Reader // of in, once something was asked
}

// connection is how to reach the watchers.
type connection struct {
	endpoints     []string
	ca, cert, key string
}

func newRootCommand(c *cli) *cobra.Command {
	root := &cobra.Command{
		Use:   "failoverd",
		Short: "Keep MySQL chains writable: failover, switchover, published config",
		Long: `failoverd watches MySQL chains (master → candidate → slave, master → dump),
promotes the candidate when the master dies, without losing an acknowledged
write, and publishes who is the master to the web servers.

A look around:   failoverd status, topology, history, explain PRODUCT
A planned move:  failoverd switchover PRODUCT --dry-run, then without
Hands off:       failoverd pause PRODUCT --reason "rack move" --for 2h
When it waits:   failoverd explain PRODUCT names whom for, and the command that overrides

The watchers are found by --endpoints or FAILOVERD_ENDPOINTS (host:port, comma
separated; any of them will do), and the certificate to show them by --ca, --cert
and --key or FAILOVERD_CA, FAILOVERD_CERT and FAILOVERD_KEY.

` + exitHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &exitError{code: exitUsage, message: err.Error(), hint: fmt.Sprintf("\"%s --help\" lists the flags", cmd.CommandPath())}
	})
	for _, group := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"look", "See what is:", []*cobra.Command{c.statusCommand(), c.topologyCommand(), c.historyCommand(), c.explainCommand(), c.doctorCommand(), c.watchersCommand()}},
		{"act", "Change what is:", []*cobra.Command{c.switchoverCommand(), c.failoverCommand(), c.raiseCommand(), c.maintenanceCommand(), c.rebuildCommand(),
			c.waitCommand(), c.pauseCommand(), c.resumeCommand(), c.modeCommand(), c.brakeCommand()}},
		{"copies", "Copies in object stores:", []*cobra.Command{c.snapshotCommand(), c.restoreCommand(), c.drillCommand()}},
		{"setup", "Set up:", []*cobra.Command{c.adoptCommand(), c.applyCommand(), c.inventoryCommand(), c.grantsCommand(), c.tlsCommand(), c.keyCommand(),
			c.joinCommand(), c.removeCommand(), c.transferCommand()}},
		{"run", "Run:", []*cobra.Command{newServeCommand(), c.followCommand(), c.dumpCommand(), newDemoCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, cmd := range group.commands {
			cmd.GroupID = group.id
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(c.versionCommand(), c.manCommand(root))
	sayUsage(root)
	return root
}

// sayUsage makes every command answer wrong arguments with how it is used.
func sayUsage(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		sayUsage(sub)
	}
	check := cmd.Args
	if check == nil || !cmd.HasParent() {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &exitError{code: exitUsage, message: err.Error(), hint: "usage: " + cmd.UseLine()}
		}
		return nil
	}
}

// remote adds the flags of a command that asks the watchers.
func (c *cli) remote(cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	f.StringSliceVar(&c.connection.endpoints, "endpoints", nil, "watchers to ask, `host:port,...` (FAILOVERD_ENDPOINTS)")
	f.StringVar(&c.connection.ca, "ca", "", "authority's certificate `file` (FAILOVERD_CA)")
	f.StringVar(&c.connection.cert, "cert", "", "our certificate `file` (FAILOVERD_CERT)")
	f.StringVar(&c.connection.key, "key", "", "our private key `file` (FAILOVERD_KEY)")
	return cmd
}

// client returns the watchers' client that flags and environment ask for.
func (c *cli) client() (*api.Client, error) {
	with := c.connection
	or := func(value *string, name string) {
		if *value == "" {
			*value = c.env(name)
		}
	}
	or(&with.ca, "FAILOVERD_CA")
	or(&with.cert, "FAILOVERD_CERT")
	or(&with.key, "FAILOVERD_KEY")
	if len(with.endpoints) == 0 {
		for _, endpoint := range strings.Split(c.env("FAILOVERD_ENDPOINTS"), ",") {
			if endpoint = strings.TrimSpace(endpoint); endpoint != "" {
				with.endpoints = append(with.endpoints, endpoint)
			}
		}
	}
	if len(with.endpoints) == 0 {
		with.endpoints = []string{api.DefaultListen}
	}
	tlsConfig, err := with.tls()
	if err != nil {
		return nil, usageError(err)
	}
	client, err := api.NewClient(with.endpoints, tlsConfig)
	if err != nil {
		return nil, usageError(err)
	}
	client.Actor = c.actor()
	if c.patience > 0 {
		client.Patience = c.patience
	}
	return client, nil
}

func (c connection) tls() (*tls.Config, error) {
	given := 0
	for _, path := range []string{c.ca, c.cert, c.key} {
		if path != "" {
			given++
		}
	}
	switch given {
	case 0:
		return nil, nil
	case 3:
		_, client, err := pki.LoadTLS(c.ca, c.cert, c.key)
		return client, err
	}
	return nil, fmt.Errorf("--ca, --cert and --key (or FAILOVERD_CA, _CERT and _KEY) go together")
}

// actor is who asks, for the history; with TLS the certificate's name counts instead.
func (c *cli) actor() string {
	user := c.env("USER")
	if user == "" {
		user = c.env("LOGNAME")
	}
	if sudo := c.env("SUDO_USER"); sudo != "" {
		user = sudo
	}
	host, err := os.Hostname()
	if user == "" || err != nil {
		return user
	}
	return user + "@" + host
}

// products completes the names of products.
func (c *cli) products(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	client, err := c.client()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client.Patience = 0
	status, err := client.Status(cmd.Context(), false)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, p := range status.Products {
		names = append(names, p.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
