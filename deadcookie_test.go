package session_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

func setA(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Set("a", "1") }

func loginAndrew(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Login("andrew") }

func who(w http.ResponseWriter, _ *http.Request, s *session.Session) {
	_, _ = w.Write([]byte(s.Owner()))
}

// A request that keeps the cookie for longer must not send the token back that the timer has replaced meanwhile, in
// another request: the browser would present it again, as a thief does.
func TestRememberWhileTheTimerRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := new(events)
		m := mustNew(t, memory.New(nil), &session.Options{RotateInterval: 5 * time.Minute, OnEvent: ev.hook})
		during := func() {}
		b := newBrowser(t, routes(m, map[string]serve{
			"/login": loginAndrew,
			"/remember": func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				during()
				s.Remember()
			},
			"/who": who,
		}))
		b.get("/login")
		time.Sleep(5 * time.Minute)
		first := b.cookie
		during = func() {
			other := b.with(first)
			other.get("/who") // the timer gives out a new token
			other.get("/who") // which is presented
			if other.cookie == first {
				t.Fatal("no rotation")
			}
			b.cookie = other.cookie // it is the same browser
		}
		b.get("/remember")
		time.Sleep(20 * time.Second)
		ev.kinds()
		if got := b.get("/who").Body.String(); got != "andrew" {
			t.Errorf("owner %q, events %q: the browser was sent the token that a rotation had replaced", got, ev.kinds())
		}
	})
}

// A request that is refused because of a login must not put the token that it got by the timer, and that is dead, over
// the login's.
func TestConflictSendsNoDeadToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, memory.New(nil), quiet(session.Options{RotateInterval: 5 * time.Minute}))
		var b *browser
		var first string
		b = newBrowser(t, routes(m, map[string]serve{
			"/login": loginAndrew,
			"/count": func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				if _, err := s.Increment(r.Context(), "n", 1); err != nil { // with the timer's token
					t.Error(err)
				}
				b.cookie = first
				b.get("/login")
				s.Set("a", "1")
			},
			"/set": setA,
			"/who": who,
		}))
		b.get("/set")
		time.Sleep(5 * time.Minute)
		first = b.cookie
		w := b.get("/count")
		if got := b.get("/who").Body.String(); w.Code != http.StatusConflict || got != "andrew" {
			t.Errorf("%d: owner %q after the login, Set-Cookie %q", w.Code, got, w.Header()["Set-Cookie"])
		}
	})
}

// A store that panics where a login is confirmed, after all of the owner's sessions were ended: the client has no token
// of a session that its owner's list does not name.
func TestStorePanicsAtTheConfirmation(t *testing.T) {
	f := &faulty{Backend: memory.New(nil)}
	m := mustNew(t, f, quiet(session.Options{}))
	h := routes(m, map[string]serve{"/login": loginAndrew, "/who": who})
	b := newBrowser(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { _ = recover() }()
		h.ServeHTTP(w, r)
	}))
	linked := false
	f.before = func(method, id string, p backend.Patch) error {
		if !isIndex(id) && method == "Create" && !linked { // between the link and the write
			linked = true
			_, _ = m.RevokeAll(t.Context(), "andrew")
		}
		if confirmWrite(method, id, p) {
			f.before = nil
			panic("the client's hook")
		}
		return nil
	}
	w := b.get("/login")
	if got, all := b.get("/who").Body.String(), listed(t, m, "andrew"); got != "" && len(all) == 0 {
		t.Errorf("%d: %q is logged in, and not listed", w.Code, got)
	}
	if !linked || f.before != nil {
		t.Error("the store did not panic")
	}
}
