package session_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// A store that panics, by a hook of its client for example, has not answered: that is no better than an error, and the
// panic is the caller's.

// slowStore is a store that takes its time.
type slowStore struct {
	backend.Backend
	delays map[string]time.Duration // by method
}

func (s *slowStore) wait(ctx context.Context, method string) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.delays[method]):
		return nil
	}
}

func (s *slowStore) Create(ctx context.Context, id string, rec backend.Record) error {
	if err := s.wait(ctx, "Create"); err != nil {
		return err
	}
	return s.Backend.Create(ctx, id, rec)
}

func (s *slowStore) Delete(ctx context.Context, id string) error {
	if err := s.wait(ctx, "Delete"); err != nil {
		return err
	}
	return s.Backend.Delete(ctx, id)
}

// recovered calls f and returns what it panics with.
func recovered(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

func hookPanics(string) { panic("hook") }

// A read that panicked is not taken for a visitor without a session, by who asks again.
func TestGetAfterAStorePanic(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, quiet(session.Options{}))
	token := login(t, m, "andrew").Token().Reveal()
	br := newBrowser(t, m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b.before = map[string]func(string){"Load": hookPanics}
		if p := recovered(func() { _, _ = m.Get(r) }); p != "hook" {
			t.Errorf("recovered %v", p)
		}
		if s, err := m.Get(r); err == nil {
			t.Errorf("Get = %v, nil", s)
			s.Set("a", "1")
		}
	})))
	br.cookie = token
	if w := br.get("/"); w.Code != http.StatusServiceUnavailable || br.cookie != token {
		t.Errorf("%d, and the login's cookie is replaced: %v", w.Code, br.cookie != token)
	}
}

// A commit that panicked has the error handler answer, and the handler's response is not sent.
func TestCommitThatPanicsAtTheFirstByte(t *testing.T) {
	for name, prepare := range map[string]func(s *session.Session){
		"new session": func(*session.Session) {},
		"stored before": func(s *session.Session) {
			if _, err := s.Increment(t.Context(), "n", 1); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newSpy()
			m := mustNew(t, b, quiet(session.Options{}))
			br := newBrowser(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s, _ := m.Get(r)
				prepare(s)
				s.Set("a", "1")
				b.before = map[string]func(string){"Create": hookPanics, "Apply": hookPanics}
				if p := recovered(func() { _, _ = io.WriteString(w, "saved") }); p != "hook" {
					t.Errorf("recovered %v", p)
				}
				if n, err := io.WriteString(w, "saved"); err == nil {
					t.Errorf("a second Write = %d, nil", n)
				}
				if s.Set("b", "2"); s.Err() == nil {
					t.Error("the session takes changes")
				}
			})))
			w := br.get("/")
			if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "saved") {
				t.Errorf("%d %q", w.Code, w.Body)
			}
			if name == "stored before" {
				if got := sorted(mustLoad(t, m, parse(t, br.cookie))); got != "n=1" {
					t.Errorf("the store holds %s", got)
				}
			} else if br.cookie != "" {
				t.Errorf("the browser has cookie %q", br.cookie)
			}
		})
	}
}

// loadsPanic is a store of which only the indexes can be read.
type loadsPanic struct{ backend.Backend }

func (p loadsPanic) Load(ctx context.Context, id string) (backend.Record, error) {
	if !isIndex(id) {
		panic("hook")
	}
	return p.Backend.Load(ctx, id)
}

// Sessions asks for several at a time, each in a goroutine, which must not end the process.
func TestSessionsOfAStoreThatPanics(t *testing.T) {
	mem := memory.New(nil)
	login(t, mustNew(t, mem, nil), "andrew")
	login(t, mustNew(t, mem, nil), "andrew")
	m := mustNew(t, loadsPanic{mem}, nil)
	if p := recovered(func() { _, _ = m.Sessions(t.Context(), "andrew") }); p != "hook" {
		t.Errorf("recovered %v", p)
	}
}

// The error says what was tried, on which session, and the hook is told.
func TestErrorOfAStorePanic(t *testing.T) {
	for _, op := range []string{"load", "commit"} {
		b, ev := newSpy(), new(events)
		var got *session.Error
		m := mustNew(t, b, &session.Options{OnEvent: ev.hook, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			got, _ = errors.AsType[*session.Error](err)
			w.WriteHeader(http.StatusServiceUnavailable)
		}})
		s := mustCreate(t, m, map[string]string{"a": "1"})
		ev.kinds()
		br := newBrowser(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.before = map[string]func(string){map[string]string{"load": "Load", "commit": "Apply"}[op]: hookPanics}
			_ = recovered(func() {
				s, _ := m.Get(r)
				s.Set("a", "2")
				_, _ = io.WriteString(w, "x")
			})
			_, _ = io.WriteString(w, "x")
		})))
		br.cookie = s.Token().Reveal()
		br.get("/")
		if kinds := ev.kinds(); got == nil || got.Op != op || got.ID != s.ID() || kinds != string(session.EventStoreError) {
			t.Errorf("%s: %v; events %q", op, got, kinds)
		}
	}
}
