package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const good = `id: w1
data: data
raft: {bind: 127.0.0.1:7481}
api: {bind: 127.0.0.1:7480}
watchers:
  - {id: w1, raft: 127.0.0.1:7481, api: "https://127.0.0.1:7480"}
  - {id: w2, raft: 127.0.0.2:7481, api: "https://127.0.0.2:7480"}
tls: {ca: ca.pem, cert: w1.pem, key: w1.key}
mysql:
  probe: {user: probe, password: {file: probe.secret}}
  control: {user: control, password: {env: CONTROL_PASSWORD}}
  replication: {user: repl, password: {credential: repl}}
  clone: {dataRate: 200}
store: file:///tmp/store
signing: {key: publish.key}
`

func TestGoodFileIsRead(t *testing.T) {
	var c Config
	err := parse([]byte(good), "/etc/failoverd", &c)
	require.NoError(t, err)
	assert.Equal(t, "/etc/failoverd/data", c.Data)
	assert.Equal(t, "127.0.0.1:7481", c.Raft.Advertise)
	assert.Equal(t, "https://127.0.0.1:7480", c.API.Advertise)
	assert.Equal(t, "/etc/failoverd/probe.secret", c.MySQL.Probe.Password.File)
	assert.Equal(t, Clone{DataRate: 200}, c.MySQL.Clone)
}

func TestBadFileShowsTheLine(t *testing.T) {
	for _, c := range []struct{ fact, old, new, says, shows string }{
		{"unknown key", "store: file", "stroe: x\nstore: file", "stroe", "14 | stroe"},
		{"wrong type", "data: data", "data: [1, 2]", "string", " 2 | data"},
		{"missing secret", "probe: {user: probe, password: {file: probe.secret}}", "probe: {user: probe}", "mysql.probe.password: missing", ""},
		{"secret in the file", "{env: CONTROL_PASSWORD}", "hunter2", "does not belong in this file", ""},
		{"two places for a secret", "{env: CONTROL_PASSWORD}", "{env: A, file: b}", "one of file, env and credential", "11 |"},
		{"no id", "id: w1\n", "", "id: missing", ""},
		{"address without port", "raft: {bind: 127.0.0.1:7481}", "raft: {bind: localhost}", "is not host:port", " 3 | raft"},
		{"api without https", `"https://127.0.0.2:7480"`, `"127.0.0.2:7480"`, "is not https://host:port", " 7 |"},
		{"negative rate", "dataRate: 200", "dataRate: -1", "mysql.clone.dataRate: -1 is not a rate", "13 |"},
		{"too high a rate", "dataRate: 200", "networkRate: 2000000", "mysql.clone.networkRate: 2000000 is not a rate", "13 |"},
		{"rate with a unit", "dataRate: 200", "dataRate: 200M", "int", "13 |"},
		{"twice the same watcher", "id: w2", "id: w1", "two watchers", " 7 |"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			text := strings.Replace(good, c.old, c.new, 1)
			require.NotEqual(t, good, text)
			err := parse([]byte(text), "/", new(Config))
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.says)
			assert.Contains(t, err.Error(), c.shows)
			assert.NotContains(t, err.Error(), "hunter2", "a secret is not repeated")
		})
	}
}

func TestSecretsComeFromFileEnvironmentOrCredential(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	require.NoError(t, os.WriteFile(path, []byte("from file\n"), 0o600))
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	t.Setenv("SECRET_HERE", "from env")
	for _, c := range []struct {
		secret Secret
		want   string
	}{{Secret{File: path}, "from file"}, {Secret{Env: "SECRET_HERE"}, "from env"}, {Secret{Credential: "s"}, "from file"}} {
		value, err := c.secret.Read()
		require.NoError(t, err)
		assert.Equal(t, c.want, value)
	}
	_, err := Secret{Env: "NOT_SET_ANYWHERE"}.Read()
	assert.ErrorContains(t, err, "NOT_SET_ANYWHERE")
}
