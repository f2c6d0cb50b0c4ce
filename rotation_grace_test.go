package session_test

import (
	"errors"
	"math"
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

// The token before the last one is good, also if the last one is replaced meanwhile.
func TestTouchWhileAnotherRequestRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(nil)
		o := quiet(session.Options{RotateInterval: 5 * time.Minute})
		m, ctx := mustNew(t, mem, o), t.Context()
		old := mustCreate(t, m, map[string]string{"a": "1"}).Token()
		time.Sleep(5 * time.Minute)
		mustCommit(t, mustLoad(t, m, old)) // rotates, and the response is lost
		time.Sleep(11 * time.Second)
		n := 0
		h := &ahead{Backend: mem, before: func(method, _ string, _ backend.Patch) {
			if method == "Apply" {
				if n++; n == 2 {
					mustCommit(t, mustLoad(t, m, old)) // a parallel request of the same browser
				}
			}
		}}
		_, err := mustNew(t, h, o).Touch(ctx, old)
		if _, lerr := m.Load(ctx, old); err != nil || lerr != nil || n < 2 {
			t.Errorf("Touch = %v, Load = %v after %d tries, and the token is good", err, lerr, n)
		}
	})
}

// By the token before the last one nothing is written to what is no session any more, or has a new owner meanwhile.
func TestPreviousTokenWritesToItsSessionAlone(t *testing.T) {
	for name, meanwhile := range map[string]func(*session.Manager, *memory.Backend, *session.Session){
		"another program takes a field": func(_ *session.Manager, mem *memory.Backend, s *session.Session) {
			_, err := mem.Apply(t.Context(), s.ID(), backend.Patch{Delete: []string{"session_token"}})
			if err != nil {
				t.Error(err)
			}
		},
		"a login": func(m *session.Manager, _ *memory.Backend, s *session.Session) {
			s.Login("andrew")
			mustCommit(t, s)
		},
		"a rotation by hand": func(m *session.Manager, _ *memory.Backend, s *session.Session) {
			s.Rotate()
			mustCommit(t, s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memory.New(nil)
				o := quiet(session.Options{RotateInterval: 5 * time.Minute})
				m := mustNew(t, mem, o)
				old := mustCreate(t, m, map[string]string{"a": "1"}).Token()
				time.Sleep(5 * time.Minute)
				s := mustLoad(t, m, old)
				mustCommit(t, s)
				n := 0
				h := &ahead{Backend: mem, before: func(method, _ string, _ backend.Patch) {
					if method == "Apply" {
						if n++; n == 2 {
							meanwhile(m, mem, s)
						}
					}
				}}
				_, err := mustNew(t, h, o).SetFields(t.Context(), old, map[string]string{"a": "2"})
				rec, lerr := mem.Load(t.Context(), s.ID())
				if !errors.Is(err, session.ErrNotFound) || lerr != nil || rec.Fields["a"] != "1" || n < 2 {
					t.Errorf("SetFields = %v, and the record holds %v, %v", err, rec.Fields, lerr)
				}
			})
		})
	}
}

// Times are whole seconds: the grace is not the shorter for it.
func TestGraceIsWhole(t *testing.T) {
	for _, grace := range []time.Duration{time.Second, 10 * time.Second} {
		t.Run(grace.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{RotateInterval: 5 * time.Minute, RotateGrace: grace})), t.Context()
				old := mustCreate(t, m, map[string]string{"a": "1"}).Token()
				time.Sleep(5*time.Minute + 900*time.Millisecond)
				s := mustLoad(t, m, old)
				mustCommit(t, s)
				mustCommit(t, mustLoad(t, m, s.Token())) // seen
				time.Sleep(grace - 800*time.Millisecond)
				if _, err := m.Load(ctx, old); err != nil {
					_, err2 := m.Load(ctx, s.Token())
					t.Errorf("grace %v: %v after the new one was seen: %v; the new one: %v", grace, grace-800*time.Millisecond, err, err2)
				}
			})
		})
	}
}

// A handler that stores at once, is due to rotate and takes longer than the grace: meanwhile another request has given
// out another token.
func TestSlowHandlerGivesOutNoDeadToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, memory.New(nil), quiet(session.Options{RotateInterval: 5 * time.Minute}))
		h := routes(m, map[string]serve{
			"/slow": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
				_, _ = s.Increment(r.Context(), "n", 1)
				time.Sleep(15 * time.Second)
			},
			"/read": func(w http.ResponseWriter, _ *http.Request, s *session.Session) { _, _ = w.Write([]byte(s.Get("a"))) },
		})
		br := newBrowser(t, h)
		br.cookie = mustCreate(t, m, map[string]string{"a": "1"}).Token().Reveal()
		time.Sleep(5 * time.Minute)
		slow := httptest.NewRecorder()
		req := br.request("GET", "/slow")
		done := make(chan bool)
		go func() { h.ServeHTTP(slow, req); close(done) }()
		time.Sleep(12 * time.Second)
		br.get("/read")
		<-done
		br.take(slow)
		if got := br.get("/read").Body.String(); got != "1" {
			t.Errorf("after two parallel requests, the browser has lost its session: %q", got)
		}
	})
}

// Whoever holds a token for longer than a request looks whether the session lives, and ends it by no look.
func TestHeldTokenDoesNotEndTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := new(events)
		m, br := rotating(t, newSpy(), ev)
		held := mustLoad(t, m, parse(t, br.cookie))
		for range 100 {
			time.Sleep(15 * time.Second)
			br.get("/read")
			if alive, err := held.Alive(t.Context()); err != nil || !alive {
				t.Fatalf("Alive = %v, %v", alive, err)
			}
			_, _ = m.Peek(t.Context(), held.Token())
			_, _, _ = m.TTL(t.Context(), held.Token())
		}
		br.wantRead("in the end", "1", setsCookie(br.get("/read")))
		if held.Token().Reveal() == br.cookie || !strings.Contains(ev.kinds(), string(session.EventMismatch)) {
			t.Error("no rotation, or no event")
		}
		if err := m.End(t.Context(), parse(t, br.cookie)); err != nil {
			t.Fatal(err)
		}
		if alive, err := held.Alive(t.Context()); err != nil || alive {
			t.Errorf("after the end, Alive = %v, %v", alive, err)
		}
	})
}

func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ctx := newSpy(), t.Context()
		m := mustNew(t, b, quiet(session.Options{AbsoluteTimeout: time.Hour}))
		want := func(what string, s *session.Session, want bool) {
			t.Helper()
			if got, err := s.Alive(ctx); err != nil || got != want {
				t.Errorf("%s: Alive = %v, %v, want %v", what, got, err, want)
			}
		}
		want("not stored", m.NewSession(), false)

		s := login(t, m, "andrew")
		want("stored", s, true)
		accessed := mustPeek(t, m, s).LastAccessedAt()
		time.Sleep(20 * time.Minute)
		want("later", s, true)
		if at := mustPeek(t, m, s).LastAccessedAt(); !at.Equal(accessed) {
			t.Error("Alive has touched the session")
		}
		b.fail = map[string]error{"Load": errStore}
		if alive, err := s.Alive(ctx); alive || !errors.Is(err, errStore) {
			t.Errorf("the store is down: Alive = %v, %v", alive, err)
		}
		b.fail = nil

		again := mustLoad(t, m, s.Token())
		again.Login("andrew")
		mustCommit(t, again)
		want("before another login", s, false)
		want("the login", again, true)
		time.Sleep(29 * time.Minute)
		if _, err := m.Touch(ctx, again.Token()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Minute)
		if _, err := m.Touch(ctx, again.Token()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		want("past the absolute timeout", again, false)

		other := login(t, m, "ann")
		if _, err := m.RevokeAll(ctx, "ann"); err != nil {
			t.Fatal(err)
		}
		want("revoked", other, false)

		s = login(t, m, "ann")
		rec, err := b.Backend.Load(ctx, s.ID())
		if err != nil {
			t.Fatal(err)
		}
		rec.Fields["created_at"] = "2026-11-23T08:37:29+00:00"
		if err := errors.Join(b.Backend.Delete(ctx, s.ID()), b.Backend.Create(ctx, s.ID(), rec)); err != nil {
			t.Fatal(err)
		}
		want("another one under its ID", s, false)
	})
}

// However long the grace, it does not overflow: the previous token is good for as long as it says.
func TestLongestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(nil)
		m := mustNew(t, mem, quiet(session.Options{RotateInterval: time.Minute}))
		patient := mustNew(t, mem, quiet(session.Options{RotateGrace: math.MaxInt64}))
		old := mustCreate(t, m, map[string]string{"a": "1"}).Token()
		time.Sleep(time.Minute)
		s := mustLoad(t, m, old)
		mustCommit(t, s)
		mustCommit(t, mustLoad(t, m, s.Token()))
		if _, err := patient.Load(t.Context(), old); err != nil || !alive(t, m, s) {
			t.Errorf("Load = %v, and the session lives: %v", err, alive(t, m, s))
		}
	})
}
