package session_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// spy is a backend that writes down which calls go through it, and fails or interferes where a test says so.
type spy struct {
	backend.Backend

	mu     sync.Mutex
	calls  []string
	fail   map[string]error           // by method, in place of the call
	before map[string]func(id string) // by method, once, before the call
	lose   map[string]error           // by method, after the call: the reply is lost
}

func newSpy() *spy { return &spy{Backend: memory.New(nil)} }

func (s *spy) Unwrap() backend.Backend { return s.Backend }

// beforeApply has f called before the next Apply.
func (s *spy) beforeApply(f func()) {
	s.before = map[string]func(string){"Apply": func(string) { f() }}
}

func (s *spy) note(method, id string) error {
	s.mu.Lock()
	call := method
	if strings.HasPrefix(id, "owner:") {
		call += "(index)"
	}
	s.calls = append(s.calls, call)
	err, hook := s.fail[method], s.before[method]
	delete(s.before, method)
	s.mu.Unlock()
	if hook != nil {
		hook(id)
	}
	return err
}

func (s *spy) Create(ctx context.Context, id string, rec backend.Record) error {
	if err := s.note("Create", id); err != nil {
		return err
	}
	return cmpErr(s.lose["Create"], s.Backend.Create(ctx, id, rec))
}

func (s *spy) Load(ctx context.Context, id string) (backend.Record, error) {
	if err := s.note("Load", id); err != nil {
		return backend.Record{}, err
	}
	return s.Backend.Load(ctx, id)
}

func (s *spy) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if err := s.note("Apply", id); err != nil {
		return backend.Record{}, err
	}
	rec, err := s.Backend.Apply(ctx, id, p)
	return rec, cmpErr(s.lose["Apply"], err)
}

func (s *spy) Delete(ctx context.Context, id string) error {
	if err := s.note("Delete", id); err != nil {
		return err
	}
	return cmpErr(s.lose["Delete"], s.Backend.Delete(ctx, id))
}

func cmpErr(lost, err error) error {
	if lost != nil {
		return lost
	}
	return err
}

// took returns the calls since the last time, in their order, as "Load Apply".
func (s *spy) took() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return strings.Join(calls, " ")
}

func mustNew(t testing.TB, b backend.Backend, opts *session.Options) *session.Manager {
	t.Helper()
	m, err := session.New(b, opts)
	if err != nil {
		t.Fatalf("New = %v", err)
	}
	return m
}

func mustCreate(t testing.TB, m *session.Manager, fields map[string]string) *session.Session {
	t.Helper()
	s, err := m.Create(t.Context(), fields, 0)
	if err != nil {
		t.Fatalf("Create = %v", err)
	}
	return s
}

// parse returns s as a token.
func parse(t testing.TB, s string) session.Token {
	t.Helper()
	token, err := session.ParseToken(s)
	if err != nil {
		t.Fatalf("ParseToken = %v", err)
	}
	return token
}

// browser keeps the session cookie between requests to a handler, as a browser would.
type browser struct {
	t       testing.TB
	handler http.Handler
	name    string
	cookie  string // the token; empty for none
}

func newBrowser(t testing.TB, h http.Handler) *browser {
	return &browser{t: t, handler: h, name: "__Host-sid"}
}

// do sends a request and takes over the cookie of the answer.
func (b *browser) do(method, target string) *httptest.ResponseRecorder {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, b.request(method, target))
	b.take(w)
	return w
}

func (b *browser) get(target string) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.do(http.MethodGet, target)
}

func (b *browser) request(method, target string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	if b.cookie != "" {
		r.Header.Set("Cookie", b.name+"="+b.cookie)
	}
	return r
}

func (b *browser) take(w *httptest.ResponseRecorder) {
	b.t.Helper()
	cookies := w.Result().Cookies()
	if len(cookies) > 1 {
		b.t.Errorf("response sets %d cookies: %v", len(cookies), cookies)
	}
	for _, c := range cookies {
		if b.cookie = c.Value; c.MaxAge < 0 {
			b.cookie = ""
		}
	}
}

// setsCookie reports whether a response sets or deletes the session cookie.
func setsCookie(w *httptest.ResponseRecorder) bool { return len(w.Header()["Set-Cookie"]) > 0 }

// routes serves each path with a function that gets the session.
func routes(m *session.Manager, by map[string]func(w http.ResponseWriter, r *http.Request, s *session.Session)) http.Handler {
	mux := http.NewServeMux()
	for path, serve := range by {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			s, err := m.Get(r)
			if err != nil {
				return
			}
			serve(w, r, s)
		})
	}
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "plain") })
	return m.Handler(mux)
}

// events collects what a Manager tells its hook.
type events struct {
	mu   sync.Mutex
	list []session.Event
}

func (e *events) hook(_ context.Context, ev session.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
}

// kinds returns the kinds of the events since the last time.
func (e *events) kinds() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var kinds []string
	for _, ev := range e.list {
		kinds = append(kinds, string(ev.Kind))
	}
	e.list = nil
	return strings.Join(kinds, ", ")
}

// sorted returns the application's fields as "name=value" in order.
func sorted(s *session.Session) string {
	var all []string
	for name, value := range s.All() {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// quiet returns options whose events nobody hears.
func quiet(o session.Options) *session.Options {
	o.OnEvent = func(context.Context, session.Event) {}
	return &o
}
