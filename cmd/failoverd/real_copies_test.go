package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/stage"
)

// shipped builds the program as it is shipped: with the race detector, which looks at
// the packages' own tests, all that is read, hashed and compressed takes twice as long.
func shipped(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		return "" // no stage is set up
	}
	path := filepath.Join(t.TempDir(), "failoverd")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// withDump is a stage whose dump service has taken a snapshot and ships.
func withDump(t *testing.T, o stage.Options, lines ...string) *stage.Stage {
	t.Helper()
	o.Binary = shipped(t)
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
	config.User, config.Passwd, config.Net, config.DBName = testenv.Accounts.App.User, testenv.Accounts.App.Password, "tcp", testenv.Database
	text, err := os.ReadFile(filepath.Join(dir, "my.cnf"))
	require.NoError(t, err)
	port := regexp.MustCompile(`(?m)^port=(\d+)$`).FindSubmatch(text) // where the path is long there is no socket
	require.NotNil(t, port, "%s", text)
	config.Addr = "127.0.0.1:" + string(port[1])
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
// kills in the midst of snapshots, a failover in the midst of a snapshot, and at last the loss
// of everything but a store.
func TestCopiesComeBackFromTheStore(t *testing.T) {
	if testing.Short() {
		t.Skip("needs real MySQL servers") // before an S3 service is built, which takes minutes
	}
	strict, err := testenv.NewStrictS3(t.Context(), t.TempDir(), false, func(text string) { t.Log(text) })
	if !errors.Is(err, testenv.ErrNoStrictS3) {
		require.NoError(t, err)
		t.Cleanup(strict.Close)
	} else {
		t.Logf("with an S3 service in this process, which breaks off and is not killed: %v", err)
	}
	// Only what is ordered is taken, and not so fast.
	s := withDump(t, stage.Options{Copies: strict}, "every: 24h", "workers: 1", fmt.Sprintf("bytesPerSecond: %d", bulkPerSecond))
	fillBulk(t, s)
	t.Run("a drill passes and is in the history", func(t *testing.T) { drilled(t, s) })
	t.Run("a kill leaves no half snapshot", func(t *testing.T) { killed9(t, s, strict) })
	t.Run("a failover leaves a history that survived", func(t *testing.T) { failedOver(t, s) })
	t.Run("everything gone comes back", func(t *testing.T) { everythingGone(t, s, strict) })
}

func drilled(t *testing.T, s *stage.Stage) {
	report, err := s.Drill(t.Context())
	require.NoError(t, err, "%s", report)
	// After a snapshot the service looks what is in the stores, otherwise once a minute.
	takeNow(t, s)
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

// failedOver kills the master in the midst of a snapshot, which is slow enough not to be
// done before the failover is, and of shipping.
func failedOver(t *testing.T, s *stage.Stage) {
	before := listedIn(t, s)
	slowDump(t, s)
	redefine(t, s)
	begin(t, s, lines(s, "snapshot begun"))
	old := s.Master(t.Context())
	_, err := s.AwaitCopies(t.Context(), "a snapshot that reads and a log that is shipped", killPatience, func(c api.Copies) bool {
		for _, store := range c.Stores {
			if store.ShippedMs < 0 || store.ShippedMs > 20_000 {
				return false
			}
		}
		return c.Running != nil && c.Running.Bytes > 0
	})
	require.NoError(t, err)
	crash := time.Now()
	old.Kill()
	awaitEpoch(t, s, 2)
	awaitWriting(t, s, 2)
	takeNow(t, s) // it is ordered still, unless another watcher leads by now
	_, err = s.AwaitCopies(t.Context(), "the snapshot after the failover", killPatience, func(c api.Copies) bool { return c.Ordered == 0 && c.Newest != nil && c.Running == nil })
	require.NoError(t, err)
	assert.Equal(t, 1, lines(s, "snapshot gave way"), "it gave way")
	added := 0
	for _, l := range listedIn(t, s) {
		if !slices.ContainsFunc(before, func(b listed) bool { return b.ID == l.ID }) {
			assert.Equal(t, uint64(2), l.Epoch, "%s was being taken when the master died", l.ID)
			assert.Positive(t, l.Point.Sub(crash), "%s is of before", l.ID)
			added++
		}
	}
	assert.NotZero(t, added, "it was taken again")
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

// slowDump starts the dump service anew, to read slower.
func slowDump(t *testing.T, s *stage.Stage) {
	t.Helper()
	text, err := os.ReadFile(s.Dump.Config)
	require.NoError(t, err)
	slow := strings.Replace(string(text), fmt.Sprintf("bytesPerSecond: %d", bulkPerSecond), fmt.Sprintf("bytesPerSecond: %d", slowPerSecond), 1)
	require.NotEqual(t, string(text), slow)
	require.NoError(t, s.Dump.Stop(time.Minute))
	require.NoError(t, os.WriteFile(s.Dump.Config, []byte(slow), 0o600))
	require.NoError(t, s.Dump.Start())
}

// listedIn are the snapshots in all stores.
func listedIn(t *testing.T, s *stage.Stage) (list []listed) {
	t.Helper()
	code, out, errs := onTheDumpMachine(t, s, "snapshot", "ls", s.Product, "-o", "json")
	require.Equal(t, exitDone, code, errs)
	require.Empty(t, errs)
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	return list
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
func everythingGone(t *testing.T, s *stage.Stage, strict *testenv.StrictS3) {
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
	if strict != nil {
		strict.Kill()
	}
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
