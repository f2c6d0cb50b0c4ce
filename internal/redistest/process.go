package redistest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second // how long a server may take to answer
	stopTimeout  = 10 * time.Second // how long a server may take to stop before it is killed
	pollInterval = 5 * time.Millisecond
	pollTimeout  = time.Second // for one question to a server that may not be there
)

// program returns the server program to run. If there is none, the test is skipped, or fails if servers are
// required.
func program(tb testing.TB) string {
	tb.Helper()
	name := os.Getenv("SESSION_TEST_REDIS_SERVER")
	if name == "" {
		name = "redis-server"
	}
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	const hint = "redistest: no %s on PATH; install it (Debian: apt-get install redis-server; macOS: brew install redis)"
	if os.Getenv("SESSION_TEST_REQUIRE_SERVERS") == "1" {
		tb.Fatalf(hint, name)
	}
	tb.Skipf(hint, name)
	return ""
}

// process is a running server program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// spawn starts a program. What it prints is appended to the file named log.
func spawn(log, path string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(path, args...)
	cmd.Dir = filepath.Dir(log)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = childAttr()
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Linux ends the child when the thread that started it ends, not the process: so that thread is kept
		// for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// ended reports whether the process has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// terminate asks the process to end, and kills it if it does not.
func (p *process) terminate() {
	p.resume() // it could not hear the question
	if p.cmd.Process.Signal(syscall.SIGTERM) == nil {
		select {
		case <-p.done:
			return
		case <-time.After(stopTimeout):
		}
	}
	p.kill()
}

// kill ends the process at once.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// errPortTaken says that somebody else listens on the port that was meant for the server.
var errPortTaken = errors.New("port is taken")

// awaitReady waits until the process answers at addr itself: somebody else's server there is not taken for it.
func (p *process) awaitReady(addr, log string) error {
	pid := "process_id:" + strconv.Itoa(p.cmd.Process.Pid) + "\r\n"
	var last error
	for start := time.Now(); time.Since(start) < startTimeout; time.Sleep(pollInterval) {
		if p.ended() {
			text, _ := os.ReadFile(log)
			if strings.Contains(string(text), "Address already in use") {
				return errPortTaken
			}
			return fmt.Errorf("the server ended:\n%s", tail(text))
		}
		r, err := callWithin(pollTimeout, addr, "INFO")
		info := r.String()
		if err == nil && strings.Contains(info, pid) && !strings.Contains(info, "\nloading:1\r") {
			return nil
		}
		last = err
	}
	text, _ := os.ReadFile(log)
	return fmt.Errorf("no answer at %s within %v: %v:\n%s", addr, startTimeout, last, tail(text))
}

// tail returns the last lines of a log.
func tail(text []byte) []byte {
	const size = 4096
	if len(text) > size {
		text = text[len(text)-size:]
	}
	return text
}

// Ports are taken from a range below the one that systems give to outgoing connections: none of those can
// take a server's port while it restarts. A cluster node also listens on its port + 10000, which is below
// that range too.
const (
	minPort       = 10_000
	maxPort       = 22_000
	busPortOffset = 10_000
)

// freePort returns a port on which nobody listens, nor on those at the given distances from it.
func freePort(offsets ...int) (int, error) {
	for range 1000 {
		port := minPort + rand.IntN(maxPort-minPort)
		if listenable(port) && allListenable(port, offsets) {
			return port, nil
		}
	}
	return 0, errors.New("no free port found")
}

func allListenable(port int, offsets []int) bool {
	for _, o := range offsets {
		if !listenable(port + o) {
			return false
		}
	}
	return true
}

func listenable(port int) bool {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
