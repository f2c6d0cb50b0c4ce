package conformance

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
)

// Cases about what happens to a user's sessions at the same time.

var ownerRaceCases = []testCase{
	{
		name: "SessionOwnerFirstLogins",
		rule: promiseListed,
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			for range 10 {
				owner := t.owner()
				all := make([]*session.Session, 8)
				t.stepf("%d goroutines log in the same new user", len(all))
				t.parallel(len(all), func(i int, _ client) error {
					all[i] = []manager{m, other}[i%2].NewSession()
					all[i].Login(owner)
					return all[i].Commit(t.ctx)
				})
				m.wantOwned(owner, all...)
			}
		},
	},
	{
		name: "SessionOwnerLoginMeetsRevokeAll",
		rule: promiseRevokeAll,
		run: func(t *trial) {
			m, _ := t.managers(session.Options{})
			for _, existing := range []bool{false, true} {
				for step := range 5 {
					loginMeetsRevokeAll(t, m, existing, step)
				}
			}
		},
	},
	{
		name: "SessionOwnerLoginsRaceRevokeAll",
		rule: promiseRevokeAll,
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			for range 10 {
				loginsRaceRevokeAll(t, m, other)
			}
		},
	},
	{
		name: "SessionOwnerMaxRaces",
		rule: promiseAtMost,
		run: func(t *trial) {
			for _, refuse := range []bool{false, true} {
				m, other := t.managers(session.Options{MaxSessions: 3, RefuseLogin: refuse})
				for range 3 {
					loginsRaceMax(t, m, other, refuse)
				}
			}
		},
	},
	{
		name: "SessionOwnerPruneLosesToLogin",
		rule: promiseNotHidden,
		run: func(t *trial) {
			m, _ := t.managers(session.Options{})
			owner := t.owner()
			s := m.login(owner)
			t.stepf("another program takes the session's owner away:")
			t.apply(s.ID(), backend.Patch{Delete: []string{"session_owner"}})
			t.forward(2 * time.Minute)
			pruning := t.second.manager(session.Options{}, once(
				func(c call) bool { return c.method == "Apply" && !isSession(c.id) },
				func() {
					s.Login(owner)
					t.commit("meanwhile: Login(owner) in the same session", s)
				}))
			pruning.owned(owner)
			m.wantOwned(owner, s)
		},
	},
	{
		name: "SessionOwnerEmptyLosesToLogin",
		rule: promiseNotHidden,
		run: func(t *trial) {
			m, _ := t.managers(session.Options{})
			owner := t.owner()
			old := m.login(owner)
			var s *session.Session
			revoking := t.second.manager(session.Options{}, once(
				func(c call) bool { return removes(c) && !isSession(c.id) },
				func() { s = m.login(owner) }))
			t.act(nil, "Revoke(owner, the only session)", func() error { return revoking.Revoke(t.ctx, owner, old.ID()) })
			if s == nil {
				t.failf("the empty index is not taken away")
			}
			m.wantOwned(owner, s)
		},
	},
}

// loginMeetsRevokeAll has all of an owner's sessions ended, and a new one begin, just before one of the calls that
// a login makes of the backend.
func loginMeetsRevokeAll(t *trial, m manager, existing bool, step int) {
	owner := t.owner()
	m.login(owner)
	armed, linked, calls := false, false, 0 // linked: the login is in the owner's index, and so has begun
	var other *session.Session
	racing := t.second.manager(session.Options{}, func(c call) {
		if !armed || other != nil {
			return
		}
		if calls++; calls == step+1 {
			t.act(nil, "meanwhile: RevokeAll(owner)", func() error { _, err := m.RevokeAll(t.ctx, owner); return err })
			other = m.login(owner)
			return
		}
		linked = linked || c.method == "Apply" && !isSession(c.id)
	})
	s := racing.NewSession()
	if existing {
		s = racing.load(m.create(fields{"a": "1"}).Token())
	}
	armed = true
	s.Login(owner)
	t.stepf("Login(owner), Commit(), and RevokeAll(owner) before call %d of it", step+1)
	err := s.Commit(t.ctx)
	switch {
	case other == nil && err == nil:
		return // there was no such call
	case !linked && err == nil:
		m.wantOwned(owner, other, s)
		return
	case err == nil:
		m.wantNone("token of a login under way when all sessions were ended", s.Token())
	case !errors.Is(err, session.ErrConflict):
		t.failf("the login failed with %v, want ErrConflict", err)
	case s.Exists():
		t.failf("the login failed with %v, and has a session", err)
	}
	m.wantOwned(owner, other)
}

// loginsRaceRevokeAll has one goroutine end all sessions of an owner whom others log in meanwhile.
func loginsRaceRevokeAll(t *trial, m, other manager) {
	owner := t.owner()
	before := []*session.Session{m.login(owner), other.login(owner)}
	t.stepf("one goroutine calls RevokeAll(owner), 4 others log in 3 times each")
	var mu sync.Mutex
	var all []*session.Session // the logins that have completed, in this order
	done := 0                  // how many of them had when RevokeAll began to look for sessions for the last time
	revoking := t.second.manager(session.Options{}, func(c call) {
		if c.method == "Load" {
			mu.Lock()
			defer mu.Unlock()
			done = len(all)
		}
	})
	t.parallel(5, func(i int, _ client) error {
		if i == 0 {
			_, err := revoking.RevokeAll(t.ctx, owner)
			return err
		}
		for range 3 {
			s := []manager{m, other}[i%2].NewSession()
			s.Login(owner)
			switch err := s.Commit(t.ctx); {
			case err == nil:
				mu.Lock()
				all = append(all, s)
				mu.Unlock()
			case !errors.Is(err, session.ErrConflict):
				return fmt.Errorf("a login failed, want success or ErrConflict: %w", err)
			}
		}
		return nil
	})
	for _, s := range slices.Concat(before, all[:done]) {
		m.wantNone("token of a login that completed before the last look of RevokeAll", s.Token())
	}
	m.wantOwned(owner, m.living(all)...)
}

// loginsRaceMax has more goroutines log in an owner than may.
func loginsRaceMax(t *trial, m, other manager, refuse bool) {
	const most = 3
	owner := t.owner()
	t.stepf("12 goroutines log in the same user, who may have %d sessions; RefuseLogin is %v", most, refuse)
	var succeeded atomic.Int64
	t.parallel(12, func(i int, _ client) error {
		s := []manager{m, other}[i%2].NewSession()
		s.Login(owner)
		err := s.Commit(t.ctx)
		switch {
		case err == nil:
			succeeded.Add(1)
		case refuse && errors.Is(err, session.ErrTooManySessions), !refuse && errors.Is(err, session.ErrConflict):
			// refused, or ended by a later one before it was done
		default:
			return err
		}
		return nil
	})
	got := len(m.owned(owner))
	if got < 1 || got > most || refuse && got != most {
		t.failf("the owner has %d sessions, want %d", got, most)
	}
	if refuse {
		equal(t, "the number of logins that succeeded", succeeded.Load(), most)
	}
}
