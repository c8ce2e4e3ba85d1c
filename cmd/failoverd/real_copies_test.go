package main

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/testenv"
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

// onTheDumpMachine runs a command line with the dump service's configuration, not as an operator.
func onTheDumpMachine(t *testing.T, s *stage.Stage, args ...string) (code int, out, errs string) {
	t.Helper()
	alone := *s
	alone.Flags = []string{"--config", s.Dump.Config}
	return command(t, &alone, args...)
}

// started runs the server that a restore left in dir until the test ends.
func started(t *testing.T, dir string) *sql.DB {
	t.Helper()
	install, err := testenv.FindServer(t.Context(), nil)
	require.NoError(t, err)
	program, err := testenv.StartProgram("restored", filepath.Join(dir, "test.log"), install.Mysqld, "--defaults-file="+filepath.Join(dir, "my.cnf"))
	require.NoError(t, err)
	t.Cleanup(program.Kill)
	config := driver.NewConfig()
	config.User, config.Passwd, config.Net, config.DBName = testenv.Accounts.App.User, testenv.Accounts.App.Password, "unix", testenv.Database
	text, err := os.ReadFile(filepath.Join(dir, "my.cnf"))
	require.NoError(t, err)
	socket := regexp.MustCompile(`(?m)^socket\s*=\s*(\S+)`).FindSubmatch(text)
	require.NotNil(t, socket, "%s", text)
	config.Addr = string(socket[1])
	connector, err := driver.NewConnector(config)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.NoError(c, db.PingContext(t.Context()), program.Output()) }, 2*time.Minute, 100*time.Millisecond)
	return db
}

// ledgerOf are the writes that a server holds.
func ledgerOf(t *testing.T, db *sql.DB) map[string]bool {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT id FROM ledger")
	require.NoError(t, err)
	defer rows.Close()
	out := map[string]bool{}
	for rows.Next() {
		var id string
		require.NoError(t, rows.Scan(&id))
		out[id] = true
	}
	require.NoError(t, rows.Err())
	return out
}

// shippedWithin waits until every store has the binary log up to so long ago.
func shippedWithin(t *testing.T, s *stage.Stage, lag time.Duration) {
	t.Helper()
	_, err := s.AwaitCopies(t.Context(), "the binary log in the stores", time.Minute, func(c api.Copies) bool {
		for _, store := range c.Stores {
			if store.ShippedMs < 0 || store.ShippedMs > lag.Milliseconds() {
				return false
			}
		}
		return len(c.Stores) > 0
	})
	require.NoError(t, err)
}

// TestEverythingGoneComesBackFromTheStore kills all there is but the store, and restores
// from that. What was acknowledged some seconds before is there, and nothing that was refused.
func TestEverythingGoneComesBackFromTheStore(t *testing.T) {
	s := withDump(t, stage.Options{}, "every: 10m")
	report, err := s.Drill(t.Context())
	require.NoError(t, err, "%s", report)
	_, err = s.AwaitCopies(t.Context(), "the drill in the status", 2*time.Minute, func(c api.Copies) bool { return c.Drill != nil && c.Drill.Passed })
	require.NoError(t, err)
	code, out, errs := command(t, s, "history", s.Product, "-n", "3")
	require.Equal(t, exitDone, code, errs)
	assert.Contains(t, out, "drill db4")
	code, out, errs = command(t, s, "snapshot", "now", s.Product)
	require.Equal(t, exitDone, code, errs)
	assert.Contains(t, out, "rows")
	code, out, errs = onTheDumpMachine(t, s, "snapshot", "ls", s.Product, "-o", "json")
	require.Equal(t, exitDone, code, errs)
	var list []listed
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	require.Len(t, list, 2)
	shippedWithin(t, s, 12*time.Second)
	for _, args := range [][]string{{"show"}, {"verify"}, {"prune", "--dry-run"}} {
		code, out, errs = onTheDumpMachine(t, s, append([]string{"snapshot", args[0], s.Product}, args[1:]...)...)
		assert.Equal(t, exitDone, code, errs)
		assert.Contains(t, out, list[1].ID)
	}

	// The end of the world, but for the directory of one store.
	gone := time.Now()
	for _, server := range s.Chain.Servers {
		server.Kill()
	}
	for _, w := range s.Watchers {
		w.Kill()
	}
	s.Dump.Kill()
	s.S3.Down()
	for _, w := range s.Webs {
		require.NoError(t, w.Stop())
	}
	dir := filepath.Join(t.TempDir(), "restored")
	install, err := testenv.FindServer(t.Context(), nil)
	require.NoError(t, err)
	alone := *s
	alone.Flags = nil
	code, out, errs = command(t, &alone, "restore", s.Product, "--new", dir, "--store", "file://"+s.Dump.Dir, "--mysqld", install.Mysqld)
	require.Equal(t, exitDone, code, errs)
	t.Log(out)
	there := ledgerOf(t, started(t, dir))
	acked, missing := 0, []string{}
	for _, ledger := range ledgers(t, s) {
		for _, w := range ledger {
			switch {
			case w.Outcome == stage.Failed:
				assert.NotContains(t, there, w.ID, "it was refused")
			case w.Outcome == stage.Acked && w.Micros < gone.Add(-15*time.Second).UnixMicro():
				acked++
				if !there[w.ID] {
					missing = append(missing, w.ID)
				}
			}
		}
	}
	assert.Empty(t, missing, "acknowledged 15 s before the end, and gone")
	assert.Greater(t, acked, 100)
	t.Logf("%d rows are there, all %d that were acknowledged 15 s before among them", len(there), acked)
}
