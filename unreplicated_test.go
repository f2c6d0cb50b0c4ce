package session_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// unreplicated is what a store says of each write that waits for replicas, while they lag: that it was made.
func unreplicated(method, _ string, p backend.Patch) error {
	if method != "Apply" && method != "Load" || p.Durable {
		return backend.ErrNotReplicated
	}
	return nil
}

// ErrNotReplicated says of a login that it was made: so it has to be, whichever of its writes the replicas lack.
func TestLoginNotReplicated(t *testing.T) {
	for _, tt := range []struct {
		name   string
		max    int
		before func(t *testing.T, m *session.Manager) *session.Session
	}{
		{name: "new", before: func(_ *testing.T, m *session.Manager) *session.Session { return m.NewSession() }},
		{name: "stored", before: func(t *testing.T, m *session.Manager) *session.Session { return mustCreate(t, m, nil) }},
		{name: "one too many", max: 1, before: func(t *testing.T, m *session.Manager) *session.Session {
			login(t, m, "andrew")
			return m.NewSession()
		}},
		{name: "another owner's", before: func(t *testing.T, m *session.Manager) *session.Session {
			return login(t, m, "bob")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &faulty{Backend: memory.New(nil)}
			m := mustNew(t, f, quiet(session.Options{MaxSessions: tt.max}))
			s := tt.before(t, m)
			f.after = unreplicated
			s.Login("andrew")
			if err := s.Commit(t.Context()); !errors.Is(err, session.ErrNotReplicated) {
				t.Errorf("Commit = %v, want ErrNotReplicated", err)
			}
			f.after = nil
			got, err := m.Peek(t.Context(), s.Token())
			if err != nil || got.Owner() != "andrew" {
				t.Errorf("the store holds %v, %v", got, err)
			}
			if all := listed(t, m, "andrew"); len(all) != 1 {
				t.Errorf("%q are listed, want one", all)
			}
		})
	}
}

// What was taken is not lost.
func TestTakeNotReplicated(t *testing.T) {
	f := &faulty{Backend: memory.New(nil)}
	m := mustNew(t, f, quiet(session.Options{}))
	text := session.NewKey[string]("text")
	for _, take := range []func(s *session.Session) (string, error){
		func(s *session.Session) (string, error) {
			v, ok, err := s.Take(t.Context(), "text")
			if !ok {
				t.Error("Take: not ok")
			}
			return v, err
		},
		func(s *session.Session) (string, error) { return text.Take(t.Context(), s) },
	} {
		s := mustCreate(t, m, map[string]string{"text": "hello"})
		s.Rotate()
		f.after = unreplicated
		v, err := take(s)
		f.after = nil
		if v != "hello" || !errors.Is(err, session.ErrNotReplicated) {
			t.Errorf("Take = %q, %v, want the text and ErrNotReplicated", v, err)
		}
	}
}

// Nor is it forgotten that a session has ended.
func TestRevokeNotReplicated(t *testing.T) {
	f, ev := &faulty{Backend: memory.New(nil)}, new(events)
	m, ctx := mustNew(t, f, &session.Options{OnEvent: ev.hook}), t.Context()
	for range 3 {
		login(t, m, "andrew")
	}
	ev.kinds()
	f.after = unreplicated
	n, err := m.RevokeAll(ctx, "andrew")
	f.after = nil
	if got := ev.kinds(); n != 3 || !errors.Is(err, session.ErrNotReplicated) || strings.Count(got, "revoked") != 3 {
		t.Errorf("RevokeAll = %d, %v; events %s", n, err, got)
	}
	s := login(t, m, "andrew")
	ev.kinds()
	f.after = unreplicated
	err = m.End(ctx, s.Token())
	f.after = nil
	if got := ev.kinds(); !errors.Is(err, session.ErrNotReplicated) || !strings.Contains(got, "destroyed") {
		t.Errorf("End = %v; events %s", err, got)
	}
}
