package session_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
)

// stale is a backend with a local cache at its worst: what it has once loaded, it goes on returning.
type stale struct {
	*spy
	mu   sync.Mutex
	kept map[string]backend.Record
}

func newStale(b *spy) *stale { return &stale{spy: b, kept: make(map[string]backend.Record)} }

func (s *stale) Unwrap() backend.Backend { return nil }

func (s *stale) Fresh() backend.Backend { return s.spy }

func (s *stale) Load(ctx context.Context, id string) (backend.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, ok := s.kept[id]
	if !ok {
		var err error
		if rec, err = s.spy.Load(ctx, id); err != nil {
			return rec, err
		}
		s.kept[id] = rec
	}
	rec.Fields = maps.Clone(rec.Fields)
	return rec, nil
}

// cachedPair returns a Manager with a stale cache, another machine's without, and a session that the first has
// in its cache.
func cachedPair(t *testing.T, opts *session.Options) (cached, other *session.Manager, s *session.Session, b *spy) {
	t.Helper()
	b = newSpy()
	cached, other = mustNew(t, newStale(b), opts), mustNew(t, b, opts)
	s = mustCreate(t, other, map[string]string{"a": "1"})
	if _, err := cached.Load(t.Context(), s.Token()); err != nil {
		t.Fatal(err)
	}
	b.took()
	return cached, other, s, b
}

func TestCachedReadsCostNothing(t *testing.T) {
	cached, _, s, b := cachedPair(t, nil)
	for range 3 {
		if got, err := cached.Load(t.Context(), s.Token()); err != nil || got.Get("a") != "1" {
			t.Errorf("Load = %v", err)
		}
	}
	if got := b.took(); got != "" {
		t.Errorf("took %q, want none", got)
	}
}

// Whatever the cache seems to refuse is read again past it.
func TestCacheTurnsNobodyAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := &session.Options{IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour, RotateInterval: 10 * time.Minute, OnEvent: new(events).hook}
		for name, change := range map[string]func(s *session.Session, m *session.Manager){
			"login":          func(s *session.Session, _ *session.Manager) { s.Login("andrew") },
			"rotated":        func(s *session.Session, _ *session.Manager) { s.Rotate() },
			"timed rotation": func(*session.Session, *session.Manager) { time.Sleep(10 * time.Minute) },
			"past the lifetime that it knows": func(s *session.Session, m *session.Manager) {
				_ = s.SetTTL(2 * time.Hour)
				time.Sleep(50 * time.Minute)
				s.Login("andrew")
				_ = s.Commit(context.Background())
				time.Sleep(20 * time.Minute)
			},
		} {
			cached, other, s, b := cachedPair(t, opts)
			change(s, other)
			if err := s.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.took()
			if _, err := cached.Load(t.Context(), s.Token()); err != nil {
				t.Errorf("%s: the new token is turned away: %v", name, err)
			}
			if got := b.took(); got != "Load" {
				t.Errorf("%s: took %q, want one read", name, got)
			}
		}
	})
}

func TestWrongTokenIsReadOnceMore(t *testing.T) {
	cached, _, s, b := cachedPair(t, &session.Options{OnEvent: new(events).hook})
	wrong := parse(t, s.ID()+"AAAAAAAAAAAAAAAAAAAAAAAAAAA")
	if _, err := cached.Load(t.Context(), wrong); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load = %v, want ErrNotFound", err)
	}
	if got := b.took(); got != "Load" {
		t.Errorf("took %q, want one read", got)
	}
}

func TestFreshReadsPastTheCache(t *testing.T) {
	cached, other, s, b := cachedPair(t, nil)
	ctx := t.Context()
	if _, err := other.SetFields(ctx, s.Token(), map[string]string{"a": "2", "b": "2"}); err != nil {
		t.Fatal(err)
	}
	got, err := cached.Load(ctx, s.Token())
	if err != nil {
		t.Fatal(err)
	}
	got.Set("b", "mine")
	b.took()
	if err := got.Fresh(ctx); err != nil || sorted(got) != "a=2 b=mine" {
		t.Errorf("Fresh = %v, fields %q", err, sorted(got))
	}
	if err := got.Fresh(ctx); err != nil || b.took() != "Load" {
		t.Errorf("a second Fresh = %v, or it read again", err)
	}
	if err := got.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if s := mustPeek(t, other, s); sorted(s) != "a=2 b=mine" {
		t.Errorf("fields = %q", sorted(s))
	}
	got, err = cached.Load(ctx, s.Token())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.End(ctx, s.Token()); err != nil {
		t.Fatal(err)
	}
	if err := got.Fresh(ctx); !errors.Is(err, session.ErrNotFound) || got.Exists() {
		t.Errorf("Fresh after the end = %v, exists %v", err, got.Exists())
	}
	if err := mustPeek(t, other, mustCreate(t, other, nil)).Fresh(ctx); err != nil {
		t.Errorf("Fresh without a cache = %v", err)
	}
}

func TestAuthenticatedWithinReadsPastTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSpy()
		cached, other := mustNew(t, newStale(b), nil), mustNew(t, b, nil)
		ctx, s := t.Context(), login(t, other, "andrew")
		load := func() *session.Session {
			got, err := cached.Load(ctx, s.Token())
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if ok, err := load().AuthenticatedWithin(ctx, time.Minute); !ok || err != nil {
			t.Errorf("just logged in: %v, %v", ok, err)
		}
		time.Sleep(time.Minute)
		if ok, err := load().AuthenticatedWithin(ctx, time.Minute); !ok || err != nil {
			t.Errorf("after a minute: %v, %v", ok, err)
		}
		time.Sleep(time.Second)
		if ok, err := load().AuthenticatedWithin(ctx, time.Minute); ok || err != nil {
			t.Errorf("after more than a minute: %v, %v", ok, err)
		}
		got := load()
		if err := other.End(ctx, s.Token()); err != nil {
			t.Fatal(err)
		}
		if ok, err := got.AuthenticatedWithin(ctx, time.Hour); ok || err != nil {
			t.Errorf("after the end on another machine: %v, %v", ok, err)
		}
		if ok, err := mustCreate(t, other, nil).AuthenticatedWithin(ctx, time.Hour); ok || err != nil {
			t.Errorf("before a login: %v, %v", ok, err)
		}
	})
}

func TestChangesThroughAStaleCache(t *testing.T) {
	opts := &session.Options{OnEvent: new(events).hook}
	ctx := t.Context()
	for name, change := range map[string]func(s *session.Session) error{
		"set":       func(s *session.Session) error { s.Set("b", "mine"); return s.Commit(ctx) },
		"increment": func(s *session.Session) error { _, err := s.Increment(ctx, "b", 1); return err },
		"login":     func(s *session.Session) error { s.Login("andrew"); s.Set("b", "x"); return s.Commit(ctx) },
		"rotate":    func(s *session.Session) error { s.Rotate(); s.Set("b", "x"); return s.Commit(ctx) },
		"take":      func(s *session.Session) error { _, _, err := s.Take(ctx, "a"); return err },
	} {
		cached, other, s, _ := cachedPair(t, opts)
		slow, err := cached.Load(ctx, s.Token()) // as it was before the login
		if err != nil {
			t.Fatal(err)
		}
		// Another machine logs in: the epoch that the cache knows is older, and so is the token.
		s.Login("eve")
		if err := s.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		err = change(slow)
		switch got := mustPeek(t, other, s); {
		case got.Owner() != "eve" || got.Get("b") != "" || got.Get("a") != "1":
			t.Errorf("%s with the old token has changed the session: %q of %q", name, sorted(got), got.Owner())
		case name == "login" && (err != nil || slow.ID() == s.ID()):
			t.Errorf("login with the old token = %v in %s, want a new session", err, slow.ID())
		case name != "login" && !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrConflict):
			t.Errorf("%s with the old token = %v", name, err)
		}
		// With the new token the change goes through, though the cache still knows the old epoch.
		if name == "take" {
			continue
		}
		fresh, err := cached.Load(ctx, s.Token())
		if err != nil {
			t.Fatal(err)
		}
		if err := change(fresh); err != nil || mustPeek(t, other, fresh).Get("b") == "" {
			t.Errorf("%s with the new token = %v", name, err)
		}
	}
}

// A change conditional on what the cache holds is tried again with what the store holds.
func TestConflictByAStaleCacheIsTriedAgain(t *testing.T) {
	b := newSpy()
	st := newStale(b)
	m, ctx := mustNew(t, st, nil), t.Context()
	s := mustCreate(t, m, map[string]string{"cart": "3", "flash": "saved"})
	if _, err := st.Load(ctx, s.ID()); err != nil {
		t.Fatal(err)
	}
	st.mu.Lock()
	rec := st.kept[s.ID()]
	rec.Fields["session_epoch"] = "0" // older than the store's, with the same token
	st.mu.Unlock()
	for name, change := range map[string]func(s *session.Session) error{
		"set":       func(s *session.Session) error { s.Set("b", "mine"); return s.Commit(ctx) },
		"increment": func(s *session.Session) error { _, err := s.Increment(ctx, "n", 1); return err },
		"take": func(s *session.Session) error {
			if v, ok, err := s.Take(ctx, "flash"); v != "saved" || !ok {
				return fmt.Errorf("%q, %v, %w", v, ok, err)
			}
			return nil
		},
	} {
		got, err := m.Load(ctx, s.Token())
		if err != nil {
			t.Fatal(err)
		}
		if err := change(got); err != nil {
			t.Errorf("%s = %v", name, err)
		}
	}
	got, err := m.Load(ctx, s.Token())
	if err != nil {
		t.Fatal(err)
	}
	got.Login("andrew")
	if err := got.Commit(ctx); err != nil || got.ID() != s.ID() || sorted(got) != "b=mine cart=3 n=1" {
		t.Errorf("login = %v, ID %s, fields %q: want the same session with its data", err, got.ID(), sorted(got))
	}
}

func TestOwnersListsReadPastTheCache(t *testing.T) {
	b := newSpy()
	cached, other := mustNew(t, newStale(b), nil), mustNew(t, b, nil)
	first := login(t, other, "andrew")
	if got := listed(t, cached, "andrew"); !slices.Equal(got, []string{first.ID()}) {
		t.Fatalf("listed = %q", got)
	}
	login(t, other, "andrew")
	if got := listed(t, cached, "andrew"); len(got) != 2 {
		t.Errorf("listed = %q, want both", got)
	}
	if n, err := cached.RevokeAll(t.Context(), "andrew"); n != 2 || err != nil {
		t.Errorf("RevokeAll = %d, %v", n, err)
	}
}
