package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

// The timer may rotate between the reading of a session and its login. The token from before is dead all the same:
// whoever planted it would be let in, else.
func TestLoginAndRotateKillWhatTheTimerKeptMeanwhile(t *testing.T) {
	for name, privilege := range map[string]func(*session.Session){
		"login":  func(s *session.Session) { s.Login("victim") },
		"rotate": func(s *session.Session) { s.Rotate() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{RotateInterval: 5 * time.Minute})), t.Context()
				planted := mustCreate(t, m, map[string]string{"a": "1"}).Token()
				time.Sleep(5 * time.Minute)
				victim, err := m.Load(ctx, planted) // POST /login begins
				if err != nil {
					t.Fatal(err)
				}
				attacker, err := m.Load(ctx, planted) // the attacker's request meanwhile, by which the timer rotates
				if err != nil {
					t.Fatal(err)
				}
				if err := attacker.Commit(ctx); err != nil {
					t.Fatal(err)
				}
				privilege(victim)
				if err := victim.Commit(ctx); err != nil {
					t.Fatal(err)
				}
				if s, err := m.Load(ctx, planted); err == nil {
					t.Errorf("the token from before is still good: owner %q", s.Owner())
					time.Sleep(10 * time.Second)
					s, err = m.Load(ctx, planted)
					if err == nil {
						err = s.Commit(ctx)
						_, verr := m.Load(ctx, victim.Token())
						t.Logf("attacker: renewed %v, owner %q, %v; victim: %v", !s.Token().Equal(planted), s.Owner(), err, verr)
					}
				}
			})
		})
	}
}

// Whoever holds the replaced token does not take the session from whoever has presented the current one.
func TestRenewalReplacesNoTokenThatWasSeenMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{RotateInterval: 5 * time.Minute})), t.Context()
		t0 := mustCreate(t, m, map[string]string{"a": "1"}).Token()
		time.Sleep(5 * time.Minute)
		s, _ := m.Load(ctx, t0)
		if err := s.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		t1 := s.Token()
		time.Sleep(11 * time.Second)
		a, err := m.Load(ctx, t0) // a thief, with the replaced token
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.Load(ctx, t1) // the browser
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(ctx); err != nil { // notes that t1 was seen
			t.Fatal(err)
		}
		if err := a.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		_, err = m.Load(ctx, t1)
		_, err2 := m.Load(ctx, a.Token())
		if err != nil {
			t.Errorf("the browser's token, presented and never replaced by it: %v; the other's new token: %v", err, err2)
		}
	})
}

// A WebSocket goes on with the token that it was opened with.
func TestTouchWithThePreviousToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{RotateInterval: 5 * time.Minute})), t.Context()
		old := mustCreate(t, m, map[string]string{"a": "1"}).Token()
		time.Sleep(5 * time.Minute)
		s, _ := m.Load(ctx, old)
		if err := s.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		for range 7 { // 35 minutes in use
			time.Sleep(5 * time.Minute)
			if _, err := m.Touch(ctx, old); err != nil {
				t.Fatalf("Touch every 5 minutes: %v", err)
			}
		}
	})
}

func TestLoginForgetsThatItWasRememberedMeanwhile(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{})), t.Context()
	token := mustCreate(t, m, map[string]string{"a": "1"}).Token()
	a, _ := m.Load(ctx, token)
	b, _ := m.Load(ctx, token)
	b.Remember()
	if err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	a.Login("andrew")
	if err := a.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := m.Load(ctx, a.Token())
	if err != nil || s.Remembered() || s.TTL() != session.DefaultIdleTimeout {
		t.Errorf("Remembered = %v, TTL %v, %v, though the login did not ask for it", s.Remembered(), s.TTL(), err)
	}
}
