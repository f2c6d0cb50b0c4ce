package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The flag -redis-cpus keeps the server to what it names.
func TestRedisCPUs(t *testing.T) {
	startTestServer(t).stop() // or skip
	first, _, _ := strings.Cut(allowedCPUs(t, os.Getpid()), ",")
	first, _, _ = strings.Cut(first, "-")
	srv, err := startServer(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.stop)
	if got := allowedCPUs(t, srv.cmd.Process.Pid); got != first {
		t.Errorf("the server may use CPUs %s, want %s", got, first)
	}
}

// allowedCPUs returns the list of CPUs that a process may use.
func allowedCPUs(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			return strings.TrimSpace(list)
		}
	}
	t.Fatal("no list of CPUs")
	return ""
}
