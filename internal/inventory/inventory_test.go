package inventory

import (
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
)

const shop = `products:
  shop:
    servers:
      - {name: db1, host: 10.0.0.1, port: 3306, zone: a, seat: master}
      - {name: db2, host: 10.0.0.2, port: 3307, zone: b, seat: candidate}
      - {name: db3, host: db3.example.net, port: 3306, seat: slave}
      - {name: db4, host: "2001:db8::4", port: 3306, zone: "1", seat: dump}
`

func TestParseFillsInTheDefaults(t *testing.T) {
	chains, err := Parse("products.yaml", []byte(shop))
	require.NoError(t, err)
	require.Len(t, chains, 1)
	assert.Equal(t, topology.DefaultPolicy(), chains[0].Policy)
	assert.Equal(t, topology.Observe, chains[0].Mode)
	assert.Equal(t, topology.Server{Name: "db2", Host: "10.0.0.2", Port: 3307, Zone: "b", Seat: topology.Candidate}, chains[0].Servers[1])
	assert.Equal(t, "2001:db8::4", chains[0].Servers[3].Host)
}

func TestWhatIsPrintedIsWhatWasRead(t *testing.T) {
	for _, text := range []string{shop, `products:
  "007":
    durability: async
    ackers: [candidate, slave]
    acks: 2
    rebuild: never
    deadAfter: 4s
    linkDeadAfter: 3s
    holdDown: 1m0s
    probeEvery: 500ms
    writeProbe: 1s
    hangAfter: 5s
    servers:
      - {name: "on", host: 10.0.0.1, port: 3306, seat: master}
      - {name: "2", host: 10.0.0.2, port: 3306, seat: candidate}
      - {name: c, host: 10.0.0.3, port: 3306, seat: slave}
`, "products: {}\n"} {
		chains, err := Parse("x", []byte(text))
		require.NoError(t, err)
		assert.Equal(t, text, Print(chains))
	}
}

func TestPolicyAndPortMayBeLeftOut(t *testing.T) {
	chains, err := Parse("x", []byte(`
products:
  shop:
    deadAfter: 4s
    servers:
      - {name: db1, host: a, seat: master}
      - {name: db2, host: b, seat: candidate}
`))
	require.NoError(t, err)
	assert.Equal(t, topology.Duration(4*time.Second), chains[0].Policy.DeadAfter)
	assert.Equal(t, topology.SemiSync, chains[0].Policy.Durability)
	assert.Equal(t, 3306, chains[0].Servers[0].Port)
}

func TestErrorsNameTheLine(t *testing.T) {
	servers := `    servers:
      - {name: db1, host: a, port: 3306, seat: master}
      - {name: db2, host: b, port: 3306, seat: candidate}
`
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":           {"products:\n  shop:\n    durabilty: async\n" + servers, `p.yaml:3: unknown field "durabilty"`},
		"unknown server key":    {"products:\n  shop:\n    servers:\n      - {name: db1, hots: a}\n", `p.yaml:4: unknown field "hots"`},
		"unknown top key":       {"produkts: {}\n", `p.yaml:1: unknown field "produkts"`},
		"wrong type":            {"products:\n  shop:\n    servers:\n      - {name: db1, host: a, port: many, seat: master}\n", "p.yaml:4: "},
		"bad write probe":       {"products:\n  shop:\n    acks: 1\n    writeProbe: often\n" + servers, `p.yaml:4: product shop: writeProbe: "often" is not a duration`},
		"ackers no list":        {"products:\n  shop:\n    ackers: candidate\n" + servers, "p.yaml:3: "},
		"acks no number":        {"products:\n  shop:\n    acks: all\n" + servers, "p.yaml:3: "},
		"duration without unit": {"products:\n  shop:\n    deadAfter: 4\n" + servers, `p.yaml:3: product shop: deadAfter: "4" is not a duration`},
		"bad duration":          {"products:\n  shop:\n    deadAfter: soon\n" + servers, `p.yaml:3: product shop: deadAfter: "soon" is not a duration`},
		"not YAML":              {"products:\n  shop: [\n", "p.yaml:"},
		"same key twice":        {"products:\n  shop:\n" + servers + "  shop:\n" + servers, "p.yaml:6: "},
		"seat":                  {"products:\n  shop:\n" + strings.Replace(servers, "candidate", "canditate", 1), `p.yaml:5: product shop: server db2: seat "canditate"`},
		"port":                  {"products:\n  shop:\n" + strings.Replace(servers, "host: b, port: 3306", "host: b, port: 99999", 1), "p.yaml:5: product shop: server db2: port 99999"},
		"two of one name":       {"products:\n  shop:\n" + strings.Replace(servers, "db2", "db1", 1), "p.yaml:5: product shop: two servers are named db1"},
		"one address":           {"products:\n  shop:\n" + strings.Replace(servers, "host: b", "host: a", 1), "p.yaml:5: product shop: servers db1 and db2 have the same address"},
		"no name":               {"products:\n  shop:\n" + strings.Replace(servers, "name: db2, ", "", 1), "p.yaml:5: product shop: server 2 has no name"},
		"no host":               {"products:\n  shop:\n" + strings.Replace(servers, "host: b, ", "", 1), "p.yaml:5: product shop: server db2 has no host"},
		"two masters":           {"products:\n  shop:\n" + strings.Replace(servers, "candidate", "master", 1), "product shop: has 2 masters, needs exactly one"},
		"policy":                {"products:\n  shop:\n    linkDeadAfter: 10ms\n" + servers, "p.yaml:3: product shop: linkDeadAfter 10ms"},
		"durability":            {"products:\n  shop:\n    durability: sync\n" + servers, `p.yaml:3: product shop: durability "sync"`},
		"product name":          {"products:\n  my shop:\n" + servers, `product "my shop" is not a name`},
		"host":                  {"products:\n  shop:\n" + strings.Replace(servers, "host: b", "host: 'b;c'", 1), `p.yaml:5: product shop: server db2: host "b;c"`},
		"no products' servers":  {"products:\n  shop:\n", "product shop: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("p.yaml", []byte(c.text))
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.want)
			t.Log(err)
		})
	}
}

// Validate's sentences start with the field that they are about.
func TestEveryPolicyFieldHasItsPlace(t *testing.T) {
	for _, field := range []string{"durability", "ackers", "acks", "rebuild", "deadAfter", "linkDeadAfter", "holdDown", "probeEvery", "writeProbe", "hangAfter"} {
		chain := topology.Chain{Product: "shop"}
		assert.Equal(t, "$.products.'shop'."+field, placeOf(chain, placeOfProduct("shop"), "product shop: "+field+" is wrong"))
	}
}

func TestAnExplicitNothingIsNotTheDefault(t *testing.T) {
	var p product
	require.NoError(t, yaml.Unmarshal([]byte("{acks: 0, ackers: []}"), &p))
	chain, _ := p.chain("shop")
	assert.Zero(t, chain.Policy.Acks)
	assert.Empty(t, chain.Policy.Ackers)
}

func TestEmptyInventory(t *testing.T) {
	for _, text := range []string{"", "products:\n", "products: {}\n", "# nothing\n"} {
		chains, err := Parse("x", []byte(text))
		require.NoError(t, err, "%q", text)
		assert.Empty(t, chains)
	}
}

func TestDiffShowsWholeProductsThatDiffer(t *testing.T) {
	before, err := Parse("x", []byte(shop))
	require.NoError(t, err)
	assert.Empty(t, Diff(before, before))

	after, err := Parse("x", []byte(strings.Replace(shop, "host: 10.0.0.2", "host: 10.0.9.2", 1)))
	require.NoError(t, err)
	assert.Equal(t, `    shop:
      servers:
        - {name: db1, host: 10.0.0.1, port: 3306, zone: a, seat: master}
-       - {name: db2, host: 10.0.0.2, port: 3307, zone: b, seat: candidate}
+       - {name: db2, host: 10.0.9.2, port: 3307, zone: b, seat: candidate}
        - {name: db3, host: db3.example.net, port: 3306, seat: slave}
        - {name: db4, host: "2001:db8::4", port: 3306, zone: "1", seat: dump}
`, Diff(before, after))

	added := Diff(nil, before)
	assert.Equal(t, 6, strings.Count(added, "+ "))
	assert.Equal(t, strings.ReplaceAll(added, "+ ", "- "), Diff(before, nil))
}
