package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
)

// login returns a new session of owner's.
func login(t testing.TB, m *session.Manager, owner string) *session.Session {
	t.Helper()
	s, err := tryLogin(m, owner)
	if err != nil {
		t.Fatalf("login = %v", err)
	}
	return s
}

func tryLogin(m *session.Manager, owner string) (*session.Session, error) {
	s := m.NewSession()
	s.Login(owner)
	return s, s.Commit(context.Background())
}

// alive reports whether a session's token still loads.
func alive(t testing.TB, m *session.Manager, s *session.Session) bool {
	t.Helper()
	return tokenAlive(t, m, s.Token())
}

func tokenAlive(t testing.TB, m *session.Manager, token session.Token) bool {
	t.Helper()
	_, err := m.Peek(t.Context(), token)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		t.Fatalf("Peek = %v", err)
	}
	return err == nil
}

// listed returns the IDs of owner's sessions.
func listed(t testing.TB, m *session.Manager, owner string) []string {
	t.Helper()
	infos, err := m.Sessions(t.Context(), owner)
	if err != nil {
		t.Fatalf("Sessions = %v", err)
	}
	var ids []string
	for _, info := range infos {
		ids = append(ids, info.ID)
	}
	return ids
}

func TestSessionsListsAnOwnersSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, newSpy(), nil), t.Context()
		first := m.NewSession()
		first.Login("andrew")
		first.SetLabel("Firefox on Linux")
		if err := first.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		second := m.NewSession()
		second.Set("cart", "3")
		if err := second.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		second.Login("andrew")
		second.Remember()
		if err := second.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		login(t, m, "eve")
		got, err := second.Sessions(ctx)
		if err != nil {
			t.Fatal(err)
		}
		start := first.CreatedAt()
		want := []session.Info{
			{
				ID: first.ID(), Label: "Firefox on Linux", CreatedAt: start, AuthenticatedAt: start,
				LastAccessedAt: start, ExpiresAt: start.Add(30 * time.Minute),
			},
			{
				ID: second.ID(), CreatedAt: start.Add(time.Minute), AuthenticatedAt: start.Add(2 * time.Minute),
				LastAccessedAt: start.Add(2 * time.Minute), ExpiresAt: start.Add(2*time.Minute + 14*24*time.Hour),
				Remembered: true, Current: true,
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Sessions mismatch (-want +got):\n%s", diff)
		}
		if got, err := m.NewSession().Sessions(ctx); len(got) != 0 || err != nil {
			t.Errorf("Sessions before a login = %v, %v", got, err)
		}
	})
}

func TestLabelIsCut(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	s := m.NewSession()
	s.SetLabel(strings.Repeat("é", 40))
	if err := s.Commit(t.Context()); err != nil || s.Exists() {
		t.Errorf("a label alone made a session: %v", err)
	}
	s.SetLabel(strings.Repeat("é", 40))
	s.Login("andrew")
	if err := s.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := mustPeek(t, m, s).Label(); got != strings.Repeat("é", 32) {
		t.Errorf("Label = %q, want 64 bytes", got)
	}
	if got := sorted(s); got != "" {
		t.Errorf("All = %q: the label is no field of the application's", got)
	}
}

func TestOwnersAreArbitraryTexts(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	owners := []string{"a", "A", "a ", "owner:a", "\x00", "é", "e\u0301", strings.Repeat("x", 10_000), "*", "{a}", "a\nb"}
	for _, owner := range owners {
		login(t, m, owner)
	}
	for _, owner := range owners {
		if got := listed(t, m, owner); len(got) != 1 {
			t.Errorf("%.20q has %d sessions, want its own", owner, len(got))
		}
	}
	if n, err := m.RevokeAll(t.Context(), "a"); n != 1 || err != nil {
		t.Errorf("RevokeAll = %d, %v", n, err)
	}
	if got := listed(t, m, "A"); len(got) != 1 {
		t.Error("RevokeAll of one owner ended another's")
	}
}

func TestRevokeEndsOnlyTheOwners(t *testing.T) {
	m, ctx := mustNew(t, newSpy(), nil), t.Context()
	mine, other := login(t, m, "andrew"), login(t, m, "eve")
	anonymous := mustCreate(t, m, nil)
	for _, id := range []string{other.ID(), anonymous.ID(), "", "x", strings.Repeat("A", 16), "owner:AAAAAAAAAA"} {
		if err := m.Revoke(ctx, "andrew", id); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Revoke(%q) = %v, want ErrNotFound", id, err)
		}
	}
	if err := m.Revoke(ctx, "", anonymous.ID()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Revoke of nobody's = %v, want ErrNotFound", err)
	}
	if !alive(t, m, other) || !alive(t, m, anonymous) {
		t.Error("somebody else's session was ended")
	}
	if err := m.Revoke(ctx, "andrew", mine.ID()); err != nil || alive(t, m, mine) {
		t.Errorf("Revoke = %v", err)
	}
	if err := m.Revoke(ctx, "andrew", mine.ID()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Revoke again = %v, want ErrNotFound", err)
	}
}

func TestRevokeOthersKeepsThisOne(t *testing.T) {
	ev := new(events)
	m, ctx := mustNew(t, newSpy(), &session.Options{OnEvent: ev.hook}), t.Context()
	a, b, c := login(t, m, "andrew"), login(t, m, "andrew"), login(t, m, "andrew")
	ev.kinds()
	if n, err := b.RevokeOthers(ctx); n != 2 || err != nil {
		t.Errorf("RevokeOthers = %d, %v, want 2", n, err)
	}
	if alive(t, m, a) || !alive(t, m, b) || alive(t, m, c) {
		t.Errorf("alive: %v %v %v, want the second alone", alive(t, m, a), alive(t, m, b), alive(t, m, c))
	}
	if got := ev.kinds(); got != "revoked, revoked" {
		t.Errorf("events %q", got)
	}
	if got := listed(t, m, "andrew"); !slices.Equal(got, []string{b.ID()}) {
		t.Errorf("listed = %q", got)
	}
	if n, err := mustCreate(t, m, nil).RevokeOthers(ctx); n != 0 || err != nil {
		t.Errorf("RevokeOthers before a login = %d, %v", n, err)
	}
}

func TestRevokeAllTakesTheIndexAway(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	for range 3 {
		login(t, m, "andrew")
	}
	if n, err := m.RevokeAll(ctx, "andrew"); n != 3 || err != nil {
		t.Errorf("RevokeAll = %d, %v, want 3", n, err)
	}
	for id, err := range b.Backend.(backend.Scanner).Scan(ctx) {
		t.Errorf("left over: %q, %v", id, err)
	}
	if n, err := m.RevokeAll(ctx, "andrew"); n != 0 || err != nil {
		t.Errorf("RevokeAll of none = %d, %v", n, err)
	}
	if n, err := m.RevokeAll(ctx, ""); n != 0 || err != nil {
		t.Errorf("RevokeAll of nobody = %d, %v", n, err)
	}
}

func TestRevokeAllOfAThousandIsParallel(t *testing.T) {
	b := &slowSpy{spy: newSpy()}
	m := mustNew(t, b, nil)
	for range 1000 {
		login(t, m, "andrew")
	}
	b.slow.Store(true)
	n, err := m.RevokeAll(t.Context(), "andrew")
	if n != 1000 || err != nil {
		t.Errorf("RevokeAll = %d, %v", n, err)
	}
	// Each call waits for the others that are under way: what counts is how often.
	if got := b.rounds.Load(); got >= 1000/2 {
		t.Errorf("%d sequential round trips, want far fewer than 1000", got)
	}
}

// slowSpy lets calls wait for each other, and counts the rounds.
type slowSpy struct {
	*spy
	slow   atomic.Bool
	rounds atomic.Int64
	gate   sync.Mutex
	wait   chan struct{}
}

func (s *slowSpy) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if s.slow.Load() {
		s.join()
	}
	return s.spy.Apply(ctx, id, p)
}

// join waits until the round that the call has joined is over.
func (s *slowSpy) join() {
	s.gate.Lock()
	round := s.wait
	if round == nil {
		round = make(chan struct{})
		s.wait = round
		s.rounds.Add(1)
		time.AfterFunc(time.Millisecond, func() {
			s.gate.Lock()
			defer s.gate.Unlock()
			s.wait = nil
			close(round)
		})
	}
	s.gate.Unlock()
	<-round
}

func TestLogoutAndLoginAgainDoNotFillTheIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSpy()
		m := mustNew(t, b, nil)
		stays := login(t, m, "andrew")
		for range 300 {
			time.Sleep(time.Second)
			if _, err := m.Touch(t.Context(), stays.Token()); err != nil {
				t.Fatal(err)
			}
			if err := login(t, m, "andrew").Destroy(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := indexSize(t, b); got > 100 {
			t.Errorf("%d fields in the index after 300 logins and logouts", got)
		}
		time.Sleep(2 * time.Minute)
		if got := listed(t, m, "andrew"); !slices.Equal(got, []string{stays.ID()}) {
			t.Errorf("listed = %q, want the live one alone", got)
		}
		if got := indexSize(t, b); got > 4 {
			t.Errorf("%d fields in the index after a listing: dead entries are dropped as they are met", got)
		}
	})
}

// indexSize returns the number of fields of the one index in the store.
func indexSize(t *testing.T, b *spy) int {
	t.Helper()
	for id, err := range b.Backend.(backend.Scanner).Scan(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(id, "owner:") {
			rec, err := b.Backend.Load(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return len(rec.Fields)
		}
	}
	return 0
}

func TestIndexLivesAsLongAsItsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSpy()
		m := mustNew(t, b, &session.Options{
			IdleTimeout: time.Minute, AbsoluteTimeout: time.Hour, RememberIdleTimeout: 24 * time.Hour, RememberAbsoluteTimeout: 24 * time.Hour,
		})
		long := m.NewSession()
		long.Login("andrew")
		long.Remember()
		if err := long.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		login(t, m, "andrew") // a shorter one afterwards does not shorten the index's life
		time.Sleep(24*time.Hour - time.Second)
		if got := listed(t, m, "andrew"); !slices.Equal(got, []string{long.ID()}) {
			t.Errorf("listed = %q, want the one that is remembered", got)
		}
		login(t, m, "eve")
		long = m.NewSession()
		long.Login("eve")
		long.Remember() // a longer one afterwards prolongs it
		if err := long.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24*time.Hour - time.Second)
		if got := listed(t, m, "eve"); !slices.Equal(got, []string{long.ID()}) {
			t.Errorf("listed = %q, want the one that is remembered", got)
		}
		time.Sleep(time.Second)
		if got := indexSize(t, b); got != 0 {
			t.Errorf("an index outlives all of its sessions, with %d fields", got)
		}
	})
}

func TestSessionThatChangedItsOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, newSpy(), nil), t.Context()
		s := login(t, m, "andrew")
		s.Login("eve")
		if err := s.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if got := listed(t, m, "andrew"); len(got) != 0 {
			t.Errorf("andrew has %q", got)
		}
		if n, err := m.RevokeAll(ctx, "andrew"); n != 0 || err != nil {
			t.Errorf("RevokeAll of the former owner = %d, %v", n, err)
		}
		if !alive(t, m, s) {
			t.Error("the former owner ended the session")
		}
		if got := listed(t, m, "eve"); !slices.Equal(got, []string{s.ID()}) {
			t.Errorf("eve has %q", got)
		}
	})
}

func TestMaxSessionsEndsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, newSpy(), &session.Options{MaxSessions: 2})
		var all []*session.Session
		for range 4 {
			all = append(all, login(t, m, "andrew"))
			time.Sleep(time.Second)
		}
		for i, s := range all {
			if got, want := alive(t, m, s), i >= 2; got != want {
				t.Errorf("session %d alive: %v, want %v", i, got, want)
			}
		}
		// A login again on one of them pushes none out.
		all[3].Login("andrew")
		if err := all[3].Commit(t.Context()); err != nil || !alive(t, m, all[2]) {
			t.Errorf("a login again = %v, and pushed another out: %v", err, !alive(t, m, all[2]))
		}
		// A logout makes room.
		if err := all[2].Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		login(t, m, "andrew")
		if !alive(t, m, all[3]) {
			t.Error("a dead session was counted")
		}
	})
}

func TestMaxSessionsRefusesTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, newSpy(), &session.Options{MaxSessions: 2, RefuseLogin: true}), t.Context()
		first, second := login(t, m, "andrew"), login(t, m, "andrew")
		third := m.NewSession()
		third.Set("username", "andrew")
		third.Login("andrew")
		if err := third.Commit(ctx); !errors.Is(err, session.ErrTooManySessions) {
			t.Fatalf("the third login = %v, want ErrTooManySessions", err)
		}
		if err := third.Commit(ctx); err != nil || third.Exists() || third.Get("username") != "" {
			t.Errorf("after a refusal: %v, exists %v, fields %q", err, third.Exists(), sorted(third))
		}
		existing := mustCreate(t, m, map[string]string{"cart": "3"})
		existing.Login("andrew")
		if err := existing.Commit(ctx); !errors.Is(err, session.ErrTooManySessions) {
			t.Errorf("a login on an existing session = %v", err)
		}
		if err := existing.Commit(ctx); err != nil || mustPeek(t, m, existing).Owner() != "" {
			t.Errorf("after a refusal: %v, owner %q", err, mustPeek(t, m, existing).Owner())
		}
		if err := first.Destroy(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		login(t, m, "andrew")
		if !alive(t, m, second) {
			t.Error("the second session was ended")
		}
	})
}

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
		m := mustNew(t, b, &session.Options{OnEvent: new(events).hook})
		for round := range 20 {
			owner := fmt.Sprint("racer", round)
			for range 3 {
				login(t, m, owner)
			}
			var during []*session.Session
			var mu sync.Mutex
			var wg sync.WaitGroup
			revoking := make(chan struct{})
			for range 4 {
				wg.Go(func() {
					for {
						s, err := tryLogin(m, owner)
						select {
						case <-revoking: // may have completed after the end
							return
						default:
						}
						if err == nil {
							mu.Lock()
							during = append(during, s)
							mu.Unlock()
						} else if !errors.Is(err, session.ErrConflict) {
							t.Errorf("login = %v", err)
						}
						time.Sleep(time.Millisecond)
					}
				})
			}
			time.Sleep(2 * time.Millisecond)
			_, err := m.RevokeAll(t.Context(), owner)
			close(revoking)
			if err != nil {
				t.Errorf("RevokeAll = %v", err)
			}
			mu.Lock()
			completed := slices.Clone(during)
			mu.Unlock()
			for _, s := range completed {
				if alive(t, m, s) {
					t.Error("a login that completed before the end of RevokeAll is alive")
				}
			}
			wg.Wait()
			// Whatever lives is listed.
			ids := listed(t, m, owner)
			for _, s := range during {
				if alive(t, m, s) && !slices.Contains(ids, s.ID()) {
					t.Error("a live session is not listed")
				}
			}
		}
	})
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

func TestOwnerIndexStoreErrors(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, &session.Options{OnEvent: new(events).hook}), t.Context()
	s := login(t, m, "andrew")
	b.fail = map[string]error{"Load": errStore, "Apply": errStore, "Create": errStore, "Delete": errStore}
	for name, do := range map[string]func() error{
		"login":         func() error { _, err := tryLogin(m, "andrew"); return err },
		"sessions":      func() error { _, err := m.Sessions(ctx, "andrew"); return err },
		"revoke":        func() error { return m.Revoke(ctx, "andrew", s.ID()) },
		"revoke all":    func() error { _, err := m.RevokeAll(ctx, "andrew"); return err },
		"revoke others": func() error { _, err := s.RevokeOthers(ctx); return err },
	} {
		if err := do(); !errors.Is(err, errStore) || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s = %v, want the store's error", name, err)
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
