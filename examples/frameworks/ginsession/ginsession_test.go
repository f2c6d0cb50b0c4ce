package ginsession_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/examples/frameworks/ginsession"
)

// readOnly is a store that takes nothing.
type readOnly struct{ backend.Backend }

func (readOnly) Create(context.Context, string, backend.Record) error {
	return errors.New("the store is down")
}

// newRouter returns a router with sessions.
func newRouter(t *testing.T, b backend.Backend) (*gin.Engine, *session.Manager) {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	m, err := session.New(b, &session.Options{OnEvent: func(context.Context, session.Event) {}})
	if err != nil {
		t.Fatal(err)
	}
	r := gin.New()
	r.Use(gin.RecoveryWithWriter(io.Discard), ginsession.Session(m))
	return r, m
}

// get asks a real server, since gin needs more of a response writer than httptest.ResponseRecorder has.
func get(t *testing.T, h http.Handler, path string) (*http.Response, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	res, err := srv.Client().Get(srv.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// The request's context has the session always, gin's own with ContextWithFallback.
func TestFromContext(t *testing.T) {
	for _, fallback := range []bool{false, true} {
		r, m := newRouter(t, memory.New(nil))
		r.ContextWithFallback = fallback
		r.GET("/", func(c *gin.Context) {
			want, err := m.FromContext(c.Request.Context())
			if err != nil {
				t.Error(err)
			}
			got, err := m.FromContext(c)
			if fallback && (err != nil || got != want) || !fallback && !errors.Is(err, session.ErrNoHandler) {
				t.Errorf("ContextWithFallback %v: %v", fallback, err)
			}
		})
		if res, _ := get(t, r, "/"); res.StatusCode != http.StatusOK {
			t.Errorf("%d", res.StatusCode)
		}
	}
}

// gin's own streams.
func TestSSE(t *testing.T) {
	r, m := newRouter(t, memory.New(nil))
	r.GET("/", func(c *gin.Context) {
		s, err := m.Get(c.Request)
		if err != nil {
			return
		}
		s.Set("a", "1")
		n := 0
		c.Stream(func(io.Writer) bool {
			n++
			c.SSEvent("n", n)
			return n < 2
		})
	})
	res, body := get(t, r, "/")
	if want := "event:n\ndata:1\n\nevent:n\ndata:2\n\n"; body != want || len(res.Cookies()) != 1 {
		t.Errorf("%q %v", body, res.Cookies())
	}
}

// NoRoute may use the session, and its status is kept.
func TestNoRoute(t *testing.T) {
	for name, want := range map[string]struct {
		b       backend.Backend
		status  int
		body    string
		cookies int
	}{
		"stored": {memory.New(nil), http.StatusNotFound, "404 page not found", 1},
		"down":   {readOnly{memory.New(nil)}, http.StatusServiceUnavailable, "Service Unavailable\n", 0},
	} {
		r, m := newRouter(t, want.b)
		r.NoRoute(func(c *gin.Context) {
			if s, err := m.Get(c.Request); err == nil {
				s.Set("a", "1")
			}
		})
		if res, body := get(t, r, "/"); res.StatusCode != want.status || body != want.body ||
			len(res.Cookies()) != want.cookies {
			t.Errorf("%s: %d %q %v", name, res.StatusCode, body, res.Header)
		}
	}
}

// A proxy that cannot write panics with http.ErrAbortHandler, which Manager.Handler recovers when it has answered
// itself. gin must not go on with the next handler then.
func TestAbortedProxyEndsTheChain(t *testing.T) {
	r, m := newRouter(t, readOnly{memory.New(nil)})
	r.GET("/", func(c *gin.Context) {
		s, err := m.Get(c.Request)
		if err != nil {
			return
		}
		s.Set("a", "1")
		if _, err := c.Writer.WriteString("upstream"); err != nil {
			panic(http.ErrAbortHandler)
		}
	}, func(c *gin.Context) {
		t.Error("the chain goes on")
		fmt.Fprint(c.Writer, "more")
	})
	if res, body := get(t, r, "/"); res.StatusCode != http.StatusServiceUnavailable || strings.Contains(body, "more") {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

// The error handler's answer has the status that it gives, or 200, and not the one that the handler has noted.
func TestErrorHandlersStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(w http.ResponseWriter)
		code   int
	}{
		"Write":       {func(w http.ResponseWriter) { fmt.Fprint(w, "a page") }, http.StatusOK},
		"WriteString": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "a page") }, http.StatusOK},
		"Flush": {func(w http.ResponseWriter) {
			_ = http.NewResponseController(w).Flush()
			fmt.Fprint(w, "a page")
		}, http.StatusOK},
		"WriteHeader": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusTeapot)
			fmt.Fprint(w, "a page")
		}, http.StatusTeapot},
	} {
		for how, handler := range map[string]func(c *gin.Context){
			"body":    func(c *gin.Context) { c.String(http.StatusNoContent, "made") },
			"status":  func(c *gin.Context) { c.Status(http.StatusNoContent) },
			"flushed": func(c *gin.Context) { c.Status(http.StatusNoContent); c.Writer.Flush() },
		} {
			m, err := session.New(readOnly{memory.New(nil)}, &session.Options{
				OnEvent:      func(context.Context, session.Event) {},
				ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { tt.answer(w) },
			})
			if err != nil {
				t.Fatal(err)
			}
			r := gin.New()
			r.Use(ginsession.Session(m))
			r.GET("/", func(c *gin.Context) {
				if s, err := m.Get(c.Request); err == nil {
					s.Set("a", "1")
				}
				handler(c)
			})
			w := httptest.NewRecorder()
			r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			if w.Code != tt.code || w.Body.String() != "a page" {
				t.Errorf("%s after a %s: %d %q, want %d", name, how, w.Code, w.Body, tt.code)
			}
		}
	}
}
