package session_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

// The index of an owner lives as long as a session that is remembered only after the login.
func TestRememberAfterTheLoginIsListedAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{})), t.Context()
		s := m.NewSession()
		s.Login("andrew")
		if err := s.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		s.Remember()
		if err := s.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(13 * time.Hour)
		all, err := m.Sessions(ctx, "andrew")
		n, err2 := m.RevokeAll(ctx, "andrew")
		got, lerr := m.Load(ctx, s.Token())
		if lerr == nil {
			t.Errorf("Sessions = %v, %v; RevokeAll = %d, %v; session of %q lives on", all, err, n, err2, got.Owner())
		}
	})
}

func TestRememberAfterTheLoginSendsTheCookieAgain(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	b := newBrowser(t, routes(m, map[string]func(http.ResponseWriter, *http.Request, *session.Session){
		"/login":    func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Login("andrew") },
		"/remember": func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Remember() },
	}))
	b.get("/login")
	w := b.get("/remember")
	if got := w.Header()["Set-Cookie"]; len(got) != 1 {
		t.Errorf("Remember sets cookies %q, want one with Max-Age", got)
	}
}

// A machine whose clock is behind takes a session for live a little longer than the others do. Its owner's index is there
// for that time, too.
func TestIndexOutlivesWhatSlowClocksTakeForLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(nil)
		opts := session.Options{
			IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour,
			RememberIdleTimeout: 2 * time.Hour, RememberAbsoluteTimeout: 2 * time.Hour,
		}
		m := mustNew(t, store, quiet(opts))
		opts.Now = func() time.Time { return time.Now().Add(-50 * time.Second) }
		slow := mustNew(t, store, quiet(opts))
		s := login(t, m, "andrew")
		s.Remember()
		mustCommit(t, s)
		time.Sleep(time.Hour)
		if _, err := m.Touch(t.Context(), s.Token()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + 30*time.Second)
		if !alive(t, slow, s) {
			t.Fatal("the session is over for the slow clock, too")
		}
		if got := listed(t, slow, "andrew"); len(got) != 1 {
			t.Errorf("it lives, and %q are listed", got)
		}
	})
}
