package session_test

import (
	"context"
	"errors"
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
		time.Sleep(time.Minute + time.Second) // by so much may clocks differ
		if got := indexSize(t, b); got != 0 {
			t.Errorf("an index outlives all of its sessions by a minute, with %d fields", got)
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
