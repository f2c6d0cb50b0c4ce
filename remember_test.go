package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
)

func TestRemember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, newSpy(), &session.Options{
			IdleTimeout: 10 * time.Minute, AbsoluteTimeout: time.Hour,
			RememberIdleTimeout: 24 * time.Hour, RememberAbsoluteTimeout: 7 * 24 * time.Hour,
		})
		h := routes(m, map[string]serve{
			"/read":     func(w http.ResponseWriter, _ *http.Request, s *session.Session) { _, _ = w.Write([]byte(s.Owner())) },
			"/login":    func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Login("andrew") },
			"/remember": func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Login("andrew"); s.Remember() },
		})
		maxAge := func(w *httptest.ResponseRecorder) int { return w.Result().Cookies()[0].MaxAge }

		ordinary := newBrowser(t, h)
		if w := ordinary.get("/login"); maxAge(w) != 0 {
			t.Errorf("an ordinary cookie lives %d s, want until the browser closes", maxAge(w))
		}
		time.Sleep(10 * time.Minute)
		ordinary.wantRead("ordinary, after its idle timeout", "", false)

		kept := newBrowser(t, h)
		if w := kept.get("/remember"); maxAge(w) != 7*24*3600 {
			t.Errorf("Max-Age = %d, want what is left of a week", maxAge(w))
		}
		if s := mustPeekToken(t, m, kept.cookie); !s.Remembered() || s.TTL() != 24*time.Hour {
			t.Errorf("remembered = %v, TTL %v", s.Remembered(), s.TTL())
		}
		for range 6 {
			time.Sleep(24*time.Hour - time.Second)
			kept.wantRead("used daily", "andrew", false)
		}
		time.Sleep(24 * time.Hour)
		kept.wantRead("after a week", "", false)

		// A login without it ends the remembering.
		kept.get("/remember")
		time.Sleep(30 * time.Minute)
		if w := kept.get("/login"); maxAge(w) != 0 {
			t.Errorf("Max-Age = %d after an ordinary login", maxAge(w))
		}
		if s := mustPeekToken(t, m, kept.cookie); s.Remembered() || s.TTL() != 10*time.Minute || s.Remaining() != 10*time.Minute {
			t.Errorf("remembered = %v, TTL %v", s.Remembered(), s.TTL())
		}
	})
}

func TestRememberOnAnExistingSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, newSpy(), nil), t.Context()
		s := mustCreate(t, m, nil)
		time.Sleep(10 * time.Minute)
		s.Remember()
		if err := s.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if s.TTL() != session.DefaultRememberIdleTimeout || !s.Remembered() {
			t.Errorf("TTL = %v, remembered %v", s.TTL(), s.Remembered())
		}
		time.Sleep(14*24*time.Hour - time.Second)
		got, err := m.Touch(ctx, s.Token())
		if err != nil {
			t.Fatal(err)
		}
		if want := s.CreatedAt().Add(session.DefaultRememberAbsoluteTimeout); !time.Now().Add(got.Remaining()).Before(want) {
			t.Errorf("Remaining = %v", got.Remaining())
		}
		if err := got.SetTTL(time.Minute); err != nil {
			t.Fatal(err)
		}
		got.Login("andrew")
		got.Remember()
		if err := got.Commit(ctx); err != nil || got.TTL() != time.Minute {
			t.Errorf("TTL = %v, %v: SetTTL in the same request prevails", got.TTL(), err)
		}
	})
}

func TestPersistentCookieIsCappedAt400Days(t *testing.T) {
	m := mustNew(t, newSpy(), &session.Options{RememberAbsoluteTimeout: 1000 * 24 * time.Hour})
	s := m.NewSession()
	s.Login("andrew")
	s.Remember()
	if err := s.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := make(http.Header)
	m.WriteCookie(h, s)
	if got := h.Get("Set-Cookie"); !strings.Contains(got, "; Max-Age=34560000;") {
		t.Errorf("Set-Cookie = %q, want Max-Age of 400 days", got)
	}
}

func TestAnotherProgramCannotExtendTheLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSpy()
		m := mustNew(t, b, &session.Options{IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour})
		s := mustCreate(t, m, nil)
		if _, err := b.Backend.Apply(t.Context(), s.ID(), backend.Patch{TTL: 1000 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := m.Load(t.Context(), s.Token()); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load = %v, want ErrNotFound", err)
		}
	})
}

func TestStepUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := mustNew(t, newSpy(), nil), t.Context()
		s := m.NewSession()
		s.Set("a", "1")
		if err := s.Commit(ctx); err != nil || !s.AuthenticatedAt().IsZero() {
			t.Fatalf("before a login: %v, %v", s.AuthenticatedAt(), err)
		}
		s.Login("andrew")
		if err := s.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		first := s.AuthenticatedAt()
		time.Sleep(10 * time.Minute)
		s.Rotate()
		s.Set("a", "2")
		s.Remember()
		if err := s.Commit(ctx); err != nil || !s.AuthenticatedAt().Equal(first) {
			t.Errorf("something else than a login moved AuthenticatedAt to %v, %v", s.AuthenticatedAt(), err)
		}
		s.Login("andrew")
		if err := s.Commit(ctx); err != nil || time.Since(s.AuthenticatedAt()) != 0 {
			t.Errorf("AuthenticatedAt = %v after a new login, %v", s.AuthenticatedAt(), err)
		}
	})
}

// The clocks of two servers may be an hour apart.
func TestClocksAnHourApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSpy()
		fast := mustNew(t, b, &session.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }})
		slow := mustNew(t, b, nil)
		ctx := t.Context()
		for _, pair := range []struct{ first, second *session.Manager }{{fast, slow}, {slow, fast}} {
			s := pair.first.NewSession()
			s.Login("andrew")
			if err := s.Commit(ctx); err != nil {
				t.Fatal(err)
			}
			for range 10 { // active for longer than the idle timeout, on either server
				time.Sleep(10 * time.Minute)
				for _, m := range []*session.Manager{pair.second, pair.first} {
					got, err := m.Load(ctx, s.Token())
					if err != nil {
						t.Fatalf("an active user is thrown out: %v", err)
					}
					if err := got.Commit(ctx); err != nil {
						t.Fatal(err)
					}
				}
			}
			time.Sleep(30 * time.Minute)
			if _, err := slow.Load(ctx, s.Token()); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("the idle timeout does not hold: %v", err)
			}
		}
	})
}
