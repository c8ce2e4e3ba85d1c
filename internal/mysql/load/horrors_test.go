package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	osexec "os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/mysql/dump"
	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/horrors"
)

// take takes a snapshot of a server.
func take(t *testing.T, s *testenv.Server, store object.Store, box *snapshot.Box) (snapshot.Manifest, snapshot.Schema) {
	t.Helper()
	source := dump.New(mysql.Config{Addr: s.Addr(), Account: loader})
	m, err := snapshot.Take(t.Context(), snapshot.TakeRequest{Source: source, Store: store, Box: box, Product: "shop", Epoch: 1, Server: s.Name, Workers: 2})
	require.NoError(t, err)
	point, err := source.Open(t.Context(), 1)
	require.NoError(t, err)
	defer point.Close()
	schema, err := point.Schema(t.Context())
	require.NoError(t, err)
	return m, schema
}

// TestHorrorsSurvive copies what is known to be lost or changed on the way, and asks
// failoverd, the server and mysqldump whether the copy is the same.
func TestHorrorsSurvive(t *testing.T) {
	source, target := servers(t)
	do(t, source, "CREATE DATABASE shop")
	require.NoError(t, horrors.Load(t.Context(), source))
	box, err := snapshot.NewBox()
	require.NoError(t, err)
	store := object.NewMemory()
	before, wanted := take(t, source, store, box)
	require.Greater(t, len(before.Tables), 50)

	into := newTarget(t, target, Options{Workers: 2})
	report, err := snapshot.Restore(t.Context(), snapshot.RestoreRequest{Store: store, Box: box, Manifest: before, Target: into, Workers: 2})
	require.NoError(t, err)
	for _, note := range report.Notes {
		assert.False(t, note.Differs, note.Text)
	}
	require.NoError(t, into.Close())

	after, got := take(t, target, store, box)
	assert.Empty(t, snapshot.CompareSchemas(wanted, got))
	assert.Equal(t, before.GTIDs.String(), after.GTIDs.String())
	sums := func(m snapshot.Manifest) map[string]string {
		all := map[string]string{}
		for _, table := range m.Tables {
			all[table.TableID.String()] = table.Sum.String()
		}
		return all
	}
	assert.Equal(t, sums(before), sums(after))
	for _, table := range wanted.Tables {
		name := quoteID(table.ID())
		if table.Name == "json" {
			// Its text is the same, but dates and bytes in documents have become strings, and
			// numbers like 2.5 are DOUBLEs where they were DECIMALs.
			continue
		}
		assert.Equal(t, checksum(t, source, name), checksum(t, target, name), name)
	}
	want, have := mysqldump(t, source), mysqldump(t, target)
	require.Len(t, have, len(want))
	for i := range want {
		require.Equal(t, want[i], have[i], "line %d of mysqldump", i)
	}
}

func checksum(t *testing.T, s *testenv.Server, table string) (sum *string) {
	t.Helper()
	var name string
	require.NoError(t, s.DB().QueryRowContext(t.Context(), "CHECKSUM TABLE "+table+" EXTENDED").Scan(&name, &sum), table)
	return sum
}

// varying are what mysqldump writes that is the server's own.
var varying = regexp.MustCompile(`(?m)^-- (Host|Dump completed|Server version).*$`)

func mysqldump(t *testing.T, s *testenv.Server) []string {
	t.Helper()
	in, err := testenv.FindServer(t.Context(), nil)
	require.NoError(t, err)
	if in.Mysqldump == "" {
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	args := []string{"--no-defaults", "--socket=" + s.Socket, "--user=root", "--hex-blob", "--routines", "--events", "--triggers", "--set-gtid-purged=OFF",
		"--single-transaction", "--skip-dump-date", "--force", "--order-by-primary", "--databases"}
	cmd := osexec.CommandContext(ctx, in.Mysqldump, append(args, horrors.Databases...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil { // of the view that is broken, which is to be so in the copy too
		fmt.Fprintln(&out, err, errs.String())
	}
	lines := strings.Split(varying.ReplaceAllString(out.String(), ""), "\n")
	for i, line := range lines {
		if len(line) > 2000 { // a failed test must be readable
			sum := sha256.Sum256([]byte(line))
			lines[i] = line[:2000] + hex.EncodeToString(sum[:])
		}
	}
	return lines
}
