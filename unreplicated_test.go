package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// lagging is a store whose replicas lag, while lags is set: what was made and waits for them is ErrNotReplicated.
type lagging struct {
	backend.Backend
	lags bool
}

func (l *lagging) wait(err error) error {
	if err == nil && l.lags {
		return backend.ErrNotReplicated
	}
	return err
}

func (l *lagging) Create(ctx context.Context, id string, rec backend.Record) error {
	return l.wait(l.Backend.Create(ctx, id, rec))
}

func (l *lagging) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	rec, err := l.Backend.Apply(ctx, id, p)
	if p.Durable || p.Remove {
		err = l.wait(err)
	}
	return rec, err
}

func (l *lagging) Delete(ctx context.Context, id string) error {
	return l.wait(l.Backend.Delete(ctx, id))
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
			f := &lagging{Backend: memory.New(nil)}
			m := mustNew(t, f, quiet(session.Options{MaxSessions: tt.max}))
			s := tt.before(t, m)
			f.lags = true
			s.Login("andrew")
			if err := s.Commit(t.Context()); !errors.Is(err, session.ErrNotReplicated) {
				t.Errorf("Commit = %v, want ErrNotReplicated", err)
			}
			f.lags = false
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
	f := &lagging{Backend: memory.New(nil)}
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
		f.lags = true
		v, err := take(s)
		f.lags = false
		if v != "hello" || !errors.Is(err, session.ErrNotReplicated) {
			t.Errorf("Take = %q, %v, want the text and ErrNotReplicated", v, err)
		}
	}
}

// Nor is it forgotten that a session has ended.
func TestRevokeNotReplicated(t *testing.T) {
	f, ev := &lagging{Backend: memory.New(nil)}, new(events)
	m, ctx := mustNew(t, f, &session.Options{OnEvent: ev.hook}), t.Context()
	for range 3 {
		login(t, m, "andrew")
	}
	ev.kinds()
	f.lags = true
	n, err := m.RevokeAll(ctx, "andrew")
	f.lags = false
	if got := ev.kinds(); n != 3 || !errors.Is(err, session.ErrNotReplicated) || strings.Count(got, "revoked") != 3 {
		t.Errorf("RevokeAll = %d, %v; events %s", n, err, got)
	}
	s := login(t, m, "andrew")
	ev.kinds()
	f.lags = true
	err = m.End(ctx, s.Token())
	f.lags = false
	if got := ev.kinds(); !errors.Is(err, session.ErrNotReplicated) || !strings.Contains(got, "destroyed") {
		t.Errorf("End = %v; events %s", err, got)
	}
}

// A login that is under way while all sessions are ended is ended, too, also where replicas lack the end of the others.
func TestRevokeNotReplicatedDuringLogin(t *testing.T) {
	store := &lagging{Backend: memory.New(nil)}
	f := &faulty{Backend: store}
	m, ctx := mustNew(t, f, quiet(session.Options{})), t.Context()
	login(t, m, "andrew")
	f.before = func(method, id string, _ backend.Patch) error {
		if method == "Create" && !isIndex(id) { // between the link and the write
			f.before, store.lags = nil, true
			if n, err := m.RevokeAll(ctx, "andrew"); n != 1 || !errors.Is(err, session.ErrNotReplicated) {
				t.Errorf("RevokeAll = %d, %v", n, err)
			}
			store.lags = false
		}
		return nil
	}
	s := m.NewSession()
	s.Login("andrew")
	if err := s.Commit(ctx); !errors.Is(err, session.ErrConflict) {
		t.Errorf("Commit = %v, want ErrConflict", err)
	}
	if f.before != nil {
		t.Error("nobody ended all sessions")
	}
}

// A login over the limit that cannot end all that it has to end fails, whatever the replicas have.
func TestLoginOverTheLimitThatEndsTooFew(t *testing.T) {
	store := &lagging{Backend: memory.New(nil)}
	f := &faulty{Backend: store}
	m, before := mustNew(t, f, quiet(session.Options{MaxSessions: 1})), mustNew(t, store, nil)
	login(t, before, "andrew")
	kept := login(t, before, "andrew")
	f.before = func(_, id string, p backend.Patch) error {
		if id == kept.ID() && p.Remove {
			return errStore
		}
		return nil
	}
	store.lags = true
	s := m.NewSession()
	s.Login("andrew")
	if err := s.Commit(t.Context()); !errors.Is(err, errStore) || s.Exists() {
		t.Errorf("Commit = %v, exists %v", err, s.Exists())
	}
}
