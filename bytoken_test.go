package session_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
)

// errStore is a store that does not answer.
var errStore = errors.New("connection refused")

func TestManagerByTokenIsOneRoundTripEach(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, nil)
	ctx := t.Context()
	s := mustCreate(t, m, map[string]string{"username": "andrew"})
	token := s.Token()
	for _, step := range []struct {
		name string
		want string
		do   func() error
	}{
		{"create", "Create", func() error { return nil }},
		{"load", "Load", func() error { _, err := m.Load(ctx, token); return err }},
		{"peek", "Load", func() error { _, err := m.Peek(ctx, token); return err }},
		{"touch", "Apply", func() error { _, err := m.Touch(ctx, token); return err }},
		{"set fields", "Apply", func() error { _, err := m.SetFields(ctx, token, map[string]string{"a": "1", "b": "2"}); return err }},
		{"increment", "Apply", func() error { _, err := m.Increment(ctx, token, "page_views", 1); return err }},
		{"set TTL", "Apply", func() error { _, err := m.SetTTL(ctx, token, time.Minute); return err }},
		{"TTL", "Load", func() error { _, _, err := m.TTL(ctx, token); return err }},
		{"end by ID of another", "Delete", func() error { return m.EndID(ctx, strings.Repeat("A", 16)) }},
		{"end", "Apply", func() error { return m.End(ctx, token) }},
	} {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if got := b.took(); got != step.want {
			t.Errorf("%s took %q, want %q", step.name, got, step.want)
		}
	}
}

func TestManagerByTokenDoesTheGuidesOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, newSpy(), nil), t.Context()
		s, err := m.Create(ctx, map[string]string{"username": "andrew", "page_views": "0"}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		token := s.Token()
		created := s.CreatedAt()
		time.Sleep(50 * time.Second)
		if s, err = m.Touch(ctx, token); err != nil {
			t.Fatal(err)
		}
		if s.Remaining() != time.Minute || !s.LastAccessedAt().Equal(created.Add(50*time.Second)) || !s.CreatedAt().Equal(created) {
			t.Errorf("after a touch: %v left, used %v, created %v", s.Remaining(), s.LastAccessedAt(), s.CreatedAt())
		}
		time.Sleep(50 * time.Second)
		if s, err = m.Increment(ctx, token, "page_views", 2); err != nil || s.Get("page_views") != "2" || s.Get("username") != "andrew" {
			t.Errorf("Increment = %v, %v", sorted(s), err)
		}
		time.Sleep(50 * time.Second)
		if s, err = m.SetFields(ctx, token, map[string]string{"username": "eve"}); err != nil || sorted(s) != "page_views=2 username=eve" {
			t.Errorf("SetFields = %v, %v", sorted(s), err)
		}
		time.Sleep(50 * time.Second)
		if s, err = m.SetTTL(ctx, token, 2*time.Minute); err != nil || s.TTL() != 2*time.Minute || s.Remaining() != 2*time.Minute {
			t.Errorf("SetTTL = %v of %v, %v", s.Remaining(), s.TTL(), err)
		}
		time.Sleep(70 * time.Second)
		configured, left, err := m.TTL(ctx, token)
		if err != nil || configured != 2*time.Minute || left != 50*time.Second {
			t.Errorf("TTL = %v, %v, %v", configured, left, err)
		}
		if _, err := m.Peek(ctx, token); err != nil {
			t.Errorf("Peek = %v", err)
		}
		time.Sleep(50 * time.Second) // neither of the two has touched
		if _, err := m.Load(ctx, token); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load after expiry = %v, want ErrNotFound", err)
		}
		if err := m.End(ctx, token); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("End after expiry = %v, want ErrNotFound", err)
		}
	})
}

func TestManagerByTokenRefusesOtherSecrets(t *testing.T) {
	b, ev := newSpy(), new(events)
	m := mustNew(t, b, &session.Options{OnEvent: ev.hook})
	ctx := t.Context()
	s := mustCreate(t, m, map[string]string{"a": "1"})
	wrong := parse(t, s.ID()+strings.Repeat("A", 27))
	before, _ := b.Backend.Load(ctx, s.ID())
	ev.kinds()
	for name, do := range map[string]func(session.Token) error{
		"load":  func(tok session.Token) error { _, err := m.Load(ctx, tok); return err },
		"peek":  func(tok session.Token) error { _, err := m.Peek(ctx, tok); return err },
		"touch": func(tok session.Token) error { _, err := m.Touch(ctx, tok); return err },
		"set": func(tok session.Token) error {
			_, err := m.SetFields(ctx, tok, map[string]string{"a": "2"})
			return err
		},
		"increment": func(tok session.Token) error { _, err := m.Increment(ctx, tok, "a", 1); return err },
		"ttl":       func(tok session.Token) error { _, err := m.SetTTL(ctx, tok, time.Minute); return err },
		"end":       func(tok session.Token) error { return m.End(ctx, tok) },
	} {
		if err := do(wrong); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s with another secret = %v, want ErrNotFound", name, err)
		}
		if got := ev.kinds(); got != string(session.EventMismatch) {
			t.Errorf("%s with another secret: events %q, want one mismatch", name, got)
		}
		if err := do(session.Token{}); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s with the zero token = %v, want ErrNotFound", name, err)
		}
		if err := do(parse(t, goodToken)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s with an unknown token = %v, want ErrNotFound", name, err)
		}
	}
	after, err := b.Backend.Load(ctx, s.ID())
	if diff := cmp.Diff(before, after); err != nil || diff != "" {
		t.Errorf("the record has changed (-before +after):\n%s", diff)
	}
	if _, err := b.Backend.Load(ctx, goodToken[:16]); !errors.Is(err, backend.ErrNotFound) {
		t.Error("an unknown token was adopted")
	}
}

func TestReservedFieldsAreClosedToTheApplication(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	s := mustCreate(t, m, map[string]string{"a": "1"})
	before, _ := b.Backend.Load(ctx, s.ID())
	for _, name := range []string{
		"", "created_at", "last_accessed_at", "session_ttl", "session_token", "session_epoch", "session_owner", "session_anything", "session_",
	} {
		b.took()
		for way, do := range map[string]func() error{
			"Create": func() error { _, err := m.Create(ctx, map[string]string{name: "1"}, 0); return err },
			"SetFields": func() error {
				_, err := m.SetFields(ctx, s.Token(), map[string]string{"b": "1", name: "1"})
				return err
			},
			"Increment":         func() error { _, err := m.Increment(ctx, s.Token(), name, 1); return err },
			"Session.Increment": func() error { _, err := s.Increment(ctx, name, 1); return err },
			"Session.Set":       func() error { s := mustPeek(t, m, s); s.Set(name, "1"); b.took(); return s.Commit(ctx) },
			"Session.Delete":    func() error { s := mustPeek(t, m, s); s.Delete(name); b.took(); return s.Commit(ctx) },
			"Session.Err":       func() error { s := mustPeek(t, m, s); s.Set(name, "1"); b.took(); return s.Err() },
		} {
			if err := do(); !errors.Is(err, session.ErrReserved) {
				t.Errorf("%s of %q = %v, want ErrReserved", way, name, err)
			}
			if got := b.took(); got != "" {
				t.Errorf("%s of %q called %s, want nothing", way, name, got)
			}
		}
		if v, ok := s.Lookup(name); ok || v != "" || s.Get(name) != "" {
			t.Errorf("Lookup(%q) = %q, %v, want it hidden", name, v, ok)
		}
	}
	after, _ := b.Backend.Load(ctx, s.ID())
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the record has changed (-before +after):\n%s", diff)
	}
	if got := sorted(s); got != "a=1" {
		t.Errorf("All = %q, want the application's field alone", got)
	}
}

func mustPeek(t *testing.T, m *session.Manager, s *session.Session) *session.Session {
	t.Helper()
	p, err := m.Peek(t.Context(), s.Token())
	if err != nil {
		t.Fatalf("Peek = %v", err)
	}
	return p
}

func TestSetTTLTakesWholeSeconds(t *testing.T) {
	m, ctx := mustNew(t, newSpy(), nil), t.Context()
	s := mustCreate(t, m, nil)
	for _, ttl := range []time.Duration{-time.Second, 0, 1, 999 * time.Millisecond, 1500 * time.Millisecond, math.MinInt64} {
		if _, err := m.SetTTL(ctx, s.Token(), ttl); !errors.Is(err, session.ErrTTL) {
			t.Errorf("Manager.SetTTL(%v) = %v, want ErrTTL", ttl, err)
		}
		if err := s.SetTTL(ttl); !errors.Is(err, session.ErrTTL) {
			t.Errorf("Session.SetTTL(%v) = %v, want ErrTTL", ttl, err)
		}
		if _, err := m.Create(ctx, nil, ttl); ttl != 0 && !errors.Is(err, session.ErrTTL) {
			t.Errorf("Create(%v) = %v, want ErrTTL", ttl, err)
		}
	}
	if s.TTL() != session.DefaultIdleTimeout {
		t.Errorf("TTL = %v after refused changes", s.TTL())
	}
}

func TestIncrementRules(t *testing.T) {
	const most = backend.MaxCounter
	for _, tt := range []struct {
		name  string
		field string // absent if empty
		delta int64
		want  string
		err   error
	}{
		{name: "absent", delta: 3, want: "3"},
		{name: "present", field: "39", delta: 3, want: "42"},
		{name: "down", field: "1", delta: -3, want: "-2"},
		{name: "zero", delta: 0, want: "0"},
		{name: "up to the limit", field: "9007199254740990", delta: 1, want: "9007199254740991"},
		{name: "past the limit", field: "9007199254740991", delta: 1, err: session.ErrCounter},
		{name: "past the lower limit", field: "-9007199254740991", delta: -1, err: session.ErrCounter},
		{name: "delta too large", delta: most + 1, err: session.ErrCounter},
		{name: "delta too small", delta: math.MinInt64, err: session.ErrCounter},
		{name: "text", field: "seven", delta: 1, err: session.ErrCounter},
		{name: "leading zero", field: "07", delta: 1, err: session.ErrCounter},
		{name: "fraction", field: "7.0", delta: 1, err: session.ErrCounter},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fields := map[string]string{"other": "x"}
			if tt.field != "" {
				fields["n"] = tt.field
			}
			for way, do := range map[string]func(context.Context, *session.Manager, *session.Session) (string, error){
				"by token": func(ctx context.Context, m *session.Manager, s *session.Session) (string, error) {
					got, err := m.Increment(ctx, s.Token(), "n", tt.delta)
					if err != nil {
						return "", err
					}
					return got.Get("n"), nil
				},
				"stored": func(ctx context.Context, _ *session.Manager, s *session.Session) (string, error) {
					_, err := s.Increment(ctx, "n", tt.delta)
					return s.Get("n"), err
				},
				"set before": func(ctx context.Context, _ *session.Manager, s *session.Session) (string, error) {
					if tt.field != "" {
						s.Set("n", tt.field)
					}
					_, err := s.Increment(ctx, "n", tt.delta)
					return s.Get("n"), err
				},
				"new session": func(ctx context.Context, m *session.Manager, _ *session.Session) (string, error) {
					s := m.NewSession()
					if tt.field != "" {
						s.Set("n", tt.field)
					}
					_, err := s.Increment(ctx, "n", tt.delta)
					return s.Get("n"), err
				},
			} {
				m := mustNew(t, newSpy(), nil)
				got, err := do(t.Context(), m, mustCreate(t, m, fields))
				if !errors.Is(err, tt.err) {
					t.Errorf("%s: error = %v, want %v", way, err, tt.err)
				}
				if tt.err == nil && got != tt.want {
					t.Errorf("%s: = %q, want %q", way, got, tt.want)
				}
				if tt.err != nil && got != tt.field && got != "" {
					t.Errorf("%s: field = %q after a refusal, want %q", way, got, tt.field)
				}
			}
		})
	}
}

func TestStoreErrorIsNeverNotFound(t *testing.T) {
	b, ev := newSpy(), new(events)
	m := mustNew(t, b, &session.Options{OnEvent: ev.hook})
	s := mustCreate(t, m, map[string]string{"a": "1"})
	ev.kinds()
	b.fail = map[string]error{"Load": errStore, "Apply": errStore, "Delete": errStore, "Create": errStore}
	ctx, token := t.Context(), s.Token()
	for name, do := range map[string]func() error{
		"create":    func() error { _, err := m.Create(ctx, nil, 0); return err },
		"load":      func() error { _, err := m.Load(ctx, token); return err },
		"touch":     func() error { _, err := m.Touch(ctx, token); return err },
		"set":       func() error { _, err := m.SetFields(ctx, token, map[string]string{"a": "2"}); return err },
		"increment": func() error { _, err := m.Increment(ctx, token, "n", 1); return err },
		"ttl":       func() error { _, err := m.SetTTL(ctx, token, time.Minute); return err },
		"end":       func() error { return m.End(ctx, token) },
		"end ID":    func() error { return m.EndID(ctx, token.ID()) },
		"commit":    func() error { s.Set("a", "3"); return s.Commit(ctx) },
		"destroy":   func() error { return s.Destroy(ctx) },
	} {
		err := do()
		if !errors.Is(err, errStore) || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s = %v, want the store's error", name, err)
		}
		if e, ok := errors.AsType[*session.Error](err); !ok || e.Op == "" || errors.Is(e.Err, e) {
			t.Errorf("%s = %#v, want a *session.Error", name, err)
		} else if _, twice := errors.AsType[*session.Error](e.Err); twice {
			t.Errorf("%s: wrapped twice: %v", name, err)
		}
		if got := ev.kinds(); got != string(session.EventStoreError) {
			t.Errorf("%s: events %q, want one store error", name, got)
		}
		if part := leak(printed(err), token.Reveal()); part != "" {
			t.Errorf("%s: the error shows %q of the token", name, part)
		}
	}
}

func TestEndIDTakesOnlyIDs(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, nil)
	s := mustCreate(t, m, nil)
	b.took()
	for _, id := range []string{"", "short", s.ID() + "x", "owner:AAAAAAAAAA", strings.Repeat("é", 8), s.Token().Reveal()} {
		if err := m.EndID(t.Context(), id); err != nil || b.took() != "" {
			t.Errorf("EndID(%q) = %v, or it called the store", id, err)
		}
	}
	if err := m.EndID(t.Context(), s.ID()); err != nil {
		t.Error(err)
	}
	if _, err := m.Load(t.Context(), s.Token()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load after EndID = %v, want ErrNotFound", err)
	}
}
