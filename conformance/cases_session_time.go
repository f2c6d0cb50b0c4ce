package conformance

import (
	"strings"
	"time"

	"github.com/faeeb396/session"
)

// Cases about the time that a session has. As in the cases about a backend's time, nothing that is expected to be
// alive is within [slack] of its end. By a Manager's clock the end is up to a second early, since the times in a
// record are whole seconds.

var timeoutCases = []testCase{
	{
		name: "SessionAbsoluteTimeout",
		rule: "AbsoluteTimeout is how long a session may live at all, counted from its creation or its last login, however much it is used.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{IdleTimeout: hour, AbsoluteTimeout: 2 * hour})
			s, later := m.create(fields{"a": "1"}), m.create(fields{"b": "1"})
			for range 3 {
				t.forward(30 * time.Minute)
				t.act(nil, "second.SetTTL(3h)", func() error { _, err := other.SetTTL(t.ctx, s.Token(), 3*hour); return err })
			}
			later.Login(t.owner())
			t.commit("Login(owner) in another session", later)
			t.forward(31 * time.Minute)
			m.wantNone("the token", s.Token())
			t.wantGone(s.ID())
			other.wantSession(later.Token(), fields{"b": "1"})
			t.forward(90 * time.Minute)
			t.act(session.ErrNotFound, "Touch(token)", func() error { _, err := m.Touch(t.ctx, later.Token()); return err })
			t.wantGone(later.ID())
		},
	},
	{
		name: "SessionAbsoluteTimeoutLosesToLogin",
		rule: "A session that is found past its absolute timeout is removed, unless a login has started that over meanwhile.",
		run: func(t *trial) {
			opts := session.Options{IdleTimeout: hour, AbsoluteTimeout: hour}
			m, _ := t.managers(opts)
			s := m.createFor(fields{"a": "1"}, 3*hour)
			token, owner := s.Token(), t.owner()
			t.forward(hour)
			late := t.second.manager(opts, once(removes, func() {
				s.Login(owner)
				t.commit("meanwhile: Login(owner) by a request from before", s)
			}))
			late.wantNone("the token", token)
			m.wantSession(s.Token(), fields{"a": "1"})
		},
	},
	{
		name:  "SessionIdleTimeout",
		rule:  "IdleTimeout is how long a session may go unused before it ends, unless Session.SetTTL gives it another time to live.",
		waits: true,
		run: func(t *trial) {
			m, other := t.managers(session.Options{IdleTimeout: t.ttl(2)})
			unused, touched, loaded := m.create(fields{"a": "1"}), m.create(fields{"a": "1"}), m.create(fields{"a": "1"})
			changed := m.create(fields{"a": "1"})
			used := []*session.Session{touched, loaded, changed}
			t.wait(1.2)
			t.act(nil, "second.Touch(token)", func() error { _, err := other.Touch(t.ctx, touched.Token()); return err })
			t.commit("second.Load", other.load(loaded.Token()))
			changed.Set("a", "1")
			t.commit(`Set("a", "1")`, changed)
			t.wait(1.3)
			m.wantNone("token of what was not used", unused.Token())
			for _, s := range used {
				m.wantSession(s.Token(), fields{"a": "1"})
			}
			t.wait(1.2)
			for _, s := range used {
				other.wantNone("its token", s.Token())
				t.wantGone(s.ID())
			}
		},
	},
	{
		name:  "SessionPeekDoesNotTouch",
		rule:  "Peek returns the session that token names, and neither Peek nor a Commit of what it returns touches it unless it changes the TTL, remembers it or logs in: for looking at a session without keeping it alive.",
		waits: true,
		run: func(t *trial) {
			m, other := t.managers(session.Options{IdleTimeout: t.ttl(2)})
			peeked, changed := m.create(fields{"a": "1"}), m.create(fields{"a": "1"})
			t.wait(1.2)
			t.commit("nothing", m.wantSession(peeked.Token(), fields{"a": "1"}))
			s := other.wantSession(changed.Token(), fields{"a": "1"})
			s.Set("a", "2")
			t.commit(`Set("a", "2")`, s)
			t.wait(1.4)
			m.wantNone("its token", peeked.Token())
			m.wantNone("its token", changed.Token())
		},
	},
	{
		name:  "SessionSetTTL",
		rule:  "SetTTL gives this session another idle timeout, with the next commit and counted from then.",
		waits: true,
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			shortened, lengthened := m.create(fields{"a": "1"}), m.createFor(fields{"a": "1"}, t.ttl(1))
			again := m.create(fields{"a": "1"})
			before := []*session.Session{m.load(shortened.Token()), m.load(again.Token())}
			if err := shortened.SetTTL(t.ttl(1)); err != nil {
				t.failf("SetTTL failed: %v", err)
			}
			t.commit("SetTTL("+t.ttl(1).String()+")", shortened)
			for _, s := range []*session.Session{lengthened, again} {
				ttl := map[*session.Session]int{lengthened: 3, again: 1}[s]
				t.act(nil, "second.SetTTL(token, "+t.ttl(ttl).String()+")", func() error {
					got, err := other.SetTTL(t.ctx, s.Token(), t.ttl(ttl))
					if err == nil {
						equal(t, "TTL", got.TTL(), t.ttl(ttl))
					}
					return err
				})
			}
			for _, s := range before { // a touch with what was loaded before is one for the new time
				t.act(nil, "Touch(token)", func() error { _, err := m.Touch(t.ctx, s.Token()); return err })
			}
			t.wait(1.5)
			other.wantNone("its token", shortened.Token())
			other.wantNone("its token", again.Token())
			m.wantSession(lengthened.Token(), fields{"a": "1"})
			t.wait(2)
			m.wantNone("its token", lengthened.Token())
		},
	},
	{
		name:  "SessionExpiryIsFinal",
		rule:  promiseNeverBack,
		waits: true,
		run: func(t *trial) {
			m, other := t.managers(session.Options{IdleTimeout: t.ttl(1)})
			var slow []*session.Session
			for range lateChanges {
				slow = append(slow, other.load(m.create(fields{"a": "1", "n": "1"}).Token()))
			}
			s := m.create(fields{"a": "1", "n": "1"})
			t.wait(1.5)
			for i, late := range lateChanges {
				token, id := slow[i].Token(), slow[i].ID()
				t.act(session.ErrNotFound, "by a request from before: second."+late.what, func() error { return late.do(t.ctx, slow[i]) })
				m.wantNone("the token", token)
				t.wantGone(id)
			}
			for _, c := range callsByToken {
				t.act(session.ErrNotFound, c.what, func() error { return c.do(t.ctx, m, s.Token()) })
				t.wantGone(s.ID())
			}
		},
	},
	{
		name:  "SessionOwnerOfShortAndLong",
		rule:  promiseListed,
		waits: true,
		run: func(t *trial) {
			remember := t.ttl(3)
			if t.leaps { // what names the sessions lives for a minute more, so that the two differ by more than that
				remember = 5 * time.Minute
			}
			m, other := t.managers(session.Options{
				IdleTimeout: t.ttl(1), AbsoluteTimeout: t.ttl(1), RememberIdleTimeout: remember, RememberAbsoluteTimeout: remember,
			})
			remembered := func(owner string) *session.Session {
				s := other.NewSession()
				s.Login(owner)
				s.Remember()
				t.commit("second.Login(owner), Remember() in a new session", s)
				return s
			}
			first, second := t.owner(), t.owner()
			long := remembered(first)
			m.login(first)
			m.login(second)
			longer := remembered(second)
			t.wait(1.5)
			m.wantOwned(first, long)
			m.wantOwned(second, longer)
			if t.leaps {
				t.leap(4 * time.Minute)
				m.wantOwned(first, long)
				m.wantOwned(second, longer)
			}
			t.leap(remember - t.ttl(1)) // and more than that in all
			for _, id := range t.recordIDs() {
				if !strings.HasPrefix(id, "owner:") {
					t.wantGone(id)
				}
			}
			if !t.leaps {
				return
			}
			t.leap(time.Minute)
			for _, id := range t.recordIDs() {
				t.wantGone(id)
			}
		},
	},
}
