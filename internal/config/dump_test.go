package config

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const goodDump = `product: shop
server: {name: shop-4, addr: 127.0.0.1:3306}
mysql: {user: dump, password: {file: dump.secret}}
watchers:
  endpoints: ["https://10.0.0.11:7480"]
  tls: {ca: ca.crt, cert: d.crt, key: d.key}
stores:
  - {name: aws, url: "s3://copies/shop?region=x"}
  - {name: here, url: "file:///srv/copies"}
every: 10m
drill: {every: 168h, dir: drill}
bytesPerSecond: 1000
`

func TestGoodDumpFileIsRead(t *testing.T) {
	c := defaultDump()
	err := parse([]byte(goodDump), "/etc/failoverd", &c)
	require.NoError(t, err)
	assert.Equal(t, 10*time.Minute, c.Every)
	assert.Equal(t, DefaultWorkers, c.Workers)
	assert.Equal(t, "/etc/failoverd/dump.secret", c.MySQL.Password.File)
	assert.Equal(t, "/etc/failoverd/drill", c.Drill.Dir)
	assert.Equal(t, Retention{All: 24 * time.Hour, Hourly: 168 * time.Hour, Daily: 720 * time.Hour}, c.Retention)
	assert.Equal(t, Ship{Every: 5 * time.Second, Bytes: 16 << 20}, c.Ship)
	assert.Equal(t, ObjectLock{}, c.Stores[0].ObjectLock)
	c = defaultDump()
	err = parse([]byte(strings.Replace(goodDump, `region=x"`, `region=x", objectLock: {mode: compliance, days: 7}`, 1)), "/", &c)
	require.NoError(t, err)
	assert.Equal(t, ObjectLock{Mode: "compliance", Days: 7}, c.Stores[0].ObjectLock)
}

func TestBadDumpFileShowsTheLine(t *testing.T) {
	for _, c := range []struct{ fact, old, new, says, shows string }{
		{"unknown key", "every: 10m", "evry: 10m", "evry", "10 | evry"},
		{"no product", "product: shop\n", "", "product: missing", ""},
		{"server without a port", "addr: 127.0.0.1:3306", "addr: 127.0.0.1", "is not host:port", " 2 | server"},
		{"secret in the file", "{file: dump.secret}", "hunter2", "does not belong in this file", ""},
		{"watcher without https", `"https://10.0.0.11:7480"`, `"10.0.0.11:7480"`, "is not https://host:port", " 5 |"},
		{"watchers without a certificate", "cert: d.crt, ", "", "tls.cert: missing", ""},
		{"two stores of one name", "name: here", "name: aws", "two stores", " 9 |"},
		{"store without url", `, url: "file:///srv/copies"`, "", "store here needs a url", " 9 |"},
		{"odd store name", "name: here", `name: "he re"`, "needs a name", " 9 |"},
		{"a lock of a directory", `"file:///srv/copies"`, `"file:///srv/copies", objectLock: {mode: compliance, days: 1}`, "only a store in S3", " 9 |"},
		{"a lock of no kind", `region=x"`, `region=x", objectLock: {mode: strict, days: 1}`, `objectLock.mode: "strict" is neither`, " 8 |"},
		{"a lock without a mode", `region=x"`, `region=x", objectLock: {days: 1}`, "mode is missing", " 8 |"},
		{"a lock for no time", `region=x"`, `region=x", objectLock: {mode: governance}`, "want 1 to 36500", " 8 |"},
		{"a lock for ever", `region=x"`, `region=x", objectLock: {mode: governance, days: 40000}`, "want 1 to 36500", " 8 |"},
		{"too often", "every: 10m", "every: 1s", "too short", "10 | every"},
		{"no room for drills", ", dir: drill", "", "drill.dir: missing", ""},
		{"no workers", "every: 10m", "workers: 0", "from 1 to 64", "10 | workers"},
		{"a recipient that is none", "every: 10m", "encryption: {recipients: [ssh-rsa]}", "begins with age1", "10 | enc"},
		{"shipping each transaction", "every: 10m", "ship: {every: 0s}", "negative", "10 | ship"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			text := strings.Replace(goodDump, c.old, c.new, 1)
			require.NotEqual(t, goodDump, text)
			file := defaultDump()
			err := parse([]byte(text), "/", &file)
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.says)
			assert.Contains(t, err.Error(), c.shows)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
}
