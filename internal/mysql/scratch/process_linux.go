package scratch

import "syscall"

// tied ends the child when its thread ends, and keeps a terminal's Ctrl-C from it.
func tied() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
