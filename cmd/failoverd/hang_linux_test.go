package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/pki"
	"github.com/failoverd/failoverd/internal/publish"
)

// lone is a watcher that is a whole cluster, as a process under a supervisor that is this test.
type lone struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	done chan error
	says net.PacketConn // what it tells its supervisor
}

func (l *lone) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lone) write(name, text string) {
	require.NoError(l.t, os.WriteFile(l.path(name), []byte(text), 0o600))
}

func startLone(t *testing.T) *lone {
	t.Helper()
	l := &lone{t: t, dir: t.TempDir(), done: make(chan error, 1)}
	require.NoError(t, pki.CreateCA(l.path("ca.pem"), l.path("ca.key")))
	require.NoError(t, pki.Issue(l.path("ca.pem"), l.path("ca.key"), l.path("w1.pem"), l.path("w1.key"),
		pki.Request{Name: "w1", Role: pki.RoleWatcher, Hosts: []string{"127.0.0.1"}}))
	key, err := publish.GenerateKey()
	require.NoError(t, err)
	private, err := key.PEM()
	require.NoError(t, err)
	l.write("publish.key", string(private))
	l.write("secret", "secret")
	raft, api := freeAddress(t), freeAddress(t)
	l.write("w1.yaml", fmt.Sprintf(`id: w1
data: data
raft: {bind: %[1]q}
api: {bind: %[2]q}
watchers: [{id: w1, raft: %[1]q, api: "https://%[2]s"}]
tls: {ca: ca.pem, cert: w1.pem, key: w1.key}
mysql:
  probe: {user: probe, password: {file: secret}}
  control: {user: control, password: {file: secret}}
  replication: {user: replication, password: {file: secret}}
store: "file://%[3]s"
signing: {key: publish.key}
`, raft, api, l.path("store")))

	l.says, err = net.ListenPacket("unixgram", l.path("notify"))
	require.NoError(t, err)
	t.Cleanup(func() { l.says.Close() })
	log, err := os.Create(l.path("log"))
	require.NoError(t, err)
	t.Cleanup(func() {
		log.Close()
		if t.Failed() {
			t.Logf("its log:\n%s", l.log())
		}
	})
	binary, err := os.Executable()
	require.NoError(t, err)
	l.cmd = exec.Command(binary, "serve", "--config", l.path("w1.yaml"), "--bootstrap")
	l.cmd.Env = append(os.Environ(), asProgram+"=1", "NOTIFY_SOCKET="+l.path("notify"), "WATCHDOG_USEC=30000000")
	l.cmd.Stdout, l.cmd.Stderr = log, log
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, l.cmd.Start())
	go func() { l.done <- l.cmd.Wait() }()
	t.Cleanup(func() { _ = l.cmd.Process.Kill() })
	l.await("READY=1")
	return l
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (l *lone) log() string {
	text, err := os.ReadFile(l.path("log"))
	require.NoError(l.t, err)
	return string(text)
}

// await waits until it tells its supervisor so.
func (l *lone) await(state string) (whole string) {
	l.t.Helper()
	require.NoError(l.t, l.says.SetReadDeadline(time.Now().Add(time.Minute)))
	buffer := make([]byte, 4096)
	for {
		n, _, err := l.says.ReadFrom(buffer)
		require.NoError(l.t, err, "waiting for %s", state)
		if said := string(buffer[:n]); strings.HasPrefix(said, state) {
			return said
		}
	}
}

// TestProcessWithAHangingDiskEndsItself has a thread hang in the kernel: a named pipe that nobody reads stands in
// the place of the file that the disk is probed with.
func TestProcessWithAHangingDiskEndsItself(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a hang must")
	}
	l := startLone(t)
	l.await("WATCHDOG=1")
	probe := l.path("data/disk.probe")
	require.Eventually(t, func() bool {
		_ = os.Remove(probe)
		return syscall.Mkfifo(probe, 0o600) == nil
	}, time.Minute, time.Millisecond)
	began := time.Now()
	assert.Contains(t, l.await("STATUS="), "STATUS=syncing the disk probe hung for 10s")
	<-l.done
	t.Logf("ended after %s", time.Since(began).Round(time.Millisecond))
	assert.Equal(t, exitHung, l.cmd.ProcessState.ExitCode())
	assert.Contains(t, l.log(), "watcher hangs and ends itself, to be started anew")
	assert.Contains(t, l.log(), "leadership lost")
}

// TestProcessThatIsStoppedForLongerThanAHangGoesOn stops it in the kernel's way for longer than a disk may hang.
func TestProcessThatIsStoppedForLongerThanAHangGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a hang must")
	}
	l := startLone(t)
	l.await("WATCHDOG=1")
	require.NoError(t, l.cmd.Process.Signal(syscall.SIGSTOP))
	select {
	case <-l.done:
		t.Fatal("it ended")
	case <-time.After(12 * time.Second):
	}
	require.NoError(t, l.cmd.Process.Signal(syscall.SIGCONT))
	for range 5 { // what was told before it was stopped is among these
		l.await("WATCHDOG=1")
	}
	require.NoError(t, l.cmd.Process.Signal(syscall.SIGTERM))
	assert.NoError(t, <-l.done)
	assert.NotContains(t, l.log(), "hangs")
}
