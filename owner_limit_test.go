package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// A session that has ended is no login under way.
func TestLogoutMakesRoomForALoginAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{MaxSessions: 1, RefuseLogin: true})), t.Context()
		s := m.NewSession()
		s.Login("andrew")
		if err := s.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if err := s.Destroy(ctx); err != nil {
			t.Fatal(err)
		}
		s = m.NewSession()
		s.Login("andrew")
		if err := s.Commit(ctx); err != nil {
			t.Errorf("login after a logout: %v", err)
		}
	})
}

func TestLogoutAndLoginEndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{MaxSessions: 2})), t.Context()
		login := func() *session.Session {
			s := m.NewSession()
			s.Login("andrew")
			if err := s.Commit(ctx); err != nil {
				t.Fatal(err)
			}
			return s
		}
		phone := login()
		time.Sleep(time.Hour / 4)
		if err := login().Destroy(ctx); err != nil {
			t.Fatal(err)
		}
		login()
		if _, err := m.Load(ctx, phone.Token()); err != nil {
			t.Errorf("the phone's session was ended, though there were two: %v", err)
		}
	})
}

// A login whose session ended meanwhile has left an entry in the index, and takes no other place for it.
func TestLoginThatStartsOverTakesOnePlace(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{MaxSessions: 1, RefuseLogin: true})), t.Context()
	token := mustCreate(t, m, map[string]string{"a": "1"}).Token()
	s, _ := m.Load(ctx, token)
	if err := m.End(ctx, token); err != nil {
		t.Fatal(err)
	}
	s.Login("andrew")
	if err := s.Commit(ctx); err != nil {
		t.Errorf("first login of a user without any session: %v", err)
	}
}

// slow is a backend over a network.
type slow struct {
	backend.Backend
	wait time.Duration
}

func (s slow) Load(ctx context.Context, id string) (backend.Record, error) {
	select {
	case <-time.After(s.wait):
	case <-ctx.Done():
		return backend.Record{}, ctx.Err()
	}
	return s.Backend.Load(ctx, id)
}

func TestSearchThatCannotEndIsNotRepeatedAtEachLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(nil)
		fast, ctx := mustNew(t, mem, quiet(session.Options{IdleTimeout: time.Hour})), t.Context()
		for range 2000 {
			s := fast.NewSession()
			s.Login("kiosk")
			if err := s.Commit(ctx); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		m := mustNew(t, slow{mem, 50 * time.Millisecond}, quiet(session.Options{IdleTimeout: time.Hour}))
		var took []time.Duration
		for range 3100 {
			start := time.Now()
			s := m.NewSession()
			s.Login("kiosk")
			if err := s.Commit(ctx); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d > time.Second {
				took = append(took, d)
			}
		}
		t.Logf("slow logins: %d %v", len(took), took[:min(5, len(took))])
		if len(took) > 5 {
			t.Errorf("%d logins took as long as StoreTimeout", len(took))
		}
	})
}

// deadlines notes the calls that have none.
type deadlines struct {
	backend.Backend
	without []string
}

func (d *deadlines) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if _, ok := ctx.Deadline(); !ok {
		d.without = append(d.without, strings.SplitN(id, ":", 2)[0])
	}
	return d.Backend.Apply(ctx, id, p)
}

func TestRevokeAllHasDeadlines(t *testing.T) {
	d := &deadlines{Backend: memory.New(nil)}
	m, ctx := mustNew(t, d, quiet(session.Options{})), t.Context()
	s := m.NewSession()
	s.Login("andrew")
	_ = s.Commit(ctx)
	if n, err := m.RevokeAll(ctx, "andrew"); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if len(d.without) > 0 {
		t.Errorf("calls without StoreTimeout's deadline: %v", d.without)
	}
}

func TestRevokeOthersBeforeTheCommitOfALogin(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{})), t.Context()
	thief := m.NewSession()
	thief.Login("andrew")
	_ = thief.Commit(ctx)
	s := m.NewSession()
	s.Login("andrew")
	n, err := s.RevokeOthers(ctx)
	if s.Owner() == "andrew" && n != 1 {
		t.Errorf("Owner = %q, RevokeOthers = %d, %v", s.Owner(), n, err)
	}
}

// Another program has put something where the index is to be, which is neither a record nor nothing.
func TestLoginWhereTheIndexIsBlockedEndsSoon(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, quiet(session.Options{}))
	b.fail = map[string]error{"Apply": session.ErrNotFound, "Create": session.ErrExists}
	s := m.NewSession()
	s.Login("andrew")
	if err := s.Commit(t.Context()); !errors.Is(err, session.ErrUnreadable) {
		t.Errorf("Commit = %v, want ErrUnreadable", err)
	}
	if n := len(strings.Fields(b.took())); n > 30 {
		t.Errorf("the login made %d calls", n)
	}
}

// What another program has written to the index's own fields locks nobody out.
func TestLoginWithAGarbledIndex(t *testing.T) {
	for _, field := range []string{"seq", "ttl", "next"} {
		for _, value := range []string{"", "x", "-1", "9007199254740991", "99999999999999999999"} {
			b := newSpy()
			m := mustNew(t, b, quiet(session.Options{}))
			var indexID string
			b.before = map[string]func(string){"Apply": func(id string) { indexID = id }}
			first, second := m.NewSession(), m.NewSession()
			first.Login("andrew")
			if err := first.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Backend.Apply(t.Context(), indexID, backend.Patch{Set: map[string]string{field: value}}); err != nil {
				t.Fatal(err)
			}
			second.Login("andrew")
			if err := second.Commit(t.Context()); err != nil {
				t.Errorf("%s = %q: Commit = %v", field, value, err)
			}
			if all, err := m.Sessions(t.Context(), "andrew"); len(all) != 2 || err != nil {
				t.Errorf("%s = %q: Sessions = %d, %v; want both", field, value, len(all), err)
			}
		}
	}
}
