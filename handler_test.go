package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

type serve = func(w http.ResponseWriter, r *http.Request, s *session.Session)

// shop is what the handler tests serve.
func shop(m *session.Manager) http.Handler {
	return routes(m, map[string]serve{
		"/read": func(w http.ResponseWriter, _ *http.Request, s *session.Session) { fmt.Fprint(w, s.Get("a")) },
		"/write": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			s.Set("a", r.FormValue("a"))
			s.Set("b", "1")
			s.Delete("c")
		},
		"/count": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			n, err := s.Increment(r.Context(), "n", 1)
			fmt.Fprint(w, n, err)
		},
		"/field":  func(_ http.ResponseWriter, r *http.Request, s *session.Session) { s.Set(r.URL.RawQuery, "1") },
		"/all":    func(w http.ResponseWriter, _ *http.Request, s *session.Session) { fmt.Fprint(w, sorted(s)) },
		"/login":  func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Login("andrew"); s.Set("a", "in") },
		"/rotate": func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Rotate() },
		"/logout": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			if err := s.Destroy(r.Context()); err != nil {
				http.Error(w, "try again", http.StatusServiceUnavailable)
			}
		},
		"/reserved": func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			s.Set("session_owner", "root")
			fmt.Fprint(w, "secret")
		},
	})
}

func TestHandlerRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name     string
			opts     session.Options
			path     string
			existing bool
			wait     time.Duration
			want     string
		}{
			{name: "no cookie, ignores the session", path: "/plain", want: ""},
			{name: "no cookie, reads", path: "/read", want: ""},
			{name: "ignores the session", path: "/plain", existing: true, want: ""},
			{name: "read, no touch due", path: "/read", existing: true, want: "Load"},
			{name: "read, touch due", path: "/read", existing: true, wait: time.Minute, want: "Load Apply"},
			{name: "read, touched at every read", opts: session.Options{TouchInterval: -1}, path: "/read", existing: true, want: "Apply"},
			{name: "changes", path: "/write", existing: true, want: "Load Apply"},
			{name: "changes, touch due", path: "/write", existing: true, wait: time.Minute, want: "Load Apply"},
			{name: "changes, touched at every read", opts: session.Options{TouchInterval: -1}, path: "/write", existing: true, want: "Apply Apply"},
			{name: "count", path: "/count", existing: true, want: "Load Apply"},
			{name: "first write of a new session", path: "/write", want: "Create"},
			{name: "first count of a new session", path: "/count", want: "Create"},
			// A login makes or changes the session in one call, between two or three of the owner's index.
			{name: "login on an existing session", path: "/login", existing: true, want: "Load Apply(index) Create(index) Apply Apply(index)"},
			{name: "login without one", path: "/login", want: "Apply(index) Create(index) Create Apply(index)"},
			{name: "logout", path: "/logout", existing: true, want: "Load Delete"},
			{name: "logout without one", path: "/logout", want: ""},
		} {
			b := newSpy()
			m := mustNew(t, b, &tt.opts)
			br := newBrowser(t, shop(m))
			if tt.existing {
				br.cookie = mustCreate(t, m, map[string]string{"a": "1", "c": "1"}).Token().Reveal()
			}
			time.Sleep(tt.wait)
			b.took()
			if w := br.get(tt.path); w.Code != http.StatusOK {
				t.Errorf("%s: status %d", tt.name, w.Code)
			}
			if got := b.took(); got != tt.want {
				t.Errorf("%s: took %q, want %q", tt.name, got, tt.want)
			}
		}
	})
}

func TestHandlerLifecycle(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	br := newBrowser(t, shop(m))
	if w := br.get("/read"); setsCookie(w) || w.Header().Get("Vary") != "Cookie" {
		t.Errorf("an anonymous read: header %v", w.Header())
	}
	w := br.get("/write?a=first")
	if !setsCookie(w) || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("the first write: header %v", w.Header())
	}
	if w := br.get("/read"); w.Body.String() != "first" || setsCookie(w) {
		t.Errorf("read = %q, header %v", w.Body, w.Header())
	}
	before := br.cookie
	if w := br.get("/login"); !setsCookie(w) || br.cookie == before {
		t.Errorf("login gave no new token: header %v", w.Header())
	}
	old := newBrowser(t, br.handler)
	old.cookie = before
	if w := old.get("/read"); w.Body.String() != "" {
		t.Errorf("the old token reads %q", w.Body)
	}
	if w := br.get("/read"); w.Body.String() != "in" {
		t.Errorf("the new token reads %q", w.Body)
	}
	before = br.cookie
	br.get("/rotate")
	if br.cookie == before {
		t.Error("rotate gave no new token")
	}
	if w := br.get("/logout"); br.cookie != "" {
		t.Errorf("logout left the cookie: header %v", w.Header())
	}
	if w := br.get("/plain"); w.Header().Get("Vary") != "" || setsCookie(w) {
		t.Errorf("a route that ignores the session: header %v", w.Header())
	}
}

func TestHandlerBadCookiesCostNothing(t *testing.T) {
	b, ev := newSpy(), new(events)
	m := mustNew(t, b, &session.Options{OnEvent: ev.hook})
	h := shop(m)
	for _, cookie := range []string{
		"__Host-sid=", "__Host-sid=x", `__Host-sid="` + goodToken + `"`, "__Host-sid=" + goodToken + "=",
		"__Host-sid=" + goodToken[:42] + "B", "__Host-sid=" + goodToken + "; __Host-sid=" + goodToken,
		"__Host-sid=\xff" + goodToken[1:], "__Host-sid=" + strings.Repeat("A", 1<<16), "__Host-sid=<script>",
	} {
		r := httptest.NewRequest("GET", "/read", nil)
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK || w.Body.String() != "" || setsCookie(w) {
			t.Errorf("%.60q: %d %q, header %v", cookie, w.Code, w.Body, w.Header())
		}
		if got := b.took(); got != "" {
			t.Errorf("%.60q took %q, want no call", cookie, got)
		}
		if got := ev.kinds(); got != string(session.EventRejectedCookie) {
			t.Errorf("%.60q: events %q", cookie, got)
		}
	}
}

func TestHandlerNeverAdoptsAClientsToken(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, nil)
	for _, path := range []string{"/write?a=1", "/login", "/count"} {
		br := newBrowser(t, shop(m))
		br.cookie = goodToken
		br.get(path)
		if got := b.took(); !strings.HasPrefix(got, "Load ") || strings.Count(got, "Load") != 1 {
			t.Errorf("%s with an unknown token took %q, want one read", path, got)
		}
		if br.cookie == goodToken || strings.HasPrefix(br.cookie, goodToken[:16]) {
			t.Errorf("%s adopted the client's token", path)
		}
	}
}

func TestHandlerStoreErrorIs503(t *testing.T) {
	for _, tt := range []struct{ name, method, path string }{
		{"load", "Load", "/read"},
		{"commit", "Apply", "/write?a=2"},
		{"login", "Apply", "/login"},
		{"create", "Create", "/write?a=2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newSpy()
			m := mustNew(t, b, &session.Options{OnEvent: new(events).hook})
			br := newBrowser(t, shop(m))
			if tt.method != "Create" {
				br.cookie = mustCreate(t, m, nil).Token().Reveal()
			}
			before := br.cookie
			b.fail = map[string]error{tt.method: errStore}
			w := br.get(tt.path)
			if w.Code != http.StatusServiceUnavailable || setsCookie(w) || br.cookie != before {
				t.Errorf("= %d, header %v", w.Code, w.Header())
			}
			if strings.Contains(w.Body.String(), errStore.Error()) {
				t.Errorf("the answer shows the error: %q", w.Body)
			}
			b.fail = nil
			if w := br.get("/read"); w.Code != http.StatusOK {
				t.Errorf("afterwards: %d", w.Code)
			}
		})
	}
}

func TestHandlerTouchThatFailsHarmsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ev := newSpy(), new(events)
		m := mustNew(t, b, &session.Options{OnEvent: ev.hook})
		br := newBrowser(t, shop(m))
		br.cookie = mustCreate(t, m, map[string]string{"a": "1"}).Token().Reveal()
		time.Sleep(time.Minute)
		ev.kinds()
		b.fail = map[string]error{"Apply": errStore}
		if w := br.get("/read"); w.Code != http.StatusOK || w.Body.String() != "1" {
			t.Errorf("= %d %q", w.Code, w.Body)
		}
		if got := ev.kinds(); got != string(session.EventStoreError) {
			t.Errorf("events %q, want the store's error", got)
		}
	})
}

func TestHandlerFailedCommitSendsNothingOfTheHandlers(t *testing.T) {
	var seen error
	m := mustNew(t, newSpy(), &session.Options{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		seen = err
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "sorry")
	}})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Outer", "kept")
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, _ := m.Get(r)
			s.Set("session_owner", "root")
			w.Header().Set("X-Secret", "of the handler")
			w.Header().Set("X-Outer", "changed")
			http.SetCookie(w, &http.Cookie{Name: "other", Value: "x"})
			w.WriteHeader(http.StatusCreated)
			if n, err := fmt.Fprint(w, "of the handler"); n != 0 || !errors.Is(err, session.ErrReserved) {
				t.Errorf("Write after the failed commit = %d, %v, want the reason", n, err)
			}
			if _, err := io.WriteString(w, "more"); err == nil {
				t.Error("WriteString after the failed commit = nil")
			}
			if err := http.NewResponseController(w).Flush(); err == nil {
				t.Error("Flush after the failed commit = nil")
			}
		})).ServeHTTP(w, r)
	})
	w := newBrowser(t, h).get("/")
	if w.Code != http.StatusTeapot || w.Body.String() != "sorry" || w.Header().Get("X-Secret") != "" ||
		w.Header().Get("X-Outer") != "kept" || setsCookie(w) {
		t.Errorf("= %d %q, header %v", w.Code, w.Body, w.Header())
	}
	if !errors.Is(seen, session.ErrReserved) {
		t.Errorf("the error handler was told %v", seen)
	}
}

func TestDefaultErrorHandlerStatus(t *testing.T) {
	for err, want := range map[error]int{
		errStore:                 http.StatusServiceUnavailable,
		context.DeadlineExceeded: http.StatusServiceUnavailable,
		session.ErrUnreadable:    http.StatusServiceUnavailable,
		session.ErrNotFound:      http.StatusConflict,
		session.ErrConflict:      http.StatusConflict,
		session.ErrReserved:      http.StatusInternalServerError,
		session.ErrTooLarge:      http.StatusInternalServerError,
		session.ErrCommitted:     http.StatusInternalServerError,
		session.ErrCounter:       http.StatusInternalServerError,
		session.ErrDecode:        http.StatusInternalServerError,
		session.ErrNoField:       http.StatusInternalServerError,
		session.ErrTTL:           http.StatusInternalServerError,
		session.ErrNoHandler:     http.StatusInternalServerError,
		session.ErrUnsupported:   http.StatusInternalServerError,
		session.NewKey[chan int]("c").Set(mustNew(t, newSpy(), nil).NewSession(), nil): http.StatusInternalServerError,
	} {
		w := httptest.NewRecorder()
		session.DefaultErrorHandler(w, nil, &session.Error{Op: "x", Err: err})
		if w.Code != want || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%v: %d, want %d", err, w.Code, want)
		}
	}
}

// By then the browser may hold the cookie of another session: a login, while this request was under way.
func TestHandlerSessionGoneAtCommitLeavesTheCookie(t *testing.T) {
	for _, tt := range []struct {
		path string
		code int
	}{{"/write?a=2", http.StatusConflict}, {"/rotate", http.StatusConflict}} {
		b := newSpy()
		m := mustNew(t, b, nil)
		br := newBrowser(t, shop(m))
		s := mustCreate(t, m, nil)
		br.cookie = s.Token().Reveal()
		b.before = map[string]func(string){"Apply": func(id string) { _ = b.Backend.Delete(context.Background(), id) }}
		w := br.get(tt.path)
		if w.Code != tt.code || setsCookie(w) {
			t.Errorf("%s: %d, header %v, want the cookie left alone", tt.path, w.Code, w.Header())
		}
		if _, err := b.Backend.Load(t.Context(), s.ID()); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("%s brought the record back", tt.path)
		}
	}
}

func TestHandlerTouchOfASessionThatIsGoneLeavesTheCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSpy()
		m := mustNew(t, b, nil)
		br := newBrowser(t, shop(m))
		br.cookie = mustCreate(t, m, map[string]string{"a": "1"}).Token().Reveal()
		time.Sleep(time.Minute)
		b.before = map[string]func(string){"Apply": func(id string) { _ = b.Backend.Delete(context.Background(), id) }}
		if w := newBrowserLike(br).get("/plain"); setsCookie(w) {
			t.Error("a route that ignores the session sets a cookie")
		}
		h := routes(m, map[string]serve{"/late": func(http.ResponseWriter, *http.Request, *session.Session) {}})
		br.handler = h
		if w := br.get("/late"); w.Code != http.StatusOK || setsCookie(w) {
			t.Errorf("= %d, header %v", w.Code, w.Header())
		}
	})
}

func newBrowserLike(b *browser) *browser { c := *b; return &c }

func TestHandlerGetIsTheSameSession(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, nil)
	token := mustCreate(t, m, nil).Token()
	h := m.Handler(m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s1, _ := m.Get(r)
		s2, _ := m.Get(r)
		s3, _ := m.FromContext(context.WithValue(r.Context(), anyKey{}, "v"))
		if s1 != s2 || s1 != s3 {
			t.Error("one request has several sessions")
		}
		s1.Set("a", "1")
	})))
	b.took()
	br := newBrowser(t, h)
	br.cookie = token.Reveal()
	br.get("/")
	if got := b.took(); got != "Load Apply" {
		t.Errorf("took %q, want one load and one commit", got)
	}
}

type anyKey struct{}

func TestGetWithoutHandler(t *testing.T) {
	m, other := mustNew(t, newSpy(), nil), mustNew(t, newSpy(), nil)
	if _, err := m.Get(httptest.NewRequest("GET", "/", nil)); !errors.Is(err, session.ErrNoHandler) {
		t.Errorf("Get = %v, want ErrNoHandler", err)
	}
	other.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := m.Get(r); !errors.Is(err, session.ErrNoHandler) {
			t.Errorf("Get below another Manager's Handler = %v, want ErrNoHandler", err)
		}
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

func TestTwoManagersSideBySide(t *testing.T) {
	staff := mustNew(t, memory.New(nil), &session.Options{Cookie: session.CookieOptions{Name: "__Host-staff"}})
	users := mustNew(t, memory.New(nil), nil)
	h := staff.Handler(users.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		a, err1 := staff.Get(r)
		b, err2 := users.Get(r)
		if err := errors.Join(err1, err2); err != nil {
			t.Error(err)
			return
		}
		a.Set("who", "staff")
		b.Set("who", "user")
	})))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	got := make(map[string]bool)
	for _, c := range w.Result().Cookies() {
		got[c.Name] = true
	}
	if len(got) != 2 || !got["__Host-sid"] || !got["__Host-staff"] {
		t.Errorf("Set-Cookie = %q, want both", w.Header()["Set-Cookie"])
	}
	if vary := w.Header()["Vary"]; len(vary) != 1 || vary[0] != "Cookie" {
		t.Errorf("Vary = %q, want Cookie once", vary)
	}
}

func TestHandlerPanicDropsChangesAndGoesOn(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, nil)
	kept, gone := mustCreate(t, m, map[string]string{"a": "1"}), mustCreate(t, m, nil)
	h := routes(m, map[string]serve{
		"/set": func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Set("a", "2"); panic("oops") },
		"/destroy": func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			_ = s.Destroy(r.Context())
			panic("oops")
		},
	})
	for path, s := range map[string]*session.Session{"/set": kept, "/destroy": gone} {
		func() {
			defer func() {
				if p := recover(); p != "oops" {
					t.Errorf("%s: recovered %v, want the handler's panic", path, p)
				}
			}()
			br := newBrowser(t, h)
			br.cookie = s.Token().Reveal()
			br.get(path)
		}()
	}
	if got := mustPeek(t, m, kept).Get("a"); got != "1" {
		t.Errorf("a = %q: the changes of a failed request were stored", got)
	}
	if _, err := m.Load(t.Context(), gone.Token()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("a Destroy that was done did not stay done: %v", err)
	}
}

func TestCommitSurvivesAClientThatWentAway(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, nil)
	s := mustCreate(t, m, nil)
	ctx, cancel := context.WithCancel(t.Context())
	h := routes(m, map[string]serve{"/": func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		s.Set("paid", "yes")
		cancel()
	}})
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	r.Header.Set("Cookie", "__Host-sid="+s.Token().Reveal())
	h.ServeHTTP(httptest.NewRecorder(), r)
	if got := mustPeek(t, m, s).Get("paid"); got != "yes" {
		t.Errorf("paid = %q: the commit was lost with the client", got)
	}
}

func TestCommitHasADeadlineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &stuck{newSpy()}
		m := mustNew(t, b, &session.Options{StoreTimeout: 3 * time.Second, OnEvent: new(events).hook})
		s := m.NewSession()
		s.Set("a", "1")
		start := time.Now()
		err := s.Commit(t.Context())
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("Commit = %v after %v, want the deadline after 3s", err, time.Since(start))
		}
	})
}

// stuck is a store that does not answer Create.
type stuck struct{ *spy }

func (s *stuck) Create(ctx context.Context, _ string, _ backend.Record) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestCachingHeaders(t *testing.T) {
	for _, tt := range []struct {
		name, control, vary string
		wantControl         []string
		wantVary            []string
	}{
		{name: "none", wantControl: []string{"no-store"}, wantVary: []string{"Cookie"}},
		{name: "public", control: "public, max-age=60", vary: "Accept", wantControl: []string{"public, max-age=60", "private"}, wantVary: []string{"Accept", "Cookie"}},
		{name: "private", control: "private", vary: "accept, COOKIE", wantControl: []string{"private"}, wantVary: []string{"accept, COOKIE"}},
		{name: "star", control: "No-Store", vary: "*", wantControl: []string{"No-Store"}, wantVary: []string{"*"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := mustNew(t, newSpy(), nil)
			h := routes(m, map[string]serve{"/": func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
				if tt.control != "" {
					w.Header().Set("Cache-Control", tt.control)
				}
				if tt.vary != "" {
					w.Header().Set("Vary", tt.vary)
				}
				s.Set("a", "1")
			}})
			got := newBrowser(t, h).get("/").Header()
			if c := got["Cache-Control"]; strings.Join(c, "|") != strings.Join(tt.wantControl, "|") {
				t.Errorf("Cache-Control = %q, want %q", c, tt.wantControl)
			}
			if v := got["Vary"]; strings.Join(v, "|") != strings.Join(tt.wantVary, "|") {
				t.Errorf("Vary = %q, want %q", v, tt.wantVary)
			}
		})
	}
}
