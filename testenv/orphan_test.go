//go:build linux

package testenv

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// orphanDir, when set, makes the test binary a program that runs one server there until it is killed.
const orphanDir = "TESTENV_ORPHAN_DIR"

func TestNoServerOutlivesItsProgram(t *testing.T) {
	if dir := os.Getenv(orphanDir); dir != "" {
		runUntilKilled(t, dir)
		return
	}
	for name, end := range map[string]syscall.Signal{"kill -9": syscall.SIGKILL, "Ctrl-C": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			child := exec.Command(os.Args[0], "-test.run=^TestNoServerOutlivesItsProgram$")
			child.Env = append(os.Environ(), orphanDir+"="+dir)
			out, err := child.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, child.Start())
			t.Cleanup(func() { _ = child.Process.Kill() })
			mysqld := 0
			for lines := bufio.NewScanner(out); mysqld == 0 && lines.Scan(); {
				if _, rest, found := strings.Cut(lines.Text(), "server is "); found {
					_, err := fmt.Sscan(rest, &mysqld)
					require.NoError(t, err)
				}
			}
			require.NotZero(t, mysqld)
			require.NoError(t, syscall.Kill(mysqld, 0), "the server runs")
			require.NoError(t, child.Process.Signal(end))
			require.Error(t, child.Wait())
			assert.Eventually(t, func() bool { return gone(mysqld) }, 10*time.Second, 10*time.Millisecond)
		})
	}
}

func runUntilKilled(t *testing.T, dir string) {
	c, err := NewChain(t.Context(), Options{Dir: dir, Bare: true, Relaxed: true,
		Servers: []ServerSpec{{Name: "only", Zone: "a", Seat: Master}}})
	require.NoError(t, err)
	fmt.Println("server is", c.Servers[0].PID())
	select {}
}

// gone says whether a process has ended; one that only its new parent has yet to reap has.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z")
}
