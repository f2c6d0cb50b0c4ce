package session_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

type faulty struct {
	backend.Backend
	before, after func(method, id string, p backend.Patch) error
	load          func(method, id string, p backend.Patch) error // before a Load
}

func (f *faulty) Load(ctx context.Context, id string) (backend.Record, error) {
	if f.load != nil {
		if err := f.load("Load", id, backend.Patch{}); err != nil {
			return backend.Record{}, err
		}
	}
	return f.Backend.Load(ctx, id)
}

func (f *faulty) call(method, id string, p backend.Patch, do func() (backend.Record, error)) (backend.Record, error) {
	if f.before != nil {
		if err := f.before(method, id, p); err != nil {
			return backend.Record{}, err
		}
	}
	rec, err := do()
	if f.after != nil {
		if lost := f.after(method, id, p); lost != nil {
			return backend.Record{}, lost
		}
	}
	return rec, err
}

func (f *faulty) Create(ctx context.Context, id string, rec backend.Record) error {
	_, err := f.call("Create", id, backend.Patch{}, func() (backend.Record, error) { return backend.Record{}, f.Backend.Create(ctx, id, rec) })
	return err
}

func (f *faulty) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	return f.call("Apply", id, p, func() (backend.Record, error) { return f.Backend.Apply(ctx, id, p) })
}

func (f *faulty) Delete(ctx context.Context, id string) error {
	_, err := f.call("Delete", id, backend.Patch{}, func() (backend.Record, error) { return backend.Record{}, f.Backend.Delete(ctx, id) })
	return err
}

func once(fits func(method, id string, p backend.Patch) bool) func(string, string, backend.Patch) error {
	gone := false
	return func(method, id string, p backend.Patch) error {
		if !gone && fits(method, id, p) {
			gone = true
			return errStore
		}
		return nil
	}
}

func sessionWrite(method, id string, p backend.Patch) bool {
	return !isIndex(id) && (method == "Apply" || method == "Create")
}

func confirmWrite(method, id string, p backend.Patch) bool {
	return isIndex(id) && method == "Apply" && len(p.Has) > 0
}

// A rotation by hand was made, and its reply lost: the client gets the token.
func TestRotationWhoseReplyIsLost(t *testing.T) {
	f := &faulty{Backend: memory.New(nil)}
	m, ctx := mustNew(t, f, quiet(session.Options{})), t.Context()
	s := mustCreate(t, m, nil)
	s.Rotate()
	s.Set("a", "1")
	f.after = once(sessionWrite)
	_ = s.Commit(ctx) // the store's error, or none
	if err := s.Commit(ctx); err != nil {
		t.Errorf("the second Commit = %v; nobody else was there", err)
	}
	if !alive(t, m, s) {
		t.Error("the client is left with a token that is dead")
	}
}

// So does that of a login: it is one login, with what the session held.
func TestLoginWhoseReplyIsLost(t *testing.T) {
	f := &faulty{Backend: memory.New(nil)}
	m, ctx := mustNew(t, f, quiet(session.Options{MaxSessions: 1})), t.Context()
	s := mustCreate(t, m, map[string]string{"cart": "3"})
	s.Login("andrew")
	f.after = once(sessionWrite)
	_ = s.Commit(ctx) // the store's error, or none
	if err := s.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if got := mustPeek(t, m, s).Get("cart"); got != "3" {
		t.Errorf("cart = %q, want 3", got)
	}
	if got := listed(t, m, "andrew"); len(got) != 1 {
		t.Errorf("%d sessions, at most 1", len(got))
	}
}

// A login nobody has the token of takes no place.
func TestNewLoginWhoseReplyIsLostLocksNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{Backend: memory.New(nil)}
		m := mustNew(t, f, quiet(session.Options{MaxSessions: 1, RefuseLogin: true}))
		f.after = once(sessionWrite)
		first, _ := tryLogin(m, "andrew") // the store's error, or none
		time.Sleep(5 * time.Minute)
		if !first.Token().IsZero() {
			return // the first one has it
		}
		if _, err := tryLogin(m, "andrew"); err != nil {
			t.Errorf("five minutes later: %v, and nobody has a token", err)
		}
	})
}

// ErrNotReplicated says that the change was made: the client gets the token, and the error is told all the same.
func TestNotReplicatedGivesOutTheToken(t *testing.T) {
	for name, change := range map[string]func(s *session.Session){
		"rotation": func(s *session.Session) { s.Rotate() },
		"login":    func(s *session.Session) { s.Login("andrew") },
	} {
		for _, stored := range []bool{true, false} {
			f := &faulty{Backend: memory.New(nil)}
			m, ctx := mustNew(t, f, quiet(session.Options{MaxSessions: 1, RefuseLogin: true})), t.Context()
			s := m.NewSession()
			s.Set("cart", "3")
			if stored {
				mustCommit(t, s)
			}
			change(s)
			f.after = func(method, id string, p backend.Patch) error {
				if !isIndex(id) && (p.Durable || method == "Create") {
					return backend.ErrNotReplicated
				}
				return nil
			}
			if err := s.Commit(ctx); !errors.Is(err, backend.ErrNotReplicated) {
				t.Errorf("%s, stored %v: Commit = %v, want ErrNotReplicated", name, stored, err)
			}
			if !alive(t, m, s) || mustPeek(t, m, s).Get("cart") != "3" {
				t.Errorf("%s, stored %v: the client is left with a dead token", name, stored)
			}
			if err := s.Commit(ctx); err != nil {
				t.Errorf("%s, stored %v: the second Commit, with nothing to do: %v", name, stored, err)
			}
			if got := listed(t, m, "andrew"); name == "login" && !slices.Equal(got, []string{s.ID()}) {
				t.Errorf("%s, stored %v: listed %q, want the session", name, stored, got)
			}
			h := make(http.Header)
			if m.WriteCookie(h, s); h.Get("Set-Cookie") == "" {
				t.Errorf("%s, stored %v: no cookie", name, stored)
			}
		}
	}
}

// A login that the store did not take is not under way any more.
func TestLoginThatWasNotStoredTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{Backend: memory.New(nil)}
		m, ctx := mustNew(t, f, quiet(session.Options{MaxSessions: 1, RefuseLogin: true})), t.Context()
		s := m.NewSession()
		s.Login("andrew")
		f.before = once(sessionWrite) // nothing is written
		if err := s.Commit(ctx); !errors.Is(err, errStore) {
			t.Fatal(err)
		}
		if err := s.Commit(ctx); err != nil {
			t.Errorf("the same once more: %v; the owner has no session", err)
		}
	})
}

func TestLoginThatFailsEndsNobody(t *testing.T) {
	for name, fail := range map[string]func(*faulty){
		"not stored": func(f *faulty) { f.before = once(sessionWrite) },
		"perhaps listed": func(f *faulty) {
			f.after = once(func(_, id string, p backend.Patch) bool { return isIndex(id) && len(p.Add) > 0 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &faulty{Backend: memory.New(nil)}
				m, ctx := mustNew(t, f, quiet(session.Options{MaxSessions: 2})), t.Context()
				phone := login(t, m, "andrew")
				time.Sleep(2 * time.Minute)
				s := m.NewSession()
				s.Login("andrew")
				fail(f)
				if err := s.Commit(ctx); !errors.Is(err, errStore) {
					t.Fatal(err)
				}
				if err := s.Commit(ctx); err != nil {
					t.Fatal(err)
				}
				if !alive(t, m, phone) {
					t.Error("the phone's session was ended, though the owner has two of two")
				}
			})
		})
	}
}

// A login that is listed holds, though the store fails to mark its entry.
func TestLoginIsKeptWhereItsMarkFails(t *testing.T) {
	for _, lost := range []bool{false, true} {
		f := &faulty{Backend: memory.New(nil)}
		m, ctx := mustNew(t, f, quiet(session.Options{})), t.Context()
		s := m.NewSession()
		s.Login("andrew")
		s.Set("a", "1")
		if lost {
			f.after = once(confirmWrite)
		} else {
			f.before = once(confirmWrite)
		}
		_ = s.Commit(ctx) // the store's error, or none
		if err := s.Commit(ctx); err == nil && !s.Exists() {
			t.Errorf("lost %v: the second Commit succeeds, and nobody is logged in: owner %q, a=%q", lost, s.Owner(), s.Get("a"))
		}
	}
}

func TestStepUpIsKeptWhereItsMarkFails(t *testing.T) {
	f := &faulty{Backend: memory.New(nil)}
	m, ctx := mustNew(t, f, quiet(session.Options{})), t.Context()
	s := login(t, m, "andrew")
	s.Set("cart", "3")
	mustCommit(t, s)
	id := s.ID()
	s.Login("andrew")
	f.before = once(confirmWrite)
	_ = s.Commit(ctx) // the store's error, or none
	if rec, err := f.Backend.Load(ctx, id); err != nil {
		t.Errorf("the session and its cart are gone: %v %v", rec, err)
	}
}

// The next login of the owner finds the place free, too.
func TestLoginThatWasNotStoredLeavesThePlaceFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{Backend: memory.New(nil)}
		m := mustNew(t, f, quiet(session.Options{MaxSessions: 1, RefuseLogin: true}))
		f.before = once(sessionWrite)
		if _, err := tryLogin(m, "andrew"); !errors.Is(err, errStore) {
			t.Fatal(err)
		}
		if _, err := tryLogin(m, "andrew"); err != nil {
			t.Errorf("the next login: %v", err)
		}
	})
}

// Where the mark fails because all of the owner's sessions were ended, so was this one.
func TestLoginWhoseMarkFailsAndIsNotListedIsEnded(t *testing.T) {
	f := &faulty{Backend: memory.New(nil)}
	m := mustNew(t, f, quiet(session.Options{}))
	fails := once(confirmWrite)
	f.before = func(method, id string, p backend.Patch) error {
		err := fails(method, id, p)
		if err != nil {
			if _, revoked := m.RevokeAll(t.Context(), "andrew"); revoked != nil {
				t.Error(revoked)
			}
		}
		return err
	}
	s, err := tryLogin(m, "andrew")
	if !errors.Is(err, session.ErrConflict) || s.Exists() {
		t.Errorf("Commit = %v, and the session exists: %v; want ErrConflict", err, s.Exists())
	}
}

// A second try finds its place also where nothing could be taken back.
func TestLoginThatCouldNotBeTakenBackTakesNoPlace(t *testing.T) {
	f := &faulty{Backend: memory.New(nil)}
	m, ctx := mustNew(t, f, quiet(session.Options{MaxSessions: 1, RefuseLogin: true})), t.Context()
	s := m.NewSession()
	s.Login("andrew")
	f.before = func(method, id string, _ backend.Patch) error {
		if !isIndex(id) && method != "Apply" {
			return errStore
		}
		return nil
	}
	if err := s.Commit(ctx); !errors.Is(err, errStore) {
		t.Fatal(err)
	}
	f.before = nil
	if err := s.Commit(ctx); err != nil {
		t.Errorf("the second try: %v", err)
	}
}

// An error of the store's that looks like the caller's is the store's, as long as the caller waits.
func TestCancelledStoreIsAStoreError(t *testing.T) {
	f, ev := &faulty{Backend: memory.New(nil)}, new(events)
	m := mustNew(t, f, &session.Options{OnEvent: ev.hook})
	f.before = func(string, string, backend.Patch) error { return context.Canceled }
	s := m.NewSession()
	s.Set("a", "1")
	if err := s.Commit(t.Context()); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if got := ev.kinds(); got != string(session.EventStoreError) {
		t.Errorf("events %q, want a store error", got)
	}
}

// The login was stored, and the store says neither that it is marked nor whether it is listed: it has failed, and a
// second commit makes a session of what was to be stored.
func TestLoginThatCannotBeConfirmed(t *testing.T) {
	for _, stored := range []bool{true, false} {
		f := &faulty{Backend: memory.New(nil)}
		m, ctx := mustNew(t, f, quiet(session.Options{MaxSessions: 1, RefuseLogin: true})), t.Context()
		s := m.NewSession()
		if stored {
			s.Set("cart", "3")
			mustCommit(t, s)
		}
		s.Login("andrew")
		s.Set("theme", "dark")
		wrote := false
		f.after = func(method, id string, p backend.Patch) error {
			wrote = wrote || sessionWrite(method, id, p)
			return nil
		}
		f.before = once(confirmWrite)
		f.load = once(func(_, id string, _ backend.Patch) bool { return wrote && isIndex(id) })
		if err := s.Commit(ctx); !errors.Is(err, errStore) {
			t.Fatalf("stored %v: Commit = %v, want %v", stored, err, errStore)
		}
		h := make(http.Header)
		if m.WriteCookie(h, s); len(h) > 0 {
			t.Errorf("stored %v: the client is told %v of a login that has failed", stored, h)
		}
		if s.Exists() || len(listed(t, m, "andrew")) > 0 {
			t.Errorf("stored %v: the login that has failed shows as %q, listed %q", stored, s.ID(), listed(t, m, "andrew"))
		}
		mustCommit(t, s)
		if got := mustPeek(t, m, s); got.Owner() != "andrew" || got.Get("theme") != "dark" {
			t.Errorf("stored %v: the second commit has stored %v", stored, got)
		}
		if got := listed(t, m, "andrew"); !slices.Equal(got, []string{s.ID()}) {
			t.Errorf("stored %v: listed %q, want the session", stored, got)
		}
	}
}
