package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
)

const anonymous = `{"authenticated":false,"session":null}`

// What an answer does to the cookie.
const (
	keepsCookie  = ""
	setsCookie   = "set"
	clearsCookie = "cleared"
)

func (r response) wantCookie(t testing.TB, want string) {
	t.Helper()
	got := keepsCookie
	switch lines := r.Header["Set-Cookie"]; {
	case len(lines) > 1:
		t.Fatalf("Set-Cookie lines: %q", lines)
	case len(lines) == 1 && regexp.MustCompile(`^sid=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax$`).MatchString(lines[0]):
		got = setsCookie
	case len(lines) == 1 && lines[0] == "sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly; SameSite=Lax":
		got = clearsCookie
	case len(lines) == 1:
		got = lines[0]
	}
	if got != want {
		t.Errorf("cookie: %q, want %q", got, want)
	}
}

// TestSessionsLife goes through everything that a visitor can do, second by second.
func TestSessionsLife(t *testing.T) {
	steps := []struct {
		name   string
		wait   time.Duration // before the request
		method string
		path   string
		form   string
		code   int
		want   string
		cookie string
	}{
		{
			name: "a visitor", method: "GET", path: "/session", code: 200, want: anonymous,
		},
		{
			name: "login", method: "POST", path: "/login", form: "username=andrew&ttl=30", code: 200, cookie: setsCookie,
			want: `{"authenticated": true, "session_id": "ID", "configured_ttl": 30, "ttl": 30, "session": {
				"username": "andrew", "page_views": "1", "session_ttl": "30", "ttl": "30",
				"created_at": "2000-01-01T00:00:00+00:00", "last_accessed_at": "2000-01-01T00:00:00+00:00"}}`,
		},
		{
			name: "count", wait: 10 * time.Second, method: "POST", path: "/increment", code: 200,
			want: `{"authenticated": true, "session_id": "ID", "configured_ttl": 30, "ttl": 30, "page_views": 2, "session": {
				"username": "andrew", "page_views": "2", "session_ttl": "30", "ttl": "30",
				"created_at": "2000-01-01T00:00:00+00:00", "last_accessed_at": "2000-01-01T00:00:10+00:00"}}`,
		},
		{
			name: "look without use", wait: 20 * time.Second, method: "GET", path: "/session?refresh=false", code: 200,
			want: `{"authenticated": true, "session_id": "ID", "configured_ttl": 30, "ttl": 10, "session": {
				"username": "andrew", "page_views": "2", "session_ttl": "30", "ttl": "10",
				"created_at": "2000-01-01T00:00:00+00:00", "last_accessed_at": "2000-01-01T00:00:10+00:00"}}`,
		},
		{
			name: "use", wait: 9 * time.Second, method: "GET", path: "/session", code: 200,
			want: `{"authenticated": true, "session_id": "ID", "configured_ttl": 30, "ttl": 30, "session": {
				"username": "andrew", "page_views": "2", "session_ttl": "30", "ttl": "30",
				"created_at": "2000-01-01T00:00:00+00:00", "last_accessed_at": "2000-01-01T00:00:39+00:00"}}`,
		},
		{
			name: "change the TTL", wait: 29 * time.Second, method: "POST", path: "/ttl", form: "ttl=90", code: 200,
			want: `{"authenticated": true, "session_id": "ID", "configured_ttl": 90, "ttl": 90, "session": {
				"username": "andrew", "page_views": "2", "session_ttl": "90", "ttl": "90",
				"created_at": "2000-01-01T00:00:00+00:00", "last_accessed_at": "2000-01-01T00:01:08+00:00"}}`,
		},
		{
			name: "it holds", wait: 89 * time.Second, method: "POST", path: "/increment", code: 200,
			want: `{"authenticated": true, "session_id": "ID", "configured_ttl": 90, "ttl": 90, "page_views": 3, "session": {
				"username": "andrew", "page_views": "3", "session_ttl": "90", "ttl": "90",
				"created_at": "2000-01-01T00:00:00+00:00", "last_accessed_at": "2000-01-01T00:02:37+00:00"}}`,
		},
		{
			name: "expired", wait: 90 * time.Second, method: "POST", path: "/increment", code: 401, cookie: clearsCookie,
			want: `{"error": "Session expired"}`,
		},
		{
			name: "without a cookie", method: "POST", path: "/increment", code: 401,
			want: `{"error": "No active session"}`,
		},
		{
			name: "login with nothing", method: "POST", path: "/login", code: 200, cookie: setsCookie,
			want: `{"authenticated": true, "session_id": "ID", "configured_ttl": 60, "ttl": 60, "session": {
				"username": "Guest", "page_views": "1", "session_ttl": "60", "ttl": "60",
				"created_at": "2000-01-01T00:04:07+00:00", "last_accessed_at": "2000-01-01T00:04:07+00:00"}}`,
		},
		{
			name: "logout", method: "POST", path: "/logout", code: 200, cookie: clearsCookie,
			want: `{"authenticated": false}`,
		},
		{
			name: "after the logout", method: "GET", path: "/session", code: 200, want: anonymous,
		},
		{
			name: "logout again", method: "POST", path: "/logout", code: 200, cookie: clearsCookie,
			want: `{"authenticated": false}`,
		},
	}
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newStore())
		var token string
		for _, step := range steps {
			t.Logf("step: %s", step.name)
			time.Sleep(step.wait)
			var got response
			if step.method == "GET" {
				got = c.get(step.path)
			} else {
				got = c.post(step.path, step.form)
			}
			if step.cookie == setsCookie {
				token = strings.TrimPrefix(c.cookie, "sid=")
			}
			got.wantJSON(t, step.code, step.want, token[:min(16, len(token))])
			got.wantCookie(t, step.cookie)
			if token != "" && strings.Contains(got.Body, token[16:]) {
				t.Errorf("the body shows the token: %s", got.Body)
			}
		}
	})
}

func TestSessionOfVisitorIsExact(t *testing.T) {
	b := newStore()
	c := newClient(t, b)
	if got := c.get("/session").Body; got != anonymous {
		t.Errorf("GET /session = %q, want %q", got, anonymous)
	}
	if n := b.calls.Load(); n != 0 {
		t.Errorf("%d calls of the store for a visitor without a cookie", n)
	}
}

// TestDeadSession asks each route with the cookie of a session that is gone, and of one that never was.
func TestDeadSession(t *testing.T) {
	for _, tt := range []struct {
		method, path, form string
		code               int
		want, cookie       string
	}{
		{"GET", "/session", "", 200, anonymous, clearsCookie},
		{"GET", "/session?refresh=false", "", 200, anonymous, keepsCookie},
		{"POST", "/increment", "", 401, `{"error": "Session expired"}`, clearsCookie},
		{"POST", "/ttl", "ttl=5", 401, `{"error": "Session expired"}`, clearsCookie},
		{"POST", "/logout", "", 200, `{"authenticated": false}`, clearsCookie},
		{"GET", "/sessions", "", 200, noSessions, keepsCookie},
		{"POST", "/sessions/end", "id=AAAAAAAAAAAAAAAA", 401, `{"error": "Session expired"}`, clearsCookie},
		{"POST", "/sessions/end-others", "", 401, `{"error": "Session expired"}`, clearsCookie},
	} {
		t.Run(tt.method+tt.path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newStore()
				c := newClient(t, b)
				c.login(url.Values{"ttl": {"7"}})
				expired := c.cookie
				time.Sleep(7 * time.Second)
				for _, c.cookie = range []string{expired, "sid=" + strings.Repeat("A", 43)} {
					got := c.do(request(tt.method, tt.path, tt.form))
					got.wantJSON(t, tt.code, tt.want, "")
					got.wantCookie(t, tt.cookie)
				}
				if ids := b.ids(t); len(ids) != 0 {
					t.Errorf("records %v came into being", ids)
				}
			})
		})
	}
}

func request(method, path, form string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(form))
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func TestLoginEndsOldSession(t *testing.T) {
	b := newStore()
	c := newClient(t, b)
	first := c.login(nil)
	old := c.cookie
	second := c.login(url.Values{"username": {"someone else"}})
	if first == second || c.cookie == old {
		t.Errorf("the second login kept the session %s", first)
	}
	if diff := cmp.Diff([]string{second}, b.ids(t)); diff != "" {
		t.Errorf("records mismatch (-want +got):\n%s", diff)
	}
	c.cookie = old
	c.post("/increment", "").wantError(t, 401, "Session expired")
}

func TestLoginLeavesOthersAlone(t *testing.T) {
	b := newStore()
	c := newClient(t, b)
	victim := c.login(nil)
	// The victim's public ID, with a secret of the attacker's own.
	c.cookie = "sid=" + victim + strings.Repeat("A", 27)
	mine := c.login(nil)
	if mine == victim {
		t.Errorf("login adopted the ID %s from the cookie", victim)
	}
	if n := len(b.ids(t)); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}

// TestLoginRefusedKeepsOldSession checks that a login that fails changes nothing.
func TestLoginRefusedKeepsOldSession(t *testing.T) {
	c := newClient(t, newStore())
	id := c.login(nil)
	for _, form := range []string{"ttl=0", "username=" + strings.Repeat("x", 65), "remember=maybe", "ttl=%zz", strings.Repeat("x", maxForm+1)} {
		got := c.post("/login", form)
		if got.Code < 400 {
			t.Errorf("POST /login %.20q = %d", form, got.Code)
		}
		got.wantCookie(t, keepsCookie)
	}
	if got := c.get("/session").field(t, "session_id"); got != id {
		t.Errorf("session_id = %v, want %v", got, id)
	}
}

// TestTTLAcrossSeconds touches sessions at the end of a second and answers in the next.
func TestTTLAcrossSeconds(t *testing.T) {
	for _, route := range [][3]string{
		{"POST", "/login", "ttl=1"}, {"GET", "/session", ""}, {"POST", "/increment", ""}, {"POST", "/ttl", "ttl=1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newStore()
			c := newClient(t, b)
			time.Sleep(990 * time.Millisecond)
			c.login(url.Values{"ttl": {"1"}})
			b.fail = func(context.Context) error { time.Sleep(20 * time.Millisecond); return nil }
			if got := c.do(request(route[0], route[1], route[2])).field(t, "ttl"); got != 1.0 {
				t.Errorf("%s %s: ttl = %v, want 1", route[0], route[1], got)
			}
		})
	}
}

func TestShownFieldsOfOtherPrograms(t *testing.T) {
	b := newStore()
	c := newClient(t, b)
	id := c.login(nil)
	set := map[string]string{"theme": "dark", "ttl": "7", "raw": "\xff<"}
	if _, err := b.Backend.Apply(t.Context(), id, backend.Patch{Set: set}); err != nil {
		t.Fatal(err)
	}
	got := c.get("/session").field(t, "session").(map[string]any)
	for name, want := range map[string]string{"theme": "dark", "ttl": "60", "raw": "\ufffd<", "username": "Guest"} {
		if got[name] != want {
			t.Errorf("session.%s = %q, want %q", name, got[name], want)
		}
	}
	if _, ok := got["session_token"]; ok {
		t.Error("session_token is shown")
	}
}

func TestStoreFailure(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name string
		fail func(context.Context) error
		code int
		want string
	}{
		{"error", func(context.Context) error { return boom }, 503, "The session store failed"},
		{"no answer", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, 503, "The session store does not answer"},
		{"unreadable", func(context.Context) error { return backend.ErrUnreadable }, 500, "The stored session cannot be read"},
	} {
		for _, route := range [][3]string{
			{"GET", "/session", ""}, {"GET", "/session?refresh=false", ""}, {"POST", "/increment", ""},
			{"POST", "/ttl", "ttl=9"}, {"POST", "/logout", ""}, {"POST", "/login", ""},
			{"GET", "/sessions", ""}, {"POST", "/sessions/end", "id=AAAAAAAAAAAAAAAA"}, {"POST", "/sessions/end-others", ""},
		} {
			t.Run(tt.name+route[1], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newStore()
					c := newClient(t, b)
					id := c.login(nil)
					b.fail = tt.fail
					got := c.do(request(route[0], route[1], route[2]))
					got.wantError(t, tt.code, tt.want)
					got.wantCookie(t, keepsCookie)
					b.fail = nil
					if got := c.get("/session").field(t, "session_id"); got != id {
						t.Errorf("afterwards: session %v, want %v", got, id)
					}
				})
			})
		}
	}
}

func TestLoginWithoutStore(t *testing.T) {
	b := newStore()
	b.fail = func(context.Context) error { return errors.New("boom") }
	got := newClient(t, b).post("/login", "")
	got.wantError(t, 503, "The session store failed")
	got.wantCookie(t, keepsCookie)
}

func TestIncrementOfWhatIsNoCounter(t *testing.T) {
	b := newStore()
	c := newClient(t, b)
	id := c.login(nil)
	if _, err := b.Backend.Apply(t.Context(), id, backend.Patch{Set: map[string]string{"page_views": "many"}}); err != nil {
		t.Fatal(err)
	}
	c.post("/increment", "").wantError(t, 409, "The stored page_views is not a number that can be counted up")
}

// TestStoreFailureIsLogged checks that whoever runs the demo sees why, and no secret.
func TestStoreFailureIsLogged(t *testing.T) {
	var log bytes.Buffer
	b := newStore()
	h, err := newServer(b, settings{store: "memory"}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, h: h}
	c.login(nil)
	b.fail = func(context.Context) error { return errors.New("boom") }
	c.get("/session")
	if !strings.Contains(log.String(), "boom") {
		t.Errorf("log %q does not say what failed", log.String())
	}
	if secret := strings.TrimPrefix(c.cookie, "sid=")[16:]; strings.Contains(log.String(), secret) {
		t.Errorf("log %q shows the token", log.String())
	}
}
