package mutants

import (
	"context"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	hunt = flag.Bool("hunt", false, "hunt all mutants")
	only = flag.String("only", "", "the names of the mutants to hunt, a regular expression")
)

const root = "../.."

// TestMutantsHaveTheirPlace keeps the list true to the source.
func TestMutantsHaveTheirPlace(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range All {
		_, err := m.Mutate(root)
		assert.NoError(t, err)
		assert.False(t, seen[m.Name], "%s is there twice", m.Name)
		seen[m.Name] = true
		assert.NotEmpty(t, m.Breaks)
	}
	assert.GreaterOrEqual(t, len(All), 25)
}

// TestEveryMutantDies hunts them one after the other; each builds what it changed.
// A command counts only if it passes without the defect.
func TestEveryMutantDies(t *testing.T) {
	if !*hunt && os.Getenv("FAILOVERD_MUTANTS") == "" {
		t.Skip("\"make mutants\" hunts them")
	}
	wanted, err := regexp.Compile(*only)
	require.NoError(t, err)
	sound := map[string]bool{}
	for _, m := range All {
		if !wanted.MatchString(m.Name) {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			if command := strings.Join(m.Command(), " "); !sound[command] {
				require.NoError(t, m.Sound(ctx, root))
				sound[command] = true
			}
			death, err := m.Hunt(ctx, root, t.TempDir())
			require.NoError(t, err)
			t.Log(death.By)
		})
	}
}

func TestAMutantWithoutItsPlaceIsAnError(t *testing.T) {
	_, err := Mutant{Name: "x", Edits: []Edit{{"internal/mutants/mutants.go", "nowhere in this file", ""}}}.Mutate(root)
	assert.ErrorContains(t, err, "0 times")
	_, err = Mutant{Name: "x", Edits: []Edit{{"internal/mutants/mutants.go", "package mutants", "package"}}}.Mutate(root)
	assert.Error(t, err, "not Go any more")
}

func TestAHarmlessMutantSurvives(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the go command")
	}
	m := Mutant{Name: "harmless", Breaks: "nothing", Edits: []Edit{{"internal/mutants/mutants.go", "ErrSurvived says that", "ErrSurvived tells that"}},
		Kill: []string{"./internal/mutants", "-run", "^TestMutantsHaveTheirPlace$"}}
	_, err := m.Hunt(t.Context(), root, t.TempDir())
	assert.ErrorIs(t, err, ErrSurvived)
}
