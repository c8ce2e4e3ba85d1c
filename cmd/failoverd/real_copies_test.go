package main

import (
	"database/sql"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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
	rows, err := db.QueryContext(t.Context(), "SELECT id FROM shop.ledger")
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

// TestCopiesComeBackFromTheStore is one deployment to which all of it happens: drills,
// kills of the dump service, a failover in the midst of a snapshot, and at last the loss
// of everything but a store.
func TestCopiesComeBackFromTheStore(t *testing.T) {
	s := withDump(t, stage.Options{}, "every: 10m")
	t.Run("a drill passes and is in the history", func(t *testing.T) { drilled(t, s) })
	t.Run("a kill leaves no half snapshot", func(t *testing.T) { killed9(t, s) })
	t.Run("a failover leaves a history that survived", func(t *testing.T) { failedOver(t, s) })
	t.Run("everything gone comes back", func(t *testing.T) { everythingGone(t, s) })
}

func drilled(t *testing.T, s *stage.Stage) {
	report, err := s.Drill(t.Context())
	require.NoError(t, err, "%s", report)
	_, err = s.AwaitCopies(t.Context(), "the drill in the status", 2*time.Minute, func(c api.Copies) bool { return c.Drill != nil && c.Drill.Passed })
	require.NoError(t, err)
	code, out, errs := command(t, s, "history", s.Product, "-n", "3")
	require.Equal(t, exitDone, code, errs)
	assert.Contains(t, out, "drill db4")
	code, out, errs = onTheDumpMachine(t, s, "dump", "--check")
	assert.Equal(t, exitDone, code, "%s %s", out, errs)
	code, _, errs = onTheDumpMachine(t, s, "dump", "--once")
	assert.Equal(t, exitRefused, code, "one service runs: %s", errs)
}

// kills is how often the dump service is killed: 3 times unless FAILOVERD_KILLS says otherwise.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("FAILOVERD_KILLS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "FAILOVERD_KILLS")
	return n
}

func killed9(t *testing.T, s *stage.Stage) {
	slave := s.Chain.At(testenv.Dump)
	victims := []struct {
		name        string
		kill, start func() error
	}{
		{"the dump service", func() error { s.Dump.Kill(); return nil }, func() error { return s.Dump.Start() }},
		{"the dump slave", func() error { slave.Kill(); return nil }, func() error { return slave.Start(t.Context()) }},
		{"the store", func() error { s.S3.Down(); return nil }, func() error { return s.S3.Up(t.Context()) }},
	}
	for i := range kills(t) {
		victim := victims[i%len(victims)]
		code, _, errs := command(t, s, "snapshot", "now", s.Product, "--wait", "0")
		require.Equal(t, exitDone, code, errs)
		moment := rand.N(2500 * time.Millisecond) // from before it begins to after its end
		t.Logf("%s killed after %s", victim.name, moment)
		<-time.After(moment)
		require.NoError(t, victim.kill())
		if victim.name != "the store" {
			allWhole(t, s)
		}
		require.NoError(t, victim.start())
		allWhole(t, s)
		_, err := s.AwaitCopies(t.Context(), "the order to be carried out", 2*time.Minute, func(c api.Copies) bool { return c.SilentMs < 3000 && c.Newest != nil && c.Ordered == 0 })
		require.NoError(t, err)
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			code, out, errs := command(t, s, "snapshot", "now", s.Product)
			assert.Equal(c, exitDone, code, errs)
			assert.Contains(c, out, "rows")
		}, 2*time.Minute, time.Second, "the next is good")
	}
	allWhole(t, s)
	code, out, errs := onTheDumpMachine(t, s, "snapshot", "prune", s.Product, "--dry-run")
	require.Equal(t, exitDone, code, errs)
	assert.NotContains(t, out, "warning")
}

// allWhole verifies every snapshot that is listed.
func allWhole(t *testing.T, s *stage.Stage) []listed {
	t.Helper()
	code, out, errs := onTheDumpMachine(t, s, "snapshot", "ls", s.Product, "-o", "json")
	require.Equal(t, exitDone, code, errs)
	require.Empty(t, errs)
	var list []listed
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	require.NotEmpty(t, list)
	for _, l := range list {
		code, out, errs = onTheDumpMachine(t, s, "snapshot", "verify", s.Product, l.ID)
		require.Equal(t, exitDone, code, "%s %s", out, errs)
	}
	return list
}

func failedOver(t *testing.T, s *stage.Stage) {
	code, _, errs := command(t, s, "snapshot", "now", s.Product, "--wait", "0")
	require.Equal(t, exitDone, code, errs)
	old := s.Master(t.Context())
	crash := time.Now()
	old.Kill()
	awaitEpoch(t, s, 2)
	awaitWriting(t, s, 2)
	_, err := s.AwaitCopies(t.Context(), "a snapshot after the failover", 2*time.Minute, func(c api.Copies) bool { return c.Ordered == 0 && c.Newest != nil && c.Running == nil })
	require.NoError(t, err)
	shippedSince(t, s, time.Now())
	moment := crash.Add(-time.Second)
	dir := filepath.Join(t.TempDir(), "restored")
	code, out, errs := onTheDumpMachine(t, s, "restore", s.Product, "--new", dir, "--to-time", moment.UTC().Format(time.RFC3339Nano))
	require.Equal(t, exitDone, code, errs)
	t.Log(out)
	there := ledgerOf(t, started(t, dir))
	surviving := ledgerOf(t, s.Master(t.Context()).DB())
	for id := range there {
		require.True(t, surviving[id], "%s is in the copy and not in the history that survived", id)
	}
	for _, ledger := range ledgers(t, s) {
		for _, w := range ledger {
			if at := time.UnixMicro(w.Micros - w.Took); at.After(moment) {
				require.False(t, there[w.ID], "%s was written later", w.ID)
			}
			if w.Outcome == stage.Acked && time.UnixMicro(w.Micros).Before(moment) {
				require.True(t, there[w.ID], "%s was acknowledged before that", w.ID)
			}
		}
	}
	restore(t, s)
}

// shippedSince waits until every store has all of the binary log of that time.
func shippedSince(t *testing.T, s *stage.Stage, moment time.Time) {
	t.Helper()
	_, err := s.AwaitCopies(t.Context(), "the binary log in the stores", 2*time.Minute, func(c api.Copies) bool {
		for _, store := range c.Stores {
			if store.ShippedMs < 0 || time.Now().Add(-time.Duration(store.ShippedMs)*time.Millisecond).Before(moment) {
				return false
			}
		}
		return len(c.Stores) > 0
	})
	require.NoError(t, err)
}

// everythingGone kills all there is but the directory of one store.
func everythingGone(t *testing.T, s *stage.Stage) {
	_, err := s.AwaitCopies(t.Context(), "a copy that is not quite new", time.Minute, func(c api.Copies) bool { return c.Newest != nil && c.Newest.AgeMs > 10_000 })
	require.NoError(t, err)
	shippedSince(t, s, time.Now().Add(-5*time.Second))
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
	code, out, errs := command(t, &alone, "restore", s.Product, "--new", dir, "--store", "file://"+s.Dump.Dir, "--mysqld", install.Mysqld)
	require.Equal(t, exitDone, code, errs)
	t.Log(out)
	assert.Contains(t, out, "transactions up to", "the binary log was replayed too")
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
