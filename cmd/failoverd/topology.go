package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/topology"
)

func (c *cli) topologyCommand() *cobra.Command {
	var output format
	cmd := &cobra.Command{
		Use:               "topology [PRODUCT...]",
		Short:             "The servers as a tree: who replicates from whom",
		Long:              "The servers of each product as a tree by replication, as it is and not as it should be.",
		ValidArgsFunction: c.products,
		RunE: func(cmd *cobra.Command, only []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			status, err := client.Status(cmd.Context(), false)
			if err != nil {
				return err
			}
			if err := choose(&status, only); err != nil {
				return err
			}
			if output != asTable {
				return c.encode(output, status.Products)
			}
			for i, p := range status.Products {
				if i > 0 {
					fmt.Fprintln(c.out)
				}
				c.printTree(p)
			}
			return nil
		},
	}
	formatFlag(cmd, &output)
	return c.remote(cmd)
}

func (c *cli) printTree(p api.Product) {
	fmt.Fprintf(c.out, "%s  %s, epoch %d, %s\n", c.paint(bold, p.Name), p.Mode, p.Epoch, c.paint(verdictStyle(p.Verdict), verdictText(p.Verdict)))
	b := branches{product: p, printed: map[string]bool{}}
	b.grow()
	c.print(b.table)
}

// branches lays a chain out as a tree. Every server is printed once, even if links form a ring.
type branches struct {
	product api.Product
	table   table
	printed map[string]bool
}

func (b *branches) grow() {
	for _, s := range b.product.Servers {
		if s.Seat == topology.Master || b.source(s) == "" {
			b.add(s, "", "")
		}
	}
	for _, s := range b.product.Servers { // rings
		b.add(s, "", "")
	}
}

// source is the name of the server that s really replicates from, empty when that is none of the chain.
func (b *branches) source(s api.Server) string {
	if s.Facts == nil || s.Facts.Link == nil {
		return ""
	}
	for _, other := range b.product.Servers {
		if other.Addr() == s.Facts.Link.SourceAddr {
			return other.Name
		}
	}
	return ""
}

func (b *branches) add(s api.Server, mark, below string) {
	if b.printed[s.Name] {
		return
	}
	b.printed[s.Name] = true
	b.table.row(append([]cell{{mark + s.Name, bold}}, serverCells(s, b.source(s))...)...)
	var replicas []api.Server
	for _, other := range b.product.Servers {
		if b.source(other) == s.Name && !b.printed[other.Name] && other.Seat != topology.Master {
			replicas = append(replicas, other)
		}
	}
	for i, replica := range replicas {
		if i == len(replicas)-1 {
			b.add(replica, below+"└─ ", below+"   ")
		} else {
			b.add(replica, below+"├─ ", below+"│  ")
		}
	}
}

func serverCells(s api.Server, source string) []cell {
	zone, lag := "", ""
	if s.Zone != "" {
		zone = "zone " + s.Zone
	}
	if s.Lag != nil {
		lag = "lag " + lagText(*s.Lag)
	}
	up := cell{"up", good}
	if !s.Up {
		up = cell{"down", bad}
	}
	remarks, style := serverRemarks(s, source)
	return []cell{{string(s.Seat), plain}, {s.Addr(), plain}, {zone, plain}, up, {lag, plain}, {remarks, style}}
}

// serverRemarks are the few words that matter about a server.
func serverRemarks(s api.Server, source string) (string, style) {
	var words []string
	look := plain
	add := func(st style, format string, args ...any) {
		words = append(words, fmt.Sprintf(format, args...))
		if look != bad && st != plain {
			look = st
		}
	}
	switch {
	case s.Standing == topology.Maintenance:
		add(odd, "%s, %s", s.Why, untilText(s.Until, "--end"))
	case s.Standing != topology.In && s.Standing != "":
		add(bad, "%s: %s", s.Standing, s.Why)
	}
	if !s.Up {
		add(bad, "%s", s.Contacts)
		return strings.Join(words, ", "), look
	}
	if s.Facts == nil {
		return strings.Join(words, ", "), look
	}
	switch {
	case s.Seat == topology.Master && s.Facts.ReadOnly:
		add(bad, "read-only")
	case s.Seat == topology.Master:
		add(plain, "open for writes")
	case !s.Facts.ReadOnly:
		add(bad, "must not be open for writes")
	}
	if s.Acker {
		add(plain, "acks")
	}
	link := s.Facts.Link
	switch {
	case s.Seat == topology.Master:
	case link == nil:
		add(bad, "no source")
	case source == "":
		add(bad, "follows %s, not of this chain", link.SourceAddr)
	case source != s.Source && s.Source != "":
		add(odd, "should follow %s", s.Source)
	}
	if link != nil && s.Seat != topology.Master && (link.IO != topology.On || link.SQL != topology.On) {
		add(bad, "IO %s, SQL %s", link.IO, link.SQL)
	}
	return strings.Join(words, ", "), look
}
