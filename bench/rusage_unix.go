//go:build unix

package main

import (
	"syscall"
	"time"
)

// processorTime returns how long this process has used processors, in user mode and in the system.
func processorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
