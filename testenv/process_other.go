//go:build unix && !linux

package testenv

import "syscall"

// childAttributes keeps a terminal's Ctrl-C from a child. Without Linux's parent-death signal, Chain.Close must
// run for the servers to end.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
