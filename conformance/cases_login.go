package conformance

import (
	"errors"
	"fmt"
	"time"

	"github.com/faeeb396/session"
)

// Cases about a session's token: what a login, a rotation by hand and one by the timer make of it.

var loginCases = []testCase{
	{
		name: "SessionLoginKillsOldToken",
		rule: promiseLogin,
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			s, owner := m.create(fields{"cart": "3"}), t.owner()
			for _, renew := range []struct {
				what string
				do   func()
			}{
				{"Login(owner)", func() { s.Login(owner) }},
				{"Rotate()", s.Rotate},
				{"Login(owner) again", func() { s.Login(owner) }},
			} {
				old := s.Token()
				m.wantSession(old, fields{"cart": "3"})
				other.wantSession(old, fields{"cart": "3"})
				renew.do()
				t.commit(renew.what, s)
				if s.Token().Equal(old) {
					t.failf("the token is the same as before")
				}
				other.wantSession(s.Token(), fields{"cart": "3"})
				for _, m := range []manager{m, other} {
					for _, c := range callsByToken {
						t.act(session.ErrNotFound, m.name+c.what+" with the old token", func() error { return c.do(t.ctx, m, old) })
					}
				}
				m.wantSession(s.Token(), fields{"cart": "3"})
			}
		},
	},
	{
		name: "SessionLoginKeepsID",
		rule: "It stays the same for the whole life of the session, through logins and rotations, and is safe in a log or on a page.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			s, owner := m.create(fields{"a": "1"}), t.owner()
			id, created := s.ID(), s.CreatedAt()
			for _, do := range []func(){func() { s.Login(owner) }, s.Rotate, func() { s.Login(owner) }} {
				do()
				t.commit("Login(owner) or Rotate()", s)
				equal(t, "ID", s.ID(), id)
				got := other.wantSession(s.Token(), fields{"a": "1"})
				equal(t, "ID", got.ID(), id)
				equal(t, "Owner", got.Owner(), s.Owner())
				equal(t, "CreatedAt", got.CreatedAt(), created)
			}
		},
	},
	{
		name: "SessionLoginShutsOutOlder",
		rule: promiseShutOut,
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			for _, late := range lateChanges {
				s, owner := m.create(fields{"a": "1", "n": "1"}), t.owner()
				for range 2 { // a first login, and one after it
					slow := other.load(s.Token())
					s.Login(owner)
					t.commit("Login(owner)", s)
					before := t.load(s.ID())
					t.act(t.shutOut(), "by a request from before: second."+late.what, func() error { return late.do(t.ctx, slow) })
					t.wantLoad(s.ID(), before)
				}
			}
		},
	},
	{
		name: "SessionLoginAfterTheEnd",
		rule: promiseNewOne,
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			for _, end := range []struct {
				what string
				do   func(s *session.Session) error
			}{
				{"second.EndID(ID)", func(s *session.Session) error { return other.EndID(t.ctx, s.ID()) }},
				{"second.Login(another), Commit()", func(s *session.Session) error {
					s = other.load(s.Token())
					s.Login(t.owner())
					return s.Commit(t.ctx)
				}},
			} {
				s, owner := m.create(fields{"cart": "3"}), t.owner()
				old, id := s.Token(), s.ID()
				t.act(nil, end.what, func() error { return end.do(s) })
				s.Set("a", "1")
				s.Login(owner)
				t.commit(`Set("a", "1"), Login(owner)`, s)
				if s.ID() == id {
					t.failf("the session has the ID of the one that ended")
				}
				got := other.wantSession(s.Token(), fields{"a": "1"})
				equal(t, "Owner", got.Owner(), owner)
				other.wantOwned(owner, s)
				m.wantNone("the token from before", old)
			}
		},
	},
	{
		name: "SessionLoginOfAnotherOwner",
		rule: promiseNotInherited,
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			s, first, second := m.create(fields{"cart": "3", "n": "1"}), t.owner(), t.owner()
			s.Login(first)
			t.commit("Login(first)", s)
			slow, before := other.load(s.Token()), s.Token()
			s.Set("a", "1")
			s.Login(second)
			t.wantData(`Set("a", "1"), Login(second)`, s, fields{"a": "1"})
			t.commit(`Set("a", "1"), Login(second)`, s)
			got := other.wantSession(s.Token(), fields{"a": "1"})
			equal(t, "Owner", got.Owner(), second)
			m.wantNone("the token of the first owner's session", before)
			t.wantGone(before.ID())
			m.wantOwned(first)
			m.wantOwned(second, s)
			slow.Set("a", "late")
			t.act(session.ErrNotFound, `by a request of the first owner: second.Set("a", "late"), Commit()`,
				func() error { return slow.Commit(t.ctx) })
			t.wantGone(before.ID())
		},
	},
	{
		name: "SessionLoginRacesWrites",
		rule: promiseShutOut,
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			for range 10 {
				s := m.create(fields{"by": "nobody"})
				views := append([]*session.Session{s}, m.views(7, s.Token(), other)...)
				s.Login(t.owner())
				t.stepf("one goroutine sets by and logs in, those that have loaded the session before set it too")
				t.parallel(len(views), func(i int, _ client) error {
					views[i].Set("by", itoa(i))
					err := views[i].Commit(t.ctx)
					if i > 0 && errors.Is(err, t.shutOut()) {
						return nil
					}
					return err
				})
				m.wantSession(s.Token(), fields{"by": "0"})
			}
		},
	},
	{
		name: "SessionLoginsRace",
		rule: promiseNewOne,
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			for range 5 {
				s, owner := m.create(fields{"cart": "3"}), t.owner()
				views := m.views(6, s.Token(), other)
				t.stepf("%d goroutines log in with the same session", len(views))
				t.parallel(len(views), func(i int, _ client) error {
					views[i].Login(owner)
					return views[i].Commit(t.ctx)
				})
				kept := 0
				var live []*session.Session
				for _, v := range views {
					want := fields{}
					if v.Exists() && v.ID() == s.ID() {
						kept++
						want = fields{"cart": "3"}
					}
					if v.Exists() {
						other.wantSession(v.Token(), want)
						live = append(live, v)
					}
				}
				if kept != 1 || len(live) != len(views) {
					t.failf("%d logins succeeded, %d of them with the session that there was; want all, and one", len(live), kept)
				}
				m.wantOwned(owner, live...)
			}
		},
	},
}

var rotationCases = []testCase{
	{
		name: "SessionRotationOneWinner",
		rule: "a rotation by the timer does not, and of parallel requests that find it due exactly one gives out a new token.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{RotateInterval: 5 * time.Minute})
			token, want := m.create(nil).Token(), fields{}
			for round := range 3 {
				t.forward(5 * time.Minute)
				views := m.views(16, token, other)
				for i := range views {
					name := fmt.Sprintf("f%d.%d", round, i)
					views[i].Set(name, "1")
					want[name] = "1"
				}
				t.stepf("%d goroutines set a field each, as a rotation is due", len(views))
				t.parallel(len(views), func(i int, _ client) error { return views[i].Commit(t.ctx) })
				winners, next := 0, token
				for _, v := range views {
					if !v.Token().Equal(token) {
						winners, next = winners+1, v.Token()
					}
				}
				equal(t, "the number of new tokens", winners, 1)
				other.wantSession(token, want) // the new one was not presented yet
				seen := other.load(next)
				t.commit("the new token is seen", seen)
				m.wantSession(token, want) // within the grace
				m.wantSession(next, want)
				token = next
			}
		},
	},
	{
		name: "SessionRotationGrace",
		rule: promiseGrace,
		run: func(t *trial) {
			m, other := t.managers(session.Options{RotateInterval: 5 * time.Minute, RotateGrace: time.Minute})
			s := m.create(fields{"a": "1"})
			old := s.Token()
			t.forward(5 * time.Minute)
			t.commit("a rotation is due", s)
			if s.Token().Equal(old) {
				t.failf("the token is the same as before")
			}
			t.forward(10 * time.Minute)
			other.wantSession(old, fields{"a": "1"}) // its successor was not presented yet
			t.commit("the new token is seen", other.load(s.Token()))
			t.forward(59 * time.Second)
			view := m.load(old)
			view.Set("a", "2")
			t.commit(`Set("a", "2") with the old token`, view)
			other.wantSession(s.Token(), fields{"a": "2"})
		},
	},
	{
		name: "SessionReuseEnds",
		rule: "if the replaced token is presented later than RotateGrace after its successor was, somebody has a copy of it, and the session ends.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{RotateInterval: 5 * time.Minute})
			s := m.create(fields{"a": "1"})
			old, current := t.rotated(m, s)
			other.wantNone("another secret", t.forgedToken(s.ID()))
			m.wantSession(current, fields{"a": "1"})
			other.wantRefused("the replaced token", old)
			m.wantNone("its successor", current)
			t.wantGone(s.ID())
		},
	},
	{
		name: "SessionReuseLosesToLogin",
		rule: "One whose replaced token comes back, see [Options.RotateInterval], is removed, unless a login or another rotation meanwhile has made that token worthless.",
		run: func(t *trial) {
			opts := session.Options{RotateInterval: 5 * time.Minute}
			m, _ := t.managers(opts)
			s := m.create(fields{"a": "1"})
			old, current := t.rotated(m, s)
			holder := m.load(current)
			thief := t.second.manager(opts, once(removes, func() {
				holder.Login(t.owner())
				t.commit("meanwhile: Login(owner)", holder)
			}))
			thief.wantRefused("the replaced token", old)
			m.wantSession(holder.Token(), fields{"a": "1"})
		},
	},
}

// rotated lets the timer replace the session's token, and returns both when the grace of the old one is over.
func (tr *trial) rotated(m manager, s *session.Session) (old, current session.Token) {
	old = s.Token()
	tr.forward(5 * time.Minute)
	s = m.load(old)
	tr.commit("a rotation is due", s)
	current = s.Token()
	if current.Equal(old) {
		tr.failf("the token is the same as before")
	}
	tr.commit("the new token is seen", m.load(current))
	tr.forward(time.Minute)
	return old, current
}

// once returns a function for client.manager that calls f ahead of the first call for which when returns true.
func once(when func(call) bool, f func()) func(call) {
	return func(c call) {
		if do := f; do != nil && when(c) {
			f = nil
			do()
		}
	}
}

func removes(c call) bool { return c.method == "Apply" && c.patch.Remove }
