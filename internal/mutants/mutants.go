// Package mutants is a list of deliberate defects, one for each protection that
// the promises rest on. Each is a change of one place in the source, compiled in
// with the go command's overlay and without touching the tree, and the command
// that has to notice it. A defect that nothing notices is a promise that nothing
// proves.
package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Mutant is one deliberate defect.
type Mutant struct {
	Name string
	// Breaks is the promise that is gone, in a sentence.
	Breaks string
	// Edits make the defect; more than one where two places keep the promise.
	Edits []Edit
	// Kill are the arguments of the go command that must fail, seeds by default:
	// a thousand simulated worlds of safety.
	Kill []string
}

// Edit changes one place.
type Edit struct {
	// File is relative to the module's root; From is there exactly once and becomes To.
	File, From, To string
}

// Seeds are the worlds within which a mutant has to die.
const Seeds = "-seeds=1000"

// Liveness are worlds in which a part stays broken for ever.
var Liveness = []string{"./internal/sim", "-run", "^TestSeeds$", Seeds, "-mode=liveness"}

// Faults are worlds in which just these go wrong, joined by " + ".
func Faults(names string) []string {
	return []string{"./internal/sim", "-run", "^TestSeeds$", Seeds, "-faults=" + names}
}

// Command are the arguments of the go command that has to notice the defect.
func (m Mutant) Command() []string {
	if len(m.Kill) > 0 {
		return append([]string{"test", "-count=1"}, m.Kill...)
	}
	return []string{"test", "-count=1", "./internal/sim", "-run", "^TestSeeds$", Seeds}
}

// Mutate returns the files with the defect in them. It is an error when a place
// is not there exactly once, or the result is not Go.
func (m Mutant) Mutate(root string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, e := range m.Edits {
		source, known := out[e.File]
		if !known {
			var err error
			if source, err = os.ReadFile(filepath.Join(root, e.File)); err != nil {
				return nil, fmt.Errorf("mutant %s: %w", m.Name, err)
			}
		}
		if n := bytes.Count(source, []byte(e.From)); n != 1 {
			return nil, fmt.Errorf("mutant %s: its place is %d times in %s, not once: the code has moved on", m.Name, n, e.File)
		}
		out[e.File] = bytes.Replace(source, []byte(e.From), []byte(e.To), 1)
	}
	for name, mutated := range out {
		if _, err := parser.ParseFile(token.NewFileSet(), name, mutated, parser.SkipObjectResolution); err != nil {
			return nil, fmt.Errorf("mutant %s: %w", m.Name, err)
		}
	}
	return out, nil
}

// Sound runs a mutant's command over the source as it is: a command that fails
// anyway notices nothing.
func (m Mutant) Sound(ctx context.Context, root string) error {
	cmd := exec.CommandContext(ctx, "go", m.Command()...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mutant %s: its command fails without it: %w: %s", m.Name, err, cause(string(out)))
	}
	return nil
}

// Death is how a mutant was noticed.
type Death struct {
	Name string
	// By is the line of the test's output that names the broken promise.
	By string
}

// ErrSurvived says that nothing noticed the defect.
var ErrSurvived = errors.New("survived")

// Hunt runs the mutant's command over the mutated source in root and returns how
// it died. dir is for temporary files. The error wraps ErrSurvived when the
// command passed; a mutant that does not compile is an error too.
func (m Mutant) Hunt(ctx context.Context, root, dir string) (Death, error) {
	mutated, err := m.Mutate(root)
	if err != nil {
		return Death{}, err
	}
	root, err = filepath.Abs(root)
	if err != nil {
		return Death{}, err
	}
	overlay, replace := filepath.Join(dir, "overlay.json"), map[string]string{}
	for name, source := range mutated {
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(file, source, 0o600); err != nil {
			return Death{}, err
		}
		replace[filepath.Join(root, name)] = file
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return Death{}, err
	}
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		return Death{}, err
	}
	args := m.Command()
	args = append([]string{args[0], "-overlay=" + overlay}, args[1:]...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return Death{}, fmt.Errorf("mutant %s: %w", m.Name, ctx.Err())
	case err == nil:
		return Death{}, fmt.Errorf("mutant %s: %w: %s", m.Name, ErrSurvived, m.Breaks)
	case bytes.Contains(out, []byte("[build failed]")) || !bytes.Contains(out, []byte("FAIL")):
		return Death{}, fmt.Errorf("mutant %s does not run:\n%s", m.Name, out)
	}
	return Death{m.Name, cause(string(out))}, nil
}

var failing = regexp.MustCompile(`(?m)^\s+(\w+_test\.go:\d+: .*seed.*|Error:\s+.*|panic: .*)$`)

// cause is the first line that says what broke, with the test that says so unless
// the line names a seed.
func cause(out string) string {
	test := ""
	for _, line := range strings.Split(out, "\n") {
		if rest, is := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: "); is { // the innermost comes last
			test = strings.Fields(rest)[0]
		} else if line := failing.FindStringSubmatch(line); line != nil {
			words := strings.Join(strings.Fields(line[1]), " ")
			if strings.Contains(words, "seed") {
				return words
			}
			return test + ": " + words
		}
	}
	if test != "" {
		return test
	}
	return "the command failed"
}
