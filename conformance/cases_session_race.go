package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/faeeb396/session"
)

// Cases about requests of one session that run at the same time.

var parallelCases = []testCase{
	{
		name: "SessionParallelFields",
		rule: promiseApart,
		run: func(t *trial) {
			const n = 64
			m, other := t.managers(session.Options{MaxFields: 2 * n})
			token, want := m.create(nil).Token(), fields{}
			t.stepf("%d goroutines load the session, set a field each and commit", n)
			for i := range n {
				want["f"+itoa(i)] = itoa(i)
			}
			t.parallel(n, func(i int, _ client) error {
				s, err := []manager{m, other}[i%2].Load(t.ctx, token)
				if err != nil {
					return err
				}
				s.Set("f"+itoa(i), itoa(i))
				return s.Commit(t.ctx)
			})
			m.wantSession(token, want)
		},
	},
	{
		name: "SessionParallelCounts",
		rule: "Parallel increments all count.",
		run: func(t *trial) {
			const routines, each = 32, 8
			m, other := t.managers(session.Options{})
			token := m.create(nil).Token()
			t.stepf("%d goroutines add 1 to a counter %d times each", routines, each)
			var seen [routines*each + 1]atomic.Bool
			t.parallel(routines, func(i int, _ client) error {
				s, err := other.Load(t.ctx, token)
				if err != nil {
					return err
				}
				for range each {
					n, err := count(t, s, m, i%2 == 0)
					if err != nil {
						return err
					}
					if n < 1 || n > routines*each || seen[n].Swap(true) {
						return fmt.Errorf("an Increment returned %d: out of bounds, or returned twice", n)
					}
				}
				return nil
			})
			m.wantSession(token, fields{"n": itoa(routines * each)})
		},
	},
	{
		name: "SessionTakeOnce",
		rule: "of parallel requests exactly one gets the value, the others false.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			for range 10 {
				token := m.create(fields{"flash": "saved", "a": "1"}).Token()
				views := m.views(16, token, other)
				t.stepf("%d goroutines take a field", len(views))
				var taken atomic.Int64
				t.parallel(len(views), func(i int, _ client) error {
					v, ok, err := views[i].Take(t.ctx, "flash")
					switch {
					case err != nil || !ok:
						return err
					case v != "saved":
						return fmt.Errorf("a Take returned %q", v)
					case taken.Add(1) > 1:
						return errors.New("a Take returned the value, after another had")
					}
					return nil
				})
				equal(t, "the number of those that got the value", taken.Load(), 1)
				other.wantSession(token, fields{"a": "1"})
			}
		},
	},
	{
		name: "SessionParallelUpdates",
		rule: "Parallel updates all count: if another request changes the field meanwhile, change is called again, with what the field holds then.",
		run: func(t *trial) {
			const n = 16
			m, other := t.managers(session.Options{})
			token := m.create(nil).Token()
			views := m.views(n, token, other)
			t.stepf("%d goroutines append a letter each to a field", n)
			t.parallel(n, func(i int, _ client) error {
				_, err := views[i].Update(t.ctx, "a", func(value string, _ bool) (string, error) {
					return value + string(rune('a'+i)), nil
				})
				return err
			})
			letters := []byte(other.load(token).Get("a"))
			slices.Sort(letters)
			equal(t, "the letters, in order", string(letters), "abcdefghijklmnop")
		},
	},
	{
		name: "SessionLogoutRaces",
		rule: "Destroy ends the session at once, in the store, and makes the response delete the cookie.",
		run: func(t *trial) {
			m, other := t.managers(session.Options{})
			for range 10 {
				s := m.create(fields{"a": "1", "n": "1"})
				token, id := s.Token(), s.ID()
				views := append([]*session.Session{s}, m.views(len(lateChanges), token, other)...)
				t.stepf("one goroutine destroys the session, others that have loaded it before change it")
				t.parallel(len(views), func(i int, _ client) error {
					if i == 0 {
						return s.Destroy(t.ctx)
					}
					err := lateChanges[i-1].do(t.ctx, views[i])
					if errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict) { // the latter after Rotate
						return nil
					}
					return err
				})
				m.wantNone("the token", token)
				for i, v := range views {
					if v.Exists() {
						other.wantNone("token of goroutine "+itoa(i), v.Token())
					}
				}
				t.wantGone(id)
			}
		},
	},
}

// count adds 1 to the counter n of a session, in one of two ways, and returns its new value.
func count(t *trial, s *session.Session, m manager, byToken bool) (int, error) {
	if !byToken {
		n, err := s.Increment(t.ctx, "n", 1)
		return int(n), err
	}
	got, err := m.Increment(t.ctx, s.Token(), "n", 1)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(got.Get("n"))
}
