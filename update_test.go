package session_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

var basket = session.NewKey[[]string]("basket")

// add has an update put items into a basket.
func add(items ...string) func([]string) ([]string, error) {
	return func(have []string) ([]string, error) { return append(have, items...), nil }
}

func TestUpdateLosesNothing(t *testing.T) {
	for name, fields := range map[string]map[string]string{"absent": {"a": "1"}, "there": {"basket": "[]"}} {
		t.Run(name, func(t *testing.T) {
			m, n := mustNew(t, memory.New(nil), quiet(session.Options{})), 50
			s := mustCreate(t, m, fields)
			var wg sync.WaitGroup
			for i := range n {
				view := mustPeek(t, m, s)
				wg.Go(func() {
					if _, err := basket.Update(t.Context(), view, add(string(rune('A'+i)))); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			got, err := basket.Get(mustPeek(t, m, s))
			if slices.Sort(got); err != nil || len(slices.Compact(got)) != n {
				t.Errorf("%d of %d items: %q, %v", len(got), n, got, err)
			}
		})
	}
}

// An update is made of what the store holds, whatever this request has read, and has the rest of the request go along.
func TestUpdateSeesAValueThatIsNewer(t *testing.T) {
	cached, other, s, _ := cachedPair(t, quiet(session.Options{}))
	ctx := t.Context()
	for _, m := range []*session.Manager{cached, other} {
		view, err := m.Load(ctx, s.Token())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := basket.Update(ctx, mustPeek(t, other, s), add("tea")); err != nil {
			t.Fatal(err)
		}
		view.Set("b", "2")
		got, err := basket.Update(ctx, view, add("milk"))
		if err != nil || !slices.Equal(got[len(got)-2:], []string{"tea", "milk"}) {
			t.Errorf("Update = %q, %v", got, err)
		}
		if seen, err := basket.Get(view); err != nil || !slices.Equal(seen, got) {
			t.Errorf("Get after Update = %q, %v, want %q", seen, err, got)
		}
		stored := mustPeek(t, other, s)
		if seen, err := basket.Get(stored); err != nil || !slices.Equal(seen, got) || stored.Get("b") != "2" {
			t.Errorf("the store holds %v, %v", sorted(stored), err)
		}
	}
}

// Nor is it refused for what the store does not hold any more.
func TestUpdateIsRefusedByWhatTheStoreHolds(t *testing.T) {
	cached, other, s, _ := cachedPair(t, quiet(session.Options{}))
	ctx := t.Context()
	view, err := cached.Load(ctx, s.Token())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.SetFields(ctx, s.Token(), map[string]string{"a": "free"}); err != nil {
		t.Fatal(err)
	}
	errTaken, n := errors.New("taken"), 0
	take := func(value string, _ bool) (string, error) {
		if n++; value != "free" {
			return "", errTaken
		}
		return "taken", nil
	}
	if _, err := view.Update(ctx, "a", take); err != nil {
		t.Errorf("Update = %v, and the field is free", err)
	}
	if _, err := view.Update(ctx, "a", take); err != errTaken || n != 3 {
		t.Errorf("Update = %v after %d calls, want %v", err, n, errTaken)
	}
	again, err := cached.Load(ctx, s.Token())
	if err != nil || again.Destroy(ctx) != nil {
		t.Fatal(err)
	}
	if _, err := again.Update(ctx, "a", take); err != errTaken || n != 4 {
		t.Errorf("Update after the logout = %v after %d calls, want %v", err, n, errTaken)
	}
}

func TestUpdateIsOneCall(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	s := m.NewSession()
	for i, want := range []string{"Create", "Apply", "Apply"} {
		b.took()
		if _, err := basket.Update(ctx, s, add("tea")); err != nil || b.took() != want {
			t.Errorf("update %d takes another way than %s: %v", i, want, err)
		}
	}
	s.Set("basket", "[]")
	b.took()
	got, err := basket.Update(ctx, s, add("milk"))
	if calls := b.took(); err != nil || len(got) != 1 || calls != "Apply" {
		t.Errorf("Update of what this request has set = %q, %v, by %s", got, err, calls)
	}
	if got := mustPeek(t, m, s).Get("basket"); got != `["milk"]` {
		t.Errorf("the store holds %s", got)
	}
}

func TestUpdateFailures(t *testing.T) {
	errMine := errors.New("mine")
	fails := func([]string) ([]string, error) { return nil, errMine }
	big := add(strings.Repeat("x", 200))
	for name, tt := range map[string]struct {
		prepare func(ctx context.Context, m *session.Manager, b *spy, s *session.Session)
		change  func([]string) ([]string, error)
		want    error
		left    string // what the store holds afterwards; "" for no session
	}{
		"the application's own error": {nil, fails, errMine, `a=1 basket=["tea"]`},
		"with a change pending": {func(_ context.Context, _ *session.Manager, _ *spy, s *session.Session) {
			s.Set("a", "2")
		}, fails, errMine, `a=1 basket=["tea"]`},
		"too large": {nil, big, session.ErrTooLarge, `a=1 basket=["tea"]`},
		"set before, and too large": {func(_ context.Context, _ *session.Manager, _ *spy, s *session.Session) {
			s.Set("basket", `["milk"]`)
		}, big, session.ErrTooLarge, `a=1 basket=["tea"]`},
		"no such value": {func(ctx context.Context, m *session.Manager, _ *spy, s *session.Session) {
			_, _ = m.SetFields(ctx, s.Token(), map[string]string{"basket": "{"})
		}, add("milk"), session.ErrDecode, "a=1 basket={"},
		"a rotation by hand": {func(_ context.Context, m *session.Manager, _ *spy, s *session.Session) {
			other := mustPeek(t, m, s)
			other.Rotate()
			mustCommit(t, other)
		}, add("milk"), session.ErrConflict, `a=1 basket=["tea"]`},
		"a logout": {func(ctx context.Context, m *session.Manager, _ *spy, s *session.Session) {
			_ = m.End(ctx, s.Token())
		}, add("milk"), session.ErrNotFound, ""},
		"the store": {func(_ context.Context, _ *session.Manager, b *spy, _ *session.Session) {
			b.fail = map[string]error{"Apply": errStore}
		}, add("milk"), errStore, `a=1 basket=["tea"]`},
		"a lost reply": {func(_ context.Context, _ *session.Manager, b *spy, _ *session.Session) {
			b.lose = map[string]error{"Apply": errStore}
		}, add("milk"), errStore, `a=1 basket=["tea","milk"]`},
		"a reserved name": {func(_ context.Context, _ *session.Manager, _ *spy, s *session.Session) {
			s.Set("session_x", "")
		}, add("milk"), session.ErrReserved, `a=1 basket=["tea"]`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newSpy()
			m, ctx := mustNew(t, b, quiet(session.Options{MaxBytes: 100})), t.Context()
			s := mustCreate(t, m, map[string]string{"a": "1", "basket": `["tea"]`})
			id := s.ID()
			if tt.prepare != nil {
				tt.prepare(ctx, m, b, s)
			}
			got, err := basket.Update(ctx, s, tt.change)
			if !errors.Is(err, tt.want) || got != nil {
				t.Errorf("Update = %q, %v, want %v", got, err, tt.want)
			}
			b.fail, b.lose = nil, nil
			rec, _ := b.Backend.Load(ctx, id)
			if got := application(rec); got != tt.left {
				t.Errorf("the store holds %s, want %s", got, tt.left)
			}
		})
	}
}

// application returns the application's fields of a record as sorted does.
func application(rec backend.Record) string {
	var all []string
	for name, value := range rec.Fields {
		if len(name) < 8 {
			all = append(all, name+"="+value)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestUpdateOfAReservedName(t *testing.T) {
	m := mustNew(t, memory.New(nil), nil)
	s := mustCreate(t, m, map[string]string{"a": "1"})
	for _, name := range []string{"", "created_at", "session_x"} {
		if _, err := session.NewKey[int](name).Update(t.Context(), s, func(int) (int, error) {
			t.Error("asked what to make of it")
			return 1, nil
		}); !errors.Is(err, session.ErrReserved) {
			t.Errorf("Update(%q) = %v, want ErrReserved", name, err)
		}
	}
}

// A login whose session has ended makes a new one, and an update that goes along begins with what that holds.
func TestUpdateWithALoginOfASessionThatHasEnded(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{})), t.Context()
	s := mustCreate(t, m, map[string]string{"basket": `["tea"]`})
	s.Login("andrew")
	if err := m.End(ctx, s.Token()); err != nil {
		t.Fatal(err)
	}
	if got, err := basket.Update(ctx, s, add("milk")); err != nil || !slices.Equal(got, []string{"milk"}) {
		t.Errorf("Update = %q, %v", got, err)
	}
	if got := sorted(mustPeek(t, m, s)); got != `basket=["milk"]` {
		t.Errorf("the new session holds %s", got)
	}
}

// The shrinking of what is too large by now is let through.
func TestUpdateThatShrinks(t *testing.T) {
	b := memory.New(nil)
	s := mustCreate(t, mustNew(t, b, nil), map[string]string{"a": strings.Repeat("x", 200)})
	small := mustPeek(t, mustNew(t, b, quiet(session.Options{MaxBytes: 100})), s)
	if v, err := small.Update(t.Context(), "a", func(v string, _ bool) (string, error) { return v[1:], nil }); err != nil {
		t.Errorf("Update = %d bytes, %v", len(v), err)
	}
}

// What an update that is refused would have changed is as it was.
func TestUpdateBesideWhatIsTooLarge(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{MaxBytes: 100})), t.Context()
	s := mustCreate(t, m, map[string]string{"a": "1"})
	s.Set("a", "12")
	s.Set("b", strings.Repeat("x", 200))
	_, err := s.Update(ctx, "a", func(v string, _ bool) (string, error) { return v[1:], nil })
	if !errors.Is(err, session.ErrTooLarge) || s.Get("a") != "12" {
		t.Errorf("Update = %v, and a = %q, want 12", err, s.Get("a"))
	}
	s.Delete("b")
	mustCommit(t, s)
	if got := sorted(mustPeek(t, m, s)); got != "a=12" {
		t.Errorf("the store holds %s", got)
	}
}

// A value without a form fails as it does in Set.
func TestUpdateToWhatHasNoForm(t *testing.T) {
	s := mustNew(t, memory.New(nil), nil).NewSession()
	k := session.NewKey[func()]("f")
	_, err := k.Update(t.Context(), s, func(func()) (func(), error) { return func() {}, nil })
	if _, ok := errors.AsType[*session.Error](err); !ok || !strings.Contains(err.Error(), `"f"`) || s.Exists() {
		t.Errorf("Update = %v, Set = %v", err, k.Set(s, func() {}))
	}
}

// The session may be used, in change as in other goroutines, and is whole after a panic.
func TestUpdateHoldsNoLock(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), nil), t.Context()
	s := mustCreate(t, m, map[string]string{"a": "1", "b": "2"})
	n := 0
	v, err := s.Update(ctx, "a", func(v string, _ bool) (string, error) {
		if n++; n == 1 {
			s.Set("a", "5") // as another goroutine of the request might
		}
		return v + s.Get("b"), nil
	})
	if v != "52" || err != nil || n != 2 {
		t.Errorf("Update = %q, %v after %d calls, want 52", v, err, n)
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = s.Update(ctx, "a", func(string, bool) (string, error) { panic("mine") })
	}()
	if s.Get("a") != "52" || s.Commit(ctx) != nil {
		t.Error("the session is broken after a panic")
	}
}

func TestUpdateAfterTheResponseHasBegun(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	var during, after error
	b := newBrowser(t, routes(m, map[string]func(http.ResponseWriter, *http.Request, *session.Session){
		"/": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			_, during = s.Update(r.Context(), "a", func(string, bool) (string, error) {
				w.WriteHeader(http.StatusOK)
				return "1", nil
			})
			_, after = s.Update(r.Context(), "a", func(string, bool) (string, error) { return "1", nil })
		},
	}))
	b.get("/")
	if !errors.Is(during, session.ErrCommitted) || !errors.Is(after, session.ErrCommitted) || b.cookie != "" {
		t.Errorf("Update = %v, %v, want ErrCommitted", during, after)
	}
}

// An update whose context has ended is not tried again, and one that meets nobody is made.
func TestUpdateEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, memory.New(nil), nil)
		s := mustCreate(t, m, map[string]string{"a": "1"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := 0
		_, err := s.Update(ctx, "a", func(v string, _ bool) (string, error) {
			n++
			time.Sleep(300 * time.Millisecond)
			_, _ = m.SetFields(t.Context(), s.Token(), map[string]string{"a": v + "1"}) // always faster
			return v + "2", nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || n != 4 {
			t.Errorf("Update = %v after %d tries", err, n)
		}
		if _, err := s.Update(ctx, "a", func(v string, _ bool) (string, error) { return "3", nil }); err != nil {
			t.Errorf("Update that nobody disturbs = %v", err)
		}
	})
}
