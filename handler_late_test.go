package session_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

// What is asked of a session once its response has begun, or its handler has returned.

// A login that was answered with an error is not stored later: nobody would have its token.
func TestCommitAfterTheResponseStoresNothing(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, quiet(session.Options{}))
	br := newBrowser(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := m.Get(r)
		s.Login("andrew")
		b.fail = map[string]error{"Apply": errStore}
		_, _ = io.WriteString(w, "welcome")
		b.fail = nil
		if err := s.Commit(r.Context()); !errors.Is(err, session.ErrCommitted) {
			t.Errorf("Commit = %v, want %v", err, session.ErrCommitted)
		}
	})))
	br.cookie = mustCreate(t, m, map[string]string{"cart": "1"}).Token().Reveal()
	w := br.get("/")
	if !tokenAlive(t, m, parse(t, br.cookie)) || len(listed(t, m, "andrew")) > 0 {
		t.Errorf("%d, and the browser's token is dead", w.Code)
	}
}

// A commit after the response, by a stream for example, touches the session and gives out no token.
func TestCommitAfterTheResponseTouchesAndDoesNotRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, memory.New(nil), quiet(session.Options{RotateInterval: time.Hour}))
		token := mustCreate(t, m, map[string]string{"a": "1"}).Token().Reveal()
		br := newBrowser(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, _ := m.Get(r)
			_, _ = io.WriteString(w, "stream")
			for range 10 {
				time.Sleep(20 * time.Minute)
				if err := s.Commit(r.Context()); err != nil || s.Token().Reveal() != token {
					t.Fatalf("Commit = %v, and the token is a new one: %v", err, s.Token().Reveal() != token)
				}
			}
		})))
		br.cookie = token
		br.get("/")
		if !tokenAlive(t, m, parse(t, token)) {
			t.Error("the session is gone")
		}
	})
}

// A session that is first read after the response has begun is in use, and lives on.
func TestGetAfterTheResponseHasBegunIsUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, memory.New(nil), quiet(session.Options{RotateInterval: time.Minute}))
		token := mustCreate(t, m, map[string]string{"name": "andrew"}).Token().Reveal()
		br := newBrowser(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "<html>")
			if s, err := m.Get(r); err == nil && s.Token().Reveal() == token {
				_, _ = io.WriteString(w, s.Get("name"))
			}
		})))
		br.cookie = token
		for i := range 10 {
			time.Sleep(5 * time.Minute)
			if w := br.get("/"); w.Body.String() != "<html>andrew" || len(w.Header()["Set-Cookie"]) > 0 {
				t.Fatalf("after %d minutes: %q, %v", 5*(i+1), w.Body, w.Header())
			}
		}
	})
}

// Run it with -race: a goroutine may ask for the session just when its handler returns.
func TestGetWhileTheHandlerReturns(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	token := mustCreate(t, m, map[string]string{"a": "1"}).Token().Reveal()
	for i := range 2000 {
		var wg sync.WaitGroup
		h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			wg.Go(func() {
				for range i % 60 {
					_, _ = r.Context().Deadline()
				}
				if s, err := m.FromContext(r.Context()); err != nil || s.Get("a") != "1" {
					t.Errorf("FromContext = %v, %v", s, err)
				}
			})
		}))
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Cookie", "__Host-sid="+token)
		h.ServeHTTP(httptest.NewRecorder(), r)
		wg.Wait()
	}
}

// plainWriter can neither flush nor be taken over, nor be unwrapped.
type plainWriter struct{ w http.ResponseWriter }

func (p plainWriter) Header() http.Header            { return p.w.Header() }
func (p plainWriter) Write(text []byte) (int, error) { return p.w.Write(text) }
func (p plainWriter) WriteHeader(code int)           { p.w.WriteHeader(code) }

// forwarding has all methods, whatever is below, as the writers of Echo and gin do.
type forwarding struct{ http.ResponseWriter }

func (w forwarding) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w forwarding) FlushError() error           { return http.NewResponseController(w.ResponseWriter).Flush() }
func (w forwarding) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// What the writer below does not know begins nothing.
func TestWhatIsNotSupportedBeginsNothing(t *testing.T) {
	outer := mustNew(t, memory.New(nil), quiet(session.Options{Cookie: session.CookieOptions{Name: "__Host-outer"}}))
	for name, wrap := range map[string]func(http.Handler, http.ResponseWriter) (http.Handler, http.ResponseWriter){
		"by net/http": func(h http.Handler, w http.ResponseWriter) (http.Handler, http.ResponseWriter) { return h, w },
		"by a Manager": func(h http.Handler, w http.ResponseWriter) (http.Handler, http.ResponseWriter) {
			return outer.Handler(h), w
		},
		"by a framework": func(h http.Handler, w http.ResponseWriter) (http.Handler, http.ResponseWriter) {
			return h, forwarding{w}
		},
	} {
		for call, f := range map[string]func(*http.ResponseController) error{
			"Flush":  (*http.ResponseController).Flush,
			"Hijack": func(c *http.ResponseController) error { _, _, err := c.Hijack(); return err },
		} {
			t.Run(call+" "+name, func(t *testing.T) {
				b := newSpy()
				m := mustNew(t, b, quiet(session.Options{}))
				rec := httptest.NewRecorder()
				h, w := wrap(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					s, _ := m.Get(r)
					s.Set("a", "1")
					if err := f(http.NewResponseController(w)); !errors.Is(err, http.ErrNotSupported) {
						t.Errorf("%s = %v, want %v", call, err, http.ErrNotSupported)
					}
					s.Set("b", "2")
					if calls := b.took(); s.Err() != nil || calls != "" {
						t.Errorf("the session: %v, and the store was called by %q", s.Err(), calls)
					}
				})), plainWriter{rec})
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
				if len(rec.Header()["Set-Cookie"]) != 1 {
					t.Errorf("header %v, want a cookie", rec.Header())
				}
			})
		}
	}
}

// What a Manager inside another has set is not in what fmt prints of the outer one's writer, or of the context.
func TestPrintedWriterHoldsNoToken(t *testing.T) {
	o := session.Options{Cookie: session.CookieOptions{Name: "__Host-outer"}}
	outer, inner := mustNew(t, memory.New(nil), quiet(o)), mustNew(t, memory.New(nil), quiet(session.Options{}))
	var texts []string
	br := newBrowser(t, outer.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			s, _ := inner.Get(r)
			s.Login("andrew")
		})).ServeHTTP(w, r)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
			texts = append(texts, fmt.Sprintf(verb, w), fmt.Sprintf("session.responseWriter: "+verb, r.Context()))
		}
	})))
	br.get("/")
	for _, text := range texts {
		if strings.Contains(text, br.cookie) || !strings.Contains(text, "session.responseWriter") {
			t.Error(text)
		}
	}
}

// A commit has one StoreTimeout, however many calls it makes.
func TestCommitTakesOneStoreTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(nil)
		token := login(t, mustNew(t, mem, quiet(session.Options{})), "andrew").Token()
		slow := &slowStore{Backend: mem, delays: map[string]time.Duration{"Delete": 4 * time.Second, "Create": 6 * time.Second}}
		s := mustLoad(t, mustNew(t, slow, quiet(session.Options{})), token)
		s.Login("bob")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		err := s.Commit(ctx)
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 5*time.Second {
			t.Errorf("Commit = %v after %v", err, took)
		}
	})
}

// A login that was answered with an error ends nobody's other sessions: it can be committed no more.
func TestRevokeOthersAfterALoginThatFailed(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, quiet(session.Options{}))
	phone := login(t, m, "andrew")
	newBrowser(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := m.Get(r)
		s.Login("andrew")
		b.fail = map[string]error{"Apply": errStore, "Create": errStore}
		_, _ = io.WriteString(w, "welcome")
		b.fail = nil
		if n, err := s.RevokeOthers(r.Context()); n != 0 || s.Owner() != "" || !alive(t, m, phone) {
			t.Errorf("of %q RevokeOthers = %d, %v", s.Owner(), n, err)
		}
	}))).get("/")
}

// Nothing to store is no error, also where Remember waits for something.
func TestCommitOfNothingAfterTheResponse(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	newBrowser(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := m.Get(r)
		s.Remember()
		_, _ = io.WriteString(w, "stream")
		if err := s.Commit(r.Context()); err != nil {
			t.Error(err)
		}
	}))).get("/")
}
