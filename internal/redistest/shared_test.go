package redistest_test

import (
	"bufio"
	"bytes"
	"errors"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/faeeb396/session/internal/redistest"
)

func TestSharedIsOneServer(t *testing.T) {
	a, b := redistest.Shared(t), redistest.Shared(t)
	if a != b {
		t.Errorf("Shared = %v, then %v", a.Addr(), b.Addr())
	}
	if a, b := redistest.SharedCluster(t), redistest.SharedCluster(t); a != b {
		t.Errorf("SharedCluster = %v, then %v", a.Addrs(), b.Addrs())
	}
}

func TestRunChecksKeysAndStopsServer(t *testing.T) {
	redistest.Shared(t) // skips the test where there is no server
	for _, tt := range []struct {
		child string
		code  int
		names []string
	}{
		{child: "clean", code: 0},
		{child: "immortal", code: 1, names: []string{"lives-for-ever", "so-does-this"}},
		{child: "immortal in cluster", code: 1, names: []string{"lives-for-ever-0", "lives-for-ever-19"}},
		{child: "failing", code: 3},
		{child: "panicking", code: 2},
		{child: "exiting", code: 5},
	} {
		t.Run(tt.child, func(t *testing.T) {
			if runtime.GOOS != "linux" && (tt.child == "panicking" || tt.child == "exiting") {
				t.Skip("only Linux ends the servers of a process that has ended")
			}
			var stdout, stderr bytes.Buffer
			cmd := command(t, tt.child)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if code := exitCode(err); code != tt.code {
				t.Errorf("exit code = %d (%v), want %d:\n%s", code, err, tt.code, &stderr)
			}
			for _, name := range tt.names {
				if !strings.Contains(stderr.String(), name) {
					t.Errorf("the message does not name %s:\n%s", name, &stderr)
				}
			}
			if strings.Contains(stderr.String(), "\ta\n") {
				t.Errorf("the message names a key that has an expiry:\n%s", &stderr)
			}
			awaitNoProcess(t, strings.TrimSpace(stdout.String()))
		})
	}
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

func TestServerEndsWithKilledTestBinary(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends the servers of a process that has ended")
	}
	redistest.Shared(t)
	cmd := command(t, "hanging")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid, err := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	awaitNoProcess(t, strings.TrimSpace(pid))
}
