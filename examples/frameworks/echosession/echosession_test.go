package echosession_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/examples/frameworks/echosession"
)

// readOnly is a store that takes nothing.
type readOnly struct{ backend.Backend }

func (readOnly) Create(context.Context, string, backend.Record) error {
	return errors.New("the store is down")
}

// newRouter returns a router with sessions, and other middleware outside.
func newRouter(t *testing.T, b backend.Backend, outside ...echo.MiddlewareFunc) (*echo.Echo, *session.Manager) {
	t.Helper()
	m, err := session.New(b, &session.Options{OnEvent: func(context.Context, session.Event) {}})
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	e.Use(append(outside, echosession.Session(m))...)
	return e, m
}

// get requests a path, with the session s if there is one.
func get(h http.Handler, path string, m *session.Manager, s *session.Session) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if s != nil {
		m.AddCookie(r, s)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// An error page may read the session and change it.
func TestErrorPageUsesTheSession(t *testing.T) {
	e, m := newRouter(t, memory.New(nil))
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		s, getErr := m.Get(c.Request())
		if getErr != nil {
			t.Error(getErr)
			return
		}
		s.Set("failed", err.Error())
		if err := c.String(http.StatusTeapot, "Sorry, "+s.Get("name")); err != nil {
			t.Error(err)
		}
	}
	e.GET("/", func(echo.Context) error { return errors.New("oops") })
	s, err := m.Create(t.Context(), map[string]string{"name": "Andrew"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"/": "oops", "/nowhere": "code=404, message=Not Found"} {
		if w := get(e, path, m, s); w.Code != http.StatusTeapot || w.Body.String() != "Sorry, Andrew" {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
		if got, err := m.Peek(t.Context(), s.Token()); err != nil || got.Get("failed") != text {
			t.Errorf("%s: stored %q, %v, want %q", path, got.Get("failed"), err, text)
		}
	}
}

// A logger outside sees the handler's error where that was answered, and not where the store's was.
func TestLoggerSeesTheError(t *testing.T) {
	for name, c := range map[string]struct {
		b      backend.Backend
		status int
		err    error
	}{
		"stored": {memory.New(nil), http.StatusForbidden, echo.ErrForbidden},
		"down":   {readOnly{memory.New(nil)}, http.StatusServiceUnavailable, nil},
	} {
		for _, handle := range []bool{false, true} {
			var got middleware.RequestLoggerValues
			e, m := newRouter(t, c.b, middleware.RequestLoggerWithConfig(middleware.RequestLoggerConfig{
				HandleError: handle, LogStatus: true, LogError: true,
				LogValuesFunc: func(_ echo.Context, v middleware.RequestLoggerValues) error {
					got = v
					return nil
				},
			}))
			e.GET("/", func(c echo.Context) error {
				if s, err := m.Get(c.Request()); err == nil {
					s.Set("a", "1")
				}
				return echo.ErrForbidden
			})
			w := get(e, "/", m, nil)
			if w.Code != c.status || got.Status != c.status || got.Error != c.err {
				t.Errorf("%s, HandleError %v: sent %d, logged %d %v", name, handle, w.Code, got.Status, got.Error)
			}
		}
	}
}

// Outside, the context's response is the one that was sent, with its hooks; inside, its status is 200 before that.
func TestResponseOutside(t *testing.T) {
	before, after := 0, 0
	e, m := newRouter(t, memory.New(nil), func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Response().Before(func() { before++ })
			c.Response().After(func() { after++ })
			err := next(c)
			if res := c.Response(); !res.Committed || res.Status != http.StatusCreated || res.Size != 5 {
				t.Errorf("committed %v, %d with %d bytes", res.Committed, res.Status, res.Size)
			}
			return err
		}
	})
	e.GET("/", func(c echo.Context) error {
		if res := c.Response(); res.Committed || res.Status != http.StatusOK {
			t.Errorf("inside: committed %v, %d", res.Committed, res.Status)
		}
		s, err := m.Get(c.Request())
		if err != nil {
			return err
		}
		c.Response().Before(func() { s.Set("a", "1") }) // not too late
		return c.String(http.StatusCreated, "hello")
	})
	w := get(e, "/", m, nil)
	if w.Code != http.StatusCreated || before != 1 || after != 1 || len(w.Result().Cookies()) != 1 {
		t.Errorf("%d %v, hooks called %d and %d times", w.Code, w.Header(), before, after)
	}
}
