package conformance

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
)

// Cases about what a Manager makes of a record that is not as it wrote it, or of a token that does not fit, and
// about what its records show.

var strangeCases = []testCase{
	{
		name: "SessionOtherSecret",
		rule: "A token with another secret ends nothing, so knowing a session's ID is no way to end it.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			s := m.create(fields{"a": "1", "n": "1"})
			before := t.load(s.ID())
			for _, m := range []manager{m, other} {
				for _, c := range callsByToken {
					what := m.name + c.what + " with the session's ID and another secret"
					t.act(session.ErrNotFound, what, func() error { return c.do(t.ctx, m, t.forgedToken(s.ID())) })
					t.wantLoad(s.ID(), before)
				}
			}
			m.wantSession(s.Token(), fields{"a": "1", "n": "1"})
		},
	},
	{
		name: "SessionHoldsNoToken",
		rule: "The store keeps the base64url SHA-256 of a token and never the token: whoever reads the store, a backup or a trace can forge no cookie.",
		run: func(t *trial) {
			m, _ := t.managers(session.Options{RotateInterval: time.Hour})
			s, owner := m.create(fields{"a": "1"}), t.owner()
			tokens := []session.Token{s.Token()}
			s.Login(owner)
			t.commit("Login(owner)", s)
			tokens = append(tokens, s.Token())
			t.forward(time.Hour)
			s = m.load(s.Token())
			t.commit("a rotation is due", s)
			tokens = append(tokens, s.Token())
			for _, id := range t.recordIDs() {
				rec := t.load(id)
				for name, value := range rec.Fields {
					for _, token := range tokens {
						if part := secretIn(name+"\n"+value, token); part != "" {
							t.failf("the field %q shows %q of a token", name, part)
						}
					}
				}
			}
			before := t.load(s.ID())
			for _, value := range before.Fields {
				t.tryForged(m, s, value)
				t.wantLoad(s.ID(), before)
			}
		},
	},
	{
		name: "SessionPartialRecord",
		rule: "A record without created_at, last_accessed_at or session_token is no session, and no write ever makes it one again.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			for _, name := range []string{"created_at", "last_accessed_at", "session_token"} {
				for _, late := range lateChanges {
					s, owner := m.create(fields{"a": "1", "n": "1"}), t.owner()
					slow, login := other.load(s.Token()), other.load(s.Token())
					t.stepf("another program takes the field %s away:", name)
					t.apply(s.ID(), backend.Patch{Delete: []string{name}})
					before := t.load(s.ID())
					for _, c := range callsByToken {
						t.act(session.ErrNotFound, c.what, func() error { return c.do(t.ctx, m, s.Token()) })
					}
					t.act(t.shutOut(), "by a request from before: second."+late.what, func() error { return late.do(t.ctx, slow) })
					login.Login(owner)
					t.commit("by a request from before: second.Login(owner)", login)
					t.wantLoad(s.ID(), before)
					m.wantOwned(owner, login)
				}
			}
		},
	},
	{
		name: "SessionNewerVersion",
		rule: promiseLeft,
		run: func(t *trial) {
			m, _ := t.managers(session.Options{})
			s := m.create(fields{"a": "1", "n": "1"})
			t.stepf("a later version of the library writes the record:")
			t.apply(s.ID(), backend.Patch{Set: fields{"session_version": "2"}})
			before := t.load(s.ID())
			for _, c := range callsByToken {
				t.act(session.ErrUnreadable, c.what, func() error { return c.do(t.ctx, m, s.Token()) })
				t.wantLoad(s.ID(), before)
			}
		},
	},
	{
		name: "SessionUnreadable",
		rule: promiseLeft,
		run: func(t *trial) {
			if len(t.target.Plant) == 0 {
				t.skip("the target cannot plant anything")
			}
			m, _ := t.managers(session.Options{})
			for _, kind := range slices.Sorted(maps.Keys(t.target.Plant)) {
				id := t.freshID()
				if err := t.target.Plant[kind](t.ctx, id); err != nil {
					t.failf("planting %s failed: %v", kind, err)
				}
				t.stepf("%s is planted under %s", kind, showID(id))
				for _, c := range slices.Concat(callsByToken, callsByToken) {
					t.act(session.ErrUnreadable, c.what, func() error { return c.do(t.ctx, m, t.forgedToken(id)) })
				}
			}
		},
	},
	{
		name: "SessionIDs",
		rule: "IDs yields the public ID of every session in the store, some perhaps more than once, as backend.Scanner says.",
		run: func(t *trial) {
			t.scanner()
			m, other := t.managers(session.Options{})
			mine := map[string]bool{}
			for range 20 {
				mine[m.create(fields{"a": "1"}).ID()] = true
			}
			mine[other.login(t.owner()).ID()] = true
			ended := map[string]bool{}
			t.stepf("each session that IDs() yields is ended")
			back := t.calling(func() string { return "Scan(), of IDs()" })
			for id, err := range m.IDs(t.ctx) {
				if err != nil || !isSession(id) {
					t.failf("IDs yielded (%q, %v), want a session's ID", id, err)
				}
				if mine[id] {
					t.act(nil, "EndID("+showID(id)+")", func() error { return m.EndID(t.ctx, id) })
					ended[id] = true
				}
			}
			back()
			if len(ended) != len(mine) {
				t.failf("IDs did not yield %d of %d sessions", len(mine)-len(ended), len(mine))
			}
			for id := range mine {
				t.wantGone(id)
			}
		},
	},
}

// tryForged tries tokens that somebody might make of the value of a session's field, and expects that they do
// nothing.
func (tr *trial) tryForged(m manager, s *session.Session, value string) {
	for _, text := range []string{value, s.ID() + value[:min(27, len(value))], s.ID() + value[min(16, len(value)):]} {
		token, err := session.ParseToken(text)
		if err != nil {
			continue
		}
		for _, c := range callsByToken {
			what := c.what + " with a token made of " + showText(value)
			tr.act(session.ErrNotFound, what, func() error { return c.do(tr.ctx, m, token) })
		}
	}
}

// secretIn returns a part of the token's secret that text shows, or "".
func secretIn(text string, token session.Token) string {
	const window = 12
	secret := strings.TrimPrefix(token.Reveal(), token.ID())
	for i := range len(secret) - window + 1 {
		if part := secret[i : i+window]; strings.Contains(text, part) {
			return part
		}
	}
	return ""
}
