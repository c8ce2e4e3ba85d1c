package campaign

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The campaign relies on the text of Go's time.Now: a new Go shows here.
func TestAProgramWithAWrongClock(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a part of the standard library")
	}
	dir := t.TempDir()
	source, path := filepath.Join(dir, "main.go"), filepath.Join(dir, "clock")
	require.NoError(t, os.WriteFile(source, []byte(`package main

import ("os"; "time")

func main() { os.Stdout.WriteString(time.Now().UTC().Format(time.RFC3339)) }
`), 0o644))
	require.NoError(t, buildSkewed(t.Context(), dir, path, source))
	for skew, want := range map[string]time.Duration{"": 0, "3600": time.Hour, "-3600": -time.Hour} {
		cmd := exec.Command(path)
		cmd.Env = append(os.Environ(), skewVariable+"="+skew)
		out, err := cmd.Output()
		require.NoError(t, err)
		got, err := time.Parse(time.RFC3339, string(out))
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now().Add(want), got, time.Minute, "skewed by %q", skew)
	}
}
