package testenv

import "syscall"

// childAttributes ties a child to the thread that starts it, and keeps a terminal's Ctrl-C from it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
