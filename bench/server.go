package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	startTimeout   = 10 * time.Second
	stopTimeout    = 5 * time.Second
	monitorTimeout = 20 * time.Second
)

// errNoServer says that the program redis-server is not on the PATH.
var errNoServer = errors.New("no redis-server on PATH; install it (Debian: apt-get install redis-server; macOS: brew install redis)")

// server is a redis-server of our own that keeps nothing on disk.
type server struct {
	addr  string
	dir   string
	cmd   *exec.Cmd
	done  chan struct{} // closed when the process has ended
	pause time.Duration // between two looks at the memory
	admin *redis.Client // for INFO and the like, never for what is measured
}

// startServer starts a server on a free port of the loopback interface, kept to the CPUs in the list cpus, or to none
// in particular if that is empty.
func startServer(ctx context.Context, cpus string) (*server, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errNoServer
	}
	const attempts = 5
	for range attempts {
		var s *server
		if s, err = launch(ctx, path, cpus); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func launch(ctx context.Context, path, cpus string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "session-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir: dir, done: make(chan struct{})}
	command := []string{path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--daemonize", "no", "--dir", dir, "--logfile", "redis.log"}
	if cpus != "" {
		command = append([]string{"taskset", "-c", cpus}, command...) // which becomes the server
	}
	s.cmd = exec.Command(command[0], command[1:]...)
	s.cmd.Stderr = os.Stderr // why it does not start; all else is in its log
	if err := s.cmd.Start(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.done)
	}()
	s.admin = redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
	if err := s.awaitReady(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// awaitReady waits until the process that was started answers, and not somebody else's server on its port.
func (s *server) awaitReady(ctx context.Context) error {
	pid := fmt.Sprintf("process_id:%d\r\n", s.cmd.Process.Pid)
	for begin := time.Now(); time.Since(begin) < startTimeout; time.Sleep(5 * time.Millisecond) {
		select {
		case <-s.done:
			return errors.New("redis-server ended at once")
		default:
		}
		info, err := s.admin.Info(ctx, "server").Result()
		if err == nil && strings.Contains(info, pid) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("redis-server did not answer within %v", startTimeout)
}

// stop ends the server and takes its directory away.
func (s *server) stop() {
	_ = s.admin.Close()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	_ = os.RemoveAll(s.dir)
}

// freePort returns a port below the ones that systems give to outgoing connections.
func freePort() (int, error) {
	for range 100 {
		port := 10_000 + rand.IntN(12_000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port found")
}

// usage is what the server has used since it started.
type usage struct {
	netBytes float64
	cpu      float64 // seconds
}

// usage asks the server what it has used. The questions themselves add a few kilobytes.
func (s *server) usage(ctx context.Context) (usage, error) {
	cpu, err := s.info(ctx, "cpu")
	if err != nil {
		return usage{}, err
	}
	stats, err := s.info(ctx, "stats")
	if err != nil {
		return usage{}, err
	}
	return usage{
		netBytes: stats["total_net_input_bytes"] + stats["total_net_output_bytes"],
		cpu:      cpu["used_cpu_user"] + cpu["used_cpu_sys"],
	}, nil
}

// usedMemory returns the bytes that the server's data and what goes with it take. What connections take is left out:
// it grows and shrinks by itself, in the seconds after a load, and is known only roughly until then. So this waits until
// it does no more.
func (s *server) usedMemory(ctx context.Context) (float64, error) {
	const (
		still = 4 // times in a row
		most  = 40
	)
	var last float64
	for i, same := 0, 0; i < most && same < still; i++ {
		info, err := s.info(ctx, "memory")
		if err != nil {
			return 0, err
		}
		used := info["used_memory"] - info["mem_clients_normal"]
		if same++; math.Abs(used-last) > 4096 {
			same = 0
		}
		last = used
		time.Sleep(s.pause)
	}
	return last, ctx.Err()
}

// info returns the numbers of one section of INFO.
func (s *server) info(ctx context.Context, section string) (map[string]float64, error) {
	text, err := s.admin.Info(ctx, section).Result()
	if err != nil {
		return nil, err
	}
	numbers := make(map[string]float64)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if f, err := strconv.ParseFloat(value, 64); err == nil {
			numbers[name] = f
		}
	}
	return numbers, nil
}

// version returns the server's version.
func (s *server) version(ctx context.Context) string {
	text, _ := s.admin.Info(ctx, "server").Result()
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, "redis_version:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// monitored returns the commands that clients send while f runs, their names in lower case. What scripts call is
// not among them, nor is the talk of connections that are opened or kept alive.
func (s *server) monitored(ctx context.Context, f func() error) ([]string, error) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(monitorTimeout)); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	if _, err := in.ReadString('\n'); err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	end := fmt.Sprintf("bench-end-%d", rand.Uint64())
	go func() {
		err := f()
		s.admin.Echo(ctx, end)
		failed <- err
	}()
	var names []string
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if strings.Contains(line, end) {
			return names, <-failed
		}
		if name := monitoredName(line); name != "" {
			names = append(names, name)
		}
	}
}

// monitoredName returns the command's name in a line of MONITOR, or "" if it is not to be counted:
//
//	+1339518083.107412 [0 127.0.0.1:60866] "hgetall" "session:x"
//	+1339518083.107412 [0 lua] "hget" "session:x" "session_ttl"
func monitoredName(line string) string {
	origin, rest, ok := strings.Cut(line, "] \"")
	if !ok || strings.HasSuffix(origin, " lua") {
		return ""
	}
	name, rest, _ := strings.Cut(rest, `"`)
	name = strings.ToLower(name)
	switch name {
	case "ping", "hello", "echo", "info", "command", "select":
		return ""
	case "client":
		if !strings.HasPrefix(strings.ToLower(rest), ` "caching"`) {
			return ""
		}
	}
	return name
}
