package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// demo is a demo that run serves.
type demo struct {
	url    string
	stop   func()
	done   <-chan error
	client *http.Client
}

// startDemo runs the demo on a free port, with a browser's cookies in front of it.
func startDemo(t *testing.T, args ...string) *demo {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log := &lineWriter{lines: make(chan string, 100)}
	done := make(chan error, 1)
	go func() { done <- run(ctx, append([]string{"-port", "0"}, args...), log) }()
	var d *demo
	select {
	case line := <-log.lines:
		address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(line)
		if address == "" {
			t.Fatalf("first line %q names no address", line)
		}
		jar, _ := cookiejar.New(nil)
		d = &demo{url: address, stop: cancel, done: done, client: &http.Client{Jar: jar}}
	case err := <-done:
		cancel()
		t.Fatalf("run: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		d.client.CloseIdleConnections()
	})
	return d
}

// lineWriter passes on what is written, write by write, and drops what nobody has room for.
type lineWriter struct{ lines chan string }

func (w *lineWriter) Write(p []byte) (int, error) {
	select {
	case w.lines <- string(p):
	default:
	}
	return len(p), nil
}

// ask sends a request; with a form, a POST.
func (d *demo) ask(t *testing.T, path string, form url.Values) response {
	t.Helper()
	send := func() (*http.Response, error) { return d.client.PostForm(d.url+path, form) }
	if form == nil {
		send = func() (*http.Response, error) { return d.client.Get(d.url + path) }
	}
	resp, err := send()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return response{Code: resp.StatusCode, Header: resp.Header, Body: string(body)}
}

func TestRunServesUntilStopped(t *testing.T) {
	d := startDemo(t)
	if got := d.ask(t, "/", nil); got.Code != 200 {
		t.Errorf("GET / = %d", got.Code)
	}
	id := d.ask(t, "/login", url.Values{"username": {"andrew"}}).field(t, "session_id")
	if got := d.ask(t, "/increment", url.Values{}).field(t, "page_views"); got != 2.0 {
		t.Errorf("page_views = %v, want 2", got)
	}
	if got := d.ask(t, "/session", nil).field(t, "session_id"); got != id {
		t.Errorf("session_id = %v, want %v", got, id)
	}
	d.stop()
	if err := <-d.done; err != nil {
		t.Errorf("run = %v after its context ended, want nil", err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://")); err == nil {
		_ = conn.Close()
		t.Error("the port is still open")
	}
}

func TestRunStoppedBeforeItBegins(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, b := range []string{"memory", "goredis", "rueidis"} {
		var log bytes.Buffer
		if err := run(ctx, []string{"-port", "0", "-backend", b}, &log); err != nil {
			t.Errorf("-backend %s: %v", b, err)
		}
	}
}

func TestRunPortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	err = run(t.Context(), []string{"-port", port}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("run = %v, want an error that names %s", err, ln.Addr())
	}
}

func TestFlags(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string // in the error
	}{
		{"-nope", "-nope"},
		{"extra", `"extra"`},
		{"-port x", "-port"},
		{"-port -1", "-port -1"},
		{"-port 65536", "-port 65536"},
		{"-rotate x", "-rotate"},
		{"-rotate 60", "-rotate"},
		{"-rotate -1m", "-rotate -1m0s: must be 0 or at least 1s"},
		{"-rotate 999ms", "-rotate 999ms: must be 0 or at least 1s"},
		{"-backend redis", `-backend "redis": must be memory, goredis or rueidis`},
		{"-backend=", `-backend ""`},
		{"-backend goredis -redis-port 0", "-redis-port 0: must be 1 to 65535"},
		{"-backend rueidis -redis-port 65536", "-redis-port 65536: must be 1 to 65535"},
		{"-backend goredis -redis-host=", "-redis-host"},
		{"-backend goredis -redis-url=", "-redis-url"},
		{"-redis-url redis://127.0.0.1:6379", "-redis-url needs -backend"},
		{"-redis-host 127.0.0.1", "-redis-host needs -backend"},
		{"-backend memory -redis-port 6379", "-redis-port needs -backend"},
		{"-backend goredis -redis-url redis://x -redis-host y", "-redis-url takes the place of -redis-host"},
		{"-backend rueidis -redis-url redis://x -redis-port 1", "-redis-url takes the place of -redis-port"},
		{"-backend goredis -redis-url http://x", "-redis-url must look like"},
		{"-backend rueidis -redis-url http://x", "-redis-url must look like"},
		{"-backend goredis -redis-url redis://u:pa/secret@x", "-redis-url must look like"},
		{"-backend rueidis -redis-url redis://u:pa/secret@x", "-redis-url must look like"},
		{"-backend goredis -redis-url redis://x/pass/secret", "-redis-url must look like"},
		{"-backend rueidis -redis-url redis://x/pass/secret", "-redis-url must look like"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			var log bytes.Buffer
			err := run(t.Context(), strings.Fields(tt.args), &log)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("run = %v, want an error with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a password: %v", err)
			}
			if status := exitStatus(err, &log); status != 2 {
				t.Errorf("exit status %d, want 2", status)
			}
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Errorf("%d lines, want 1:\n%s", n, log.String())
			}
		})
	}
}

func TestHelpListsFlags(t *testing.T) {
	var log bytes.Buffer
	if status := exitStatus(run(t.Context(), []string{"-h"}, &log), &log); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	for _, flag := range []string{"-port", "-rotate", "-backend", "-redis-host", "-redis-port", "-redis-url"} {
		if !strings.Contains(log.String(), "\n  "+flag) {
			t.Errorf("no %s in:\n%s", flag, log.String())
		}
	}
}

// runProgram runs this test binary as the program, and returns its exit status and what it wrote. It sends sig
// once the program has written its first line.
func runProgram(t *testing.T, sig os.Signal, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out := &firstWrite{began: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if sig != nil {
		<-out.began
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	err := cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.text.String()
}

// firstWrite keeps what is written and tells when that begins.
type firstWrite struct {
	text  strings.Builder // not embedded: a method of its own could go round Write
	once  sync.Once
	began chan struct{}
}

func (w *firstWrite) Write(p []byte) (int, error) {
	defer w.once.Do(func() { close(w.began) })
	return w.text.Write(p)
}

func TestProgramStopsCleanly(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			status, out := runProgram(t, sig, "-port", "0")
			if status != 0 {
				t.Errorf("exit status %d, want 0", status)
			}
			if !regexp.MustCompile(`^sessiondemo: sessions in memory, open http://127\.0\.0\.1:\d+/, Ctrl-C stops\n$`).MatchString(out) {
				t.Errorf("it wrote %q", out)
			}
		})
	}
}

// closedPort returns an address of loopback at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// pipes is a listener whose connections live in this process, and so in a bubble.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// get sends a request and returns the answer's body, or why there was none.
func (p *pipes) get() (string, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			select {
			case p.conns <- there:
				return here, nil
			case <-p.done:
				return nil, net.ErrClosed
			}
		},
	}}
	resp, err := client.Get("http://demo/")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// TestServeFinishesRequests stops the server while a request is under way.
func TestServeFinishesRequests(t *testing.T) {
	for _, tt := range []struct {
		name  string
		takes time.Duration
		want  string // of serve's error
	}{
		{name: "in time", takes: grace - time.Second},
		{name: "too slow", takes: time.Hour, want: "requests were still under way after 5s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					select {
					case <-time.After(tt.takes):
						fmt.Fprint(w, "done")
					case <-r.Context().Done():
					}
				})
				ctx, stop := context.WithCancel(t.Context())
				ln := newPipes()
				served := make(chan error, 1)
				go func() { served <- serve(ctx, ln, handler, slog.New(slog.DiscardHandler)) }()
				type result struct {
					body string
					err  error
				}
				first := make(chan result, 1)
				go func() {
					body, err := ln.get()
					first <- result{body, err}
				}()
				synctest.Wait()
				stop()
				synctest.Wait()
				if _, err := ln.get(); err == nil {
					t.Error("a request was answered after the server was told to stop")
				}
				told := time.Now()
				err := <-served
				got := <-first
				if waited := time.Since(told); waited > grace {
					t.Errorf("it took %v to stop, want at most %v", waited, grace)
				}
				if tt.want == "" {
					if err != nil || got.err != nil || got.body != "done" {
						t.Errorf("serve = %v, the request got %q, %v", err, got.body, got.err)
					}
					return
				}
				if err == nil || err.Error() != tt.want {
					t.Errorf("serve = %v, want %q", err, tt.want)
				}
				if got.err == nil {
					t.Errorf("the slow request got %q", got.body)
				}
			})
		})
	}
}
