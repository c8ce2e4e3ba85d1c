package follow

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestEqualContentsHaveNoDiff(t *testing.T) {
	assert.Empty(t, unifiedDiff("x", []byte("a\nb"), []byte("a\nb")))
	assert.Empty(t, unifiedDiff("x", nil, nil))
}

// patch(1) knows what a unified diff means.
func TestPatchTakesTheDiff(t *testing.T) {
	if _, err := exec.LookPath("patch"); err != nil {
		t.Skip("patch is not installed")
	}
	dir := t.TempDir()
	content := rapid.Custom(func(t *rapid.T) string {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", ""}), 0, 30).Draw(t, "lines")
		return strings.Join(lines, "\n")
	})
	rapid.Check(t, func(rt *rapid.T) {
		before, after := content.Draw(rt, "before"), content.Draw(rt, "after")
		path := filepath.Join(dir, "file")
		require.NoError(rt, os.WriteFile(path, []byte(before), 0o600))
		diff := unifiedDiff("file", []byte(before), []byte(after))
		if diff == "" {
			require.Equal(rt, before, after)
			return
		}
		cmd := exec.Command("patch", "--quiet", "--no-backup-if-mismatch", path)
		cmd.Stdin = strings.NewReader(diff)
		out, err := cmd.CombinedOutput()
		require.NoError(rt, err, "%s\n%s", out, diff)
		patched, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			err = nil // patch removes a file that becomes empty
		}
		require.NoError(rt, err)
		require.Equal(rt, after, string(patched), fmt.Sprint(diff))
	})
}
