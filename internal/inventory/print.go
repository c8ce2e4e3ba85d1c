package inventory

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/failoverd/failoverd/internal/topology"
)

// Print writes chains as Parse reads them, sorted by name. What is as by default
// is left out, and so is everything that failoverd keeps for itself: mode, epoch,
// ackers, standing.
func Print(chains []topology.Chain) string {
	if len(chains) == 0 {
		return "products: {}\n"
	}
	var b strings.Builder
	b.WriteString("products:\n")
	for _, chain := range sorted(chains) {
		printChain(&b, chain)
	}
	return b.String()
}

func sorted(chains []topology.Chain) []topology.Chain {
	out := slices.Clone(chains)
	slices.SortFunc(out, func(a, b topology.Chain) int { return strings.Compare(a.Product, b.Product) })
	return out
}

func printChain(b *strings.Builder, chain topology.Chain) {
	fmt.Fprintf(b, "  %s:\n", scalar(chain.Product))
	p, d := chain.Policy, topology.DefaultPolicy()
	if p.Durability != d.Durability {
		fmt.Fprintf(b, "    durability: %s\n", scalar(string(p.Durability)))
	}
	// A journal of before these were known has none of them.
	if len(p.Ackers) > 0 && !slices.Equal(p.Ackers, d.Ackers) {
		var seats []string
		for _, seat := range p.Ackers {
			seats = append(seats, scalar(string(seat)))
		}
		fmt.Fprintf(b, "    ackers: [%s]\n", strings.Join(seats, ", "))
	}
	if p.Acks != 0 && p.Acks != d.Acks {
		fmt.Fprintf(b, "    acks: %d\n", p.Acks)
	}
	if p.Rebuild != "" && p.Rebuild != d.Rebuild {
		fmt.Fprintf(b, "    rebuild: %s\n", scalar(string(p.Rebuild)))
	}
	for _, field := range []struct {
		name      string
		is, usual topology.Duration
	}{
		{"deadAfter", p.DeadAfter, d.DeadAfter},
		{"linkDeadAfter", p.LinkDeadAfter, d.LinkDeadAfter},
		{"holdDown", p.HoldDown, d.HoldDown},
		{"probeEvery", p.ProbeEvery, d.ProbeEvery},
		{"writeProbe", p.WriteProbe, d.WriteProbe},
		{"hangAfter", p.HangAfter, d.HangAfter},
	} {
		if field.is != field.usual {
			fmt.Fprintf(b, "    %s: %s\n", field.name, field.is)
		}
	}
	b.WriteString("    servers:\n")
	for _, s := range chain.Servers {
		zone := ""
		if s.Zone != "" {
			zone = ", zone: " + scalar(s.Zone)
		}
		fmt.Fprintf(b, "      - {name: %s, host: %s, port: %d%s, seat: %s}\n", scalar(s.Name), scalar(s.Host), s.Port, zone, scalar(string(s.Seat)))
	}
}

var (
	plainPattern = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9._-]*|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)$`)
	// words that some YAML reader takes for something other than text
	reserved = regexp.MustCompile(`^(?i:true|false|yes|no|on|off|y|n|null|nan|inf)$`)
)

func scalar(s string) string {
	if plainPattern.MatchString(s) && !reserved.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}
