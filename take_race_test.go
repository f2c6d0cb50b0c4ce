package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// What a Take stores beside what it takes, and what becomes of both if another request is faster.

func TestTakeIsOneCall(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	s := mustCreate(t, m, map[string]string{"flash": "saved", "a": "1"})
	view := mustLoad(t, m, s.Token())
	view.Set("b", "2")
	view.Delete("a")
	view.Rotate()
	b.took()
	got, ok, err := view.Take(ctx, "flash")
	if calls := b.took(); got != "saved" || !ok || err != nil || calls != "Apply" {
		t.Errorf("Take = %q, %v, %v, by %s", got, ok, err, calls)
	}
	if got := sorted(mustPeek(t, m, view)); got != "b=2" || sorted(view) != got {
		t.Errorf("the store holds %s, and the session %s", got, sorted(view))
	}
}

// Taking is using: it touches the session if that is due, as every write does.
func TestTakeTouches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, memory.New(nil), quiet(session.Options{}))
		s := mustCreate(t, m, map[string]string{"flash": "saved"})
		time.Sleep(20 * time.Minute)
		view := mustLoad(t, m, s.Token())
		if _, ok, err := view.Take(t.Context(), "flash"); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if got := mustPeek(t, m, s).LastAccessedAt(); time.Since(got) > time.Second {
			t.Errorf("last used at %v, and it is %v", got, time.Now())
		}
	})
}

// If it is refused, nothing of the request is stored, and nothing is taken.
func TestTakeThatIsRefusedStoresNothing(t *testing.T) {
	b := newSpy()
	for name, tt := range map[string]struct {
		beside  string // what has gathered
		prepare func(commit func())
		want    error
	}{
		"too large":                    {strings.Repeat("x", 100), func(func()) {}, session.ErrTooLarge},
		"after a rotation by hand":     {"2", func(rotate func()) { rotate() }, session.ErrConflict},
		"a rotation by hand is faster": {"2", func(rotate func()) { b.beforeApply(rotate) }, session.ErrConflict},
		"the store fails":              {"2", func(func()) { b.fail = map[string]error{"Apply": errStore} }, errStore},
	} {
		t.Run(name, func(t *testing.T) {
			m := mustNew(t, b, quiet(session.Options{MaxBytes: 50}))
			s := mustCreate(t, m, map[string]string{"flash": "saved"})
			view := mustLoad(t, m, s.Token())
			view.Set("b", tt.beside)
			tt.prepare(func() {
				s.Rotate()
				mustCommit(t, s)
			})
			got, ok, err := view.Take(t.Context(), "flash")
			if b.fail = nil; got != "" || ok || !errors.Is(err, tt.want) {
				t.Errorf("Take = %q, %v, %v, want %v", got, ok, err, tt.want)
			}
			if got := sorted(mustPeek(t, m, s)); got != "flash=saved" {
				t.Errorf("the store holds %s", got)
			}
		})
	}
}

// What it takes makes room for what has gathered.
func TestTakeMakesRoom(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{MaxFields: 1}))
	s := mustCreate(t, m, map[string]string{"flash": "saved"})
	s.Set("a", "1")
	if got, ok, err := s.Take(t.Context(), "flash"); got != "saved" || !ok || err != nil {
		t.Errorf("Take = %q, %v, %v", got, ok, err)
	}
	if got := sorted(mustPeek(t, m, s)); got != "a=1" {
		t.Errorf("the store holds %s", got)
	}
}

// If another request takes the value away meanwhile, what has gathered is stored with the response, as ever. If it
// gives the field another value, that is taken, and what has gathered stored with it.
func TestTakeThatIsOvertaken(t *testing.T) {
	for name, tt := range map[string]struct {
		meanwhile func(s *session.Session)
		want      string
	}{
		"by another Take": {func(s *session.Session) { s.Delete("flash") }, ""},
		"by a Set":        {func(s *session.Session) { s.Set("flash", "newer") }, "newer"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newSpy()
			m, ctx := mustNew(t, b, quiet(session.Options{})), t.Context()
			s := mustCreate(t, m, map[string]string{"flash": "saved"})
			view := mustLoad(t, m, s.Token())
			view.Login("andrew")
			view.Set("a", "1")
			old := s.Token()
			b.beforeApply(func() { // the index's
				b.beforeApply(func() {
					tt.meanwhile(s)
					mustCommit(t, s)
				})
			})
			got, ok, err := view.Take(ctx, "flash")
			if got != tt.want || ok != (tt.want != "") || err != nil {
				t.Errorf("Take = %q, %v, %v, want %q", got, ok, err, tt.want)
			}
			if stored := tokenAlive(t, m, old); stored == ok {
				t.Errorf("the login is stored: %v, and the value taken: %v", !stored, ok)
			}
			mustCommit(t, view)
			if got := mustPeek(t, m, view); sorted(got) != "a=1" || got.Owner() != "andrew" {
				t.Errorf("the store holds %s of %q", sorted(got), got.Owner())
			}
		})
	}
}

// Where others are always faster, it ends after StoreTimeout, or with its context.
func TestTakeThatIsAlwaysOvertaken(t *testing.T) {
	for _, want := range []error{context.DeadlineExceeded, context.Canceled} {
		synctest.Test(t, func(t *testing.T) {
			mem, n := memory.New(nil), 0
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			b := &meddler{Backend: mem, when: func(string, backend.Patch) bool { return true }}
			o := quiet(session.Options{StoreTimeout: 2 * time.Second})
			m, other := mustNew(t, b, o), mustNew(t, mem, o)
			token := mustCreate(t, other, map[string]string{"flash": "1"}).Token()
			var before func()
			before = func() {
				b.before = before // also the next time
				if n++; n == 2 && want == context.Canceled {
					cancel()
				}
				time.Sleep(time.Second)
				_, _ = other.SetFields(t.Context(), token, map[string]string{"flash": strings.Repeat("1", n+1)})
			}
			b.before = before
			began := time.Now()
			_, ok, err := mustLoad(t, m, token).Take(ctx, "flash")
			if took := time.Since(began); ok || !errors.Is(err, want) || took > 5*time.Second {
				t.Errorf("Take = %v, %v after %v, want %v", ok, err, took, want)
			}
			if left, err := other.Peek(t.Context(), token); err != nil || left.Get("flash") == "" {
				t.Errorf("it is taken: %v, %v", left, err)
			}
		})
	}
}

// A value may be the same, and the rotation timer alone what was faster: it is taken without that.
func TestTakeWhileTheTimerRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, memory.New(nil), quiet(session.Options{RotateInterval: time.Minute}))
		s := mustCreate(t, m, map[string]string{"flash": "saved"})
		time.Sleep(2 * time.Minute)
		one, two := mustLoad(t, m, s.Token()), mustLoad(t, m, s.Token())
		mustCommit(t, one)
		if got, ok, err := two.Take(t.Context(), "flash"); got != "saved" || !ok || err != nil {
			t.Errorf("Take = %q, %v, %v", got, ok, err)
		}
		if got := sorted(mustPeek(t, m, one)); got != "" {
			t.Errorf("the store holds %s", got)
		}
	})
}

// Nor is it refused for what only a local cache still holds.
func TestTakeIsRefusedByWhatTheStoreHolds(t *testing.T) {
	b := newSpy()
	o := quiet(session.Options{MaxFields: 3})
	cached, other := mustNew(t, newStale(b), o), mustNew(t, b, o)
	s := mustCreate(t, other, map[string]string{"a": "1", "b": "1", "c": "1"})
	mustLoad(t, cached, s.Token())
	s.Delete("b")
	s.Delete("c")
	mustCommit(t, s)
	view := mustLoad(t, cached, s.Token())
	view.Set("x", "1")
	view.Set("y", "1")
	view.Set("z", "1")
	if got, ok, err := view.Take(t.Context(), "a"); got != "1" || !ok || err != nil {
		t.Errorf("Take = %q, %v, %v, and the store holds a alone", got, ok, err)
	}
	ended := mustCreate(t, other, map[string]string{"a": "1", "b": "1", "c": "1"})
	mustLoad(t, cached, ended.Token())
	if err := other.End(t.Context(), ended.Token()); err != nil {
		t.Fatal(err)
	}
	view = mustLoad(t, cached, ended.Token())
	view.Login("andrew")
	view.Set("x", "1")
	view.Set("y", "1")
	if got, ok, err := view.Take(t.Context(), "a"); ok || !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("Take of a session that has ended = %q, %v, %v", got, ok, err)
	}
}
