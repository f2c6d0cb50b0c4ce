package main

import (
	"context"
	"net"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/internal/redistest"
)

var redisBackends = []string{"goredis", "rueidis"}

func TestRunOnRedis(t *testing.T) {
	server := redistest.Shared(t)
	host, port, _ := net.SplitHostPort(server.Addr())
	for i, b := range redisBackends {
		t.Run(b, func(t *testing.T) {
			d := startDemo(t, "-backend", b, "-redis-host", host, "-redis-port", port)
			id := d.ask(t, "/login", url.Values{"username": {"andrew"}, "ttl": {"600"}}).field(t, "session_id").(string)
			key := "session:" + id

			fields := server.Do(t, "HGETALL", key).Map()
			for _, name := range []string{"created_at", "last_accessed_at", "session_authenticated_at", "session_token"} {
				if fields[name] == "" {
					t.Errorf("%s: no %s in %v", key, name, fields)
				}
				delete(fields, name)
			}
			want := map[string]string{
				"username": "andrew", "page_views": "1", "session_ttl": "600",
				"session_owner": "andrew", "session_epoch": "1", "session_label": "A Go program",
			}
			if diff := cmp.Diff(want, fields); diff != "" {
				t.Errorf("%s mismatch (-want +got):\n%s", key, diff)
			}

			// Another program that follows the guide changes it, and the demo sees that.
			server.Do(t, "HINCRBY", key, "page_views", "10")
			if got := d.ask(t, "/increment", url.Values{}).field(t, "page_views"); got != 12.0 {
				t.Errorf("page_views = %v, want 12", got)
			}

			// So does a demo that talks to Redis through the other client.
			other := startDemo(t, "-backend", redisBackends[1-i], "-redis-url", server.URL())
			other.client.Jar = d.client.Jar // cookies do not tell ports apart
			if got := other.ask(t, "/ttl", url.Values{"ttl": {"900"}}).field(t, "session_id"); got != id {
				t.Errorf("through the other client: session %v, want %v", got, id)
			}
			if left := server.Do(t, "TTL", key).Int(); left <= 600 || left > 900 {
				t.Errorf("TTL %s = %d, want about 900", key, left)
			}

			jar := d.client.Jar
			u, _ := url.Parse(d.url)
			cookies := jar.Cookies(u)
			other.ask(t, "/logout", url.Values{})
			if n := server.Do(t, "EXISTS", key).Int(); n != 0 {
				t.Errorf("%s is still there after the logout", key)
			}
			jar.SetCookies(u, cookies)
			d.ask(t, "/increment", url.Values{}).wantError(t, 401, "Session expired")

			d.stop()
			if err := <-d.done; err != nil {
				t.Errorf("run = %v after its context ended, want nil", err)
			}
		})
	}
}

// TestRedisGoesAndComesBack stops Redis under a running demo.
func TestRedisGoesAndComesBack(t *testing.T) {
	for _, b := range redisBackends {
		t.Run(b, func(t *testing.T) {
			server := redistest.Start(t, &redistest.Options{Persist: true})
			d := startDemo(t, "-backend", b, "-redis-url", server.URL())
			id := d.ask(t, "/login", url.Values{"ttl": {"600"}}).field(t, "session_id")
			server.Stop()
			for _, path := range []string{"/session", "/increment"} {
				form := url.Values{}
				if path == "/session" {
					form = nil
				}
				got := d.ask(t, path, form)
				if got.Code != 503 || !strings.HasPrefix(got.Body, `{"error":"The session store `) {
					t.Errorf("%s without Redis = %d %s, want 503", path, got.Code, got.Body)
				}
				got.wantCookie(t, keepsCookie)
			}
			server.Restart(t)
			for got := d.ask(t, "/session", nil); ; got = d.ask(t, "/session", nil) {
				if got.Code == 503 {
					continue // the client has not noticed yet
				}
				if got.field(t, "session_id") != id {
					t.Errorf("afterwards: %d %s, want session %v", got.Code, got.Body, id)
				}
				break
			}
		})
	}
}

// TestRedisHangs stops Redis in its tracks: its connections stay and say nothing.
func TestRedisHangs(t *testing.T) {
	for _, b := range redisBackends {
		t.Run(b, func(t *testing.T) {
			t.Parallel() // it takes some seconds of waiting
			server := redistest.Start(t, nil)
			d := startDemo(t, "-backend", b, "-redis-url", server.URL())
			d.client.Timeout = 10 * time.Second // for a demo that waits for Redis instead
			id := d.ask(t, "/login", url.Values{"ttl": {"600"}}).field(t, "session_id")
			server.Pause(t)
			t.Cleanup(func() { server.Resume(t) })
			got := d.ask(t, "/session?refresh=false", nil)
			got.wantError(t, 503, "The session store does not answer")
			got.wantCookie(t, keepsCookie)
			server.Resume(t)
			if got := d.ask(t, "/session", nil); got.field(t, "session_id") != id {
				t.Errorf("afterwards: %d %s, want session %v", got.Code, got.Body, id)
			}
			server.Pause(t)
			d.stop()
			if err := <-d.done; err != nil {
				t.Errorf("run = %v after its context ended, want nil", err)
			}
		})
	}
}

// TestRunWithoutRedis checks that each way for Redis not to be there ends in one line that names it.
func TestRunWithoutRedis(t *testing.T) {
	for _, b := range redisBackends {
		t.Run(b, func(t *testing.T) {
			for _, tt := range []struct {
				name    string
				address string
				want    string
			}{
				{"nobody listens", closedPort(t), "refused"},
				{"no answer", silent(t), "no answer from Redis"},
			} {
				t.Run(tt.name, func(t *testing.T) {
					wantNoRedis(t, tt.address, tt.want, "-backend", b, "-redis-url", "redis://"+tt.address)
				})
			}
		})
	}
}

func TestRunRefusedByRedis(t *testing.T) {
	server := redistest.Start(t, nil)
	server.Do(t, "ACL", "SETUSER", "demo", "on", ">right", "+@all", "~*")
	for _, b := range redisBackends {
		t.Run(b, func(t *testing.T) {
			wantNoRedis(t, server.Addr(), "WRONGPASS", "-backend", b, "-redis-url", "redis://demo:wrong@"+server.Addr())
			wantNoRedis(t, server.Addr(), "DB index is out of range", "-backend", b, "-redis-url", server.URL()+"/99")
			d := startDemo(t, "-backend", b, "-redis-url", "redis://demo:right@"+server.Addr()+"/1")
			d.ask(t, "/login", url.Values{})
			if n := server.Do(t, "DBSIZE").Int(); n != 0 {
				t.Errorf("%d keys in database 0, want the session in 1", n)
			}
		})
	}
}

// wantNoRedis runs the program with args and wants exit status 1 and one line that names the address: nothing of
// the client's own, and no password.
func wantNoRedis(t *testing.T, address, want string, args ...string) {
	t.Helper()
	status, out := runProgram(t, nil, args...)
	if status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if !regexp.MustCompile(`^sessiondemo: [^\n]*\n$`).MatchString(out) || !strings.Contains(out, address) || !strings.Contains(out, want) {
		t.Errorf("it wrote %q, want one line with %q and %q", out, address, want)
	}
	if strings.Contains(out, "wrong") {
		t.Errorf("it shows the password: %q", out)
	}
}

// silent returns the address of a server that takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(t.Context(), func() { _ = conn.Close() })
		}
	}()
	return ln.Addr().String()
}
