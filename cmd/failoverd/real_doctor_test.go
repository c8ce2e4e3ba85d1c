package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/testenv"
)

// Before there is any watcher, one server is examined from where the operator is.
func TestDoctorExaminesOneServerWithoutWatchers(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real MySQL server")
	}
	chain, err := testenv.NewChain(t.Context(), testenv.Options{Bare: true, Relaxed: true,
		Servers: []testenv.ServerSpec{{Name: "db1", Seat: testenv.Master}},
		Config:  []string{"gtid_mode=OFF", "enforce_gtid_consistency=OFF"}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, chain.Close()) })
	doctor := func(password string) (code int, out string) {
		return doctorAt(t, chain.Servers[0], password, "")
	}

	code, out := doctor(testenv.Accounts.Probe.Password)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, out, "gtid", "GTIDs are off")
	assert.Contains(t, strings.ToLower(out), "gtid_mode")
	t.Log(out)

	code, out = doctor("wrong-password")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, out, "probe-account")
	assert.Contains(t, out, "mend:")
	assert.NotContains(t, out, "wrong-password", "no secret is shown")
}

// doctorAt runs "doctor --addr" with further arguments, and answers at the terminal, if any.
func doctorAt(t *testing.T, server *testenv.Server, probePassword, answer string, args ...string) (code int, out string) {
	t.Helper()
	dir := t.TempDir()
	for name, secret := range map[string]string{"probe": probePassword, "control": testenv.Accounts.Control.Password, "replication": testenv.Accounts.Replication.Password} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600))
	}
	file := filepath.Join(dir, "watcher.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `id: w1
data: data
raft: {bind: 127.0.0.1:7481}
api: {bind: 127.0.0.1:7480}
watchers: [{id: w1, raft: 127.0.0.1:7481, api: "https://127.0.0.1:7480"}]
tls: {ca: ca, cert: cert, key: key}
mysql:
  probe: {user: %s, password: {file: probe}}
  control: {user: %s, password: {file: control}}
  replication: {user: %s, password: {file: replication}}
store: file:///tmp/none
signing: {key: key}
`, testenv.Accounts.Probe.User, testenv.Accounts.Control.User, testenv.Accounts.Replication.User), 0o600))
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), streams{in: strings.NewReader(answer), out: &stdout, err: &stderr, env: func(string) string { return "" }, now: time.Now, inTerminal: answer != ""},
		append([]string{"doctor", "--addr", server.Addr(), "--config", file}, args...))
	return code, stdout.String() + stderr.String()
}

func TestDoctorFixesWhatItMayAndAsksBefore(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real MySQL server")
	}
	chain, err := testenv.NewChain(t.Context(), testenv.Options{Bare: true, Relaxed: true, // fsync is given up
		Servers: []testenv.ServerSpec{{Name: "db1", Seat: testenv.Master}}, Config: []string{"max_connect_errors=100", "binlog_row_metadata=MINIMAL"}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, chain.Close()) })
	server, probe := chain.Servers[0], testenv.Accounts.Probe.Password
	a := testenv.Accounts
	statements := mysql.Grants(mysql.Credentials{Probe: mysql.Account{User: a.Probe.User, Password: probe}, Control: mysql.Account{User: a.Control.User, Password: a.Control.Password},
		Replication: mysql.Replication{Account: mysql.Account{User: a.Replication.User, Password: a.Replication.Password}}})
	for _, statement := range append(append([]string{"SET GLOBAL super_read_only = OFF"}, statements...), "SET GLOBAL super_read_only = ON") {
		require.NoError(t, server.Exec(t.Context(), statement))
	}
	value := func(name string) (text string) {
		require.NoError(t, server.DB().QueryRowContext(t.Context(), "SELECT @@GLOBAL."+name).Scan(&text))
		return text
	}

	code, out := doctorAt(t, server, probe, "", "--fix")
	assert.Equal(t, exitUsage, code, "nobody to ask: %s", out)
	code, out = doctorAt(t, server, probe, "", "--fix", "--dry-run")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, out, "run: SET PERSIST sync_binlog = 1\n")
	code, out = doctorAt(t, server, probe, "n\n", "--fix")
	assert.Equal(t, exitRefused, code, out)
	assert.Equal(t, "0", value("sync_binlog"), "nothing was changed so far")

	code, out = doctorAt(t, server, probe, "y\n", "--fix")
	assert.Equal(t, exitDone, code, out)
	assert.Contains(t, out, "sync-binlog: sync_binlog = 0 → sync_binlog = 1\n")
	assert.Contains(t, out, "4 settings changed: 0 errors, 0 warnings left\n")
	t.Log(out)
	assert.Equal(t, "1", value("innodb_flush_log_at_trx_commit"))
	require.NoError(t, server.Restart(t.Context()))
	assert.Equal(t, "1", value("sync_binlog"), "it lasts")
	code, out = doctorAt(t, server, probe, "", "--fix", "--yes")
	assert.Equal(t, exitDone, code)
	assert.Equal(t, "0 settings to change: 0 errors, 0 warnings left\n", out)

	require.NoError(t, server.Exec(t.Context(), "SET GLOBAL max_connect_errors = 50"))
	code, out = doctorAt(t, server, "wrong-password", "", "--fix", "--yes")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, out, "left to you: only root can grant")
	assert.NotContains(t, out, "wrong-password")
}

func TestDoctorsFlagsGoTogether(t *testing.T) {
	s := newShell(t)
	for _, line := range []string{"doctor --yes", "doctor --dry-run shop", "doctor --fix -o json", "doctor --fix --dry-run --config /none shop"} {
		code, _, errs := s.run(line)
		assert.Equal(t, exitUsage, code, "%s: %s", line, errs)
	}
}
