package session_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

// panicky serves with a handler that panics after work, or ends its goroutine, and answers outside the Manager's
// Handler through the writer that is inside, as Echo's recovery does behind echo.WrapMiddleware.
func panicky(m *session.Manager, work serve, ends func(), answer func(w http.ResponseWriter, s *session.Session)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var inside http.ResponseWriter
		var s *session.Session
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { _ = recover() }()
			m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				inside = w
				s, _ = m.Get(r)
				work(w, r, s)
				ends()
			})).ServeHTTP(w, r)
		}()
		<-done
		answer(inside, s)
	})
}

// What a handler that panicked has not stored is dropped, however whoever recovers answers.
func TestHandlerPanicDropsChangesForGood(t *testing.T) {
	answers := map[string]func(w http.ResponseWriter, s *session.Session){
		"WriteHeader": func(w http.ResponseWriter, _ *session.Session) { w.WriteHeader(http.StatusInternalServerError) },
		"Write":       func(w http.ResponseWriter, _ *session.Session) { _, _ = w.Write([]byte("sorry")) },
		"WriteString": func(w http.ResponseWriter, _ *session.Session) { _, _ = io.WriteString(w, "sorry") },
		"ReadFrom": func(w http.ResponseWriter, _ *session.Session) {
			_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("sorry"))
		},
		"Flush": func(w http.ResponseWriter, _ *session.Session) { w.(http.Flusher).Flush() },
		"Commit": func(_ http.ResponseWriter, s *session.Session) {
			if err := s.Commit(t.Context()); err != nil {
				t.Error(err)
			}
		},
	}
	for how, ends := range map[string]func(){
		"panic": func() { panic("oops") },
		"abort": func() { panic(http.ErrAbortHandler) },
		// as t.FailNow does in a test server's handler
		"Goexit": runtime.Goexit,
	} {
		for name, answer := range answers {
			t.Run(how+"/"+name, func(t *testing.T) {
				b := newSpy()
				m := mustNew(t, b, quiet(session.Options{}))
				s := mustCreate(t, m, map[string]string{"a": "1"})
				h := panicky(m, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
					s.Login("andrew")
					s.Set("a", "2")
				}, ends, answer)
				for _, cookie := range []string{"", s.Token().Reveal()} {
					b.took()
					br := newBrowser(t, h)
					br.cookie = cookie
					w := br.get("/")
					if calls := b.took(); strings.Contains(calls, "Apply") || strings.Contains(calls, "Create") {
						t.Errorf("with cookie %q the store was called by %s", cookie, calls)
					}
					if got := w.Header()["Set-Cookie"]; len(got) > 0 {
						t.Errorf("with cookie %q Set-Cookie = %q", cookie, got)
					}
				}
				if got := mustPeek(t, m, s); got.Get("a") != "1" || got.Owner() != "" {
					t.Errorf("the store holds %s of %q", sorted(got), got.Owner())
				}
			})
		}
	}
}

// What it has stored is told to the client, with all that belongs to such an answer.
func TestHandlerPanicTellsOfWhatWasStored(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	s := mustCreate(t, m, nil)
	h := panicky(m, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		s.Login("andrew")
		_, _ = s.Increment(r.Context(), "n", 1)
		s.Set("a", "1")
	}, func() { panic("oops") }, func(w http.ResponseWriter, s *session.Session) {
		if s.Set("a", "2"); s.Err() == nil {
			t.Error("the session takes changes after its handler")
		}
		w.WriteHeader(http.StatusInternalServerError)
	})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	m.AddCookie(r, s)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	res := w.Result()
	if res.StatusCode != http.StatusInternalServerError || res.Header.Get("Vary") != "Cookie" || len(res.Cookies()) != 1 {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	token, err := session.ParseToken(res.Cookies()[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	if got := mustLoad(t, m, token); got.Owner() != "andrew" || sorted(got) != "n=1" {
		t.Errorf("the store holds %s of %q", sorted(got), got.Owner())
	}
}

// A handler that panicked before it asked for the session leaves no trace of one.
func TestHandlerPanicWithoutSession(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, quiet(session.Options{}))
	var inside http.ResponseWriter
	w := httptest.NewRecorder()
	func() {
		defer func() { _ = recover() }()
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			inside = w
			panic("oops")
		})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	}()
	http.Error(inside, "sorry", http.StatusInternalServerError)
	if calls := b.took(); calls != "" || w.Header().Get("Vary") != "" || w.Body.String() != "sorry\n" {
		t.Errorf("%d %v %q, and the store was called by %q", w.Code, w.Header(), w.Body, calls)
	}
}

// A change that came too late is told of, whether the handler returned or panicked then, and once.
func TestLateChangeOfAHandlerThatPanics(t *testing.T) {
	for name, ends := range map[string]func(){"returns": func() {}, "panics": func() { panic("oops") }, "exits": runtime.Goexit} {
		ev := new(events)
		m := mustNew(t, memory.New(nil), &session.Options{OnEvent: ev.hook})
		newBrowser(t, panicky(m, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			_, _ = io.WriteString(w, "x")
			s.Set("a", "1")
		}, ends, func(_ http.ResponseWriter, s *session.Session) { s.Set("b", "2") })).get("/")
		if got := ev.kinds(); got != string(session.EventLateChange) {
			t.Errorf("%s: events %q", name, got)
		}
	}
}
