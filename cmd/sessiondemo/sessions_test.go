package main

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

const noSessions = `{"authenticated": false, "sessions": []}`

// as logs another browser in on the demo of c.
func (c *client) as(name, userAgent string) (*client, string) {
	c.t.Helper()
	other := &client{t: c.t, h: c.h}
	r := request(http.MethodPost, "/login", url.Values{"username": {name}}.Encode())
	r.Header.Set("User-Agent", userAgent)
	got := other.do(r)
	if got.Code != http.StatusOK {
		c.t.Fatalf("POST /login = %d %s", got.Code, got.Body)
	}
	return other, got.field(c.t, "session_id").(string)
}

// listed returns the IDs in GET /sessions.
func (c *client) listed() []string {
	c.t.Helper()
	var ids []string
	for _, s := range c.get("/sessions").field(c.t, "sessions").([]any) {
		ids = append(ids, s.(map[string]any)["id"].(string))
	}
	return ids
}

func TestSessionsOfVisitorAreExact(t *testing.T) {
	b := newStore()
	got := newClient(t, b).get("/sessions")
	got.wantJSON(t, 200, noSessions, "")
	got.wantCookie(t, keepsCookie)
	if n := b.calls.Load(); n != 0 {
		t.Errorf("%d calls of the store for a visitor without a cookie", n)
	}
}

func TestSessionsListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newStore())
		first, id := c.as("  andrew ", "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0")
		time.Sleep(10 * time.Second)
		c.as("Andrew", "") // someone else
		second, other := c.as("andrew", "")
		time.Sleep(5 * time.Second)
		second.post("/ttl", "ttl=600")

		got := first.get("/sessions")
		got.wantJSON(t, 200, strings.NewReplacer("ID", id, "OTHER", other).Replace(`{"authenticated": true, "sessions": [
			{"id": "ID", "label": "Firefox on Linux", "remembered": false, "current": true,
			 "logged_in": "2000-01-01T00:00:00+00:00", "last_used": "2000-01-01T00:00:00+00:00",
			 "expires": "2000-01-01T00:01:00+00:00", "ttl": 45},
			{"id": "OTHER", "label": "An unknown browser", "remembered": false, "current": false,
			 "logged_in": "2000-01-01T00:00:10+00:00", "last_used": "2000-01-01T00:00:15+00:00",
			 "expires": "2000-01-01T00:10:15+00:00", "ttl": 600}]}`), "ID")
		got.wantCookie(t, keepsCookie)

		// Asking kept nothing alive.
		time.Sleep(45 * time.Second)
		if diff := cmp.Diff([]string{other}, second.listed()); diff != "" {
			t.Errorf("a minute after the login: sessions mismatch (-want +got):\n%s", diff)
		}
		first.get("/sessions").wantJSON(t, 200, noSessions, "")
	})
}

// TestSessionsOfOtherPrograms lists a session that no login of this demo has made.
func TestSessionsOfOtherPrograms(t *testing.T) {
	b := newStore()
	c := newClient(t, b)
	id := c.login(nil)
	change := backend.Patch{Delete: []string{"session_owner", "session_authenticated_at"}}
	if _, err := b.Backend.Apply(t.Context(), id, change); err != nil {
		t.Fatal(err)
	}
	c.get("/sessions").wantJSON(t, 200, `{"authenticated": true, "sessions": []}`, "")
	c.post("/sessions/end-others", "").wantJSON(t, 200, `{"authenticated": true, "sessions": [], "ended": 0}`, "")
	c.post("/sessions/end", "id="+id).wantError(t, 404, "You have no such session")
}

func TestSessionsEndOne(t *testing.T) {
	b := newStore()
	c := newClient(t, b)
	mine, id := c.as("andrew", "")
	other, ended := c.as("andrew", "")
	_, stays := c.as("andrew", "")

	got := mine.post("/sessions/end", "id="+ended)
	if n := got.field(t, "ended"); got.Code != 200 || n != 1.0 {
		t.Errorf("POST /sessions/end = %d %s, want 1 ended", got.Code, got.Body)
	}
	got.wantCookie(t, keepsCookie)
	var left []string
	for _, s := range got.field(t, "sessions").([]any) {
		left = append(left, s.(map[string]any)["id"].(string))
	}
	slices.Sort(left)
	want := []string{id, stays}
	slices.Sort(want)
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("sessions mismatch (-want +got):\n%s", diff)
	}
	other.get("/sessions").wantJSON(t, 200, noSessions, "")
	other.post("/increment", "").wantError(t, 401, "Session expired")
	mine.post("/sessions/end", "id="+ended).wantError(t, 404, "You have no such session")
}

// TestSessionsEndThisOne checks that a session which is ended from its own list is logged out.
func TestSessionsEndThisOne(t *testing.T) {
	b := newStore()
	c, id := newClient(t, b).as("andrew", "")
	got := c.post("/sessions/end", "id="+id)
	got.wantJSON(t, 200, `{"authenticated": false, "sessions": [], "ended": 1}`, "")
	got.wantCookie(t, clearsCookie)
	if ids := b.ids(t); len(ids) != 0 {
		t.Errorf("records %v, want none", ids)
	}
}

func TestSessionsEndOneRefused(t *testing.T) {
	b := newStore()
	c := newClient(t, b)
	mine, _ := c.as("andrew", "")
	_, victim := c.as("eve", "")
	const nobody = "You have no such session"
	for _, tt := range []struct {
		name, form string
		code       int
		want       string
	}{
		{"nothing", "", 400, badID},
		{"empty", "id=", 400, badID},
		{"somebody else's", "id=" + victim, 404, nobody},
		{"unknown", "id=AAAAAAAAAAAAAAAA", 404, nobody},
		{"short", "id=" + victim[1:], 404, nobody},
		{"long", "id=" + victim + "A", 404, nobody},
		{"the user's index", "id=owner%3AAAAAAAAAAA", 404, nobody},
		{"markup", "id=%3Cscript%3E", 404, nobody},
		{"not UTF-8", "id=%ff%00", 404, nobody},
		{"in another field", "ID=" + victim, 400, badID},
		{"bad escape", "id=%zz", 400, "The form is malformed"},
		{"too large", "id=" + strings.Repeat("x", maxForm), 413, "The form is too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mine.post("/sessions/end", tt.form)
			got.wantError(t, tt.code, tt.want)
			got.wantCookie(t, keepsCookie)
			if n := len(b.ids(t)); n != 2 {
				t.Errorf("%d sessions left, want 2", n)
			}
		})
	}
	t.Run("in the URL", func(t *testing.T) {
		mine.post("/sessions/end?id="+victim, "").wantError(t, 400, badID)
	})
	t.Run("JSON", func(t *testing.T) {
		r := request(http.MethodPost, "/sessions/end", `{"id": "x"}`)
		r.Header.Set("Content-Type", "application/json")
		if got := mine.do(r); got.Code != http.StatusUnsupportedMediaType {
			t.Errorf("status = %d, want 415", got.Code)
		}
	})
}

func TestSessionsEndOthers(t *testing.T) {
	c := newClient(t, newStore())
	mine, id := c.as("andrew", "")
	other, _ := c.as("andrew", "")
	third, _ := c.as("andrew", "")
	stranger, _ := c.as("eve", "")
	for _, want := range []float64{2, 0} {
		got := mine.post("/sessions/end-others", "")
		if n := got.field(t, "ended"); got.Code != 200 || n != want {
			t.Errorf("POST /sessions/end-others = %d %s, want %v ended", got.Code, got.Body, want)
		}
		got.wantCookie(t, keepsCookie)
	}
	if diff := cmp.Diff([]string{id}, mine.listed()); diff != "" {
		t.Errorf("sessions mismatch (-want +got):\n%s", diff)
	}
	for _, ended := range []*client{other, third} {
		ended.get("/session").wantJSON(t, 200, anonymous, "")
	}
	if got := stranger.get("/session").field(t, "authenticated"); got != true {
		t.Error("somebody else's session was ended too")
	}
}

// TestSessionsUsedByEnding checks that to end a session uses the one that asks.
func TestSessionsUsedByEnding(t *testing.T) {
	for _, path := range []string{"/sessions/end", "/sessions/end-others"} {
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, newStore())
			mine, _ := c.as("andrew", "")
			_, other := c.as("andrew", "")
			time.Sleep(59 * time.Second)
			mine.post(path, "id="+other)
			if got := mine.get("/session?refresh=false").field(t, "ttl"); got != 60.0 {
				t.Errorf("after POST %s: ttl = %v, want 60", path, got)
			}
		})
	}
}

func TestRemember(t *testing.T) {
	const (
		kept     = "; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"
		tillExit = "; Path=/; HttpOnly; SameSite=Lax"
	)
	for _, tt := range []struct{ form, rest string }{
		{"remember=on", kept},
		{"remember=true", kept},
		{"remember=1", kept},
		{"remember=off", tillExit},
		{"remember=false", tillExit},
		{"remember=0", tillExit},
		{"remember=", tillExit},
		{"ttl=60", tillExit},
	} {
		t.Run(tt.form, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, newStore())
				got := c.post("/login", tt.form)
				line := got.Header.Get("Set-Cookie")
				if line != c.cookie+tt.rest {
					t.Errorf("Set-Cookie: %s, want %s after its value", line, tt.rest)
				}
				if n := got.field(t, "configured_ttl"); n != 60.0 {
					t.Errorf("configured_ttl = %v, want 60", n)
				}
				list := c.get("/sessions").field(t, "sessions").([]any)
				if got := list[0].(map[string]any)["remembered"]; got != (tt.rest == kept) {
					t.Errorf("remembered = %v, want %v", got, tt.rest == kept)
				}
			})
		})
	}
	for _, form := range []string{"remember=maybe", "remember=%3Cb%3E", "remember=+on"} {
		b := newStore()
		got := newClient(t, b).post("/login", form)
		got.wantError(t, 400, badRemember)
		got.wantCookie(t, keepsCookie)
		if n := b.calls.Load(); n != 0 {
			t.Errorf("%s: %d calls of the store", form, n)
		}
	}
}

// TestRotation has each way to use a session replace its token when that is due, and not before.
func TestRotation(t *testing.T) {
	for _, use := range [][3]string{
		{"GET", "/session", ""}, {"POST", "/increment", ""}, {"POST", "/ttl", "ttl=3600"},
		{"POST", "/sessions/end", "id=AAAAAAAAAAAAAAAA"}, {"POST", "/sessions/end-others", ""},
	} {
		t.Run(use[1], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newStore()
				c := newRotating(t, b, time.Minute)
				id := c.login(url.Values{"ttl": {"3600"}})
				old := c.cookie
				time.Sleep(59 * time.Second)
				c.do(request(use[0], use[1], use[2])).wantCookie(t, keepsCookie)
				time.Sleep(time.Second)
				for _, quiet := range []string{"/session?refresh=false", "/sessions"} {
					c.get(quiet).wantCookie(t, keepsCookie)
				}
				c.do(request(use[0], use[1], use[2])).wantCookie(t, setsCookie)
				if got := c.get("/session").field(t, "session_id"); got != id || c.cookie == old {
					t.Errorf("session_id = %v, want %v; new cookie: %v", got, id, c.cookie != old)
				}

				// The old one is good for requests under way. After that, somebody has stolen it.
				thief := &client{t: t, h: c.h, cookie: old}
				time.Sleep(9 * time.Second)
				thief.post("/increment", "").wantCookie(t, keepsCookie)
				time.Sleep(2 * time.Second)
				thief.post("/increment", "").wantError(t, 401, "Session expired")
				c.get("/session").wantJSON(t, 200, anonymous, "")
				if ids := b.ids(t); len(ids) != 0 {
					t.Errorf("sessions %v, want none", ids)
				}
			})
		})
	}
}

func TestBrowserLabel(t *testing.T) {
	const webkit = "AppleWebKit/537.36 (KHTML, like Gecko) "
	for _, tt := range []struct{ userAgent, want string }{
		{"Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox on Linux"},
		{"Mozilla/5.0 (X11; Linux x86_64) " + webkit + "Chrome/150.0.0.0 Safari/537.36", "Chrome on Linux"},
		{"Mozilla/5.0 (X11; Linux x86_64) " + webkit + "HeadlessChrome/150.0.0.0 Safari/537.36", "Chrome on Linux"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/150.0.0.0 Safari/537.36 Edg/150.0.0.0", "Edge on Windows"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/150.0.0.0 Safari/537.36 OPR/120.0.0.0", "Opera on Windows"},
		{"Mozilla/5.0 (Linux; Android 10; K) " + webkit + "Chrome/150.0.0.0 Mobile Safari/537.36", "Chrome on Android"},
		{"Mozilla/5.0 (Linux; Android 10; K) " + webkit + "SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36", "Samsung Internet on Android"},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15", "Safari on macOS"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/150.0.0.0 Mobile/15E148 Safari/604.1", "Chrome on iOS"},
		{"Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/150.0 Mobile/15E148 Safari/605.1.15", "Firefox on iPadOS"},
		{"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) " + webkit + "Chrome/150.0.0.0 Safari/537.36", "Chrome on ChromeOS"},
		{"curl/8.15.0", "curl"},
		{"Go-http-client/1.1", "A Go program"},
		{"", "An unknown browser"},
		{"<img src=x onerror=alert(1)>", "An unknown browser"},
		{strings.Repeat("Linux \xff", 1000), "An unknown browser on Linux"},
	} {
		if got := browserLabel(tt.userAgent); got != tt.want {
			t.Errorf("browserLabel(%.80q) = %q, want %q", tt.userAgent, got, tt.want)
		}
	}
}

// ending is a store in which a session ends just before the list that it is in is read.
type ending struct {
	backend.Backend
	id string
}

func (e *ending) Load(ctx context.Context, id string) (backend.Record, error) {
	if strings.HasPrefix(id, "owner:") && e.id != "" {
		if err := e.Delete(ctx, e.id); err != nil {
			return backend.Record{}, err
		}
	}
	return e.Backend.Load(ctx, id)
}

// TestSessionsOfOneThatEndsMeanwhile checks that it is not taken for a store that is down.
func TestSessionsOfOneThatEndsMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name string
		ask  func(c *client, other string) response
		want func(got response)
	}{
		{"list", func(c *client, _ string) response { return c.get("/sessions") }, func(got response) {
			got.wantJSON(t, 200, noSessions, "")
			got.wantCookie(t, keepsCookie)
		}},
		{"end one", func(c *client, other string) response { return c.post("/sessions/end", "id="+other) }, func(got response) {
			got.wantError(t, 401, "Session expired")
		}},
		{"end others", func(c *client, _ string) response { return c.post("/sessions/end-others", "") }, func(got response) {
			got.wantError(t, 401, "Session expired")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &ending{Backend: memory.New(nil)}
			c, id := newClient(t, e).as("andrew", "")
			_, other := c.as("andrew", "")
			e.id = id
			tt.want(tt.ask(c, other))
		})
	}
}
