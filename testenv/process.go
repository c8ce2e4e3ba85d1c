package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// restartCode is how mysqld asks its supervisor to start it again, after RESTART and after CLONE INSTANCE
// (MySQL manual, "RESTART Statement").
const restartCode = 16

// minRun is how long a process must have run before its wish to be restarted is granted: what asks for it at once
// would ask for ever.
const minRun = 500 * time.Millisecond

// processSpec says what to run and where its output goes.
type processSpec struct {
	path string
	args []string
	log  string
	env  []string // beside this program's own
	// enter, if set, moves the calling thread into the network namespace the process shall live in.
	enter func() error
}

// process is one supervised mysqld: it may be restarted by its own wish, and it dies with this program.
type process struct {
	done chan struct{} // closed when it ended and will not come back

	mu      sync.Mutex
	child   *os.Process // nil when none runs
	ending  bool
	failure error
}

// startProcess returns when the process was started once.
func startProcess(spec processSpec) (*process, error) {
	p := &process{done: make(chan struct{})}
	started := make(chan error, 1)
	go p.supervise(spec, started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// supervise starts, waits and restarts on one thread of its own. The parent-death signal is sent when the thread
// that made the child ends, not when the process does (prctl(2)), so this thread must live as long as the child.
func (p *process) supervise(spec processSpec, started chan<- error) {
	defer close(p.done)
	runtime.LockOSThread()
	if spec.enter == nil {
		defer runtime.UnlockOSThread()
	} else if err := spec.enter(); err != nil {
		started <- err
		return // still locked: the runtime ends a thread that is in another namespace
	}
	for first := true; ; first = false {
		cmd, err := p.spawn(spec)
		if first {
			started <- err
		}
		if err != nil {
			p.ended(err)
			return
		}
		began := time.Now()
		err = cmd.Wait()
		if again := p.ended(err); !again || time.Since(began) < minRun {
			return
		}
	}
}

func (p *process) spawn(spec processSpec) (*exec.Cmd, error) {
	log, err := os.OpenFile(spec.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(spec.path, spec.args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(append(os.Environ(), spec.env...), "MYSQLD_PARENT_PID="+strconv.Itoa(os.Getpid()))
	cmd.SysProcAttr = childAttributes()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending {
		return nil, errors.New("killed before its restart")
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.path, err)
	}
	p.child = cmd.Process
	return cmd, nil
}

// ended records why the process ended and says whether it asked to be started again.
func (p *process) ended(err error) (again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.child = nil
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == restartCode && !p.ending {
		return true
	}
	p.failure = err
	return false
}

// signal reports false when no process runs.
func (p *process) signal(s syscall.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.child != nil && p.child.Signal(s) == nil
}

// kill ends the process with SIGKILL and returns when the kernel has torn it down.
func (p *process) kill() {
	p.mu.Lock()
	p.ending = true
	p.mu.Unlock()
	p.signal(syscall.SIGKILL)
	<-p.done
}

// terminate asks for a clean shutdown and waits for it. When ctx ends first, the process still runs.
func (p *process) terminate(ctx context.Context) error {
	p.mu.Lock()
	p.ending = true
	p.mu.Unlock()
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-ctx.Done():
		return fmt.Errorf("shut down: %w", context.Cause(ctx))
	}
	return p.failure
}

func (p *process) running() bool { return p.processID() != 0 }

func (p *process) processID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child == nil {
		return 0
	}
	return p.child.Pid
}

// runTied runs a short-lived command that dies with this program.
func runTied(cmd *exec.Cmd) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		result <- cmd.Run()
	}()
	return <-result
}
