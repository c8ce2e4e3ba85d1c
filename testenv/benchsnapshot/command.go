package main

import (
	"context"
	"os/exec"
	"syscall"
	"time"
)

// patience is how long a program that is told to end may take to tidy up: a child of
// ours stops and removes a server.
const patience = 30 * time.Second

// command is a program in a process group of its own. When the context ends the whole
// group is asked to end, a pipeline's every program, and after a while must.
func command(ctx context.Context, argv []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = patience
	return cmd
}

// endGroup ends what is left of a program's group after it has ended itself.
func endGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // mostly nobody is there any more
	}
}
