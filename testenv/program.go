package testenv

import (
	"context"
	"os"
	"syscall"
	"time"
)

// Program is a child process of this program that is no mysqld: a watcher, a
// follower, a web server. It dies with this program, however that ends.
type Program struct {
	Name string
	Log  string // the file that its output goes to
	spec processSpec
	p    *process
}

// StartProgram runs path with args; its output is appended to the file log.
func StartProgram(name, log, path string, args ...string) (*Program, error) {
	p := &Program{Name: name, Log: log, spec: processSpec{path: path, args: args, log: log}}
	return p, p.Start()
}

// Start runs the program again after it ended.
func (p *Program) Start() error {
	process, err := startProcess(p.spec)
	if err != nil {
		return err
	}
	p.p = process
	return nil
}

// Kill ends the program with SIGKILL.
func (p *Program) Kill() { p.p.kill() }

// Stop asks the program to end and returns when it did; after the patience it is killed.
func (p *Program) Stop(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.p.terminate(ctx); ctx.Err() != nil {
		p.p.kill()
		return err
	}
	return nil
}

// Freeze stops the program with SIGSTOP, Thaw lets it go on.
func (p *Program) Freeze() bool { return p.p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen program go on.
func (p *Program) Thaw() bool { return p.p.signal(syscall.SIGCONT) }

// PID is the process ID, 0 when it does not run.
func (p *Program) PID() int { return p.p.processID() }

// Running says whether it runs, frozen or not.
func (p *Program) Running() bool { return p.p.running() }

// Output is what the program wrote so far.
func (p *Program) Output() string {
	data, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
