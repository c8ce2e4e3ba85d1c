package topology

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden verdicts anew")

// TestJudge plays every case of testdata/RULE/CASE: inputs.json is the case, as
// `failoverd explain` prints one, and verdict.json what is to come of it.
func TestJudge(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/*/inputs.json")
	require.NoError(t, err)
	covered := map[string]bool{}
	for _, inputs := range folders {
		dir := filepath.Dir(inputs)
		rule := filepath.Base(filepath.Dir(dir))
		covered[rule] = true
		t.Run(rule+"/"+filepath.Base(dir), func(t *testing.T) {
			data, err := os.ReadFile(inputs)
			require.NoError(t, err)
			var c Case
			require.NoError(t, json.Unmarshal(data, &c))
			v := Judge(c)
			assert.Equal(t, rule, v.Rule, v.Why)
			got, err := json.MarshalIndent(v, "", " ")
			require.NoError(t, err)
			golden(t, filepath.Join(dir, "verdict.json"), append(got, '\n'))
			if *update {
				again, err := json.MarshalIndent(c, "", " ")
				require.NoError(t, err)
				golden(t, inputs, append(again, '\n'))
			}
			assert.True(t, slices.ContainsFunc(Explain(c), func(f Fit) bool { return f.Rule == rule && f.Fits }), "an explanation says so too")
		})
	}
	for _, rule := range Rules {
		assert.True(t, covered[rule.Name], "rule %s has a case", rule.Name)
		delete(covered, rule.Name)
	}
	assert.Empty(t, covered, "every folder is a rule's")
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "go test -update writes it anew")
}

// TestJudgeDoesNotMindTheOrderOfViews: who is heard first is no argument.
func TestJudgeDoesNotMindTheOrderOfViews(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/*/inputs.json")
	require.NoError(t, err)
	for _, inputs := range folders {
		data, err := os.ReadFile(inputs)
		require.NoError(t, err)
		var c Case
		require.NoError(t, json.Unmarshal(data, &c))
		want := Judge(c)
		slices.Reverse(c.Views)
		assert.Equal(t, want, Judge(c), inputs)
	}
}
