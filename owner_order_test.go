package session_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// ahead calls before ahead of each call.
type ahead struct {
	backend.Backend
	before func(method, id string, p backend.Patch)
}

func (h *ahead) Create(ctx context.Context, id string, rec backend.Record) error {
	h.before("Create", id, backend.Patch{})
	return h.Backend.Create(ctx, id, rec)
}

func (h *ahead) Load(ctx context.Context, id string) (backend.Record, error) {
	h.before("Load", id, backend.Patch{})
	return h.Backend.Load(ctx, id)
}

func (h *ahead) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	h.before("Apply", id, p)
	return h.Backend.Apply(ctx, id, p)
}

func (h *ahead) Delete(ctx context.Context, id string) error {
	h.before("Delete", id, backend.Patch{})
	return h.Backend.Delete(ctx, id)
}

// Of two who end all sessions, the slower one finds the index that a login has made since, and is not to take it away
// for the one that it has emptied.
func TestIndexThatIsMadeAnewIsNotTakenAway(t *testing.T) {
	mem := memory.New(nil)
	m, ctx := mustNew(t, mem, quiet(session.Options{})), t.Context()
	login(t, m, "andrew")
	var (
		at, on, done = make(chan bool), make(chan bool), make(chan bool)
		once1        sync.Once
		s            *session.Session
	)
	one := mustNew(t, &ahead{Backend: mem, before: func(_, id string, p backend.Patch) {
		if isIndex(id) && len(p.Delete) > 0 {
			once1.Do(func() { close(at); <-on })
		}
	}}, quiet(session.Options{}))
	two := mustNew(t, &ahead{Backend: mem, before: func(_, id string, p backend.Patch) {
		if isIndex(id) && p.Remove && s == nil {
			close(on)
			<-done
			s = login(t, m, "andrew")
		}
	}}, quiet(session.Options{}))
	go func() {
		defer close(done)
		if _, err := one.RevokeAll(ctx, "andrew"); err != nil {
			t.Error(err)
		}
	}()
	<-at
	if _, err := two.RevokeAll(ctx, "andrew"); err != nil {
		t.Fatal(err)
	}
	if s == nil {
		t.Fatal("the login did not come between")
	}
	if got := listed(t, m, "andrew"); alive(t, m, s) != (len(got) == 1) {
		t.Errorf("the session lives: %v, and listed are %q", alive(t, m, s), got)
	}
}

// The owner's list is taken away, as it is empty, and made anew, while a login counts what it holds.
func TestMaxSessionsWhileTheIndexIsMadeAnew(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		t.Run(fmt.Sprintf("RefuseLogin %v", refuse), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memory.New(nil)
				opts := session.Options{MaxSessions: 1, RefuseLogin: refuse}
				m, ctx := mustNew(t, mem, quiet(opts)), t.Context()
				first := login(t, m, "andrew")
				if err := m.End(ctx, first.Token()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Minute)
				var other *session.Session
				h := &ahead{Backend: mem}
				h.before = func(_, id string, p backend.Patch) {
					if isIndex(id) && len(p.Add) > 0 && other == nil {
						listed(t, m, "andrew") // a page lists the sessions, and takes the dead entry away
						other = new(session.Session)
						other = login(t, m, "andrew")
					}
				}
				s, err := tryLogin(mustNew(t, h, quiet(opts)), "andrew")
				if other == nil {
					t.Fatal("the other login did not come between")
				}
				if err == nil && alive(t, m, s) && alive(t, m, other) {
					t.Errorf("two sessions live, at most 1; listed %q", listed(t, m, "andrew"))
				}
			})
		})
	}
}

// The index is to live longer than the session, and no time is longer than the longest.
func TestLoginWithTheLongestTimeout(t *testing.T) {
	const longest = math.MaxInt64 / time.Second * time.Second
	m := mustNew(t, memory.New(nil), quiet(session.Options{AbsoluteTimeout: longest}))
	if s, err := tryLogin(m, "andrew"); err != nil || !alive(t, m, s) || len(listed(t, m, "andrew")) != 1 {
		t.Errorf("Login = %v", err)
	}
}

// A login fails because the store does not tell whether it is listed: the next try has its place.
func TestLoginWhoseLinkIsUnknownTakesNoPlace(t *testing.T) {
	for name, fits := range map[string]func(string, string, backend.Patch) bool{
		"create": func(method, id string, _ backend.Patch) bool { return isIndex(id) && method == "Create" },
		"apply":  func(method, id string, p backend.Patch) bool { return isIndex(id) && len(p.Add) > 0 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &faulty{Backend: memory.New(nil)}
				m, ctx := mustNew(t, f, quiet(session.Options{MaxSessions: 2, RefuseLogin: true})), t.Context()
				if name == "apply" {
					login(t, m, "andrew")
					time.Sleep(2 * time.Minute)
				} else {
					m = mustNew(t, f, quiet(session.Options{MaxSessions: 1, RefuseLogin: true}))
				}
				s := m.NewSession()
				s.Login("andrew")
				f.after = once(fits)
				if err := s.Commit(ctx); !errors.Is(err, errStore) {
					t.Fatal(err)
				}
				if err := s.Commit(ctx); err != nil {
					t.Errorf("%s: the second try: %v", name, err)
				}
			})
		})
	}
}

// A session that is over when its owner's list is read, and is remembered then, stays listed.
func TestRememberAtTheLastMomentIsListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(nil)
		o := quiet(session.Options{IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour})
		m, ctx := mustNew(t, mem, o), t.Context()
		s := login(t, m, "andrew")
		time.Sleep(59 * time.Minute)
		if _, err := m.Touch(ctx, s.Token()); err != nil {
			t.Fatal(err)
		}
		h := &ahead{Backend: mem, before: func(method, id string, p backend.Patch) {
			if method == "Apply" && !isIndex(id) {
				listed(t, m, "andrew")
			}
		}}
		r := mustLoad(t, mustNew(t, h, o), s.Token())
		r.Remember()
		time.Sleep(time.Minute)
		mustCommit(t, r)
		if !alive(t, m, r) {
			t.Fatal("the session has ended")
		}
		n, err := m.RevokeAll(ctx, "andrew")
		if alive(t, m, r) {
			t.Errorf("RevokeAll = %d, %v, and the session lives", n, err)
		}
	})
}

// Logins of one second are in their order, too, though the times in records are whole seconds.
func TestOldestFirstWithinASecond(t *testing.T) {
	for range 10 {
		synctest.Test(t, func(t *testing.T) {
			m := mustNew(t, memory.New(nil), quiet(session.Options{MaxSessions: 3}))
			for i := range 5 {
				s := m.NewSession()
				s.Login("andrew")
				s.SetLabel(fmt.Sprint(i))
				mustCommit(t, s)
				time.Sleep(100 * time.Millisecond)
			}
			all, err := m.Sessions(t.Context(), "andrew")
			var got []string
			for _, info := range all {
				got = append(got, info.Label)
			}
			if want := "2 3 4"; err != nil || strings.Join(got, " ") != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		})
	}
}

// A machine whose clock is ahead takes a session for one that is over, lists the owner's, and leaves it listed.
func TestClockAheadUnlistsNoLiveSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(nil)
		opts := session.Options{IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour}
		m := mustNew(t, mem, quiet(opts))
		opts.Now = func() time.Time { return time.Now().Add(20 * time.Second) }
		ahead := mustNew(t, mem, quiet(opts))
		s := login(t, m, "andrew")
		time.Sleep(59 * time.Minute)
		if _, err := m.Touch(t.Context(), s.Token()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(45 * time.Second)
		listed(t, ahead, "andrew")
		if !alive(t, m, s) {
			t.Fatal("the session has ended")
		}
		n, err := m.RevokeAll(t.Context(), "andrew")
		if alive(t, m, s) {
			t.Errorf("RevokeAll = %d, %v, and the session lives", n, err)
		}
	})
}

// A session that is over takes no room, though it stays listed for a while.
func TestSessionThatIsOverTakesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := session.Options{IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour, MaxSessions: 1, RefuseLogin: true}
		mem := memory.New(nil)
		s := login(t, mustNew(t, mem, quiet(o)), "andrew")
		time.Sleep(59 * time.Minute)
		m := mustNew(t, mem, quiet(o))
		if _, err := m.Touch(t.Context(), s.Token()); err != nil {
			t.Fatal(err)
		}
		if _, err := tryLogin(m, "andrew"); !errors.Is(err, session.ErrTooManySessions) {
			t.Errorf("Login beside a live session = %v, want ErrTooManySessions", err)
		}
		time.Sleep(time.Minute)
		if _, err := tryLogin(m, "andrew"); err != nil {
			t.Errorf("Login after its end = %v", err)
		}
	})
}
