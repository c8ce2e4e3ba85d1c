package testenv

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestDiskCanBeFullAndStandStill(t *testing.T) {
	if err := DisksWork(); err != nil {
		t.Skip(err)
	}
	d, err := NewDisk(t.Context(), filepath.Join(t.TempDir(), "data"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, d.Close()) })
	path := filepath.Join(d.Dir, "file")
	page := bytes.Repeat([]byte("x"), 1<<16)

	require.NoError(t, d.Fill())
	require.ErrorIs(t, os.WriteFile(path, page, 0o600), unix.ENOSPC)
	require.NoError(t, d.Free())
	require.NoError(t, os.WriteFile(path, page, 0o600))

	require.NoError(t, d.Freeze())
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(path, page, 0o600) }()
	select {
	case err := <-written:
		require.Fail(t, "a frozen disk was written", "%v", err)
	case <-time.After(200 * time.Millisecond):
	}
	require.NoError(t, d.Thaw())
	require.NoError(t, <-written)

	d.Slow(20 * time.Millisecond)
	require.NoError(t, os.WriteFile(path, page, 0o600))
	require.NoError(t, d.Thaw())
}

func TestServerOnADisk(t *testing.T) {
	if err := DisksWork(); err != nil {
		t.Skip(err)
	}
	c, ctx := newChain(t, Options{Bare: true, Disks: true, Servers: DefaultServers()[:1]}), testContext(t)
	require.NoError(t, c.Server("db1").await(ctx, "answering", "SELECT TRUE"))
	require.NoError(t, c.Server("db1").Disk.Freeze(), "Close thaws it")
}
