package session_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// Two logins of one session make two sessions, of which MaxSessions counts both.
func TestParallelLoginsKeepToMaxSessions(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{MaxSessions: 1})), t.Context()
	token := mustCreate(t, m, nil).Token()
	one, two := mustLoad(t, m, token), mustLoad(t, m, token)
	one.Login("andrew")
	two.Login("andrew")
	mustCommit(t, one)
	if err := two.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, m, "andrew"); len(got) != 1 {
		t.Errorf("%d sessions, at most 1", len(got))
	}
}

func TestParallelLoginsWithRefuseLogin(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{MaxSessions: 1, RefuseLogin: true})), t.Context()
	token := mustCreate(t, m, nil).Token()
	one, two := mustLoad(t, m, token), mustLoad(t, m, token)
	one.Login("andrew")
	two.Login("andrew")
	mustCommit(t, one)
	err := two.Commit(ctx)
	if got := listed(t, m, "andrew"); len(got) != 1 {
		t.Errorf("%d sessions, at most 1; Commit %v", len(got), err)
	}
}

// A login that was refused takes no place in a second try.
func TestRefusedLoginTakesNoPlace(t *testing.T) {
	o := quiet(session.Options{MaxSessions: 1, RefuseLogin: true})
	m, ctx := mustNew(t, memory.New(nil), o), t.Context()
	s := mustCreate(t, m, map[string]string{"a": "text"})
	s.Login("andrew")
	if _, err := s.Increment(ctx, "a", 1); !errors.Is(err, session.ErrCounter) {
		t.Fatalf("Increment = %v, want ErrCounter", err)
	}
	if err := s.Destroy(ctx); err != nil {
		t.Fatal(err)
	}
	s.Login("andrew")
	if err := s.Commit(ctx); err != nil {
		t.Errorf("second try = %v", err)
	}
}

// Nor does it undo another login of the same session, which has been linked before, and is about to be written.
func TestRefusedLoginLeavesAnotherUnderWay(t *testing.T) {
	for _, how := range []string{"by a counter", "by a rotation before"} {
		t.Run(how, func(t *testing.T) {
			mem, ctx := memory.New(nil), t.Context()
			look := mustNew(t, mem, quiet(session.Options{}))
			token := mustCreate(t, look, map[string]string{"a": "text"}).Token()
			s := mustLoad(t, look, token)
			if how == "by a rotation before" {
				r := mustLoad(t, look, token)
				r.Rotate()
				mustCommit(t, r)
				token = r.Token()
			}
			linked, goOn, done := make(chan bool), make(chan bool), make(chan error)
			pause := sync.OnceFunc(func() { close(linked); <-goOn })
			slow := &ahead{Backend: mem, before: func(method, id string, _ backend.Patch) {
				if method == "Apply" && !isIndex(id) {
					pause()
				}
			}}
			other := mustLoad(t, mustNew(t, slow, quiet(session.Options{})), token)
			other.Login("andrew")
			go func() { done <- other.Commit(ctx) }()
			<-linked
			s.Login("andrew")
			if _, err := s.Increment(ctx, "a", 1); (err != nil) != (how == "by a counter") {
				t.Errorf("Increment = %v", err)
			}
			_ = listed(t, look, "andrew") // tidies up
			close(goOn)
			if err := <-done; err != nil {
				t.Errorf("the other login = %v", err)
			}
		})
	}
}

// Remember after the login is no login under way.
func TestRememberAfterLoginTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{MaxSessions: 1, RefuseLogin: true})), t.Context()
		s := login(t, m, "andrew")
		s.Remember()
		mustCommit(t, s)
		if err := s.Destroy(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := tryLogin(m, "andrew"); err != nil {
			t.Errorf("login after a logout: %v", err)
		}
	})
}

func TestRememberAfterLoginEndsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{MaxSessions: 2})), t.Context()
		phone := login(t, m, "andrew")
		time.Sleep(time.Minute * 2)
		s := login(t, m, "andrew")
		s.Remember()
		mustCommit(t, s)
		if err := s.Destroy(ctx); err != nil {
			t.Fatal(err)
		}
		login(t, m, "andrew")
		if !alive(t, m, phone) {
			t.Error("the phone's session was ended, though there were two")
		}
	})
}

// Only a login keeps to the limit.
func TestRememberPastTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, refuse := range []bool{false, true} {
			mem := memory.New(nil)
			before := mustNew(t, mem, quiet(session.Options{}))
			after := mustNew(t, mem, quiet(session.Options{MaxSessions: 1, RefuseLogin: refuse}))
			phone, desk := login(t, before, "andrew"), login(t, before, "andrew")
			s := mustLoad(t, after, desk.Token())
			s.Remember()
			err := s.Commit(t.Context())
			if err != nil || !alive(t, after, phone) {
				t.Errorf("refuse %v: Remember = %v; the phone lives: %v", refuse, err, alive(t, after, phone))
			}
		}
	})
}

// After ErrTooManySessions the session shows what is stored, and a login with all that goes with it can be tried again.
func TestTooManySessionsShowsWhatIsStored(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{MaxSessions: 1, RefuseLogin: true})), t.Context()
	login(t, m, "andrew")
	for _, s := range []*session.Session{m.NewSession(), mustCreate(t, m, map[string]string{"cart": "1"})} {
		s.Login("andrew")
		s.Set("a", "1")
		if err := s.Commit(ctx); !errors.Is(err, session.ErrTooManySessions) {
			t.Fatal(err)
		}
		if _, err := m.RevokeAll(ctx, "andrew"); err != nil {
			t.Fatal(err)
		}
		if got := s.Get("a"); got != "" {
			t.Errorf("the session shows a=%q, which is not stored", got)
		}
		s.Login("andrew")
		if err := s.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if got := mustPeek(t, m, s).Get("a"); got != s.Get("a") {
			t.Errorf("the session shows a=%q, the store holds %q", s.Get("a"), got)
		}
	}
}

// The index outlives its sessions also by a clock that is behind.
func TestIndexOutlivesSessionsByOtherClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(nil)
		o := session.Options{AbsoluteTimeout: time.Hour}
		m := mustNew(t, mem, quiet(o))
		o.Now = func() time.Time { return time.Now().Add(5 * time.Second) }
		s := login(t, mustNew(t, mem, quiet(o)), "andrew")
		for range 6 {
			time.Sleep(10 * time.Minute)
			mustCommit(t, mustLoad(t, m, s.Token()))
		}
		time.Sleep(time.Second)
		if n, err := m.RevokeAll(t.Context(), "andrew"); n != 1 || alive(t, m, s) {
			t.Errorf("RevokeAll = %d, %v, and the session lives: %v", n, err, alive(t, m, s))
		}
	})
}
