package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

func TestConcurrentLoginsKeepToMaxSessions(t *testing.T) {
	eachStore(t, func(t *testing.T, b backend.Backend) {
		for _, refuse := range []bool{false, true} {
			m := mustNew(t, b, &session.Options{MaxSessions: 3, RefuseLogin: refuse, OnEvent: new(events).hook})
			owner := fmt.Sprint("concurrent", refuse)
			var ok, refused atomic.Int32
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					switch _, err := tryLogin(m, owner); {
					case err == nil:
						ok.Add(1)
					case errors.Is(err, session.ErrTooManySessions) && refuse, errors.Is(err, session.ErrConflict) && !refuse:
						refused.Add(1)
					default:
						t.Errorf("login = %v", err)
					}
				})
			}
			wg.Wait()
			// Where the oldest are ended, a login may push out one that then fails by itself.
			got := len(listed(t, m, owner))
			if got > 3 || got < 1 || refuse && got != 3 {
				t.Errorf("refuse %v: %d live sessions, want 3", refuse, got)
			}
			if refuse && ok.Load() != 3 {
				t.Errorf("%d logins succeeded, want 3", ok.Load())
			}
		}
	})
}

func TestLoginWhileAllAreRevoked(t *testing.T) {
	eachStore(t, func(t *testing.T, b backend.Backend) {
		opts := &session.Options{OnEvent: new(events).hook}
		m := mustNew(t, b, opts)
		for round := range 20 {
			owner := fmt.Sprint("racer", round)
			for range 3 {
				login(t, m, owner)
			}
			var (
				mu   sync.Mutex
				done = make(map[*session.Session]time.Time) // logins, and when they had completed
				wg   sync.WaitGroup
			)
			stop := make(chan struct{})
			for range 4 {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(time.Millisecond):
						}
						s, err := tryLogin(m, owner)
						if err == nil {
							mu.Lock()
							done[s] = time.Now()
							mu.Unlock()
						} else if !errors.Is(err, session.ErrConflict) {
							t.Errorf("login = %v", err)
						}
					}
				})
			}
			time.Sleep(2 * time.Millisecond)
			look := &lookout{Backend: b}
			if _, err := mustNew(t, look, opts).RevokeAll(t.Context(), owner); err != nil {
				t.Errorf("RevokeAll = %v", err)
			}
			close(stop)
			wg.Wait()
			ids := listed(t, m, owner)
			for s, at := range done {
				lives := alive(t, m, s)
				if lives && at.Before(look.last) {
					t.Error("a login that had completed before RevokeAll last looked is alive")
				}
				if lives && !slices.Contains(ids, s.ID()) {
					t.Error("a live session is not listed")
				}
			}
		}
	})
}

// lookout notes when the index was last looked at.
type lookout struct {
	backend.Backend
	last time.Time
}

func (l *lookout) Load(ctx context.Context, id string) (backend.Record, error) {
	l.last = time.Now()
	return l.Backend.Load(ctx, id)
}

// Each step of a login in turn meets an end of all sessions just before it.
func TestRevokeAllBetweenTheStepsOfALogin(t *testing.T) {
	for _, existing := range []bool{false, true} {
		for step := range 4 {
			b := newSpy()
			ev := new(events)
			m, ctx := mustNew(t, b, &session.Options{OnEvent: ev.hook}), t.Context()
			login(t, m, "andrew")
			s := m.NewSession()
			if existing {
				s = mustCreate(t, m, map[string]string{"a": "1"})
			}
			calls := 0
			interrupt := &stepper{Backend: b, before: func() {
				if calls++; calls == step+1 {
					if _, err := m.RevokeAll(ctx, "andrew"); err != nil {
						t.Error(err)
					}
				}
			}}
			racing := mustNew(t, interrupt, &session.Options{OnEvent: ev.hook})
			if existing {
				var err error
				if s, err = racing.Load(ctx, s.Token()); err != nil {
					t.Fatal(err)
				}
			} else {
				s = racing.NewSession()
			}
			calls = 0
			s.Login("andrew")
			err := s.Commit(ctx)
			switch {
			case err == nil && s.Exists() && alive(t, m, s):
				if ids := listed(t, m, "andrew"); !slices.Contains(ids, s.ID()) {
					t.Errorf("existing %v, step %d: the session lives and is not listed", existing, step)
				}
				if step > 0 && calls > step {
					t.Errorf("existing %v, step %d: the login survives an end that came after its link", existing, step)
				}
			case err != nil && !errors.Is(err, session.ErrConflict):
				t.Errorf("existing %v, step %d: %v", existing, step, err)
			case err != nil && (s.Exists() || !s.Token().IsZero()):
				t.Errorf("existing %v, step %d: failed, and still has a session", existing, step)
			}
		}
	}
}

func TestOwnerIndexStoreErrors(t *testing.T) {
	b := newSpy()
	ev := new(events)
	m, ctx := mustNew(t, b, &session.Options{OnEvent: ev.hook}), t.Context()
	s := login(t, m, "andrew")
	b.fail = map[string]error{"Load": errStore, "Apply": errStore, "Create": errStore, "Delete": errStore}
	for name, do := range map[string]func() error{
		"login":         func() error { _, err := tryLogin(m, "andrew"); return err },
		"sessions":      func() error { _, err := m.Sessions(ctx, "andrew"); return err },
		"revoke":        func() error { return m.Revoke(ctx, "andrew", s.ID()) },
		"revoke all":    func() error { _, err := m.RevokeAll(ctx, "andrew"); return err },
		"revoke others": func() error { _, err := s.RevokeOthers(ctx); return err },
	} {
		ev.kinds()
		if err := do(); !errors.Is(err, errStore) || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s = %v, want the store's error", name, err)
		}
		if got := ev.kinds(); got != string(session.EventStoreError) {
			t.Errorf("%s: events %q, want one store error", name, got)
		}
	}
	// What could not be ended is still listed.
	b.fail = map[string]error{"Apply": errStore}
	if _, err := m.RevokeAll(ctx, "andrew"); !errors.Is(err, errStore) {
		t.Errorf("RevokeAll = %v", err)
	}
	b.fail = nil
	if got := listed(t, m, "andrew"); !slices.Contains(got, s.ID()) {
		t.Errorf("listed = %q, without the one that lives", got)
	}
}

// stepper calls before ahead of each call.
type stepper struct {
	backend.Backend
	before func()
}

func (s *stepper) Create(ctx context.Context, id string, rec backend.Record) error {
	s.before()
	return s.Backend.Create(ctx, id, rec)
}

func (s *stepper) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	s.before()
	return s.Backend.Apply(ctx, id, p)
}

// A session that has ended, or whose token a login has replaced, lists and ends no others: the thief's may still be in
// the middle of a request when the victim ends it and logs in anew.
func TestEndedSessionEndsNoOthers(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, m *session.Manager, token session.Token){
		"revoked": func(t *testing.T, m *session.Manager, _ session.Token) {
			if _, err := m.RevokeAll(t.Context(), "andrew"); err != nil {
				t.Error(err)
			}
		},
		"logged in anew": func(t *testing.T, m *session.Manager, token session.Token) {
			s := mustLoad(t, m, token)
			s.Login("andrew")
			mustCommit(t, s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cached, m, _, _ := cachedPair(t, quiet(session.Options{}))
			for _, views := range []*session.Manager{m, cached} {
				token := login(t, m, "andrew").Token()
				view := mustLoad(t, views, token)
				end(t, m, token)
				mine := login(t, m, "andrew")
				n, err := view.RevokeOthers(t.Context())
				if n > 0 || !errors.Is(err, session.ErrNotFound) || !alive(t, m, mine) {
					t.Errorf("RevokeOthers = %d, %v, and the owner's session lives: %v", n, err, alive(t, m, mine))
				}
				if infos, err := view.Sessions(t.Context()); name == "revoked" && !errors.Is(err, session.ErrNotFound) {
					t.Errorf("Sessions = %v, %v", infos, err)
				}
			}
		})
	}
}

// An index that is gone, because it had a shorter absolute timeout for example, does not make its sessions ended.
func TestSessionsWithoutAnIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ctx := memory.New(nil), t.Context()
		s := login(t, mustNew(t, b, quiet(session.Options{AbsoluteTimeout: time.Hour})), "andrew")
		m := mustNew(t, b, quiet(session.Options{AbsoluteTimeout: 12 * time.Hour}))
		for range 8 {
			time.Sleep(10 * time.Minute)
			if _, err := m.Touch(ctx, s.Token()); err != nil {
				t.Fatal(err)
			}
		}
		view := mustLoad(t, m, s.Token())
		infos, err := view.Sessions(ctx)
		if n, revoked := view.RevokeOthers(ctx); len(infos) != 0 || err != nil || n != 0 || revoked != nil {
			t.Errorf("Sessions = %v, %v; RevokeOthers = %d, %v, of a live session", infos, err, n, revoked)
		}
	})
}
