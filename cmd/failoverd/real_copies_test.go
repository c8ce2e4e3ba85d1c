package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/testenv/stage"
)

// withDump is a stage whose dump service has taken a snapshot and ships.
func withDump(t *testing.T, o stage.Options, lines ...string) *stage.Stage {
	t.Helper()
	s := newStage(t, o)
	t.Cleanup(func() {
		if t.Failed() && s.Dump != nil {
			t.Logf("log of the dump service:\n%s", s.Dump.Output())
		}
	})
	require.NoError(t, s.StartDump(t.Context(), lines...))
	_, err := s.AwaitCopies(t.Context(), "the first copy", 2*time.Minute, func(c api.Copies) bool {
		for _, store := range c.Stores {
			if store.Newest == "" || store.ShippedMs < 0 || store.ShippedMs > 20_000 {
				return false
			}
		}
		return c.Newest != nil
	})
	require.NoError(t, err)
	return s
}

func TestCopiesAreTakenListedVerifiedAndDrilled(t *testing.T) {
	s := withDump(t, stage.Options{}, "every: 10m")
	code, out, errs := command(t, s, "snapshot", "now", s.Product)
	require.Equal(t, exitDone, code, errs)
	t.Log(out)
	local := func(args ...string) (int, string, string) {
		flags := s.Flags
		defer func() { s.Flags = flags }()
		s.Flags = nil
		return command(t, s, append(args, "--config", s.Dump.Config)...)
	}
	code, out, errs = local("snapshot", "ls", s.Product, "-o", "json")
	require.Equal(t, exitDone, code, errs)
	var list []listed
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	require.GreaterOrEqual(t, len(list), 2)
	for _, args := range [][]string{{"snapshot", "ls", s.Product}, {"snapshot", "show", s.Product}, {"snapshot", "verify", s.Product}, {"snapshot", "prune", s.Product, "--dry-run"}} {
		code, out, errs = local(args...)
		assert.Equal(t, exitDone, code, errs)
		t.Log(out)
	}
	report, err := s.Drill(t.Context())
	t.Log(string(report))
	require.NoError(t, err)
	var drill snapshot.DrillReport
	require.NoError(t, json.Unmarshal(report, &drill))
	assert.True(t, drill.Passed)
	t.Log(string(report))
	_, err = s.AwaitCopies(t.Context(), "the drill in the status", 2*time.Minute, func(c api.Copies) bool { return c.Drill != nil && c.Drill.Passed })
	require.NoError(t, err)
	code, out, errs = command(t, s, "status")
	require.Equal(t, exitDone, code, errs)
	t.Log(out)
	code, out, errs = command(t, s, "history")
	require.Equal(t, exitDone, code, errs)
	t.Log(out)
}
