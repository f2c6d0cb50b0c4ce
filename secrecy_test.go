package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/redistest"
)

// Drives everything that there is with known tokens, and finds no part of their secrets in any error, event, log
// line or printed value.
func TestNothingPrintableHoldsAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logs := []func(context.Context, session.Event){
			session.LogEvents(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))),
			session.LogEvents(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		}
		b := newSpy()
		m := mustNew(t, b, &session.Options{
			MaxSessions: 2, RotateInterval: time.Minute, MaxBytes: 1000,
			OnEvent: func(ctx context.Context, e session.Event) {
				for _, log := range logs {
					log(ctx, e)
				}
				out.WriteString(printed(e))
			},
		})
		var tokens []string
		note := func(s *session.Session) { tokens = append(tokens, s.Token().Reveal()) }
		say := func(err error) { out.WriteString(printed(err)) }
		drive(t, m, b, note, say)
		text := out.String()
		if len(text) < 10_000 || len(tokens) < 5 {
			t.Fatalf("only %d bytes and %d tokens: what was driven?", len(text), len(tokens))
		}
		for _, token := range tokens {
			if part := leak(text, token); part != "" {
				t.Errorf("%q of a token's secret is shown", part)
			}
		}
		if strings.Contains(text, "value-of-the-application") {
			t.Error("a value of the application's is shown")
		}
	})
}

// drive does everything that can be done, right and wrong, and hands over each token and each error.
func drive(t *testing.T, m *session.Manager, b *spy, note func(*session.Session), say func(error)) {
	ctx := t.Context()
	s, err := m.Create(ctx, map[string]string{"a": "value-of-the-application"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	note(s)
	wrong := parse(t, s.ID()+strings.Repeat("B", 26)+"A")
	calls := func(token session.Token) {
		_, err := m.Load(ctx, token)
		say(err)
		_, err = m.Touch(ctx, token)
		say(err)
		_, err = m.SetFields(ctx, token, map[string]string{"session_x": "1"})
		say(err)
		_, err = m.SetFields(ctx, token, map[string]string{"b": strings.Repeat("x", 2000)})
		say(err)
		_, err = m.Increment(ctx, token, "a", 1)
		say(err)
		_, err = m.SetTTL(ctx, token, 1)
		say(err)
		_, err = session.NewKey[int]("a").Get(s)
		say(err)
	}
	calls(s.Token())
	calls(wrong)
	say(m.End(ctx, wrong))
	for range 4 {
		s.Login("andrew")
		say(s.Commit(ctx))
		note(s)
		time.Sleep(2 * time.Minute)
		if used, err := m.Load(ctx, s.Token()); err == nil {
			say(used.Commit(ctx))
			note(used)
			say(func() error { _, err := m.Load(ctx, s.Token()); return err }())
		}
		other := m.NewSession()
		other.Login("andrew")
		say(other.Commit(ctx))
		note(other)
		s = other
	}
	b.fail = map[string]error{"Load": errStore, "Apply": errStore, "Create": errStore, "Delete": errStore}
	calls(s.Token())
	say(s.Destroy(ctx))
	_, err = m.RevokeAll(ctx, "andrew")
	say(err)
	b.fail = nil
	_, err = m.Sessions(ctx, "andrew")
	say(err)
	say(m.Revoke(ctx, "andrew", "nothing"))
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := m.Get(r)
		say(err)
		say(fmt.Errorf("session %v %+v %#v %s %q", got, got, got, got, got))
		w.WriteHeader(http.StatusOK)
		got.Set("late", "1")
		say(got.Err())
		panic(fmt.Sprint(got, got.Token()))
	}))
	for _, cookie := range []string{s.Token().Reveal(), wrong.Reveal(), s.Token().Reveal() + "x"} {
		func() {
			defer func() { say(fmt.Errorf("panic: %v", recover())) }()
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Cookie", "__Host-sid="+cookie)
			h.ServeHTTP(httptest.NewRecorder(), r)
		}()
	}
	_, err = session.ParseToken(s.Token().Reveal() + "x")
	say(err)
	say(s.Destroy(ctx))
}

// What reaches the server holds no token either: whoever reads MONITOR, a trace or a dump cannot forge a cookie.
func TestNoCommandHoldsAToken(t *testing.T) {
	server := redistest.Start(t, nil)
	for name, b := range map[string]backend.Backend{
		"goredis": onGoRedis(t, server.Addr(), ""), "rueidis": onRueidis(t, server.Addr(), ""),
	} {
		stop := server.Monitor(t)
		m, ctx := mustNew(t, b, &session.Options{OnEvent: new(events).hook}), t.Context()
		var tokens []string
		s := mustCreate(t, m, map[string]string{"a": "1"})
		tokens = append(tokens, s.Token().Reveal())
		_, err1 := m.Touch(ctx, s.Token())
		_, err2 := m.Increment(ctx, s.Token(), "n", 1)
		s.Login("andrew")
		err3 := s.Commit(ctx)
		tokens = append(tokens, s.Token().Reveal())
		s.Rotate()
		err4 := s.Commit(ctx)
		tokens = append(tokens, s.Token().Reveal())
		_, err5 := m.Sessions(ctx, "andrew")
		err6 := m.End(ctx, s.Token())
		if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(stop(), "\n")
		if !strings.Contains(text, s.Token().ID()) && !strings.Contains(text, tokens[0][:16]) {
			t.Errorf("%s: MONITOR does not show the ID: what was recorded?", name)
		}
		for _, token := range tokens {
			if part := leak(text, token); part != "" {
				t.Errorf("%s: a command shows %q of a token", name, part)
			}
		}
	}
}

// With a dump of the store, and without the cookie, nobody gets in.
func TestAStoreDumpForgesNoCookie(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, &session.Options{OnEvent: new(events).hook})
	s := login(t, m, "andrew")
	rec, err := b.Backend.Load(t.Context(), s.ID())
	if err != nil {
		t.Fatal(err)
	}
	for _, guess := range []string{
		rec.Fields["session_token"],
		s.ID() + rec.Fields["session_token"][:27],
		s.ID() + rec.Fields["session_token"][16:],
	} {
		if token, err := session.ParseToken(guess); err == nil && tokenAlive(t, m, token) {
			t.Errorf("%q from the dump is a valid token", guess)
		}
	}
}

func TestEventsTellWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ev := newSpy(), new(events)
		m := mustNew(t, b, &session.Options{OnEvent: ev.hook, IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour})
		ctx := t.Context()
		var s *session.Session
		for _, step := range []struct {
			name string
			do   func() error
			want string
			id   bool
		}{
			{"create", func() (err error) { s, err = m.Create(ctx, nil, 0); return err }, "created", true},
			{"read", func() error { _, err := m.Load(ctx, s.Token()); return err }, "", false},
			{"login", func() error { s.Login("andrew"); return s.Commit(ctx) }, "login", true},
			{"rotate", func() error { s.Rotate(); return s.Commit(ctx) }, "rotated", true},
			{"login in a new one", func() error { s = m.NewSession(); s.Login("andrew"); return s.Commit(ctx) }, "created, login", true},
			{"destroy", func() error { return mustPeek(t, m, s).Destroy(ctx) }, "destroyed", true},
			{"expire", func() error {
				s := login(t, m, "andrew")
				_ = s.SetTTL(2 * time.Hour)
				_ = s.Commit(ctx)
				time.Sleep(time.Hour)
				ev.kinds()
				_, err := m.Load(ctx, s.Token())
				if !errors.Is(err, session.ErrNotFound) {
					return err
				}
				return nil
			}, "expired", true},
			{"revoke", func() error {
				login(t, m, "eve")
				ev.kinds()
				_, err := m.RevokeAll(ctx, "eve")
				return err
			}, "revoked", true},
		} {
			if err := step.do(); err != nil {
				t.Errorf("%s: %v", step.name, err)
			}
			for _, e := range ev.list {
				if (e.ID != "") != step.id {
					t.Errorf("%s: event %+v", step.name, e)
				}
			}
			if got := ev.kinds(); got != step.want {
				t.Errorf("%s: events %q, want %q", step.name, got, step.want)
			}
		}
	})
}

func TestPanickingHookHarmsNothing(t *testing.T) {
	m := mustNew(t, newSpy(), &session.Options{OnEvent: func(context.Context, session.Event) { panic("hook") }})
	s := login(t, m, "andrew")
	if !alive(t, m, s) {
		t.Error("the session was not stored")
	}
	if err := s.Destroy(t.Context()); err != nil {
		t.Errorf("Destroy = %v", err)
	}
}

func TestLogEvents(t *testing.T) {
	var out bytes.Buffer
	log := session.LogEvents(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level: slog.LevelInfo,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	for _, e := range []session.Event{
		{Kind: session.EventCreated, ID: "3q2-7wAAAAAAAAAB"},
		{Kind: session.EventRejectedCookie},
		{Kind: session.EventReused, ID: "3q2-7wAAAAAAAAAB", Owner: "andrew"},
		{Kind: session.EventStoreError, Err: errStore},
	} {
		log(t.Context(), e)
	}
	want := "level=WARN msg=session event=reused id=3q2-7wAAAAAAAAAB owner=andrew\n" +
		"level=ERROR msg=session event=\"store error\" error=\"connection refused\"\n"
	if got := out.String(); got != want {
		t.Errorf("log = %q, want %q", got, want)
	}
}

// Records as another program might leave them: no panic, no session, no write, at most one read.
func FuzzRecord(f *testing.F) {
	f.Add("created_at", "", "last_accessed_at", "9999-99-99T99:99:99Z")
	f.Add("session_token", "x", "session_version", "2")
	f.Add("session_authenticated_at", "2026-11-23T08:37:29Z", "session_previous", strings.Repeat("A", 43))
	f.Add("session_seen_at", "1", "session_rotated_at", "2")
	f.Add("session_epoch", "-1", "session_owner", "\xff")
	b := newSpy()
	m := mustNew(f, b, &session.Options{OnEvent: new(events).hook, RotateInterval: time.Minute})
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		if name1 == "" || name2 == "" || name1 == "session_ttl" || name2 == "session_ttl" || name1 == name2 {
			return
		}
		s := mustCreate(t, m, nil)
		ctx, token := t.Context(), s.Token()
		if _, err := b.Backend.Apply(ctx, s.ID(), backend.Patch{Set: map[string]string{name1: value1, name2: value2}}); err != nil {
			t.Fatal(err)
		}
		before, _ := b.Backend.Load(ctx, s.ID())
		b.took()
		_, err := m.Peek(ctx, token)
		after, _ := b.Backend.Load(ctx, s.ID())
		switch {
		case err == nil, errors.Is(err, session.ErrUnreadable):
		case !errors.Is(err, session.ErrNotFound):
			t.Fatalf("Peek = %v", err)
		}
		expired := err != nil && len(after.Fields) == 0 // past its lifetime, which ends it
		if got := b.took(); !strings.HasPrefix(got, "Load") || strings.Count(got, "Load") != 1 || got != "Load" && got != "Load Apply" {
			t.Fatalf("took %q", got)
		}
		if fmt.Sprint(before) != fmt.Sprint(after) && !expired {
			t.Fatalf("the record has changed from %v to %v", before, after)
		}
		_ = b.Backend.Delete(ctx, s.ID())
	})
}
