package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMomentsNameTheirZoneOrAreOfToday(t *testing.T) {
	now := time.Date(2026, 11, 28, 19, 7, 0, 0, time.FixedZone("x", 3*3600))
	for text, want := range map[string]time.Time{
		"2026-11-28T19:04:59Z":      time.Date(2026, 11, 28, 19, 4, 59, 0, time.UTC),
		"2026-11-28T21:04:59+02:00": time.Date(2026, 11, 28, 19, 4, 59, 0, time.UTC),
		"2026-11-28 19:04:59Z":      time.Date(2026, 11, 28, 19, 4, 59, 0, time.UTC), // as status and history print it
		"15:04:05":                  time.Date(2026, 11, 28, 15, 4, 5, 0, time.UTC),
		"15:04:05.25":               time.Date(2026, 11, 28, 15, 4, 5, 250_000_000, time.UTC),
	} {
		got, err := moment(text, now)
		require.NoError(t, err, text)
		assert.True(t, want.Equal(got), "%s is %s", text, got)
	}
	for _, text := range []string{"", "yesterday", "2026-11-28 19:04:59", "25:00"} {
		_, err := moment(text, now)
		assert.Error(t, err, "%q", text)
	}
}

func TestCopiesThatAreNotThereAreExplained(t *testing.T) {
	s := newShell(t)
	empty := "--store file://" + t.TempDir()
	good := filepath.Join(t.TempDir(), "dump.yaml")
	require.NoError(t, os.WriteFile(good, []byte("product: shop\nserver: {name: db4, addr: \"127.0.0.1:1\"}\nmysql: {user: d, password: {env: X}}\nstores: [{name: here, url: \"file://"+t.TempDir()+"\"}]\n"), 0o600))
	for _, c := range []struct {
		line string
		code int
		out  string
		says []string
	}{
		{"snapshot ls shop", exitUsage, "", []string{"dump.yaml", "--store s3://BUCKET/PREFIX or file:///DIR"}},
		{"snapshot ls shop " + empty, exitDone, "no snapshots of shop yet\n", nil},
		{"snapshot ls shop -o json " + empty, exitDone, "[]\n", nil},
		{"snapshot ls shop --config " + good, exitDone, "no snapshots of shop yet\n", nil},
		{"snapshot ls blog --config " + good, exitUsage, "", []string{"is of the product shop, not of blog"}},
		{"snapshot ls shop --store ftp://x", exitUsage, "", []string{"neither s3 nor file"}},
		{"snapshot show shop " + empty, exitUsage, "", []string{"shop has none yet", "\"failoverd snapshot ls shop\" lists them"}},
		{"snapshot verify shop 2026 " + empty, exitUsage, "", []string{`none of the name "2026"`}},
		{"drill shop " + empty, exitUsage, "", []string{"shop has none yet"}},
		{"restore shop " + empty, exitUsage, "", []string{"into new"}},
		{"restore shop --new /nowhere --into h:1 " + empty, exitUsage, "", []string{"into new"}},
		{"restore shop --into nowhere " + empty, exitUsage, "", []string{"is not host:port"}},
		{"restore shop --new /nowhere --to-time noon " + empty, exitUsage, "", []string{"is not a time such as"}},
		{"restore shop --new /nowhere --to-gtid x " + empty, exitUsage, "", []string{"--to-gtid"}},
		{"restore shop --new /nowhere --table orders " + empty, exitUsage, "", []string{"is not database.table"}},
		{"restore shop --new /nowhere --table a.b --to-time 10:00 " + empty, exitUsage, "", []string{"--table goes with --snapshot"}},
		{"restore shop --new /nowhere --to-time 2020-01-01T00:00:00Z " + empty, exitUsage, "", []string{"none from before 2020-01-01T00:00:00Z"}},
		{"restore shop --new /nowhere " + empty, exitUsage, "", []string{"shop has none yet"}},
		{"dump --config /nowhere", exitUsage, "", []string{"/nowhere"}},
	} {
		t.Run(c.line, func(t *testing.T) {
			code, out, errs := s.run(c.line)
			assert.Equal(t, c.code, code, errs)
			assert.Equal(t, c.out, out)
			for _, text := range c.says {
				assert.Contains(t, errs, text)
			}
		})
	}
}
