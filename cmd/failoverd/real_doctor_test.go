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
		dir := t.TempDir()
		for name, secret := range map[string]string{"probe": password, "control": testenv.Accounts.Control.Password, "replication": testenv.Accounts.Replication.Password} {
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
		code = run(t.Context(), streams{in: strings.NewReader(""), out: &stdout, err: &stderr, env: func(string) string { return "" }, now: time.Now},
			[]string{"doctor", "--addr", chain.Servers[0].Addr(), "--config", file})
		return code, stdout.String() + stderr.String()
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
