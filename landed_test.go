package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
)

func mustLoad(t *testing.T, m *session.Manager, token session.Token) *session.Session {
	t.Helper()
	s, err := m.Load(t.Context(), token)
	if err != nil {
		t.Fatalf("Load = %v", err)
	}
	return s
}

func mustCommit(t *testing.T, s *session.Session) {
	t.Helper()
	if err := s.Commit(t.Context()); err != nil {
		t.Fatalf("Commit = %v", err)
	}
}

// What a commit has written, the next one of the same session knows of.
func TestCommitsFollowOneAnother(t *testing.T) {
	for _, tt := range []struct {
		name   string
		opts   session.Options
		before func(t *testing.T, m *session.Manager, token session.Token) session.Token // returns what is presented
		first  func(s *session.Session)
	}{
		{name: "change", first: func(s *session.Session) { s.Set("b", "1"); s.Delete("a") }},
		{name: "rotation by hand", first: (*session.Session).Rotate},
		{name: "login", first: func(s *session.Session) { s.Login("andrew") }},
		{
			name: "rotation by the timer",
			opts: session.Options{RotateInterval: 5 * time.Minute, TouchInterval: 14 * time.Minute},
			before: func(_ *testing.T, _ *session.Manager, token session.Token) session.Token {
				time.Sleep(5 * time.Minute)
				return token
			},
			first: func(*session.Session) {},
		},
		{
			name: "first sight of a new token",
			opts: session.Options{RotateInterval: 5 * time.Minute, TouchInterval: 14 * time.Minute},
			before: func(t *testing.T, m *session.Manager, token session.Token) session.Token {
				time.Sleep(5 * time.Minute)
				s := mustLoad(t, m, token)
				mustCommit(t, s)
				return s.Token()
			},
			first: func(*session.Session) {},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSpy()
				m := mustNew(t, b, quiet(tt.opts))
				token := mustCreate(t, m, map[string]string{"a": "1"}).Token()
				if tt.before != nil {
					token = tt.before(t, m, token)
				}
				s := mustLoad(t, m, token)
				tt.first(s)
				b.took()
				mustCommit(t, s)
				if got := b.took(); got == "" {
					t.Error("the first commit has written nothing")
				}
				mustCommit(t, s)
				if got := b.took(); got != "" {
					t.Errorf("a second commit took %q, want nothing", got)
				}
				s.Set("c", "1")
				mustCommit(t, s)
				s.Rotate()
				mustCommit(t, s)
				if got, want := sorted(mustLoad(t, m, s.Token())), sorted(s); got != want {
					t.Errorf("the store holds %q, the session %q", got, want)
				}
			})
		})
	}
}
