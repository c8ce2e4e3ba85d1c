package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/stage"
)

// A server with a new disk is filled from the stores while nobody else lives, and is
// taken in by proof once the others are back.
func TestRebuildFromACopyWhenNoServerLives(t *testing.T) {
	s := withDump(t, stage.Options{}, "every: 10m")
	ctx := t.Context()
	awaitWriting(t, s, 1)
	slave := seated(t, s, topology.Slave)
	code, out, errs := command(t, s, "maintenance", s.Product, slave.Name, "--reason", "new disk", "--yes")
	require.Zero(t, code, out+errs)
	awaitHealthyBut(t, s, slave.Name)
	shippedSince(t, s, time.Now())
	for _, server := range s.Chain.Servers {
		server.Kill()
	}
	require.NoError(t, slave.Renew(ctx))
	for _, statement := range []string{
		"SET GLOBAL super_read_only = OFF", "CREATE USER filler@'%' IDENTIFIED BY 'fill-secret'", "GRANT ALL ON *.* TO filler@'%' WITH GRANT OPTION",
		"GRANT PROXY ON ''@'' TO filler@'%' WITH GRANT OPTION", // as root has, and the copy gives it
		"SET GLOBAL super_read_only = ON",
	} {
		require.NoError(t, slave.Exec(ctx, statement))
	}
	password := filepath.Join(t.TempDir(), "pw")
	require.NoError(t, os.WriteFile(password, []byte("fill-secret"), 0o600))

	code, out, errs = command(t, s, "rebuild", s.Product, slave.Name, "--yes")
	require.Equal(t, exitRefused, code, out+errs)
	assert.Contains(t, errs, "--snapshot newest", "older data is not what --yes is said to")
	filling := []string{"rebuild", s.Product, slave.Name, "--yes", "--snapshot", "newest", "--config", s.Dump.Config, "--user", "filler", "--password-file", password}
	killedWhileItReplays(t, s, slave, filling)
	code, out, errs = command(t, s, filling...)
	require.Zero(t, code, out+errs)
	t.Log(out)
	assert.Contains(t, out, "transactions up to", "the binary log was replayed too")
	require.NotEqual(t, topology.Standing(topology.Maintenance), standing(must(s.Status(ctx)), slave.Name))

	for _, server := range s.Chain.Servers {
		if server != slave {
			require.NoError(t, server.Start(ctx))
		}
	}
	awaitHealth(t, s)
	alike(t, s)
}

// killedWhileItReplays runs a restore into the server as a process of its own and kills
// it when the snapshot is in and the server begins to execute the binary log.
func killedWhileItReplays(t *testing.T, s *stage.Stage, server *testenv.Server, args []string) {
	t.Helper()
	binary, err := os.Executable() // which is the program in a stage
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), binary, append(args, s.Flags...)...)
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Wait() }()
	require.Eventually(t, func() bool {
		var links int
		err := server.DB().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM performance_schema.replication_connection_configuration WHERE USER = ?", snapshot.ReplayUser).Scan(&links)
		return err == nil && links > 0
	}, 2*time.Minute, 2*time.Millisecond)
	require.NoError(t, cmd.Process.Kill())
}

// awaitHealthyBut waits until everything is well but for a server in maintenance.
func awaitHealthyBut(t *testing.T, s *stage.Stage, name string) {
	t.Helper()
	require.NoError(t, s.Await(t.Context(), "calm", func(p api.Product) bool {
		return p.Open == nil && p.Protected && standing(p, name) == topology.Maintenance
	}))
}
