package redistest_test

import (
	"cmp"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session/internal/redistest"
)

func TestServerAnswers(t *testing.T) {
	s := redistest.Start(t, nil)
	if got := s.Do(t, "PING").String(); got != "PONG" {
		t.Errorf("PING = %q", got)
	}
	if want := "redis://" + s.Addr(); s.URL() != want {
		t.Errorf("URL = %q, want %q", s.URL(), want)
	}
	if host, _, err := net.SplitHostPort(s.Addr()); err != nil || host != "127.0.0.1" {
		t.Errorf("Addr = %q, want a loopback address", s.Addr())
	}
}

func TestServerConfigOverrides(t *testing.T) {
	s := redistest.Start(t, &redistest.Options{Config: []string{"maxmemory 12mb", "appendonly yes"}})
	for name, want := range map[string]string{"maxmemory": "12582912", "appendonly": "yes", "save": ""} {
		if got := s.Do(t, "CONFIG", "GET", name).Map()[name]; got != want {
			t.Errorf("CONFIG GET %s = %q, want %q", name, got, want)
		}
	}
}

func TestServerEndsWithTest(t *testing.T) {
	var s *redistest.Server
	t.Run("test", func(t *testing.T) { s = redistest.Start(t, nil) })
	if s == nil {
		t.Skip("no server")
	}
	if s.Running() {
		t.Error("server runs after its test")
	}
	awaitNoProcess(t, strconv.Itoa(s.PID()))
}

// On Linux a server would end with the thread that started it, and a thread ends with a goroutine that is locked
// to it.
func TestServerOutlivesThread(t *testing.T) {
	redistest.Shared(t)              // skips the test where there is no server
	var servers [3]*redistest.Server // the first may be started by the main thread, which does not end
	for i := range servers {
		outcome(t, func(tb testing.TB) {
			runtime.LockOSThread()
			servers[i] = redistest.Start(tb, nil)
		})
	}
	time.Sleep(20 * time.Millisecond)
	for _, s := range servers {
		if s == nil || !s.Running() {
			t.Error("the server has ended")
		}
	}
}

func TestServerStops(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop func(*redistest.Server)
	}{
		{name: "Stop", stop: (*redistest.Server).Stop},
		{name: "Kill", stop: (*redistest.Server).Kill},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := redistest.Start(t, nil)
			tt.stop(s)
			tt.stop(s)
			if s.Running() {
				t.Error("Running = true")
			}
			if r, err := s.Try("PING"); err == nil {
				t.Errorf("PING = %v", r)
			}
			awaitNoProcess(t, strconv.Itoa(s.PID()))
		})
	}
}

func TestServerRestartKeepsPersistedData(t *testing.T) {
	for _, tt := range []struct {
		name    string
		persist bool
		down    func(*redistest.Server)
		want    string
	}{
		{name: "in memory", down: (*redistest.Server).Stop},
		{name: "persisted, stopped", persist: true, down: (*redistest.Server).Stop, want: "v"},
		{name: "persisted, killed", persist: true, down: (*redistest.Server).Kill, want: "v"},
		{name: "persisted, running", persist: true, down: func(*redistest.Server) {}, want: "v"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := redistest.Start(t, &redistest.Options{Persist: tt.persist})
			addr, pid := s.Addr(), s.PID()
			s.Do(t, "SET", "k", "v")
			tt.down(s)
			s.Restart(t)
			if s.Addr() != addr || s.PID() == pid || !s.Running() {
				t.Errorf("after Restart: Addr = %s, was %s; PID = %d, was %d", s.Addr(), addr, s.PID(), pid)
			}
			if got := s.Do(t, "GET", "k").String(); got != tt.want {
				t.Errorf("GET after Restart = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestServerRestartWaitsForItsPort(t *testing.T) {
	s := redistest.Start(t, nil)
	s.Stop()
	squatter, err := net.Listen("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { squatter.Close() })
	s.Restart(t)
	if got := s.Do(t, "PING").String(); got != "PONG" {
		t.Errorf("PING = %q", got)
	}
}

func TestStartReportsLog(t *testing.T) {
	redistest.Shared(t) // skips the test where there is no server
	_, fatal := outcome(t, func(tb testing.TB) {
		redistest.Start(tb, &redistest.Options{Config: []string{"no-such-directive yes"}})
	})
	if !strings.Contains(fatal, "no-such-directive") {
		t.Errorf("Start failed with %q, want the server's log", fatal)
	}
}

func TestMissingProgram(t *testing.T) {
	for _, tt := range []struct {
		name     string
		program  string
		required string
		start    func(testing.TB)
	}{
		{name: "skip", start: func(tb testing.TB) { redistest.Start(tb, nil) }},
		{name: "skip shared", start: func(tb testing.TB) { redistest.Shared(tb) }},
		{name: "skip other", program: "other", start: func(tb testing.TB) { redistest.Start(tb, nil) }},
		{name: "required", required: "1", start: func(tb testing.TB) { redistest.Start(tb, nil) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", t.TempDir())
			t.Setenv("SESSION_TEST_REDIS_SERVER", tt.program)
			t.Setenv("SESSION_TEST_REQUIRE_SERVERS", tt.required)
			skip, fatal := outcome(t, tt.start)
			if tt.required == "1" {
				skip, fatal = fatal, skip
			}
			no := "no " + cmp.Or(tt.program, "redis-server") + " on PATH"
			if !strings.Contains(skip, no) || !strings.Contains(skip, "apt-get install redis-server") || fatal != "" {
				t.Errorf("outcome = %q and %q, want only the first, with what to install", skip, fatal)
			}
		})
	}
}

// outcome runs f and returns the message with which it skipped or failed its test.
func outcome(t *testing.T, f func(testing.TB)) (skip, fatal string) {
	t.Helper()
	tb := &verdict{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(tb)
	}()
	<-done
	return tb.skip, tb.fatal
}

// verdict keeps what would skip or fail a test.
type verdict struct {
	testing.TB
	skip, fatal, errors string
}

func (v *verdict) Skipf(format string, args ...any) {
	v.skip = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (v *verdict) Errorf(format string, args ...any) { v.errors += fmt.Sprintf(format, args...) }
