package session_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

func TestTakeAfterMisuseWritesNothing(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{})), t.Context()
	s := mustCreate(t, m, map[string]string{"flash": "hello"})
	s.Set("created_at", "x")
	_, ok, err := s.Take(ctx, "flash")
	cerr := s.Commit(ctx)
	if got, _ := m.Load(ctx, s.Token()); got.Get("flash") != "hello" {
		t.Errorf("Take = %v, %v wrote, though Commit = %v", ok, err, cerr)
	}
}

func TestTakeReadsPastTheCache(t *testing.T) {
	cached, other, s, _ := cachedPair(t, quiet(session.Options{}))
	if _, err := other.SetFields(t.Context(), s.Token(), map[string]string{"flash": "saved"}); err != nil {
		t.Fatal(err)
	}
	got, err := cached.Load(t.Context(), s.Token())
	if err != nil {
		t.Fatal(err)
	}
	if v, ok, err := got.Take(t.Context(), "flash"); !ok || err != nil {
		t.Errorf("Take = %q, %v, %v", v, ok, err)
	}
}

func TestAuthenticatedWithinKeepsWhatIsPending(t *testing.T) {
	for _, login := range []bool{false, true} {
		cached, other, s, _ := cachedPair(t, quiet(session.Options{}))
		ctx := t.Context()
		got, _ := cached.Load(ctx, s.Token())
		if login {
			got.Login("andrew")
		}
		got.Set("a", "2")
		_ = other.End(ctx, s.Token())
		ok, err := got.AuthenticatedWithin(ctx, time.Minute)
		if cerr := got.Commit(ctx); cerr == nil && !got.Exists() {
			t.Errorf("login %v: AuthenticatedWithin = %v, %v; Commit = nil, and nothing is stored", login, ok, err)
		}
	}
}

func TestRefusedIncrementLeavesNoTrace(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{MaxFields: 1})), t.Context()
	s := m.NewSession()
	s.Set("a", "1")
	if _, err := s.Increment(ctx, "b", 1); !errors.Is(err, session.ErrTooLarge) {
		t.Fatal(err)
	}
	if err := s.Commit(ctx); err != nil {
		t.Errorf("Commit after a refused Increment = %v", err)
	}
}

func TestKeyOfAnyIsJSON(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	s := m.NewSession()
	k := session.NewKey[any]("k")
	if err := k.Set(s, time.Now()); err != nil {
		t.Fatal(err)
	}
	if v, err := k.Get(s); err != nil {
		t.Errorf("Get = %v, %v", v, err)
	}
}

func TestTTLOfASecondInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{})), t.Context()
		s, err := m.Create(ctx, map[string]string{"a": "1"}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			time.Sleep(300 * time.Millisecond)
			l, err := m.Load(ctx, s.Token())
			if err != nil {
				t.Fatalf("read %d: %v", i, err)
			}
			_ = l.Commit(ctx)
		}
	})
}

// Somebody changes the value while it is taken, and somebody else ends the session then: it has ended, and the client
// keeps its cookie, which may be that of another session by now.
func TestTakeOfWhatEndsMeanwhile(t *testing.T) {
	store := newSpy()
	m := mustNew(t, store, quiet(session.Options{}))
	s := mustCreate(t, m, map[string]string{"flash": "saved"})
	got, err := m.Load(t.Context(), s.Token())
	if err != nil {
		t.Fatal(err)
	}
	store.before = map[string]func(string){
		"Apply": func(id string) {
			change := backend.Patch{Set: map[string]string{"flash": "other"}}
			if _, err := store.Backend.Apply(t.Context(), id, change); err != nil {
				t.Error(err)
			}
		},
		"Load": func(id string) { _ = store.Backend.Delete(t.Context(), id) },
	}
	if v, ok, err := got.Take(t.Context(), "flash"); ok || !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Take = %q, %v, %v, want %v", v, ok, err, session.ErrNotFound)
	}
	if got.Exists() || got.ID() != "" || got.Get("flash") != "" {
		t.Errorf("the session that has ended shows as %q with %q", got.ID(), got.Get("flash"))
	}
	h := make(http.Header)
	if m.WriteCookie(h, got); len(h) != 0 {
		t.Errorf("the client is told %v", h)
	}
}
