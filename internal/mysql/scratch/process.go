package scratch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// process is a mysqld that ends when this program does.
type process struct {
	child *os.Process
	done  chan struct{} // closed when it has ended
	err   error         // why; good once done is closed
}

// startProcess starts a program whose output goes to the file log. The thread that
// starts it stays with it: the signal that ends the child with its parent is sent when
// that thread ends (prctl(2)).
func startProcess(log string, path string, args ...string) (*process, error) {
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := exec.Command(path, args...)
		output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			cmd.Stdout, cmd.Stderr = output, output
			cmd.SysProcAttr = tied()
			err = cmd.Start()
			output.Close()
		}
		p.child = cmd.Process
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return p, nil
}

// await waits until the program ends by itself.
func (p *process) await(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		p.kill()
		return context.Cause(ctx)
	}
}

// stop asks the program to end and waits until it has.
func (p *process) stop(ctx context.Context) error {
	_ = p.child.Signal(syscall.SIGTERM) // one that has ended says so below
	return p.await(ctx)
}

func (p *process) kill() {
	_ = p.child.Kill()
	<-p.done
}

// lastErrors are the last lines of a log that say ERROR, else its last ones.
func lastErrors(log string) error {
	text, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	var errorLines, all []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if all = append(all, line); strings.Contains(line, "[ERROR]") {
			errorLines = append(errorLines, line)
		}
	}
	if len(errorLines) == 0 {
		errorLines = all
	}
	return errors.New(strings.Join(errorLines[max(0, len(errorLines)-4):], "; "))
}
