package session_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
)

func TestSessionReadsItsOwnChanges(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	s := mustCreate(t, m, map[string]string{"a": "1", "b": "2", "empty": ""})
	s.Set("a", "one")
	s.Set("c", "three")
	s.Delete("b")
	if got := sorted(s); got != "a=one c=three empty=" {
		t.Errorf("All = %q", got)
	}
	if v, ok := s.Lookup("empty"); v != "" || !ok {
		t.Errorf("Lookup(empty) = %q, %v, want an empty value that is there", v, ok)
	}
	if v, ok := s.Lookup("b"); v != "" || ok {
		t.Errorf("Lookup(deleted) = %q, %v", v, ok)
	}
	for name := range s.All() { // the loop may change the session
		s.Delete(name)
	}
	if got := sorted(s); got != "" {
		t.Errorf("All = %q after deleting all", got)
	}
	for range s.All() {
		break
	}
}

func TestSessionCommitWritesWhatChangedAlone(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	s := mustCreate(t, m, map[string]string{"a": "1", "b": "2", "c": "3"})
	mine, theirs := mustPeek(t, m, s), mustPeek(t, m, s)
	theirs.Set("a", "theirs")
	theirs.Delete("b")
	theirs.Set("d", "theirs")
	if err := theirs.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	mine.Set("c", "mine")
	if err := mine.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if got := sorted(mustPeek(t, m, s)); got != "a=theirs c=mine d=theirs" {
		t.Errorf("fields = %q", got)
	}
	b.took()
	if err := mine.Commit(ctx); err != nil || b.took() != "" {
		t.Errorf("a second commit = %v, or it wrote again", err)
	}
}

func TestSessionLimits(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, &session.Options{MaxFields: 3, MaxBytes: 20}), t.Context()
	s := mustCreate(t, m, map[string]string{"a": "1", "b": "2"})
	many := map[string]string{"a": "", "b": "", "c": "", "d": ""}
	big := map[string]string{"a": strings.Repeat("x", 20)}
	for name, do := range map[string]func(p *session.Session) error{
		"create, fields":     func(*session.Session) error { _, err := m.Create(ctx, many, 0); return err },
		"create, bytes":      func(*session.Session) error { _, err := m.Create(ctx, big, 0); return err },
		"set fields, fields": func(p *session.Session) error { _, err := m.SetFields(ctx, p.Token(), many); return err },
		"set fields, bytes":  func(p *session.Session) error { _, err := m.SetFields(ctx, p.Token(), big); return err },
		"commit, fields":     func(p *session.Session) error { p.Set("c", ""); p.Set("d", ""); return p.Commit(ctx) },
		"commit, bytes":      func(p *session.Session) error { p.Set("a", big["a"]); return p.Commit(ctx) },
		"increment, fields":  func(p *session.Session) error { p.Set("c", ""); _, err := p.Increment(ctx, "d", 1); return err },
		"increment, bytes": func(p *session.Session) error {
			_, err := p.Increment(ctx, strings.Repeat("n", 20), 1)
			return err
		},
		"increment by token, bytes": func(p *session.Session) error {
			_, err := m.Increment(ctx, p.Token(), strings.Repeat("n", 20), 1)
			return err
		},
		"new session": func(*session.Session) error { p := m.NewSession(); p.Set("a", big["a"]); return p.Commit(ctx) },
	} {
		p := mustPeek(t, m, s)
		b.took()
		if err := do(p); !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("%s = %v, want ErrTooLarge", name, err)
		}
		if got := b.took(); got != "" {
			t.Errorf("%s called %s, want nothing", name, got)
		}
	}
	if got := sorted(mustPeek(t, m, s)); got != "a=1 b=2" {
		t.Errorf("fields = %q after refusals", got)
	}
	// Exactly the limit is no error; one that is over it, by another program's doing, can be read and shrunk.
	p := mustPeek(t, m, s)
	p.Set("c", strings.Repeat("x", 15))
	if err := p.Commit(ctx); err != nil {
		t.Errorf("a session of just the limits = %v", err)
	}
	if _, err := b.Backend.Apply(ctx, s.ID(), backend.Patch{Set: map[string]string{"d": "4", "e": "5"}}); err != nil {
		t.Fatal(err)
	}
	p = mustPeek(t, m, s)
	p.Delete("c")
	if err := p.Commit(ctx); err != nil {
		t.Errorf("deleting from a session over its limits = %v", err)
	}
}

func TestSessionDefaultLimits(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	fields := make(map[string]string)
	for i := range session.DefaultMaxFields {
		fields[fmt.Sprint("f", i)] = ""
	}
	mustCreate(t, m, fields)
	fields["more"] = ""
	if _, err := m.Create(t.Context(), fields, 0); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("65 fields = %v, want ErrTooLarge", err)
	}
	if _, err := m.Create(t.Context(), map[string]string{"a": strings.Repeat("x", 64<<10)}, 0); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("64 KiB and one byte = %v, want ErrTooLarge", err)
	}
	mustCreate(t, m, map[string]string{"a": strings.Repeat("x", 64<<10-1)})
}

func TestSessionIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, newSpy(), &session.Options{IdleTimeout: 10 * time.Minute}), t.Context()
		s := mustCreate(t, m, nil)
		for range 5 { // used every nine minutes
			time.Sleep(9 * time.Minute)
			used, err := m.Load(ctx, s.Token())
			if err != nil {
				t.Fatalf("Load = %v", err)
			}
			if err := used.Commit(ctx); err != nil {
				t.Fatalf("Commit = %v", err)
			}
			if used.Remaining() != 10*time.Minute {
				t.Errorf("Remaining = %v after a touch", used.Remaining())
			}
		}
		time.Sleep(10 * time.Minute)
		if _, err := m.Load(ctx, s.Token()); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load after the idle timeout = %v, want ErrNotFound", err)
		}
	})
}

func TestSessionSetTTLAppliesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, newSpy(), nil), t.Context()
		s := mustCreate(t, m, nil)
		time.Sleep(5 * time.Second)
		p := mustPeek(t, m, s)
		if err := p.SetTTL(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		if err := p.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if p.Remaining() != 10*time.Second {
			t.Errorf("Remaining = %v, want 10s", p.Remaining())
		}
		time.Sleep(10*time.Second - 1)
		if _, err := m.Peek(ctx, s.Token()); err != nil {
			t.Errorf("just before the end: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := m.Peek(ctx, s.Token()); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("after the new TTL: %v, want ErrNotFound", err)
		}
	})
}

func TestSessionAbsoluteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ev := newSpy(), new(events)
		m := mustNew(t, b, &session.Options{IdleTimeout: time.Hour, AbsoluteTimeout: 2 * time.Hour, OnEvent: ev.hook})
		ctx := t.Context()
		s := mustCreate(t, m, nil)
		for range 7 { // used, and its TTL raised: neither helps
			time.Sleep(15 * time.Minute)
			used, err := m.SetTTL(ctx, s.Token(), 3*time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(s.CreatedAt().Add(2 * time.Hour)); used.Remaining() != left {
				t.Errorf("Remaining = %v, want %v", used.Remaining(), left)
			}
		}
		time.Sleep(15 * time.Minute)
		ev.kinds()
		if _, err := m.Load(ctx, s.Token()); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load after the absolute timeout = %v, want ErrNotFound", err)
		}
		if got := ev.kinds(); got != string(session.EventExpired) {
			t.Errorf("events %q, want expired", got)
		}
		if _, err := b.Backend.Load(ctx, s.ID()); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("the record is still there: %v", err)
		}
	})
}

func TestSessionAbsoluteTimeoutHoldsForWritesByToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, newSpy(), &session.Options{IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour})
		s, err := m.Create(t.Context(), nil, 3*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := m.Increment(t.Context(), s.Token(), "n", 1); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Increment after the absolute timeout = %v, want ErrNotFound", err)
		}
	})
}

func TestTouchAtMostOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSpy()
		m := mustNew(t, b, nil) // a minute
		s := mustCreate(t, m, nil)
		touches := 0
		for range 600 { // ten minutes, a request each second
			time.Sleep(time.Second)
			b.took()
			used, err := m.Load(t.Context(), s.Token())
			if err != nil {
				t.Fatal(err)
			}
			if err := used.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(b.took(), "Apply") {
				touches++
			}
		}
		if touches != 10 {
			t.Errorf("%d touches in ten minutes, want 10", touches)
		}
	})
}

func TestNegativeTouchIntervalIsOneRoundTrip(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, &session.Options{TouchInterval: -1})
	s := mustCreate(t, m, nil)
	b.took()
	used, err := m.Load(t.Context(), s.Token())
	if err != nil {
		t.Fatal(err)
	}
	if err := used.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.took(); got != "Apply" {
		t.Errorf("a read took %q, want one Apply", got)
	}
}

func TestUnknownOutcomeKeepsTheChange(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	s := mustCreate(t, m, nil)
	s.Set("a", "1")
	b.fail = map[string]error{"Apply": errStore}
	if err := s.Commit(ctx); !errors.Is(err, errStore) {
		t.Fatalf("Commit = %v", err)
	}
	b.fail = nil
	if err := s.Commit(ctx); err != nil || mustPeek(t, m, s).Get("a") != "1" {
		t.Errorf("a second Commit = %v, or it lost the change", err)
	}
}

func TestIncrementIsSentOnce(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	s := mustCreate(t, m, nil)
	b.lose = map[string]error{"Apply": errStore} // the reply is lost, after the store has added
	b.took()
	if _, err := s.Increment(ctx, "n", 1); !errors.Is(err, errStore) {
		t.Errorf("Increment = %v, want the store's error", err)
	}
	if err := s.Commit(ctx); err != nil {
		t.Errorf("Commit afterwards = %v", err)
	}
	if got := b.took(); got != "Apply" {
		t.Errorf("took %q, want one Apply", got)
	}
	b.lose = nil
	if got := mustPeek(t, m, s).Get("n"); got != "1" {
		t.Errorf("n = %q, want 1", got)
	}
}

func TestPartialRecordsAreNoSessions(t *testing.T) {
	for _, gone := range []string{"created_at", "last_accessed_at", "session_token"} {
		b := newSpy()
		m, ctx := mustNew(t, b, nil), t.Context()
		s := mustCreate(t, m, map[string]string{"a": "1"})
		slow := mustPeek(t, m, s)
		if _, err := b.Backend.Apply(ctx, s.ID(), backend.Patch{Delete: []string{gone}}); err != nil {
			t.Fatal(err)
		}
		before, _ := b.Backend.Load(ctx, s.ID())
		if _, err := m.Load(ctx, s.Token()); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load without %s = %v, want ErrNotFound", gone, err)
		}
		if _, err := m.Increment(ctx, s.Token(), "n", 1); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Increment without %s = %v, want ErrNotFound", gone, err)
		}
		if gone != "session_token" {
			slow.Set("a", "2")
			if err := slow.Commit(ctx); err == nil {
				t.Errorf("a commit completes a record without %s", gone)
			}
		}
		after, _ := b.Backend.Load(ctx, s.ID())
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("without %s the record has changed (-before +after):\n%s", gone, diff)
		}
	}
}

func TestRecordOfANewerVersionIsAnError(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	s := mustCreate(t, m, map[string]string{"a": "1"})
	if _, err := b.Backend.Apply(ctx, s.ID(), backend.Patch{Set: map[string]string{"session_version": "2"}}); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"load":      func() error { _, err := m.Load(ctx, s.Token()); return err },
		"touch":     func() error { _, err := m.Touch(ctx, s.Token()); return err },
		"increment": func() error { _, err := m.Increment(ctx, s.Token(), "n", 1); return err },
		"end":       func() error { return m.End(ctx, s.Token()) },
	} {
		if err := do(); !errors.Is(err, session.ErrUnreadable) {
			t.Errorf("%s = %v, want ErrUnreadable", name, err)
		}
	}
	if _, err := b.Backend.Load(ctx, s.ID()); err != nil {
		t.Errorf("the record is gone: %v", err)
	}
}

func TestStoredLayout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock starts at midnight, 1 January 2000
		b := newSpy()
		m := mustNew(t, b, nil)
		s := mustCreate(t, m, map[string]string{"username": "andrew"})
		time.Sleep(90 * time.Second)
		if _, err := m.Increment(t.Context(), s.Token(), "page_views", 3); err != nil {
			t.Fatal(err)
		}
		rec, err := b.Backend.Load(t.Context(), s.ID())
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"username": "andrew", "page_views": "3", "session_token": rec.Fields["session_token"],
			"created_at": "2000-01-01T00:00:00+00:00", "last_accessed_at": "2000-01-01T00:01:30+00:00",
		}
		if diff := cmp.Diff(want, rec.Fields); diff != "" {
			t.Errorf("record mismatch (-want +got):\n%s", diff)
		}
		if part := leak(fmt.Sprint(rec.Fields), s.Token().Reveal()); part != "" || rec.TTL != 30*time.Minute {
			t.Errorf("the record shows %q of the token, TTL %v", part, rec.TTL)
		}
		if len(rec.Fields["session_token"]) != 43 {
			t.Errorf("session_token = %q, want 43 characters", rec.Fields["session_token"])
		}
	})
}

// A label is not the application's field: it does not make a session too large.
func TestLabelOnASessionOverItsLimits(t *testing.T) {
	b := newSpy()
	s := mustCreate(t, mustNew(t, b, nil), map[string]string{"a": "1", "b": "2", "c": "3"})
	got, err := mustNew(t, b, &session.Options{MaxFields: 2}).Load(t.Context(), s.Token())
	if err != nil {
		t.Fatal(err)
	}
	got.SetLabel("phone")
	got.Login("andrew")
	if err := got.Commit(t.Context()); err != nil {
		t.Errorf("Commit = %v", err)
	}
	got.Set("a", "2")
	if err := got.Commit(t.Context()); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("Commit of a field = %v, want ErrTooLarge", err)
	}
}
