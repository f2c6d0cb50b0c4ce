package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// ofAnn returns a session that another user than the one who logs in next has left behind.
func ofAnn(t *testing.T, m *session.Manager) *session.Session {
	t.Helper()
	s := mustCreate(t, m, map[string]string{"cart": "3", "n": "5"})
	s.SetLabel("Ann's phone")
	s.Remember()
	s.Login("ann")
	if err := s.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := m.Load(t.Context(), s.Token())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// The next one to log in with the same browser inherits nothing.
func TestLoginOfAnotherOwnerInheritsNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		do    func(s *session.Session)
		want  string
		ttl   time.Duration
		label string
	}{
		{name: "alone", do: func(s *session.Session) { s.Login("bob") }, want: "", ttl: 30 * time.Minute},
		{name: "set before and after", want: "a=1 b=2", ttl: 30 * time.Minute, do: func(s *session.Session) {
			s.Set("a", "1")
			s.Delete("n")
			s.Login("bob")
			s.Set("b", "2")
		}},
		{name: "with a TTL and a label", want: "", ttl: time.Hour, label: "Bob's", do: func(s *session.Session) {
			s.Login("bob")
			_ = s.SetTTL(time.Hour)
			s.SetLabel("Bob's")
		}},
		{name: "remembered", do: func(s *session.Session) { s.Login("bob"); s.Remember() }, ttl: 14 * 24 * time.Hour},
		{name: "counting at once", want: "n=1", ttl: 30 * time.Minute, do: func(s *session.Session) {
			s.Login("bob")
			if n, err := s.Increment(t.Context(), "n", 1); n != 1 || err != nil {
				t.Errorf("Increment = %d, %v; want 1: it is Bob's first", n, err)
			}
		}},
		{name: "back and forth", do: func(s *session.Session) { s.Login("bob"); s.Login("ann"); s.Login("bob") }, ttl: 30 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, ev := newSpy(), new(events)
			m := mustNew(t, b, &session.Options{OnEvent: ev.hook})
			s := ofAnn(t, m)
			old := s.Token()
			ev.kinds()
			tt.do(s)
			if _, ok := s.Lookup("cart"); ok {
				t.Error("the cart can be seen between the login and the commit")
			}
			if err := s.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := mustPeek(t, m, s)
			if s.ID() == old.ID() || got.Owner() != "bob" || sorted(got) != tt.want || got.TTL() != tt.ttl || got.Label() != tt.label {
				t.Errorf("session %s of %q holds %q for %v, label %q", s.ID(), got.Owner(), sorted(got), got.TTL(), got.Label())
			}
			if _, err := m.Load(t.Context(), old); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Load with Ann's token = %v, want ErrNotFound", err)
			}
			if got, want := ev.kinds(), "destroyed, created, login"; got != want {
				t.Errorf("events %q, want %q", got, want)
			}
			if all, err := m.Sessions(t.Context(), "ann"); len(all) != 0 || err != nil {
				t.Errorf("Ann's sessions: %v, %v", all, err)
			}
		})
	}
}

func TestLoginOfTheSameOwnerKeepsTheSession(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	s := ofAnn(t, m)
	id := s.ID()
	s.Login("ann")
	if err := s.Commit(t.Context()); err != nil || s.ID() != id || s.Get("cart") != "3" || s.Label() != "Ann's phone" {
		t.Errorf("Commit = %v; session %s, was %s, holds %q", err, s.ID(), id, sorted(s))
	}
}

// If the other's session cannot be ended, there is no login.
func TestLoginOfAnotherOwnerFailsIfTheSessionCannotBeEnded(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, &session.Options{OnEvent: new(events).hook})
	s := ofAnn(t, m)
	old := s.Token()
	down := errors.New("down")
	b.fail = map[string]error{"Delete": down}
	b.took()
	s.Login("bob")
	if err := s.Commit(t.Context()); !errors.Is(err, down) {
		t.Errorf("Commit = %v, want the store's error", err)
	}
	if got := b.took(); got != "Delete" {
		t.Errorf("took %q, want no more than the attempt", got)
	}
	b.fail = nil
	if err := s.Commit(t.Context()); err != nil || s.Owner() != "bob" || s.Token().ID() == old.ID() {
		t.Errorf("the same once more = %v, session %s of %q", err, s.ID(), s.Owner())
	}
}

// If the new session cannot be stored, the old one has ended all the same, and the browser is told.
func TestLoginOfAnotherOwnerThatCannotBeStored(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, &session.Options{OnEvent: new(events).hook})
	s := ofAnn(t, m)
	br := newBrowser(t, shop(m))
	br.cookie = s.Token().Reveal()
	b.fail = map[string]error{"Create": errors.New("down")}
	if w := br.get("/login"); w.Code != 503 || br.cookie != "" {
		t.Errorf("status %d, cookie %q; want 503 and no cookie", w.Code, br.cookie)
	}
	if _, err := m.Load(t.Context(), s.Token()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load with Ann's token = %v, want ErrNotFound", err)
	}
}

func TestLoginOfAnotherOwnerWithALocalCache(t *testing.T) {
	b := newSpy()
	other, cached := mustNew(t, b, nil), mustNew(t, newStale(b), nil)
	s := ofAnn(t, other)
	view, err := cached.Load(t.Context(), s.Token())
	if err != nil {
		t.Fatal(err)
	}
	view.Login("bob")
	if err := view.Fresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := sorted(view); got != "" {
		t.Errorf("what is read again brings %q back", got)
	}
	if err := view.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := mustPeek(t, other, view); got.Owner() != "bob" || sorted(got) != "" {
		t.Errorf("session of %q with %q", got.Owner(), sorted(got))
	}
}

// A login that could not be stored, after this request's own session has ended, gives out no cookie: neither the dead
// token nor an empty one.
func TestLoginThatWasNotStoredGivesOutNoCookie(t *testing.T) {
	f := &faulty{Backend: memory.New(nil)}
	m := mustNew(t, f, quiet(session.Options{}))
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s, _ := m.Get(r)
		s.Set("a", "1")
		mustCommit(t, s)
		if err := m.EndID(r.Context(), s.ID()); err != nil {
			t.Error(err)
		}
		s.Login("andrew")
		f.before = func(method, id string, _ backend.Patch) error {
			if method == "Create" && !isIndex(id) {
				return errStore
			}
			return nil
		}
	})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if got := w.Header()["Set-Cookie"]; w.Code != http.StatusServiceUnavailable || len(got) > 0 {
		t.Errorf("%d, Set-Cookie %q", w.Code, got)
	}
}

// While a login of another owner waits for its commit, nobody has logged in.
func TestAuthenticatedAtIsTheOwners(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	s := login(t, m, "andrew")
	s.Login("bob")
	recent, err := s.AuthenticatedWithin(t.Context(), time.Hour)
	if at := s.AuthenticatedAt(); !at.IsZero() || recent || err != nil {
		t.Errorf("%s logged in at %v; within the hour: %v, %v", s.Owner(), at, recent, err)
	}
	mustCommit(t, s)
	if recent, err := s.AuthenticatedWithin(t.Context(), time.Hour); !recent || s.AuthenticatedAt().IsZero() || err != nil {
		t.Errorf("after the commit %v, %v, %v", s.AuthenticatedAt(), recent, err)
	}
}
