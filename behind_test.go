package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

// replacements are the ways to replace a session's token at once.
var replacements = []struct {
	name    string
	before  func(s *session.Session)
	replace func(s *session.Session)
}{
	{"first login", func(*session.Session) {}, func(s *session.Session) { s.Login("andrew") }},
	{"login again", func(s *session.Session) { s.Login("andrew") }, func(s *session.Session) { s.Login("andrew") }},
	{"rotation", func(s *session.Session) { s.Login("andrew") }, func(s *session.Session) { s.Rotate() }},
}

// behind returns a Manager, and a token that has just been replaced.
func behind(t *testing.T, before, replace func(s *session.Session)) (*session.Manager, session.Token) {
	t.Helper()
	m := mustNew(t, memory.New(nil), nil)
	s := m.NewSession()
	s.Set("cart", "tea")
	before(s)
	if err := s.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := s.Token()
	time.Sleep(time.Minute) // and not just created
	replace(s)
	if err := s.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m, old
}

// answer has a handler answer a request with a token.
func answer(m *session.Manager, token session.Token, h func(ctx context.Context, s *session.Session) int) *http.Response {
	r := httptest.NewRequest("POST", "/", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-sid", Value: token.Reveal()})
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := m.Get(r)
		if err != nil {
			return
		}
		w.WriteHeader(h(r.Context(), s))
	})).ServeHTTP(w, r)
	return w.Result()
}

// A request that the browser has sent with the token before a login, and that is read after it, must not put the cookie
// of a new session in place of the login's.
func TestRequestBehindALogin(t *testing.T) {
	for _, tt := range replacements {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []struct {
				name   string
				serve  func(ctx context.Context, s *session.Session) int
				want   int
				cookie bool
			}{
				{name: "reads", serve: func(_ context.Context, s *session.Session) int {
					if s.Owner() != "" || s.Get("cart") != "" || s.Exists() {
						t.Error("the token before the login reads the session")
					}
					return http.StatusOK
				}, want: http.StatusOK},
				{name: "sets", serve: func(_ context.Context, s *session.Session) int {
					s.Set("seen", "1")
					return http.StatusOK
				}, want: http.StatusConflict},
				{name: "counts, and answers by itself", serve: func(ctx context.Context, s *session.Session) int {
					s.Set("seen", "1")
					if _, err := s.Increment(ctx, "page_views", 1); !errors.Is(err, session.ErrConflict) {
						t.Errorf("Increment = %v, want ErrConflict", err)
					}
					return http.StatusTeapot
				}, want: http.StatusTeapot},
				{name: "updates", serve: func(ctx context.Context, s *session.Session) int {
					_, err := s.Update(ctx, "cart", func(string, bool) (string, error) { return "milk", nil })
					if !errors.Is(err, session.ErrConflict) {
						t.Errorf("Update = %v, want ErrConflict", err)
					}
					return http.StatusOK
				}, want: http.StatusOK},
				{name: "logs out", serve: func(ctx context.Context, s *session.Session) int {
					if err := s.Destroy(ctx); !errors.Is(err, session.ErrConflict) {
						t.Errorf("Destroy = %v, want ErrConflict", err)
					}
					return http.StatusOK
				}, want: http.StatusOK},
				{name: "logs in", serve: func(_ context.Context, s *session.Session) int {
					s.Login("andrew")
					return http.StatusOK
				}, want: http.StatusOK, cookie: true},
			} {
				t.Run(r.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						m, old := behind(t, tt.before, tt.replace)
						time.Sleep(9 * time.Second)
						resp := answer(m, old, r.serve)
						if resp.StatusCode != r.want {
							t.Errorf("status %d, want %d", resp.StatusCode, r.want)
						}
						if got := resp.Cookies(); (len(got) > 0) != r.cookie {
							t.Errorf("cookies: %v", got)
						}
					})
				})
			}
			t.Run("much later", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m, old := behind(t, tt.before, tt.replace)
					time.Sleep(session.DefaultRotateGrace + 2*time.Second)
					resp := answer(m, old, func(_ context.Context, s *session.Session) int {
						s.Set("seen", "1")
						return http.StatusOK
					})
					if resp.StatusCode != http.StatusOK || len(resp.Cookies()) != 1 {
						t.Errorf("status %d, cookies %v: a visitor gets no session", resp.StatusCode, resp.Cookies())
					}
				})
			})
		})
	}
}

// Each call by token presents the token: from the first on, the one that it has replaced has its grace and no more.
func TestCallsByTokenPresentIt(t *testing.T) {
	for _, tt := range []struct {
		name string
		call func(ctx context.Context, m *session.Manager, token session.Token) (*session.Session, error)
	}{
		{"Touch", func(ctx context.Context, m *session.Manager, token session.Token) (*session.Session, error) {
			return m.Touch(ctx, token)
		}},
		{"Increment", func(ctx context.Context, m *session.Manager, token session.Token) (*session.Session, error) {
			return m.Increment(ctx, token, "n", 1)
		}},
		{"SetFields", func(ctx context.Context, m *session.Manager, token session.Token) (*session.Session, error) {
			return m.SetFields(ctx, token, map[string]string{"a": "b"})
		}},
		{"SetTTL", func(ctx context.Context, m *session.Manager, token session.Token) (*session.Session, error) {
			return m.SetTTL(ctx, token, time.Hour)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := new(events)
				m := mustNew(t, memory.New(nil), &session.Options{RotateInterval: 5 * time.Minute, OnEvent: told.hook})
				s := m.NewSession()
				s.Login("andrew")
				if err := s.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
				old := s.Token()
				time.Sleep(6 * time.Minute)
				s, err := m.Load(t.Context(), old)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Commit(t.Context()); err != nil { // the timer replaces the token
					t.Fatal(err)
				}
				for range 2 {
					if _, err := tt.call(t.Context(), m, s.Token()); err != nil {
						t.Fatal(err)
					}
					if _, err := tt.call(t.Context(), m, old); err != nil {
						t.Errorf("within the grace, the token before it: %v", err)
					}
				}
				time.Sleep(session.DefaultRotateGrace + 2*time.Second)
				if _, err := m.Load(t.Context(), old); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("after the grace, the token before it: %v, want ErrNotFound", err)
				}
				if got := told.kinds(); !strings.HasSuffix(got, string(session.EventReused)) {
					t.Errorf("events: %s, want reused as the last", got)
				}
			})
		})
	}
}
