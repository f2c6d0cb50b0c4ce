package conformance

import (
	"context"
	"time"

	"github.com/faeeb396/session"
)

// Cases about a session from its creation to its end.

var lifeCases = []testCase{
	{
		name: "SessionStored",
		rule: "Create stores a new session with these fields, and returns it with its token.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			want := fields{"username": "andrew", "page_views": "0", "empty": "", "\xff": "\x00\r\n\xfe"}
			s := m.create(want)
			for _, reader := range []manager{m, other} {
				got := reader.wantSession(s.Token(), want)
				equal(t, "ID", got.ID(), s.ID())
				equal(t, "TTL", got.TTL(), session.DefaultIdleTimeout)
				equal(t, "CreatedAt", got.CreatedAt(), s.CreatedAt())
			}
			empty := other.createFor(nil, hour)
			equal(t, "TTL", m.wantSession(empty.Token(), nil).TTL(), hour)
			fresh := m.NewSession()
			fresh.Set("a", "1")
			t.commit(`Set("a", "1") in a new session`, fresh)
			other.wantSession(fresh.Token(), fields{"a": "1"})
			m.wantNone("a token that nobody was given", t.forgedToken(t.freshID()))
		},
	},
	{
		name: "SessionChangesApart",
		rule: promiseApart,
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			token := m.create(fields{"a": "1", "b": "2", "c": "3"}).Token()
			mine, theirs := m.load(token), other.load(token)
			theirs.Set("a", "theirs")
			theirs.Delete("b")
			theirs.Set("d", "")
			t.commit(`second.Set("a", "theirs"), Delete("b"), Set("d", "")`, theirs)
			mine.Set("c", "mine")
			t.commit(`Set("c", "mine")`, mine)
			want := fields{"a": "theirs", "c": "mine", "d": ""}
			m.wantSession(token, want)
			other.wantSession(token, want)
			t.act(nil, `second.SetFields({"a": "again"})`, func() error {
				got, err := other.SetFields(t.ctx, token, fields{"a": "again"})
				if err == nil {
					t.wantData("SetFields", got, fields{"a": "again", "c": "mine", "d": ""})
				}
				return err
			})
			m.wantSession(token, fields{"a": "again", "c": "mine", "d": ""})
		},
	},
	{
		name: "SessionViewsApart",
		rule: "Changes gather in it and are stored together by Commit",
		run: func(t *trial) {
			m, _ := t.managers(session.Options{})
			before := fields{"a": "1", "b": "2"}
			s := m.create(before)
			token := s.Token()
			first, second := m.load(token), m.load(token)
			for _, changed := range []*session.Session{first, s} {
				t.stepf(`Set("a", "3"), Delete("b"), Set("c", "4"), and no Commit`)
				changed.Set("a", "3")
				changed.Delete("b")
				changed.Set("c", "4")
				t.wantData("another Load before", second, before)
				m.wantSession(token, before)
			}
			t.commit("the same", first)
			t.wantData("another Load before", second, before)
			m.wantSession(token, fields{"a": "3", "c": "4"})
		},
	},
	{
		name: "SessionCounts",
		rule: "Increment adds delta to the counter in the field, in the store and at once, together with everything that has gathered, and returns the new value.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			token := m.create(fields{"n": "5", "text": "x"}).Token()
			view := other.load(token)
			view.Set("a", "1")
			t.increment("second.", view, "n", 3, 8)
			m.wantSession(token, fields{"n": "8", "text": "x", "a": "1"})
			t.increment("second.", view, "n", -9, -1)
			t.increment("second.", view, "none", 0, 0)
			t.act(nil, `Increment(token, "n", 2)`, func() error {
				got, err := m.Increment(t.ctx, token, "n", 2)
				if err == nil {
					equal(t, "n", got.Get("n"), "1")
				}
				return err
			})
			other.wantSession(token, fields{"n": "1", "none": "0", "text": "x", "a": "1"})
		},
	},
	{
		name: "SessionCounterRefused",
		rule: "ErrCounter says that the field holds no integer or that the sum would leave ±(2⁵³−1), ErrReserved that the field is not the application's; nothing was written to the session then.",
		run: func(t *trial) {
			m, _ := t.managers(session.Options{})
			s := m.create(fields{"a": "1", "text": "x", "full": "9007199254740991"})
			before := t.load(s.ID())
			for _, name := range []string{"text", "full"} {
				view := m.load(s.Token())
				view.Set("a", "2")
				t.act(session.ErrCounter, `Set("a", "2"), Increment("`+name+`", 1)`, func() error {
					_, err := view.Increment(t.ctx, name, 1)
					return err
				})
				t.act(session.ErrCounter, `Increment(token, "`+name+`", 1)`, func() error {
					_, err := m.Increment(t.ctx, s.Token(), name, 1)
					return err
				})
				t.wantLoad(s.ID(), before)
			}
		},
	},
	{
		name: "SessionEnds",
		rule: "End ends the session that token names. ErrNotFound says that there is none, or no longer: a logout may take that for success.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			for _, end := range []struct {
				what string
				do   func(s *session.Session) error
			}{
				{"second.End(token)", func(s *session.Session) error { return other.End(t.ctx, s.Token()) }},
				{"second.EndID(ID)", func(s *session.Session) error { return other.EndID(t.ctx, s.ID()) }},
				{"Destroy()", func(s *session.Session) error { return m.load(s.Token()).Destroy(t.ctx) }},
			} {
				s, stays := m.create(fields{"a": "1"}), m.create(fields{"b": "1"})
				t.act(nil, end.what, func() error { return end.do(s) })
				m.wantNone("its token", s.Token())
				other.wantNone("its token", s.Token())
				t.wantGone(s.ID())
				t.act(session.ErrNotFound, "End(token)", func() error { return m.End(t.ctx, s.Token()) })
				t.act(nil, "EndID(ID)", func() error { return m.EndID(t.ctx, s.ID()) })
				other.wantSession(stays.Token(), fields{"b": "1"})
			}
		},
	},
	{
		name: "SessionLogoutStays",
		rule: promiseNeverBack,
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			for _, late := range lateChanges {
				s := m.create(fields{"a": "1", "n": "1"})
				token, id := s.Token(), s.ID()
				slow := other.load(token)
				t.act(nil, "Destroy()", func() error { return s.Destroy(t.ctx) })
				t.act(session.ErrNotFound, "by a request from before: second."+late.what, func() error { return late.do(t.ctx, slow) })
				m.wantNone("the token", token)
				t.wantGone(id)
			}
			for _, c := range callsByToken {
				s := m.create(fields{"a": "1", "n": "1"})
				t.act(nil, "second.End(token)", func() error { return other.End(t.ctx, s.Token()) })
				t.act(session.ErrNotFound, c.what, func() error { return c.do(t.ctx, m, s.Token()) })
				t.wantGone(s.ID())
			}
		},
	},
	{
		name: "SessionCommitOutlivesClient",
		rule: "It goes on for up to Options.StoreTimeout if ctx ends meanwhile.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			s, owner := m.create(fields{"n": "1"}), t.owner()
			gone, cancel := context.WithCancel(t.ctx)
			cancel()
			t.stepf("with the context of a client that has gone away:")
			t.act(nil, `Set("a", "1"), Login(owner), Commit()`, func() error {
				s.Set("a", "1")
				s.Login(owner)
				return s.Commit(gone)
			})
			t.act(nil, `Increment("n", 1)`, func() error { _, err := s.Increment(gone, "n", 1); return err })
			t.act(context.Canceled, "Load(token)", func() error { _, err := m.Load(gone, s.Token()); return err })
			other.wantSession(s.Token(), fields{"a": "1", "n": "2"})
			token, id := s.Token(), s.ID()
			t.act(nil, "Destroy()", func() error { return s.Destroy(gone) })
			other.wantNone("the token", token)
			t.wantGone(id)
		},
	},
}

// increment expects Session.Increment to return want.
func (tr *trial) increment(who string, s *session.Session, name string, delta, want int64) {
	tr.act(nil, who+`Increment("`+name+`", `+itoa(int(delta))+")", func() error {
		got, err := s.Increment(tr.ctx, name, delta)
		if err == nil {
			equal(tr, name, got, want)
		}
		return err
	})
}

// lateChanges are what a request may do to a session with a=1 and n=1 that it has loaded, other than a login.
var lateChanges = []struct {
	what string
	do   func(ctx context.Context, s *session.Session) error
}{
	{`Set("a", "late"), Commit()`, func(ctx context.Context, s *session.Session) error {
		s.Set("a", "late")
		return s.Commit(ctx)
	}},
	{`Delete("a"), Commit()`, func(ctx context.Context, s *session.Session) error {
		s.Delete("a")
		return s.Commit(ctx)
	}},
	{"SetTTL(2h), Commit()", func(ctx context.Context, s *session.Session) error {
		if err := s.SetTTL(2 * time.Hour); err != nil {
			return err
		}
		return s.Commit(ctx)
	}},
	{"Remember(), Commit()", func(ctx context.Context, s *session.Session) error {
		s.Remember()
		return s.Commit(ctx)
	}},
	{"Rotate(), Commit()", func(ctx context.Context, s *session.Session) error {
		s.Rotate()
		return s.Commit(ctx)
	}},
	{`Increment("n", 1)`, func(ctx context.Context, s *session.Session) error {
		_, err := s.Increment(ctx, "n", 1)
		return err
	}},
	{`Take("a")`, func(ctx context.Context, s *session.Session) error {
		_, _, err := s.Take(ctx, "a")
		return err
	}},
	{`Update("a")`, func(ctx context.Context, s *session.Session) error {
		_, err := s.Update(ctx, "a", func(value string, _ bool) (string, error) { return value + "2", nil })
		return err
	}},
}

// callsByToken are what a Manager does to a session by its token, in a single call of the backend if it can.
var callsByToken = []struct {
	what string
	do   func(ctx context.Context, m manager, token session.Token) error
}{
	{"Load", func(ctx context.Context, m manager, token session.Token) error {
		_, err := m.Load(ctx, token)
		return err
	}},
	{"Touch", func(ctx context.Context, m manager, token session.Token) error {
		_, err := m.Touch(ctx, token)
		return err
	}},
	{`SetFields({"a": "2"})`, func(ctx context.Context, m manager, token session.Token) error {
		_, err := m.SetFields(ctx, token, fields{"a": "2"})
		return err
	}},
	{`Increment("n", 1)`, func(ctx context.Context, m manager, token session.Token) error {
		_, err := m.Increment(ctx, token, "n", 1)
		return err
	}},
	{"SetTTL(2h)", func(ctx context.Context, m manager, token session.Token) error {
		_, err := m.SetTTL(ctx, token, 2*time.Hour)
		return err
	}},
	{"End", func(ctx context.Context, m manager, token session.Token) error { return m.End(ctx, token) }},
}
