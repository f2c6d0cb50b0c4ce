package conformance

import (
	"time"

	"github.com/faeeb396/session"
)

// Cases about all sessions of one user.

var ownerCases = []testCase{
	{
		name: "SessionOwnerListed",
		rule: promiseListed,
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			owner, neighbour := t.owner(), t.owner()
			m.wantOwned(owner)
			first := m.NewSession()
			first.Login(owner)
			first.SetLabel("Firefox on Linux")
			t.commit(`Login(owner), SetLabel("Firefox on Linux")`, first)
			t.forward(time.Minute)
			second := other.create(fields{"cart": "3"})
			second.Login(owner)
			t.commit("second.Login(owner)", second)
			t.forward(time.Minute)
			third := m.login(owner)
			other.login(neighbour)
			infos := other.owned(owner)
			equal(t, "the number of sessions", len(infos), 3)
			for i, s := range []*session.Session{first, second, third} {
				equal(t, "ID", infos[i].ID, s.ID())
				equal(t, "CreatedAt", infos[i].CreatedAt, s.CreatedAt())
				equal(t, "AuthenticatedAt", infos[i].AuthenticatedAt, s.AuthenticatedAt())
			}
			equal(t, "Label", infos[0].Label, "Firefox on Linux")
			t.act(nil, "Destroy()", func() error { return first.Destroy(t.ctx) })
			m.wantOwned(owner, second, third)
			third.Login(neighbour)
			t.commit("Login(neighbour) in the third", third)
			m.wantOwned(owner, second)
		},
	},
	{
		name: "SessionOwnerRevoke",
		rule: "Revoke ends the session with this public ID if it is owner's, and returns ErrNotFound if it is not or is not there: for a page where users end their other sessions.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			owner, neighbour := t.owner(), t.owner()
			mine, stays := m.login(owner), other.login(owner)
			theirs, anonymous := other.login(neighbour), m.create(fields{"a": "1"})
			for _, id := range []string{theirs.ID(), anonymous.ID(), t.freshID()} {
				t.act(session.ErrNotFound, "Revoke(owner, "+showID(id)+")", func() error { return m.Revoke(t.ctx, owner, id) })
			}
			m.wantSession(theirs.Token(), nil)
			m.wantSession(anonymous.Token(), fields{"a": "1"})
			t.act(nil, "second.Revoke(owner, "+showID(mine.ID())+")", func() error { return other.Revoke(t.ctx, owner, mine.ID()) })
			m.wantNone("its token", mine.Token())
			t.wantGone(mine.ID())
			t.act(session.ErrNotFound, "Revoke again", func() error { return m.Revoke(t.ctx, owner, mine.ID()) })
			m.wantOwned(owner, stays)
			m.wantOwned(neighbour, theirs)
		},
	},
	{
		name: "SessionOwnerRevokeOthers",
		rule: "RevokeOthers ends every other session of this session's owner, and reports how many it ended; none if nobody is logged in.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			owner, neighbour := t.owner(), t.owner()
			var all []*session.Session
			for i := range 5 {
				all = append(all, []manager{m, other}[i%2].login(owner))
			}
			theirs := m.login(neighbour)
			keeps := all[2]
			t.act(nil, "RevokeOthers() of the third", func() error {
				n, err := keeps.RevokeOthers(t.ctx)
				if err == nil {
					equal(t, "the number of those that it ended", n, len(all)-1)
				}
				return err
			})
			for _, s := range all {
				if s != keeps {
					other.wantNone("its token", s.Token())
					t.wantGone(s.ID())
				}
			}
			other.wantSession(keeps.Token(), nil)
			m.wantOwned(owner, keeps)
			m.wantOwned(neighbour, theirs)
		},
	},
	{
		name: "SessionOwnerRevokeAll",
		rule: "RevokeAll ends every session of owner and reports how many it ended.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			owner := t.owner()
			var all []*session.Session
			for i := range 40 {
				all = append(all, []manager{m, other}[i%2].login(owner))
			}
			t.revokeAll(other, owner, len(all))
			for _, s := range all {
				m.wantNone("its token", s.Token())
			}
			for _, id := range t.recordIDs() { // the sessions, and what named them
				t.wantGone(id)
			}
			t.revokeAll(m, owner, 0)
			m.wantOwned(owner)
			again := m.login(owner)
			other.wantOwned(owner, again)
		},
	},
	{
		name: "SessionOwnerMax",
		rule: "MaxSessions is how many sessions an owner may have at a time, see Session.Login.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{MaxSessions: 2})
			refusing := t.manager(session.Options{MaxSessions: 2, RefuseLogin: true}, nil)
			owner := t.owner()
			var all []*session.Session
			for i := range 4 {
				t.forward(time.Minute)
				all = append(all, []manager{m, other}[i%2].login(owner))
				m.wantOwned(owner, all[max(0, i-1):]...)
			}
			m.wantNone("token of the first", all[0].Token())
			s := refusing.NewSession()
			s.Login(owner)
			t.act(session.ErrTooManySessions, "Login(owner) with RefuseLogin, Commit()", func() error { return s.Commit(t.ctx) })
			m.wantOwned(owner, all[2:]...)
			again := other.load(all[3].Token())
			again.Login(owner)
			t.commit("second.Login(owner) in the fourth", again)
			m.wantOwned(owner, all[2:]...)
		},
	},
	{
		name: "SessionOwnerDropsDead",
		rule: "Entries of sessions that have ended are dropped from the index as they are met.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			owner := t.owner()
			stays, ended := m.login(owner), other.login(owner)
			gone := ended.ID()
			t.act(nil, "Destroy() of the second", func() error { return ended.Destroy(t.ctx) })
			t.forward(2 * time.Minute) // it is not taken for a login under way any more
			m.wantOwned(owner, stays)
			for _, id := range t.recordIDs() {
				if isSession(id) {
					continue
				}
				if _, there := t.load(id).Fields[gone]; there {
					t.failf("the index still names %s", showID(gone))
				}
			}
			other.wantOwned(owner, stays)
		},
	},
}

// revokeAll expects RevokeAll to end so many sessions.
func (tr *trial) revokeAll(m manager, owner string, want int) {
	tr.act(nil, m.name+"RevokeAll(owner)", func() error {
		n, err := m.RevokeAll(tr.ctx, owner)
		if err == nil {
			equal(tr, "the number of those that it ended", n, want)
		}
		return err
	})
}
