package session_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// Updates that meet another request, or another goroutine of their own.

// What has gathered is stored with the update, or not at all.
func TestUpdateThatIsRefusedStoresNothing(t *testing.T) {
	errSoldOut := errors.New("sold out")
	buy := func(meanwhile func()) func(string, bool) (string, error) {
		return func(v string, _ bool) (string, error) {
			meanwhile()
			if v == "0" {
				return "", errSoldOut
			}
			return "0", nil
		}
	}
	take := func(t *testing.T, m *session.Manager, token session.Token) {
		t.Helper()
		if _, err := m.SetFields(t.Context(), token, map[string]string{"stock": "0"}); err != nil {
			t.Error(err)
		}
	}
	check := func(t *testing.T, m *session.Manager, view *session.Session, meanwhile func()) {
		t.Helper()
		view.Set("paid", "1")
		view.Login("andrew")
		if _, err := view.Update(t.Context(), "stock", buy(meanwhile)); err != errSoldOut {
			t.Errorf("Update = %v, want %v", err, errSoldOut)
		}
		if got := mustPeek(t, m, view); sorted(got) != "stock=0" || len(listed(t, m, "andrew")) != 0 {
			t.Errorf("the store holds %s, and %d sessions of andrew", sorted(got), len(listed(t, m, "andrew")))
		}
	}
	t.Run("another request is faster", func(t *testing.T) {
		m := mustNew(t, memory.New(nil), quiet(session.Options{}))
		token := mustCreate(t, m, map[string]string{"stock": "1"}).Token()
		n := 0
		check(t, m, mustLoad(t, m, token), func() {
			if n++; n == 1 {
				take(t, m, token)
			}
		})
	})
	t.Run("a cache is behind", func(t *testing.T) {
		b := newSpy()
		other := mustNew(t, b, quiet(session.Options{}))
		token := mustCreate(t, other, map[string]string{"stock": "1"}).Token()
		view := mustLoad(t, mustNew(t, newStale(b), quiet(session.Options{})), token)
		take(t, other, token)
		check(t, other, view, func() {})
	})
}

// One that a rotation by hand has overtaken stores nothing either.
func TestUpdateAfterARotationStoresNothing(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, quiet(session.Options{})), t.Context()
	s := mustCreate(t, m, map[string]string{"a": "1"})
	view := mustLoad(t, m, s.Token())
	view.Set("b", "2")
	_, err := view.Update(ctx, "a", func(v string, _ bool) (string, error) {
		b.beforeApply(func() {
			s.Rotate()
			mustCommit(t, s)
		})
		return v + "2", nil
	})
	if got := sorted(mustPeek(t, m, s)); !errors.Is(err, session.ErrConflict) || got != "a=1" {
		t.Errorf("Update = %v, and the store holds %s", err, got)
	}
	if _ = view.Commit(ctx); sorted(mustPeek(t, m, s)) != "a=1" {
		t.Error("the next commit makes up for it")
	}
}

// An update that is refused while a login is pending, and the session has ended meanwhile, comes to an end.
func TestRefusedUpdateComesToAnEnd(t *testing.T) {
	errMine := errors.New("mine")
	refused := func(t *testing.T, view *session.Session) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		_, err := view.Update(ctx, "a", func(string, bool) (string, error) {
			if n++; n == 1000 {
				cancel()
			}
			return "", errMine
		})
		if err != errMine || n > 2 {
			t.Errorf("Update = %v after %d calls, want %v", err, n, errMine)
		}
	}
	t.Run("cache", func(t *testing.T) {
		cached, other, s, _ := cachedPair(t, quiet(session.Options{}))
		view := mustLoad(t, cached, s.Token())
		view.Login("andrew")
		if err := other.End(t.Context(), s.Token()); err != nil {
			t.Fatal(err)
		}
		refused(t, view)
	})
	t.Run("login that found no place", func(t *testing.T) {
		m, ctx := mustNew(t, newSpy(), quiet(session.Options{MaxSessions: 1, RefuseLogin: true})), t.Context()
		other := login(t, m, "andrew")
		s := mustCreate(t, m, map[string]string{"a": "1"})
		view := mustLoad(t, m, s.Token())
		view.Login("andrew")
		if err := m.End(ctx, s.Token()); err != nil {
			t.Fatal(err)
		}
		if err := view.Commit(ctx); !errors.Is(err, session.ErrTooManySessions) {
			t.Fatal(err)
		}
		if err := other.Destroy(ctx); err != nil {
			t.Fatal(err)
		}
		view.Login("andrew")
		refused(t, view)
	})
}

// ErrNotReplicated says that the update was made.
func TestUpdateThatWasNotReplicated(t *testing.T) {
	f := &faulty{Backend: memory.New(nil)}
	m, ctx := mustNew(t, f, quiet(session.Options{})), t.Context()
	s := mustCreate(t, m, map[string]string{"a": "1"})
	s.Rotate()
	f.after = func(_, _ string, p backend.Patch) error {
		if p.Durable {
			return session.ErrNotReplicated
		}
		return nil
	}
	_, err := s.Update(ctx, "a", func(string, bool) (string, error) { return "2", nil })
	if got := mustPeek(t, m, s).Get("a"); !errors.Is(err, session.ErrNotReplicated) || got != "2" || s.Get("a") != "2" {
		t.Errorf("Update = %v, and the store holds a=%s", err, got)
	}
}

// What is made of one session does not go into another one that a goroutine of the same request has made of it.
func TestUpdateAcrossALogout(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{})), t.Context()
	for how, other := range map[string]func(s *session.Session){
		"logout":            func(s *session.Session) { _ = s.Destroy(ctx) },
		"login":             func(s *session.Session) { s.Login("bob") },
		"anonymous, logout": func(s *session.Session) { _ = s.Destroy(ctx) },
	} {
		s := m.NewSession()
		if !strings.HasPrefix(how, "anonymous") {
			s.Login("alice")
		}
		s.Set("secret", "42")
		mustCommit(t, s)
		got, err := s.Update(ctx, "note", func(string, bool) (string, error) {
			v := s.Get("secret")
			if v != "" {
				other(s)
			}
			return "about " + v, nil
		})
		if got != "about " || err != nil || s.Get("note") != got {
			t.Errorf("%s: Update = %q, %v, and the session of %q holds %s", how, got, err, s.Owner(), sorted(s))
		}
	}
}

// The limits are judged by what the store holds, with all that is to be stored.
func TestUpdateMakesRoom(t *testing.T) {
	b := newSpy()
	o := quiet(session.Options{MaxBytes: 100})
	small, ctx := mustNew(t, b, o), t.Context()
	big := func() *session.Session {
		return mustCreate(t, mustNew(t, b, nil), map[string]string{"a": strings.Repeat("x", 200)})
	}
	s := mustLoad(t, small, big().Token())
	s.Set("b", "1")
	if _, err := s.Update(ctx, "a", func(string, bool) (string, error) { return "x", nil }); err != nil {
		t.Errorf("Update = %v, and all takes 4 bytes", err)
	}
	for _, name := range []string{"a", "b"} {
		s := big()
		view := mustLoad(t, mustNew(t, newStale(b), o), s.Token())
		if _, err := small.SetFields(ctx, s.Token(), map[string]string{"a": ""}); err != nil {
			t.Fatal(err)
		}
		_, err := view.Update(ctx, name, func(v string, _ bool) (string, error) { return v + strings.Repeat("y", 20), nil })
		if err != nil {
			t.Errorf("Update of %s behind a cache = %v, and the store holds a byte", name, err)
		}
	}
}

// What makes room in the field does not let through what has gathered beside it.
func TestUpdateBesideWhatGrows(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{MaxBytes: 100})), t.Context()
	s := mustCreate(t, m, map[string]string{"a": strings.Repeat("x", 90)})
	s.Set("b", strings.Repeat("y", 50))
	_, err := s.Update(ctx, "a", func(v string, _ bool) (string, error) { return v[1:], nil })
	if got := mustPeek(t, m, s); !errors.Is(err, session.ErrTooLarge) || len(got.Get("a")) != 90 {
		t.Errorf("Update = %v, and the store holds %s", err, sorted(got))
	}
}

// An empty value that has been deleted meanwhile is not there.
func TestUpdateOfAnEmptyValue(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{})), t.Context()
	s := mustCreate(t, m, map[string]string{"a": "", "b": "1"})
	view := mustLoad(t, m, s.Token())
	s.Delete("a")
	mustCommit(t, s)
	var seen []bool
	_, err := view.Update(ctx, "a", func(_ string, ok bool) (string, error) { seen = append(seen, ok); return "2", nil })
	if err != nil || !slices.Equal(seen, []bool{true, false}) {
		t.Errorf("Update = %v, and the field was there: %v", err, seen)
	}
}

// Where others are always faster, it ends after StoreTimeout.
func TestUpdateThatIsAlwaysOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, memory.New(nil), quiet(session.Options{StoreTimeout: 2 * time.Second}))
		s := mustCreate(t, m, map[string]string{"a": "1"})
		began := time.Now()
		_, err := s.Update(t.Context(), "a", func(v string, _ bool) (string, error) {
			time.Sleep(time.Second)
			_, _ = m.SetFields(t.Context(), s.Token(), map[string]string{"a": v + "1"})
			return "x", nil
		})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 5*time.Second {
			t.Errorf("Update = %v after %v", err, took)
		}
		if got := mustPeek(t, m, s).Get("a"); strings.Contains(got, "x") {
			t.Errorf("the store holds %s", got)
		}
	})
}

// A conflict may come of the rotation timer alone: the update is made without it.
func TestUpdateWhileTheTimerRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{RotateInterval: time.Minute})), t.Context()
		s := mustCreate(t, m, map[string]string{"a": "1"})
		time.Sleep(2 * time.Minute)
		one, two := mustLoad(t, m, s.Token()), mustLoad(t, m, s.Token())
		mustCommit(t, one) // gives out a new token
		got, err := two.Update(ctx, "a", func(v string, _ bool) (string, error) { return v + "2", nil })
		if err != nil || got != "12" || mustPeek(t, m, one).Get("a") != "12" {
			t.Errorf("Update = %q, %v", got, err)
		}
		two = mustLoad(t, m, one.Token())
		if got, err := two.Update(ctx, "a", func(v string, _ bool) (string, error) { return v + "3", nil }); err != nil || got != "123" {
			t.Errorf("Update = %q, %v", got, err)
		}
	})
}

// Nor does it go on where the field changes beside it in the same request each time.
func TestUpdateThatOvertakesItself(t *testing.T) {
	for _, want := range []error{context.DeadlineExceeded, context.Canceled} {
		synctest.Test(t, func(t *testing.T) {
			m := mustNew(t, memory.New(nil), quiet(session.Options{StoreTimeout: 2 * time.Second}))
			s, n := mustCreate(t, m, map[string]string{"n": "0"}), 0
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := s.Update(ctx, "n", func(v string, _ bool) (string, error) {
				if n++; n == 2 && want == context.Canceled {
					cancel()
				}
				if n == 100 {
					return "", errStore
				}
				time.Sleep(time.Second)
				_, err := s.Increment(t.Context(), "n", 1)
				return v, err
			})
			if !errors.Is(err, want) || n > 5 {
				t.Errorf("Update = %v after %d calls, want %v", err, n, want)
			}
		})
	}
}
