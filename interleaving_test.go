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
)

// meddler calls before ahead of the first Apply that it is to interfere with.
type meddler struct {
	backend.Backend
	when   func(id string, p backend.Patch) bool
	before func()
}

func (m *meddler) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if f := m.before; f != nil && m.when(id, p) {
		m.before = nil
		f()
	}
	return m.Backend.Apply(ctx, id, p)
}

func isIndex(id string) bool { return strings.HasPrefix(id, "owner:") }

// A dead entry is about to be dropped when a login links that very session again.
func TestPruningDoesNotHideASessionThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSpy()
		m, ctx := mustNew(t, b, nil), t.Context()
		s := login(t, m, "andrew")
		s.Login("eve")
		if err := s.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		med := &meddler{Backend: b, when: func(id string, _ backend.Patch) bool { return isIndex(id) }, before: func() {
			s.Login("andrew")
			if err := s.Commit(ctx); err != nil {
				t.Error(err)
			}
		}}
		if _, err := mustNew(t, med, nil).Sessions(ctx, "andrew"); err != nil || med.before != nil {
			t.Fatalf("Sessions = %v, or it dropped nothing", err)
		}
		if got := listed(t, m, "andrew"); !slices.Equal(got, []string{s.ID()}) {
			t.Errorf("listed = %q, want the session that came back", got)
		}
	})
}

// An empty index is about to be taken away when a login puts a session into it.
func TestTakingAnEmptyIndexAwayDoesNotHideANewSession(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	old := login(t, m, "andrew")
	var s *session.Session
	med := &meddler{Backend: b, when: func(id string, p backend.Patch) bool { return isIndex(id) && p.Remove }, before: func() {
		s = login(t, m, "andrew")
	}}
	if err := mustNew(t, med, nil).Revoke(ctx, "andrew", old.ID()); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, m, "andrew"); s == nil || !slices.Equal(got, []string{s.ID()}) {
		t.Errorf("listed = %q, want the new session", got)
	}
}

func TestExpiryLosesAgainstALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSpy()
		opts := &session.Options{IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour}
		m, ctx := mustNew(t, b, opts), t.Context()
		s, err := m.Create(ctx, map[string]string{"a": "1"}, 2*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		slow := mustPeek(t, m, s) // begins before the end, and logs in
		time.Sleep(time.Hour)
		med := &meddler{Backend: b, when: func(_ string, p backend.Patch) bool { return p.Remove }, before: func() {
			slow.Login("andrew")
			if err := slow.Commit(ctx); err != nil {
				t.Error(err)
			}
		}}
		if _, err := mustNew(t, med, opts).Load(ctx, s.Token()); !errors.Is(err, session.ErrNotFound) || med.before != nil {
			t.Fatalf("Load = %v", err)
		}
		if !alive(t, m, slow) {
			t.Error("the session that was logged in is gone")
		}
	})
}

func TestRefusedChangeIsDropped(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	s := mustCreate(t, m, map[string]string{"a": "1"})
	slow := mustPeek(t, m, s)
	s.Rotate()
	if err := s.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	slow.Set("a", "2")
	if err := slow.Commit(ctx); !errors.Is(err, session.ErrConflict) {
		t.Fatalf("Commit = %v, want ErrConflict", err)
	}
	b.took()
	if err := slow.Commit(ctx); err != nil || b.took() != "" {
		t.Errorf("a second Commit = %v, or it wrote what was refused", err)
	}
}

func TestEmptyValueIsTakenOnce(t *testing.T) {
	m, ctx := mustNew(t, newSpy(), nil), t.Context()
	s := mustCreate(t, m, map[string]string{"flash": ""})
	first, second := mustPeek(t, m, s), mustPeek(t, m, s)
	_, ok1, err1 := first.Take(ctx, "flash")
	_, ok2, err2 := second.Take(ctx, "flash")
	if !ok1 || ok2 || err1 != nil || err2 != nil {
		t.Errorf("Take = %v, %v, then %v, %v; want one to get it", ok1, err1, ok2, err2)
	}
}

func TestSetTTLPrevailsOverRemember(t *testing.T) {
	m, ctx := mustNew(t, newSpy(), nil), t.Context()
	for _, s := range []*session.Session{m.NewSession(), mustCreate(t, m, nil)} {
		s.Login("andrew")
		s.Remember()
		if err := s.SetTTL(time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(ctx); err != nil || s.TTL() != time.Minute || mustPeek(t, m, s).TTL() != time.Minute {
			t.Errorf("TTL = %v, %v, want what SetTTL said", s.TTL(), err)
		}
	}
}

// While requests with the previous token may be under way, the next rotation waits.
func TestRotationWaitsForTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, newSpy(), &session.Options{RotateInterval: 10 * time.Second})
		br := newBrowser(t, shop(m))
		br.get("/write?a=1")
		time.Sleep(10 * time.Second)
		first := br.cookie
		br.wantRead("rotation", "1", true)
		time.Sleep(9 * time.Second)
		br.wantRead("seen", "1", false)
		time.Sleep(time.Second)
		br.wantRead("due, and the grace is not over", "1", false)
		br.with(first).wantRead("the previous token, within its grace", "1", false)
		time.Sleep(10 * time.Second)
		br.wantRead("after the grace", "1", true)
	})
}

// Two logins of one session at a time, as by a double click: one wins and stays, the other starts a new session.
func TestParallelLoginsOfOneSessionEndNeither(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	s := mustCreate(t, m, map[string]string{"cart": "3"})
	loser := mustPeek(t, m, s)
	loser.Login("andrew")
	confirms := func(id string, p backend.Patch) bool {
		return isIndex(id) && len(p.Add) == 0 && len(p.Has) > 0 && !p.Remove
	}
	med := &meddler{Backend: b, when: confirms, before: func() {
		if err := loser.Commit(ctx); err != nil {
			t.Errorf("the slower login = %v", err)
		}
	}}
	winner, err := mustNew(t, med, nil).Load(ctx, s.Token())
	if err != nil {
		t.Fatal(err)
	}
	winner.Login("andrew")
	if err := winner.Commit(ctx); err != nil || med.before != nil {
		t.Fatalf("the faster login = %v", err)
	}
	if !alive(t, m, winner) || !alive(t, m, loser) || winner.ID() != s.ID() || loser.ID() == s.ID() {
		t.Errorf("winner %s alive %v, loser %s alive %v", winner.ID(), alive(t, m, winner), loser.ID(), alive(t, m, loser))
	}
	want := []string{winner.ID(), loser.ID()}
	got := listed(t, m, "andrew")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("listed = %q, want both", got)
	}
}
