package arch

import (
	"flag"
	"fmt"
	"go/doc"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

var update = flag.Bool("update", false, "write the tables of ARCHITECTURE.md anew")

// TestTablesAreThoseOfTheCode compares the tables of ARCHITECTURE.md, each
// between <!-- name --> and <!-- /name -->, with the code.
func TestTablesAreThoseOfTheCode(t *testing.T) {
	file := filepath.Join(root, "ARCHITECTURE.md")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	was := string(text)
	now := was
	for _, table := range []struct{ name, body string }{
		{"rules", rulesTable()}, {"goals", goalsTable()}, {"packages", packagesTable(t)},
	} {
		now = between(t, now, table.name, table.body)
	}
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(now), 0o644))
		return
	}
	have, want := strings.Split(was, "\n"), strings.Split(now, "\n")
	for i := range want { // the first difference says enough
		if i >= len(have) || have[i] != want[i] {
			t.Fatalf("ARCHITECTURE.md:%d is to be:\n%s\ngo test ./internal/arch -update writes the tables anew", i+1, want[i])
		}
	}
	assert.Equal(t, len(want), len(have))
}

// between replaces what is between the markers. A table that has none is not wanted.
func between(t *testing.T, text, name, body string) string {
	t.Helper()
	start, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, opened := strings.Cut(text, start)
	_, after, closed := strings.Cut(rest, end)
	if name == "packages" && !opened {
		return text
	}
	require.True(t, opened && closed, "ARCHITECTURE.md has no %q and %q", strings.TrimSpace(start), end)
	return before + start + body + end + after
}

func rulesTable() string {
	var b strings.Builder
	b.WriteString("| # | rule | action | why |\n|--:|---|---|---|\n")
	for i, r := range topology.Rules {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", i+1, r.Name, r.Action, cell(r.Why))
	}
	return b.String()
}

func goalsTable() string {
	var b strings.Builder
	b.WriteString("| goal | holds when |\n|---|---|\n")
	for _, g := range promote.Goals {
		fmt.Fprintf(&b, "| `%s` | %s |\n", g.Goal, cell(g.Holds))
	}
	return b.String()
}

func packagesTable(t *testing.T) string {
	synopses := map[string]string{}
	for _, s := range everyGo(t) {
		if s.tree.Doc != nil && !s.isTest() {
			synopses[s.dir()] = new(doc.Package).Synopsis(s.tree.Doc.Text())
		}
	}
	var b strings.Builder
	b.WriteString("| package | one line | may import |\n|---|---|---|\n")
	for _, pkg := range slices.Sorted(maps.Keys(arrows)) {
		imports := strings.Join(arrows[pkg], ", ")
		if imports == "" {
			imports = "–"
		}
		line := strings.TrimPrefix(synopses["internal/"+pkg], "Package "+pkg[strings.LastIndex(pkg, "/")+1:]+" ")
		fmt.Fprintf(&b, "| `internal/%s` | %s | %s |\n", pkg, cell(line), imports)
	}
	return b.String()
}

// cell is text that does not break a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
