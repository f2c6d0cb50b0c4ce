package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// A session that is held and used all the time does not die of its idle timeout.
func TestHeldSessionIsTouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, touch := range []time.Duration{0, -1} {
			m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{TouchInterval: touch})), t.Context()
			for name, open := range map[string]func(session.Token) (*session.Session, error){
				"Load":  func(tk session.Token) (*session.Session, error) { return m.Load(ctx, tk) },
				"Touch": func(tk session.Token) (*session.Session, error) { return m.Touch(ctx, tk) },
			} {
				s, err := open(mustCreate(t, m, nil).Token())
				if err != nil {
					t.Fatal(err)
				}
				for i := range 60 {
					time.Sleep(time.Minute)
					if _, err := s.Increment(ctx, "messages", 1); err != nil {
						t.Errorf("TouchInterval %v, %s: used every minute, after %d minutes: %v", touch, name, i+1, err)
						break
					}
				}
			}
		}
	})
}

func TestHeldSessionIsTouchedInAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, memory.New(nil), quiet(session.Options{TouchInterval: -1}))
		br := newBrowser(t, routes(m, map[string]serve{
			"/in": func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Login("bob") },
			"/upload": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
				for range 40 {
					time.Sleep(time.Minute)
					if _, err := s.Increment(r.Context(), "chunks", 1); err != nil {
						t.Error(err)
						return
					}
				}
			},
		}))
		br.get("/in")
		br.get("/upload")
		if br.cookie == "" {
			t.Error("logged out in the middle of an upload that counts every minute")
		}
	})
}

// Whoever finds a session past its lifetime does not end it if it is remembered meanwhile.
func TestExpiryLosesAgainstRemember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(nil)
		opts := quiet(session.Options{IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour})
		m := mustNew(t, mem, opts)
		s := login(t, m, "andrew")
		time.Sleep(time.Hour - time.Second)
		r := mustLoad(t, m, s.Token())
		mustCommit(t, r)
		med := &meddler{Backend: mem, when: func(_ string, p backend.Patch) bool { return p.Remove }, before: func() {
			r.Remember()
			mustCommit(t, r)
		}}
		time.Sleep(time.Second)
		_, _ = mustNew(t, med, opts).Load(t.Context(), s.Token())
		if med.before != nil {
			t.Fatal("no reap")
		}
		if !alive(t, m, s) {
			t.Error("a session that was just remembered for 30 days is ended")
		}
	})
}

// The touch of a slow request finds its session gone, and the browser has another one by then.
func TestSlowTouchLeavesTheNewCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, memory.New(nil), quiet(session.Options{}))
		waiting := make(chan bool)
		h := routes(m, map[string]serve{
			"/poll": func(w http.ResponseWriter, _ *http.Request, s *session.Session) { <-waiting },
			"/bob":  func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Login("bob") },
			"/read": func(w http.ResponseWriter, _ *http.Request, s *session.Session) { _, _ = w.Write([]byte(s.Owner())) },
		})
		br := newBrowser(t, h)
		s := login(t, m, "ann")
		br.cookie = s.Token().Reveal()
		time.Sleep(2 * time.Minute) // a touch is due
		poll := httptest.NewRecorder()
		done := make(chan bool)
		req := br.request("GET", "/poll")
		go func() { h.ServeHTTP(poll, req); close(done) }()
		synctest.Wait()
		br.get("/bob")
		close(waiting)
		<-done
		br.take(poll)
		if got := br.get("/read").Body.String(); got != "bob" {
			t.Errorf("owner %q, want bob: poll's answer %d %v", got, poll.Code, poll.Header())
		}
	})
}

// A Take that finds the session gone leaves a pending login alone.
func TestTakeKeepsALogin(t *testing.T) {
	cached, other, s, _ := cachedPair(t, nil)
	view := mustLoad(t, cached, s.Token())
	view.Login("andrew")
	if err := other.End(t.Context(), s.Token()); err != nil {
		t.Fatal(err)
	}
	_, _, err := view.Take(t.Context(), "flash")
	t.Logf("Take = %v", err)
	if err := view.Commit(t.Context()); err != nil || view.Owner() != "andrew" {
		t.Errorf("Commit = %v, owner %q: the login is gone", err, view.Owner())
	}
}

// A call by token returns ErrNotFound where a login makes the token worthless meanwhile.
func TestEndIsNotFoundWhereALoginIsFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(nil)
		o := quiet(session.Options{RotateInterval: 10 * time.Second})
		m, ctx := mustNew(t, mem, o), t.Context()
		s := mustCreate(t, m, nil)
		old := s.Token()
		time.Sleep(10 * time.Second)
		mustCommit(t, mustLoad(t, m, old))
		n := 0
		med := &meddler{Backend: mem, when: func(string, backend.Patch) bool { n++; return n == 2 }, before: func() {
			l := mustLoad(t, m, old)
			l.Login("andrew")
			mustCommit(t, l)
		}}
		if err := mustNew(t, med, o).End(ctx, old); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("End = %v, want ErrNotFound", err)
		}
	})
}

// So does a Take that finds it gone, with a local cache or without.
func TestTakeOfASessionThatIsGoneLeavesTheCookie(t *testing.T) {
	cached, other, _, _ := cachedPair(t, nil)
	for _, m := range []*session.Manager{cached, other} {
		r := mustCreate(t, other, map[string]string{"flash": "saved"})
		view, fresh := mustLoad(t, m, r.Token()), mustLoad(t, m, r.Token())
		if err := other.End(t.Context(), r.Token()); err != nil {
			t.Fatal(err)
		}
		_, _, taken := view.Take(t.Context(), "flash")
		_, _, absent := fresh.Take(t.Context(), "none")
		for _, v := range []*session.Session{view, fresh} {
			h := make(http.Header)
			if m.WriteCookie(h, v); h.Get("Set-Cookie") != "" {
				t.Errorf("Take = %v, %v; Set-Cookie %q", taken, absent, h.Get("Set-Cookie"))
			}
		}
	}
}
