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
	// started, if set, hears the process ID of each start.
	started func(pid int)
}

// StartProgram runs path with args; its output is appended to the file log.
func StartProgram(name, log, path string, args ...string) (*Program, error) {
	p := &Program{Name: name, Log: log, spec: processSpec{path: path, args: args, log: log}}
	return p, p.Start()
}

// StartProgram runs a program on the host of a viewer or server of the chain: in its namespace, where the chain has
// them. In the Proxied network it is known by its process.
func (c *Chain) StartProgram(ctx context.Context, host, name, log, path string, args ...string) (*Program, error) {
	p := &Program{Name: name, Log: log, spec: processSpec{path: path, args: args, log: log}}
	if c.network == Netns {
		if _, err := c.spaces.host(ctx, host); err != nil {
			return nil, err
		}
		p.spec.enter = func() error { return c.spaces.enter(host) }
	} else {
		p.started = func(pid int) { c.Identify(host, pid) }
	}
	return p, p.Start()
}

// Start runs the program again after it ended.
func (p *Program) Start() error {
	process, err := startProcess(p.spec)
	if err != nil {
		return err
	}
	p.p = process
	if p.started != nil {
		p.started(process.processID())
	}
	return nil
}

// Become makes the next Start run another program, with something added to its environment.
func (p *Program) Become(path string, env ...string) { p.spec.path, p.spec.env = path, env }

// Path is the program that Start runs.
func (p *Program) Path() string { return p.spec.path }

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
