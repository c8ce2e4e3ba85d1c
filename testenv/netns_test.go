package testenv

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func requireNetns(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if err := exec.Command("unshare", "-n", "true").Run(); err != nil {
		t.Skip("this machine makes no network namespaces: ", err)
	}
}

func TestViewerInANamespaceCanBeCutAndReset(t *testing.T) {
	requireNetns(t)
	c := newChain(t, Options{Relaxed: true, Network: Netns, Bare: true, Servers: DefaultServers()[:1]})
	_, err := ask(t, c, "w1", "db1", 5*time.Second)
	require.NoError(t, err)

	require.NoError(t, c.Cut("w1", "db1"))
	_, err = ask(t, c, "w1", "db1", 300*time.Millisecond)
	require.True(t, timedOut(err), "a cut is silent")
	_, err = ask(t, c, "w2", "db1", 5*time.Second)
	require.NoError(t, err, "another viewer does not notice")
	require.NoError(t, c.Heal("w1", "db1"))

	require.NoError(t, c.CutReset("w1", "db1"))
	_, err = ask(t, c, "w1", "db1", 5*time.Second)
	require.ErrorContains(t, err, "connection refused")
	require.NoError(t, c.HealAll())
	_, err = ask(t, c, "w1", "db1", 5*time.Second)
	require.NoError(t, err)
}

func TestNamespacesAreRemoved(t *testing.T) {
	requireNetns(t)
	c := newChain(t, Options{Relaxed: true, Network: Netns, Bare: true, Servers: DefaultServers()[:1]})
	name, err := c.Namespace(t.Context(), "db1")
	require.NoError(t, err)
	require.FileExists(t, "/run/netns/"+name)
	require.NoError(t, c.Close())
	assert.NoFileExists(t, "/run/netns/"+name)
}
