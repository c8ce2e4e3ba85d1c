package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGuaranteesNameWhatIsThere: each proof that GUARANTEES.md names by its kind
// and name must exist.
func TestGuaranteesNameWhatIsThere(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "GUARANTEES.md"))
	require.NoError(t, err)
	tests := sourcesMatching(t, "*_test.go")
	mutants := sourcesMatching(t, "internal/mutants/list.go")
	faults := sourcesMatching(t, "testenv/campaign/fault_*.go")
	named := regexp.MustCompile("(mutants?|faults|cases?|) ?((?:`[^`]+` ?)+)")
	seen := 0
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(cells[2], -1) {
			for _, name := range strings.Fields(strings.ReplaceAll(m[2], "`", " ")) {
				seen++
				switch {
				case strings.HasPrefix(name, "Test"):
					assert.True(t, strings.Contains(tests, "func "+name+"("), "test %s", name)
				case strings.HasPrefix(m[1], "mutant"):
					assert.True(t, strings.Contains(mutants, "Name: \""+name+"\""), "mutant %s", name)
				case m[1] == "faults":
					assert.True(t, strings.Contains(faults, "\""+name), "fault %s", name)
				case strings.HasPrefix(m[1], "case"):
					assert.DirExists(t, filepath.Join(root, "internal/topology/testdata", name))
				}
			}
		}
	}
	assert.Greater(t, seen, 20)
}

// sourcesMatching joins the files of the tree whose path, or name, fits the pattern.
func sourcesMatching(t *testing.T, pattern string) string {
	t.Helper()
	var out strings.Builder
	for _, s := range everyGo(t) {
		whole, err := filepath.Match(pattern, s.path)
		require.NoError(t, err)
		name, err := filepath.Match(pattern, filepath.Base(s.path))
		require.NoError(t, err)
		if !whole && !name {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, s.path))
		require.NoError(t, err)
		out.Write(data)
	}
	return out.String()
}
