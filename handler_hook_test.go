package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

func TestMisuseIsToldToTheHook(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(s *session.Session)
		want error
	}{
		{name: "reserved field", do: func(s *session.Session) { s.Set("session_x", "1") }, want: session.ErrReserved},
		{name: "too large", do: func(s *session.Session) { s.Set("a", strings.Repeat("x", 1<<17)) }, want: session.ErrTooLarge},
		{name: "no owner", do: func(s *session.Session) { s.Login("") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ev := new(events)
			m := mustNew(t, memory.New(nil), &session.Options{OnEvent: ev.hook})
			br := newBrowser(t, routes(m, map[string]serve{
				"/": func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { tt.do(s) },
			}))
			if w := br.get("/"); w.Code != http.StatusInternalServerError {
				t.Errorf("status %d, want 500", w.Code)
			}
			if len(ev.list) != 1 || ev.list[0].Kind != session.EventMisuse || ev.list[0].Err == nil ||
				tt.want != nil && !errors.Is(ev.list[0].Err, tt.want) {
				t.Errorf("events %v, want one of misuse with %v", ev.list, tt.want)
			}
		})
	}
}

func TestMissingHandlerIsToldToTheHook(t *testing.T) {
	ev := new(events)
	m := mustNew(t, memory.New(nil), &session.Options{OnEvent: ev.hook})
	if _, err := m.Get(httptest.NewRequest("GET", "/", nil)); !errors.Is(err, session.ErrNoHandler) {
		t.Errorf("Get = %v, want ErrNoHandler", err)
	}
	if got := ev.kinds(); got != string(session.EventMisuse) {
		t.Errorf("events %q, want misuse", got)
	}
	// A logger that looks for the session in a context must not cause what it logs.
	if _, err := m.FromContext(t.Context()); !errors.Is(err, session.ErrNoHandler) {
		t.Errorf("FromContext = %v, want ErrNoHandler", err)
	}
	if got := ev.kinds(); got != "" {
		t.Errorf("events %q, want none", got)
	}
}

// within fails the test if do hangs.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal(what + " hangs")
	}
}

// A page for errors has the layout of the other pages, which shows who is logged in.
func TestErrorHandlerMayAskForTheSession(t *testing.T) {
	down := errors.New("down")
	for _, tt := range []struct {
		name, fail, want string
	}{
		{name: "not loaded", fail: "Load", want: "down"},
		{name: "not stored", fail: "Apply", want: "a=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newSpy()
			var m *session.Manager
			m = mustNew(t, b, &session.Options{OnEvent: new(events).hook, ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) {
				w.WriteHeader(http.StatusTeapot)
				if s, err := m.Get(r); errors.Is(err, down) {
					fmt.Fprint(w, "down")
				} else {
					fmt.Fprint(w, "a=", s.Get("a"))
				}
			}})
			br := newBrowser(t, shop(m))
			br.cookie = mustCreate(t, m, map[string]string{"a": "0"}).Token().Reveal()
			b.fail = map[string]error{tt.fail: down}
			within(t, "the error handler", func() {
				if w := br.get("/write?a=1"); w.Code != http.StatusTeapot || w.Body.String() != tt.want {
					t.Errorf("%d %q, want 418 %q", w.Code, w.Body, tt.want)
				}
			})
		})
	}
}

// A logger that adds the session's ID to each line looks for it in the context of an event, too.
func TestHookMayLookForTheSession(t *testing.T) {
	var m *session.Manager
	b, ev := newSpy(), new(events)
	m = mustNew(t, b, &session.Options{OnEvent: func(ctx context.Context, e session.Event) {
		ev.hook(ctx, e)
		if s, err := m.FromContext(ctx); err == nil {
			t.Errorf("event %q: FromContext returns %v, which is at work", e.Kind, s.ID())
		}
		if got := ctx.Value(anyKey{}); got != "value" {
			t.Errorf("event %q: the context's value is %v", e.Kind, got)
		}
		if text := fmt.Sprintf("%v %+v %#v", ctx, ctx, e); strings.Contains(text, "Cookie") {
			t.Errorf("event %q: its context prints %s", e.Kind, text)
		}
	}})
	h := shop(m)
	br := newBrowser(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), anyKey{}, "value")))
	}))
	within(t, "the hook", func() {
		br.get("/login")
		br.get("/rotate")
		br.with(br.cookie[:16] + strings.Repeat("A", 27)).get("/read")
		br.with("malformed").get("/read")
		b.fail = map[string]error{"Apply": errors.New("down")}
		br.get("/count")
		b.fail = nil
		br.get("/reserved")
		br.get("/logout")
	})
	want := "created, login, rotated, mismatch, rejected cookie, store error, misuse, destroyed"
	if got := ev.kinds(); got != want {
		t.Errorf("events %q, want %q", got, want)
	}
}

// An error handler that gives up cuts the connection, as a handler does.
func TestErrorHandlerMayAbort(t *testing.T) {
	b := newSpy()
	b.fail = map[string]error{"Create": errStore}
	opts := quiet(session.Options{ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }})
	srv := httptest.NewServer(shop(mustNew(t, b, opts)))
	defer srv.Close()
	if resp, err := http.Get(srv.URL + "/write?a=1"); err == nil {
		resp.Body.Close()
		t.Errorf("answer %d, want a connection that is cut", resp.StatusCode)
	}
}

func TestAddCookie(t *testing.T) {
	for _, c := range []session.CookieOptions{{}, {InsecurePlainHTTP: true}, {Name: "id"}} {
		m := mustNew(t, newSpy(), quiet(session.Options{Cookie: c}))
		s := mustCreate(t, m, map[string]string{"a": "1"})
		r := httptest.NewRequest("GET", "/read", nil)
		m.AddCookie(r, s)
		w := httptest.NewRecorder()
		shop(m).ServeHTTP(w, r)
		if got := w.Body.String(); got != "1" {
			t.Errorf("%+v: the session holds %q, want 1", c, got)
		}
	}
}
