package session_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// A commit in the handler has stored a new token. If the last one fails, the client is told of it all the same.
func TestTokenThatWasStoredIsGivenOutThoughTheRequestFails(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	b := newBrowser(t, routes(m, map[string]func(http.ResponseWriter, *http.Request, *session.Session){
		"/login": func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Login("andrew") },
		"/elevate": func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			s.Rotate()
			_, _ = s.Increment(r.Context(), "n", 1)
			s.Set("created_at", "misuse")
		},
		"/who": func(w http.ResponseWriter, _ *http.Request, s *session.Session) { _, _ = w.Write([]byte(s.Owner())) },
	}))
	b.get("/login")
	t.Log(b.get("/elevate").Code)
	if got := b.get("/who").Body.String(); got != "andrew" {
		t.Errorf("owner %q after a failed request: the browser was not told of the token", got)
	}
}

// For the race detector, as the next one.
func TestHandlerThatReturnsWhileTheSessionIsAskedFor(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	done := make(chan struct{})
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		go func() {
			defer close(done)
			_, _ = m.Get(r)
		}()
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	<-done
}

func TestTimeoutHandlerInsideHandler(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	done := make(chan struct{})
	h := m.Handler(http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		<-r.Context().Done()
		_, _ = m.Get(r)
	}), 10*time.Millisecond, "late"))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	<-done
}

func TestDestroyWhileTheResponseBegins(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	for range 200 {
		done := make(chan struct{})
		h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, _ := m.Get(r)
			s.Set("a", "1")
			go func() {
				defer close(done)
				for !s.Exists() {
				}
				_ = s.Destroy(context.Background())
			}()
			w.WriteHeader(200)
		}))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		<-done
		if c := w.Result().Cookies(); len(c) == 1 && c[0].Value == "" && c[0].MaxAge >= 0 {
			t.Errorf("cookie %v", c[0])
			return
		}
	}
}

// traced is a backend whose client looks for the session in its context.
type traced struct {
	backend.Backend
	m *session.Manager
}

func (b *traced) Load(ctx context.Context, id string) (backend.Record, error) {
	if s, err := b.m.FromContext(ctx); err == nil {
		_ = s.ID()
	}
	return b.Backend.Load(ctx, id)
}

func (b *traced) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if s, err := b.m.FromContext(ctx); err == nil {
		_ = s.ID()
	}
	return b.Backend.Apply(ctx, id, p)
}

func TestClientMayLookForTheSession(t *testing.T) {
	b := &traced{Backend: memory.New(nil)}
	m := mustNew(t, b, quiet(session.Options{}))
	other := mustNew(t, b.Backend, nil)
	b.m = m
	br := newBrowser(t, routes(m, map[string]func(http.ResponseWriter, *http.Request, *session.Session){
		"/": func(_ http.ResponseWriter, r *http.Request, s *session.Session) { s.Set("a", "1") },
	}))
	br.cookie = mustCreate(t, other, map[string]string{"a": "2"}).Token().Reveal()
	within(t, "a traced client", func() { br.get("/") })
}

func TestDestroyOfASessionThatHasEndedTakesTheCookieBack(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	var token session.Token
	b := newBrowser(t, routes(m, map[string]func(http.ResponseWriter, *http.Request, *session.Session){
		"/login":  func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Login("andrew") },
		"/logout": func(_ http.ResponseWriter, r *http.Request, s *session.Session) { _ = s.Destroy(r.Context()) },
	}))
	b.get("/login")
	token = parse(t, b.cookie)
	_ = m.End(context.Background(), token)
	w := b.get("/logout")
	if b.cookie != "" {
		t.Errorf("logout left the cookie: %v", w.Header())
	}
}
