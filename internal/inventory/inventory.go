// Package inventory reads and writes the operators' description of the products:
// YAML with each product's policy and servers.
//
//	products:
//	  shop:
//	    durability: semi-sync   # or async; this and all others but servers may be left out
//	    ackers: [candidate]     # the seats that acknowledge commits
//	    acks: 1                 # so many of them for each
//	    rebuild: auto           # or ask, never: servers whose data must be replaced
//	    deadAfter: 2.5s
//	    linkDeadAfter: 2s
//	    holdDown: 5m0s
//	    probeEvery: 250ms
//	    writeProbe: 0s          # 1s makes the watchers commit a heartbeat row
//	    hangAfter: 10s          # without such a commit
//	    servers:
//	      - {name: db1, host: 10.0.0.1, port: 3306, zone: a, seat: master}
//	      - {name: db2, host: 10.0.0.2, port: 3306, zone: b, seat: candidate}
//	      - {name: db3, host: 10.0.0.3, port: 3306, zone: c, seat: slave}
//	      - {name: db4, host: 10.0.0.4, port: 3306, zone: c, seat: dump}
//
// port is 3306 when it is left out, and zone may be.
package inventory

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"github.com/failoverd/failoverd/internal/topology"
)

// file is the YAML document.
type file struct {
	Products map[string]product `yaml:"products"`
}

type product struct {
	Durability topology.Durability  `yaml:"durability"`
	Ackers     []topology.Seat      `yaml:"ackers"`
	Acks       *int                 `yaml:"acks"` // 0 is given on purpose, and wrong
	Rebuild    topology.RebuildMode `yaml:"rebuild"`
	// The durations are read as text: the YAML package loses the place of a
	// text unmarshaler's error.
	DeadAfter     string            `yaml:"deadAfter"`
	LinkDeadAfter string            `yaml:"linkDeadAfter"`
	HoldDown      string            `yaml:"holdDown"`
	ProbeEvery    string            `yaml:"probeEvery"`
	WriteProbe    string            `yaml:"writeProbe"`
	HangAfter     string            `yaml:"hangAfter"`
	Servers       []topology.Server `yaml:"servers"`
}

const defaultPort = 3306

// chain fills in the defaults, so that only what differs need be written.
func (p product) chain(name string) (topology.Chain, *misfit) {
	chain := topology.Chain{Product: name, Policy: topology.DefaultPolicy(), Servers: p.Servers, Mode: topology.Observe}
	if p.Durability != "" {
		chain.Policy.Durability = p.Durability
	}
	if p.Ackers != nil {
		chain.Policy.Ackers = p.Ackers
	}
	if p.Acks != nil {
		chain.Policy.Acks = *p.Acks
	}
	if p.Rebuild != "" {
		chain.Policy.Rebuild = p.Rebuild
	}
	for _, field := range []struct {
		name, text string
		value      *topology.Duration
	}{
		{"deadAfter", p.DeadAfter, &chain.Policy.DeadAfter},
		{"linkDeadAfter", p.LinkDeadAfter, &chain.Policy.LinkDeadAfter},
		{"holdDown", p.HoldDown, &chain.Policy.HoldDown},
		{"probeEvery", p.ProbeEvery, &chain.Policy.ProbeEvery},
		{"writeProbe", p.WriteProbe, &chain.Policy.WriteProbe},
		{"hangAfter", p.HangAfter, &chain.Policy.HangAfter},
	} {
		if field.text == "" {
			continue
		}
		if err := field.value.UnmarshalText([]byte(field.text)); err != nil {
			return chain, &misfit{placeOfProduct(name) + "." + field.name, fmt.Sprintf("product %s: %s: %v", name, field.name, err)}
		}
	}
	for i := range chain.Servers {
		if chain.Servers[i].Port == 0 {
			chain.Servers[i].Port = defaultPort
		}
	}
	return chain, check(chain)
}

func placeOfProduct(name string) string { return fmt.Sprintf("$.products.'%s'", name) }

// Parse reads an inventory, products sorted by name. Everything in it is strict:
// an error is about the first thing that is wrong and starts with "NAME:LINE: ".
// A key with nothing under "products:" gives an empty inventory.
func Parse(name string, source []byte) ([]topology.Chain, error) {
	var f file
	if err := yaml.UnmarshalWithOptions(source, &f, yaml.Strict()); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntaxError(name, err)
	}
	var chains []topology.Chain
	for _, productName := range slices.Sorted(maps.Keys(f.Products)) {
		chain, wrong := f.Products[productName].chain(productName)
		if wrong != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, lineOf(source, wrong.place), wrong)
		}
		chains = append(chains, chain)
	}
	return chains, nil
}

// syntaxError puts the line in front and the excerpt behind.
func syntaxError(name string, err error) error {
	line := 1
	var located yaml.Error
	if !errors.As(err, &located) || located.GetToken() == nil {
		return fmt.Errorf("%s:%d: %w", name, line, err)
	}
	line = located.GetToken().Position.Line
	text := strings.TrimRight(yaml.FormatError(err, false, true), "\n")
	// The formatter's own "[line:column] " would say the same again.
	if _, rest, ok := strings.Cut(text, "] "); ok && strings.HasPrefix(text, "[") {
		text = rest
	}
	return fmt.Errorf("%s:%d: %s", name, line, text)
}

// misfit is a value that is wrong, and its place as a YAML path.
type misfit struct {
	place string
	why   string
}

func (m *misfit) Error() string { return m.why }

// Names end up in commands, metric labels, URLs and the published file.
var (
	namePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62})$`)
	hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)
)

const nameRule = "is not a name: up to 63 letters, digits, '.', '_' or '-', the first a letter or digit"

func check(chain topology.Chain) *misfit {
	at := placeOfProduct(chain.Product)
	if !namePattern.MatchString(chain.Product) {
		return &misfit{at, fmt.Sprintf("product %q %s", chain.Product, nameRule)}
	}
	for i, s := range chain.Servers {
		place := fmt.Sprintf("%s.servers[%d]", at, i)
		_, err := netip.ParseAddr(s.Host)
		switch {
		case s.Name != "" && !namePattern.MatchString(s.Name):
			return &misfit{place, fmt.Sprintf("product %s: server %q %s", chain.Product, s.Name, nameRule)}
		case s.Host != "" && err != nil && (len(s.Host) > 253 || !hostPattern.MatchString(s.Host)):
			return &misfit{place, fmt.Sprintf("product %s: server %s: host %q is neither a host name nor an address", chain.Product, s.Name, s.Host)}
		case s.Zone != "" && !namePattern.MatchString(s.Zone):
			return &misfit{place, fmt.Sprintf("product %s: server %s: zone %q %s", chain.Product, s.Name, s.Zone, nameRule)}
		}
	}
	if err := chain.Validate(); err != nil {
		return &misfit{placeOf(chain, at, err.Error()), err.Error()}
	}
	return nil
}

// placeOf finds what a sentence of Validate is about: it names the server, or the policy's field.
func placeOf(chain topology.Chain, at, sentence string) string {
	last := at
	for i, s := range chain.Servers {
		for _, words := range []string{
			fmt.Sprintf("server %s:", s.Name), fmt.Sprintf("server %s has", s.Name), fmt.Sprintf("server %d has", i+1),
			fmt.Sprintf("named %s", s.Name), fmt.Sprintf(" and %s have", s.Name),
		} {
			if strings.Contains(sentence+" ", words) { // of two with the same name, the later
				last = fmt.Sprintf("%s.servers[%d]", at, i)
			}
		}
	}
	if last != at {
		return last
	}
	for _, field := range []string{"durability", "ackers", "acks", "rebuild",
		"deadAfter", "linkDeadAfter", "holdDown", "probeEvery", "writeProbe", "hangAfter"} {
		if strings.HasPrefix(sentence, fmt.Sprintf("product %s: %s ", chain.Product, field)) {
			return at + "." + field
		}
	}
	return at
}

// lineOf finds the line of a YAML path, or of its nearest parent that is there.
func lineOf(source []byte, place string) int {
	parsed, err := parser.ParseBytes(source, 0)
	if err != nil {
		return 1
	}
	for place != "$" {
		if path, err := yaml.PathString(place); err == nil {
			if node, err := path.FilterFile(parsed); err == nil && node != nil {
				return node.GetToken().Position.Line
			}
		}
		place = place[:max(strings.LastIndexAny(place, ".["), 1)]
	}
	return 1
}
