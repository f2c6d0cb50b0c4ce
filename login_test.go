package session_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
)

func TestLoginGivesANewTokenAndKillsTheOld(t *testing.T) {
	m, ctx := mustNew(t, newSpy(), nil), t.Context()
	s := mustCreate(t, m, map[string]string{"cart": "3"})
	old := s.Token()
	s.Login("andrew")
	if s.Owner() != "andrew" {
		t.Errorf("Owner before the commit = %q", s.Owner())
	}
	if err := s.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if s.Token().Equal(old) || s.ID() == "" {
		t.Fatal("login kept the token")
	}
	if _, err := m.Load(ctx, old); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load with the old token = %v, want ErrNotFound", err)
	}
	got := mustPeek(t, m, s)
	if got.Owner() != "andrew" || got.Get("cart") != "3" || got.AuthenticatedAt().IsZero() || !got.CreatedAt().Equal(s.CreatedAt()) {
		t.Errorf("after login: owner %q, fields %q, authenticated %v", got.Owner(), sorted(got), got.AuthenticatedAt())
	}
}

func TestLoginKeepsTheID(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	s := mustCreate(t, m, nil)
	id := s.ID()
	s.Login("andrew")
	if err := s.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.ID() != id || s.Token().ID() != id {
		t.Errorf("the ID went from %s to %s: records never move", id, s.ID())
	}
}

func TestLoginNeedsAnOwner(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	s := m.NewSession()
	s.Login("")
	if err := s.Commit(t.Context()); err == nil {
		t.Error("Commit of a login without an owner = nil")
	}
}

// Rotation by hand and login raise the epoch: what began before cannot write after.
func TestEpoch(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*session.Session)
	}{
		{"login", func(s *session.Session) { s.Login("andrew") }},
		{"rotate", func(s *session.Session) { s.Rotate() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, ctx := mustNew(t, newSpy(), nil), t.Context()
			s := mustCreate(t, m, map[string]string{"a": "1"})
			slow, counting := mustPeek(t, m, s), mustPeek(t, m, s)
			slow.Set("a", "from before")
			old := s.Token()
			tt.change(s)
			if err := s.Commit(ctx); err != nil {
				t.Fatal(err)
			}
			if err := slow.Commit(ctx); !errors.Is(err, session.ErrConflict) {
				t.Errorf("a change from before = %v, want ErrConflict", err)
			}
			if _, err := counting.Increment(ctx, "a", 1); !errors.Is(err, session.ErrConflict) {
				t.Errorf("a count from before = %v, want ErrConflict", err)
			}
			if got := mustPeek(t, m, s).Get("a"); got != "1" {
				t.Errorf("a = %q, written by a request from before", got)
			}
			if _, err := m.SetFields(ctx, old, map[string]string{"a": "2"}); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("SetFields with the old token = %v, want ErrNotFound", err)
			}
		})
	}
}

func TestLogoutIsNeverUndone(t *testing.T) {
	m, ctx := mustNew(t, newSpy(), nil), t.Context()
	for name, change := range map[string]func(*session.Session) error{
		"set":       func(s *session.Session) error { s.Set("a", "2"); return s.Commit(ctx) },
		"TTL":       func(s *session.Session) error { _ = s.SetTTL(time.Hour); return s.Commit(ctx) },
		"rotate":    func(s *session.Session) error { s.Rotate(); return s.Commit(ctx) },
		"increment": func(s *session.Session) error { _, err := s.Increment(ctx, "n", 1); return err },
	} {
		s := mustCreate(t, m, map[string]string{"a": "1"})
		id, token := s.ID(), s.Token()
		slow := mustPeek(t, m, s)
		if err := s.Destroy(ctx); err != nil {
			t.Fatal(err)
		}
		if s.Exists() || s.ID() != "" || s.Get("a") != "" || !s.Token().IsZero() || s.Remaining() != 0 {
			t.Errorf("after Destroy: %v, exists %v", s, s.Exists())
		}
		if err := change(slow); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s after the logout = %v, want ErrNotFound", name, err)
		}
		if _, err := m.Load(ctx, token); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: Load after the logout = %v, want ErrNotFound", name, err)
		}
		if slow.ID() == id {
			t.Errorf("%s: the session lives on in the slow request", name)
		}
	}
}

func TestLoginAfterTheSessionEndedStartsANewOne(t *testing.T) {
	m, ctx := mustNew(t, newSpy(), nil), t.Context()
	s := mustCreate(t, m, map[string]string{"cart": "3"})
	slow := mustPeek(t, m, s)
	if err := m.EndID(ctx, s.ID()); err != nil {
		t.Fatal(err)
	}
	slow.Set("username", "andrew")
	slow.Login("andrew")
	if err := slow.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if slow.ID() == s.ID() || sorted(slow) != "username=andrew" || slow.Owner() != "andrew" {
		t.Errorf("session %s of %q with %q: want a new one with what was set alone", slow.ID(), slow.Owner(), sorted(slow))
	}
}

func TestLoginStartsTheLifetimeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, newSpy(), &session.Options{IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour})
		s := mustCreate(t, m, nil)
		time.Sleep(50 * time.Minute)
		s.Login("andrew")
		if err := s.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Minute)
		got := mustPeek(t, m, s)
		if got.Remaining() != 10*time.Minute {
			t.Errorf("Remaining = %v, want 10 minutes after the login's hour began", got.Remaining())
		}
		if want := s.CreatedAt().Add(50 * time.Minute); !got.AuthenticatedAt().Equal(want) {
			t.Errorf("AuthenticatedAt = %v, want %v", got.AuthenticatedAt(), want)
		}
	})
}
