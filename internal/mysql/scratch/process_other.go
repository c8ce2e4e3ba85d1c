//go:build !linux

package scratch

import "syscall"

// tied keeps a terminal's Ctrl-C from the child. It outlives a parent that is killed.
func tied() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
