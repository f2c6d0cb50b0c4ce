package redissuite

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
)

// A site is a server with sessions.
type site struct {
	sessions *session.Manager
	handler  http.Handler
}

func newSite(t *testing.T, b backend.Backend) *site {
	t.Helper()
	sessions, err := session.New(b, &session.Options{OnEvent: func(context.Context, session.Event) {}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
		if s, err := sessions.Get(r); err == nil {
			s.Login("andrew")
			s.Set("name", "Andrew")
		}
	})
	// Whatever goes wrong, the handler says hello: it is the Manager that is to answer 503 then.
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if s, err := sessions.Get(r); err == nil {
			_, _ = s.Increment(r.Context(), "views", 1)
			fmt.Fprintf(w, "hello %s", s.Get("name"))
		}
	})
	return &site{sessions, sessions.Handler(mux)}
}

// login returns a new visitor who has logged in.
func (s *site) login(t *testing.T) *visitor {
	t.Helper()
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/login", nil))
	cookies := w.Result().Cookies()
	if w.Code != http.StatusOK || len(cookies) != 1 {
		t.Fatalf("login: %d, cookies %v", w.Code, len(cookies))
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(cookies[0])
	token, ok := s.sessions.RequestToken(r)
	if !ok {
		t.Fatal("login: the cookie holds no token")
	}
	return &visitor{s, cookies[0], token.ID()}
}

// A visitor is a browser with a cookie.
type visitor struct {
	site   *site
	cookie *http.Cookie
	id     string
}

// errUnavailable is a visit that was answered with 503.
var errUnavailable = errors.New("503")

// visit makes a request. An error that is not errUnavailable counts as a refusal: somebody was turned away, or
// given another cookie, because the store was down.
func (v *visitor) visit(ctx context.Context) error {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	r.AddCookie(v.cookie)
	w := httptest.NewRecorder()
	v.site.handler.ServeHTTP(w, r)
	cookies := w.Header().Values("Set-Cookie")
	switch {
	case w.Code == http.StatusServiceUnavailable && len(cookies) == 0:
		return errUnavailable
	case w.Code == http.StatusOK && len(cookies) == 0 && w.Body.String() == "hello Andrew":
		return nil
	}
	return fmt.Errorf("%w: %d %q, %d cookies", backend.ErrNotFound, w.Code, w.Body.String(), len(cookies))
}
