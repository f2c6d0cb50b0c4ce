package redistest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options is how a server is configured. The zero value, and nil, are a server that keeps nothing on disk.
type Options struct {
	// Config are lines of redis.conf, such as "maxmemory 2mb". They come after the package's own and
	// override them.
	Config []string

	// Persist writes every change to a file before it is acknowledged, so that a server that is stopped or
	// killed, and restarted, still has its data. Without it, a restarted server is empty.
	Persist bool

	// Users are users beside the default one, which may do everything without a password. See
	// [Server.UserURL].
	Users []User

	// TLS makes the server speak TLS too, at an address of its own, with a certificate for 127.0.0.1 and
	// localhost. See [Server.TLSAddr] and [Server.TLSConfig]. It is for single servers only.
	TLS bool
}

// Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	path string   // of the program
	args []string // after the configuration file
	dir  string
	port int

	identity *identity // nil without TLS
	tlsPort  int

	mu     sync.Mutex
	proc   *process
	paused bool
}

// Start starts a server for one test, which is stopped when the test ends. If opts is nil, the defaults of
// [Options] are used.
func Start(tb testing.TB, opts *Options) *Server {
	tb.Helper()
	s, err := start(program(tb), tb.TempDir(), opts)
	if err != nil {
		tb.Fatalf("redistest: start: %v", err)
	}
	tb.Cleanup(s.Kill)
	return s
}

// start starts a server that keeps its files in dir.
func start(path, dir string, opts *Options) (*Server, error) {
	if opts == nil {
		opts = new(Options)
	}
	s := &Server{path: path, dir: dir}
	if opts.TLS {
		id, err := newIdentity()
		if err != nil {
			return nil, err
		}
		s.identity = id
	}
	return s, s.start(opts.lines())
}

// lines returns the text of redis.conf, without the port.
func (o *Options) lines() []string {
	lines := []string{`save ""`, "appendonly no"}
	if o.Persist {
		lines = append(lines, "appendonly yes", "appendfsync no")
	}
	for _, u := range o.Users {
		lines = append(lines, u.line())
	}
	return append(lines, o.Config...)
}

// start starts the server for the first time, on a free port. Those at the given distances from it are free
// too.
func (s *Server) start(lines []string, offsets ...int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	const attempts = 10
	for range attempts {
		port, err := freePort(offsets...)
		if err != nil {
			return err
		}
		s.port = port
		tls, err := s.tlsLines()
		if err != nil {
			return err
		}
		head := []string{fmt.Sprintf("port %d", port), "bind 127.0.0.1", "protected-mode yes", "daemonize no"}
		text := strings.Join(slices.Concat(head, tls, lines), "\n") + "\n"
		if err := os.WriteFile(s.configFile(), []byte(text), 0o600); err != nil {
			return err
		}
		if err := s.boot(); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return fmt.Errorf("%d attempts: %w", attempts, errPortTaken)
}

// boot runs the program and waits until it answers. The caller holds s.mu.
func (s *Server) boot() error {
	log := s.file("server.log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		return err
	}
	p, err := spawn(log, s.path, append([]string{s.configFile()}, s.args...)...)
	if err != nil {
		return err
	}
	if err := p.awaitReady(s.Addr(), log); err != nil {
		p.kill()
		return err
	}
	s.proc, s.paused = p, false
	return nil
}

func (s *Server) configFile() string { return s.file("redis.conf") }

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

// Addr returns the server's address, "127.0.0.1:12345". It stays the same when the server is restarted.
func (s *Server) Addr() string { return address(s.port) }

// URL returns the server's address as a URL, "redis://127.0.0.1:12345".
func (s *Server) URL() string { return "redis://" + s.Addr() }

// PID returns the id of the server's process, or of its last one.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.cmd.Process.Pid
}

// Running reports whether the server's process is there.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.proc.ended()
}

// Stop shuts the server down in order, a paused one too, and returns when its process is gone. A server that is
// down already stays so.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc.terminate()
}

// Kill ends the server at once, as a crash does, and returns when its process is gone.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil { // nil if it never came up
		s.proc.kill()
	}
}

// Restart starts the server again at the same address, after a Stop if it is running, and returns when it
// answers. Whether it still has its data is up to [Options.Persist].
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc.terminate()
	for begin := time.Now(); ; time.Sleep(10 * pollInterval) {
		err := s.boot()
		if err == nil {
			return
		}
		if !errors.Is(err, errPortTaken) || time.Since(begin) > startTimeout {
			tb.Fatalf("redistest: restart: %v", err)
		}
	}
}

// Pause stops the server's process in its tracks: its connections stay and hear nothing. A server that is down
// fails the test.
func (s *Server) Pause(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.proc.pause(); err != nil {
		tb.Fatalf("redistest: pause: %v", err)
	}
	s.paused = true
}

// Resume lets a paused server go on.
func (s *Server) Resume(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.proc.resume(); err != nil {
		tb.Fatalf("redistest: resume: %v", err)
	}
	s.paused = false
}

// answers reports whether the server runs and is not paused.
func (s *Server) answers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.proc.ended() && !s.paused
}
