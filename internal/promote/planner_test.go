package promote

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
)

var update = flag.Bool("update", false, "write the golden plans anew")

// cases are those of the rule table: every verdict that asks for a plan gets one.
func cases(t *testing.T) map[string]topology.Case {
	t.Helper()
	files, err := filepath.Glob("../topology/testdata/*/*/inputs.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	out := map[string]topology.Case{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var c topology.Case
		require.NoError(t, json.Unmarshal(data, &c))
		dir := filepath.Dir(file)
		out[filepath.Base(filepath.Dir(dir))+"/"+filepath.Base(dir)] = c
	}
	return out
}

// asText is what of a plan a reader of a golden file wants to see.
func asText(p *Plan) string {
	if p == nil {
		return "no plan\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s of epoch %d, rule %s, by %s\n", p.Kind, p.Epoch, p.Rule, p.Actor)
	for i, s := range p.Steps {
		if i == p.Commit {
			fmt.Fprintln(&b, "-- point of no return")
		}
		fmt.Fprintf(&b, "%s", s)
		if !s.Floor.Empty() {
			fmt.Fprintf(&b, ", at least %s", s.Floor)
		}
		if s.Lenient {
			fmt.Fprint(&b, " (lenient)")
		}
		fmt.Fprintln(&b)
	}
	for _, s := range p.Undo {
		fmt.Fprintf(&b, "undo: %s\n", s)
	}
	if p.After != nil {
		fmt.Fprintf(&b, "then: epoch %d, ackers {%s}\n", p.After.Epoch, strings.Join(p.After.Ackers, ","))
		for _, s := range p.After.Servers {
			fmt.Fprintf(&b, "then: %s %s %s\n", s.Name, s.Seat, s.Standing)
		}
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name)+".plan")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "go test -update writes it anew")
}

func TestForMakesThePlanOfEachVerdict(t *testing.T) {
	for name, c := range cases(t) {
		t.Run(name, func(t *testing.T) {
			v := topology.Judge(c)
			plan := For(c, v)
			if v.Action == topology.None || v.Action == topology.Wait || v.Action == topology.Alert {
				assert.Nil(t, plan)
				return
			}
			require.NotNil(t, plan)
			golden(t, name, asText(plan))
			wellFormed(t, c, plan)
		})
	}
}

// wellFormed checks what must hold of any plan.
func wellFormed(t *testing.T, c topology.Case, p *Plan) {
	t.Helper()
	data, err := json.Marshal(p)
	require.NoError(t, err)
	var again Plan
	require.NoError(t, json.Unmarshal(data, &again))
	assert.Equal(t, asText(p), asText(&again), "a plan survives its wire format")
	at := map[Goal]int{}
	for i, s := range p.Steps {
		if _, ok := at[s.Goal]; !ok {
			at[s.Goal] = i
		}
	}
	if !p.Kind.Promotes() {
		assert.Equal(t, len(p.Steps), p.Commit)
		assert.Equal(t, c.Chain.Epoch, p.Epoch)
		return
	}
	assert.Equal(t, c.Chain.Epoch+1, p.Epoch)
	assert.Equal(t, Writable, p.Steps[p.Commit].Goal, "opening is the point of no return")
	assert.NotEmpty(t, p.After.Ackers)
	assert.NotContains(t, p.After.Ackers, p.Target)
	if p.Kind == Failover {
		for _, goal := range []Goal{Revoked, Fed} {
			step := p.Steps[at[goal]]
			assert.Equal(t, p.Target, step.Server)
			assert.Equal(t, c.Chain.RevokeNeeded(), step.Need, "%s: N−W+1 ackers are needed", goal)
			assert.Subset(t, c.Chain.Ackers, step.Ackers)
			assert.GreaterOrEqual(t, len(step.Ackers), step.Need)
		}
		assert.Less(t, at[Revoked], at[Drained])
		assert.Less(t, at[Drained], at[Fed])
		assert.Less(t, at[Fed], p.Commit)
	} else {
		assert.Less(t, at[Closed], p.Commit)
		assert.Equal(t, []Step{{Goal: Writable, Server: p.From}}, p.Undo)
	}
}

func TestForSwitchover(t *testing.T) {
	c := cases(t)["healthy/all-well"]
	plan, err := ForSwitchover(c, "", "ann", "new kernel")
	require.NoError(t, err)
	golden(t, "operator/switchover", asText(plan))
	wellFormed(t, c, plan)
}

func TestForRaise(t *testing.T) {
	c := cases(t)["healthy/all-well"]
	plan, err := ForRaise(c, "c", "ann", "b is to be replaced")
	require.NoError(t, err)
	golden(t, "operator/raise", asText(plan))
	wellFormed(t, c, plan)
}

func TestForSwitchoverRefuses(t *testing.T) {
	all := cases(t)
	for _, c := range []struct{ name, inputs, to, want string }{
		{"an unknown server", "healthy/all-well", "x", "has no server x"},
		{"the master", "healthy/all-well", "a", "is the master already"},
		{"the dump slave", "healthy/all-well", "d", "never promoted"},
		{"a slave", "healthy/all-well", "c", "change places with the candidate first"},
		{"a dead master", "master-dead/refused-and-lost-by-its-replicas", "", "does not answer"},
		{"a closed master", "master-closed/restarted", "", "is not open for writes"},
		{"a candidate that is gone", "ackers-lost/candidate-refused", "", "b does not answer"},
		{"a candidate in quarantine", "ackers-lost/candidate-in-quarantine", "", "b is quarantined"},
		{"an errant candidate", "server-errant/candidate-was-written-to", "", "errant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan, err := ForSwitchover(all[c.inputs], c.to, "ann", "test")
			assert.Nil(t, plan)
			var refusal Refusal
			require.ErrorAs(t, err, &refusal)
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func TestForRaiseRefuses(t *testing.T) {
	all := cases(t)
	for _, c := range []struct{ name, inputs, to, want string }{
		{"an unknown server", "healthy/all-well", "x", "has no server x"},
		{"the candidate", "healthy/all-well", "b", "only a slave"},
		{"a slave while the master is dead", "master-dead/refused-and-lost-by-its-replicas", "c", "master a does not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ForRaise(all[c.inputs], c.to, "ann", "test")
			assert.ErrorContains(t, err, c.want)
		})
	}
}
