package redistest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// Runner is what [Run] runs, in general a *testing.M.
type Runner interface {
	Run() int
}

// shared is what the tests of one binary share. It is there while Run runs.
var shared struct {
	sync.Mutex
	running bool
	server  *Server
}

// Run runs the tests of a package, with a server that they may share, and returns the exit code. At the end,
// every key of the shared server must have an expiry: the run fails if there is one without, and the message
// names them. Then the server is stopped.
//
//	func TestMain(m *testing.M) { os.Exit(redistest.Run(m)) }
func Run(m Runner) (code int) {
	shared.Lock()
	shared.running = true
	shared.Unlock()
	defer stopShared()

	code = m.Run()
	if err := checkShared(); err != nil {
		fmt.Fprintf(os.Stderr, "redistest: %v\n", err)
		return max(code, 1)
	}
	return code
}

// Shared returns the server that the tests of this binary share, and starts it for the first of them. Tests
// keep to their own keys, see [Server.Prefix], and leave the server itself as it is.
func Shared(tb testing.TB) *Server {
	tb.Helper()
	path := program(tb)
	shared.Lock()
	defer shared.Unlock()
	if !shared.running {
		tb.Fatal("redistest: Shared needs a TestMain that calls redistest.Run")
	}
	if shared.server == nil {
		dir, err := os.MkdirTemp("", "redistest-")
		if err != nil {
			tb.Fatalf("redistest: %v", err)
		}
		s, err := start(path, dir, nil)
		if err != nil {
			os.RemoveAll(dir)
			tb.Fatalf("redistest: start: %v", err)
		}
		shared.server = s
	}
	if !shared.server.Running() {
		tb.Fatal("redistest: the shared server is down: a test has stopped it")
	}
	return shared.server
}

// checkShared returns an error if a key of what is shared would live for ever.
func checkShared() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		return nil
	}
	keys, err := immortal(shared.server.Addr(), "*")
	if err != nil {
		return fmt.Errorf("keys of the shared server: %w", err)
	}
	if len(keys) > 0 {
		return errors.New("keys without an expiry on the shared server:\n\t" + strings.Join(keys, "\n\t"))
	}
	return nil
}

// stopShared stops what is shared and removes its files.
func stopShared() {
	shared.Lock()
	defer shared.Unlock()
	shared.running = false
	if s := shared.server; s != nil {
		s.Kill()
		os.RemoveAll(s.dir)
		shared.server = nil
	}
}
