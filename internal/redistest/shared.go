package redistest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Runner is what [Run] runs, in general a *testing.M.
type Runner interface {
	Run() int
}

// shared is what the tests of one binary share. It is there while Run runs.
var shared struct {
	sync.Mutex
	running bool
	dir     string // for the files of all of it, made with the first server
	server  *Server
	cluster *Cluster
}

// Run runs the tests of a package, with servers that they may share, and returns the exit code. At the end,
// every key of the shared servers must have an expiry: the run fails if there is one without, and the message
// names them. Then the servers are stopped.
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
	if shared.server == nil {
		s, err := start(path, sharedDir(tb, "server"), nil)
		if err != nil {
			tb.Fatalf("redistest: start: %v", err)
		}
		shared.server = s
	}
	mustAnswer(tb, shared.server)
	return shared.server
}

// SharedCluster returns the cluster that the tests of this binary share, and starts it for the first of them.
// Tests keep to their own keys, see [Cluster.Prefix], and leave the nodes as they are, but may migrate slots.
// A node must be silent for 15 seconds before another one takes over: a machine under load does not make that
// happen.
func SharedCluster(tb testing.TB) *Cluster {
	tb.Helper()
	path := program(tb)
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		opts := &ClusterOptions{NodeTimeout: 15 * time.Second}
		c, err := startCluster(path, sharedDir(tb, "cluster"), opts)
		if err != nil {
			tb.Fatalf("redistest: cluster: %v", err)
		}
		shared.cluster = c
	}
	mustAnswer(tb, shared.cluster.nodes...)
	return shared.cluster
}

// sharedDir makes a folder for what is shared. The caller holds the lock.
func sharedDir(tb testing.TB, name string) string {
	tb.Helper()
	if !shared.running {
		tb.Fatal("redistest: what is shared needs a TestMain that calls redistest.Run")
	}
	var err error
	if shared.dir == "" {
		shared.dir, err = os.MkdirTemp("", "redistest-")
	}
	dir := filepath.Join(shared.dir, name)
	if err == nil {
		err = os.RemoveAll(dir) // what is left of an attempt that failed
	}
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	return dir
}

// mustAnswer fails the test if a server that is shared has been stopped or paused.
func mustAnswer(tb testing.TB, servers ...*Server) {
	tb.Helper()
	for _, s := range servers {
		if !s.answers() {
			tb.Fatal("redistest: a test has stopped a server that is shared")
		}
	}
}

// checkShared returns an error if a key of what is shared would live for ever.
func checkShared() error {
	shared.Lock()
	defer shared.Unlock()
	var servers []*Server
	if shared.server != nil {
		servers = append(servers, shared.server)
	}
	if shared.cluster != nil {
		masters, err := shared.cluster.masters()
		if err != nil {
			return fmt.Errorf("shared cluster: %w", err)
		}
		servers = append(servers, masters...)
	}
	var keys []string
	for _, s := range servers {
		found, err := immortal(s.Addr(), "*")
		if err != nil {
			return fmt.Errorf("keys of the shared servers: %w", err)
		}
		keys = append(keys, found...)
	}
	if len(keys) > 0 {
		return errors.New("keys without an expiry on the shared servers:\n\t" + strings.Join(keys, "\n\t"))
	}
	return nil
}

// stopShared stops what is shared and removes its files.
func stopShared() {
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.Kill()
	}
	if shared.cluster != nil {
		shared.cluster.kill()
	}
	os.RemoveAll(shared.dir)
	shared.server, shared.cluster, shared.dir, shared.running = nil, nil, "", false
}
