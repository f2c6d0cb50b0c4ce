package redistest

import "syscall"

// childAttr makes the kernel end a server together with the test binary.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
