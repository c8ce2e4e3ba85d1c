package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// outputTail is how much of a command's output an error quotes, in bytes.
const outputTail = 1 << 10

// runCommand runs a shell command on file. At its timeout it and all it started
// in its process group are killed. A daemon that it leaves behind lives on.
func runCommand(ctx context.Context, command, file string, version uint64, timeout time.Duration) error {
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// Output goes to a file, not a pipe: waiting for a pipe to close would mean
	// waiting for such a daemon.
	output, err := os.CreateTemp("", "failoverd-follow-")
	if err != nil {
		return err
	}
	defer output.Close()
	if err := os.Remove(output.Name()); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", strings.ReplaceAll(command, "{}", shellQuote(file)))
	cmd.Env = append(os.Environ(), "FAILOVERD_FILE="+file, fmt.Sprintf("FAILOVERD_VERSION=%d", version))
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Run()
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("killed after %s", timeout)
	}
	if said := tail(output); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

func tail(output *os.File) string {
	size, err := output.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	said := make([]byte, min(size, outputTail))
	n, _ := output.ReadAt(said, size-int64(len(said)))
	return strings.TrimSpace(string(said[:n]))
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
