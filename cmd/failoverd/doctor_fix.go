package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/failoverd/failoverd/internal/config"
	"github.com/failoverd/failoverd/internal/inventory"
	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/topology"
)

// fixing is what "doctor --fix" was asked for.
type fixing struct {
	products    []string
	addr        string
	config      string // a watcher's configuration file, for the accounts
	yes, dryRun bool
}

// remedy is what can be done for one chain, and what cannot.
type remedy struct {
	chain topology.Chain
	fixes []mysql.Fix
	left  []mysql.Left
}

// fix puts right, from here, what can be while the servers work. Its exit code is
// that of doctor afterwards.
func (c *cli) fix(ctx context.Context, f fixing) error {
	if !f.dryRun {
		if err := c.mayAsk(f.yes); err != nil {
			return err
		}
	}
	credentials, err := credentialsOf(f.config)
	if err != nil {
		return err
	}
	chains, err := c.chainsToFix(ctx, f)
	if err != nil {
		return err
	}
	remedies, fixes := remediesFor(ctx, chains, credentials)
	for _, r := range remedies {
		c.printRemedy(r)
	}
	if fixes == 0 || f.dryRun {
		return c.concludeFix(remedies, several(fixes, "setting")+" to change")
	}
	if !f.yes {
		if err := c.confirm(ctx, "Change "+several(fixes, "setting")+"?"); err != nil {
			return err
		}
	}
	changed := 0
	for _, r := range remedies {
		changed += c.applyRemedy(ctx, r, credentials)
	}
	remedies, _ = remediesFor(ctx, chains, credentials)
	return c.concludeFix(remedies, several(changed, "setting")+" changed")
}

// chainsToFix are the chains as the watchers have them, or one server alone.
func (c *cli) chainsToFix(ctx context.Context, f fixing) ([]topology.Chain, error) {
	if f.addr != "" {
		server, err := serverAt(f.addr)
		return []topology.Chain{{Policy: topology.DefaultPolicy(), Servers: []topology.Server{server}}}, err
	}
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	reply, err := client.Inventory(ctx)
	if err != nil {
		return nil, err
	}
	for _, product := range f.products {
		if !slices.Contains(reply.Products, product) {
			return nil, usageError(fmt.Errorf("there is no product %q", product))
		}
	}
	chains, err := inventory.Parse("the watchers' inventory", []byte(reply.Inventory))
	if err != nil {
		return nil, err
	}
	if len(f.products) > 0 {
		chains = slices.DeleteFunc(chains, func(chain topology.Chain) bool { return !slices.Contains(f.products, chain.Product) })
	}
	for _, chain := range chains {
		for i := range chain.Servers {
			chain.Servers[i].Standing = topology.In // one that is not may be next: the stricter reading
		}
	}
	return chains, nil
}

func remediesFor(ctx context.Context, chains []topology.Chain, credentials mysql.Credentials) (remedies []remedy, fixes int) {
	for _, chain := range chains {
		r := remedy{chain: chain}
		r.fixes, r.left = mysql.PlanFixes(ctx, chain, credentials)
		remedies, fixes = append(remedies, r), fixes+len(r.fixes)
	}
	return remedies, fixes
}

func (c *cli) printRemedy(r remedy) {
	for _, f := range r.fixes {
		fmt.Fprintf(c.out, "%s %s  %s\n", c.paint(good, "fix  "), c.paint(bold, where(r.chain.Product, f.Server.Name)), f.Requirement)
		c.say("      ", f.Before)
		for _, statement := range f.Statements { // never wrapped, for they may be copied
			fmt.Fprintf(c.out, "      run: %s\n", strings.Join(strings.Fields(statement), " "))
		}
		if f.Note != "" {
			c.say("      note: ", f.Note)
		}
	}
	for i, f := range findings(r.chain.Product, findingsOf(r.left)) {
		c.printFinding(f)
		c.say("      left to you: ", r.left[i].Reason)
	}
}

// applyRemedy makes the changes one by one, and goes on after one that failed.
func (c *cli) applyRemedy(ctx context.Context, r remedy, credentials mysql.Credentials) (changed int) {
	for _, f := range r.fixes {
		after, err := f.Apply(ctx, credentials)
		name := c.paint(bold, where(r.chain.Product, f.Server.Name))
		if err != nil {
			fmt.Fprintf(c.out, "%s %s  %s\n", c.paint(bad, "failed"), name, f.Requirement)
			c.say("      ", err.Error())
			continue
		}
		changed++
		fmt.Fprintf(c.out, "%s %s  %s: %s → %s\n", c.paint(good, "done"), name, f.Requirement, f.Before, after)
	}
	return changed
}

// concludeFix says what is still wrong, and fails when any of it is an error.
func (c *cli) concludeFix(remedies []remedy, did string) error {
	wrong := map[mysql.Level]int{}
	for _, r := range remedies {
		for _, f := range r.fixes {
			wrong[f.Level]++
		}
		for _, l := range r.left {
			wrong[l.Level]++
		}
	}
	fmt.Fprintf(c.out, "%s: %s, %s left\n", did, several(wrong[mysql.Fail], "error"), several(wrong[mysql.Warn], "warning"))
	if wrong[mysql.Fail] > 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}

func findingsOf(left []mysql.Left) []mysql.Finding {
	var out []mysql.Finding
	for _, l := range left {
		out = append(out, l.Finding)
	}
	return out
}

// where names a server, with its product if that is known.
func where(product, server string) string {
	if product == "" {
		return server
	}
	return product + " " + server
}

func serverAt(addr string) (topology.Server, error) {
	host, portText, err := net.SplitHostPort(addr)
	port, portErr := strconv.Atoi(portText)
	if err != nil || portErr != nil {
		return topology.Server{}, usageError(fmt.Errorf("--addr %q is not host:port", addr))
	}
	return topology.Server{Name: addr, Host: host, Port: port}, nil
}

// credentialsOf are the accounts of a watcher's configuration file.
func credentialsOf(path string) (mysql.Credentials, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return mysql.Credentials{}, usageError(err)
	}
	p := &parts{}
	err = p.readAccounts(cfg.MySQL)
	return p.credentials, err
}
