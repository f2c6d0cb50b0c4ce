package frameworks_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/examples/frameworks/echosession"
	"github.com/faeeb396/session/examples/frameworks/ginsession"
)

// call is a request with its session, and the framework's own ways to answer it.
type call struct {
	s        *session.Session
	w        http.ResponseWriter
	r        *http.Request
	text     func(code int, s string) error
	json     func(code int, v any) error
	redirect func(code int, to string) error
	status   func(code int) error // without a body
}

// handler answers a call. An error it returns is answered in the framework's own way, with 418.
type handler func(call) error

// sent is what the framework's logger says of a response.
type sent struct{ status, size int }

// setup is what a router is made of: its logger, its recovery and the session, in this order, around the routes.
type setup struct {
	t      *testing.T
	m      *session.Manager
	routes map[string]handler // by path
	log    func(sent)
}

// sessionOf returns the session of a request. A handler gives up without one.
func (u setup) sessionOf(r *http.Request) (*session.Session, error) {
	s, err := u.m.Get(r)
	if errors.Is(err, session.ErrNoHandler) {
		u.t.Error(err)
	}
	return s, err
}

// leaves fails unless what stands outside of the session finds the context of its request as it left it.
func (u setup) leaves(same bool, r *http.Request) {
	if _, err := u.m.Get(r); !same || !errors.Is(err, session.ErrNoHandler) {
		u.t.Errorf("outside, afterwards: own writer and request %v, session %v", same, err)
	}
}

// routers are what the tests run over; net/http is what the others are compared with.
var routers = map[string]func(setup) http.Handler{
	"net_http": netHTTP, "chi": chiRouter, "gin": ginRouter, "echo": echoRouter,
}

// over runs a test over all routers.
func over(t *testing.T, test func(t *testing.T, router func(setup) http.Handler)) {
	for name, router := range routers {
		t.Run(name, func(t *testing.T) { test(t, router) })
	}
}

// ---- net/http

func netHTTP(u setup) http.Handler {
	mux := http.NewServeMux()
	for path, h := range u.routes {
		mux.HandleFunc(path, u.plain(h))
	}
	inner := u.m.Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cw := &countingWriter{ResponseWriter: w}
		defer func() { u.log(cw.sent) }()
		defer func() {
			if recover() != nil {
				cw.WriteHeader(http.StatusInternalServerError)
			}
		}()
		defer func() { u.leaves(true, r) }()
		inner.ServeHTTP(cw, r)
	})
}

// plain serves a handler by net/http alone.
func (u setup) plain(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, err := u.sessionOf(r)
		if err != nil {
			return
		}
		text := func(code int, s string) error {
			w.WriteHeader(code)
			_, err := io.WriteString(w, s)
			return err
		}
		if err := h(call{
			s: s, w: w, r: r, text: text,
			json: func(code int, v any) error {
				w.Header().Set("Content-Type", "application/json")
				return text(code, asJSON(u.t, v))
			},
			redirect: func(code int, to string) error {
				http.Redirect(w, r, to, code)
				return nil
			},
			status: func(code int) error {
				w.WriteHeader(code)
				return nil
			},
		}); err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
		}
	}
}

// countingWriter is what a logger for net/http uses.
type countingWriter struct {
	http.ResponseWriter
	sent
}

func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *countingWriter) WriteHeader(code int) {
	if w.sent.status == 0 {
		w.sent.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.sent.status == 0 {
		w.sent.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.size += n
	return n, err
}

// ---- chi

func chiRouter(u setup) http.Handler {
	r := chi.NewRouter()
	r.Use(chimiddleware.RequestLogger(chiLog(u.log)), chimiddleware.Recoverer, u.m.Handler)
	for path, h := range u.routes {
		r.Handle(path, u.plain(h))
	}
	return r
}

type chiLog func(sent)

func (l chiLog) NewLogEntry(*http.Request) chimiddleware.LogEntry { return l }
func (l chiLog) Write(status, bytes int, _ http.Header, _ time.Duration, _ any) {
	l(sent{status, bytes})
}
func (l chiLog) Panic(any, []byte) {}

// ---- gin

func ginRouter(u setup) http.Handler {
	r := gin.New()
	r.Use(gin.LoggerWithConfig(gin.LoggerConfig{Output: io.Discard, Formatter: func(p gin.LogFormatterParams) string {
		u.log(sent{p.StatusCode, max(p.BodySize, 0)})
		return ""
	}}), gin.RecoveryWithWriter(io.Discard), func(c *gin.Context) {
		w, r := c.Writer, c.Request
		defer func() { u.leaves(c.Writer == w && c.Request == r, c.Request) }()
		c.Next()
	}, ginsession.Session(u.m))
	for path, h := range u.routes {
		r.Any(path, u.gin(h))
	}
	return r
}

// gin serves a handler by gin.
func (u setup) gin(h handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		s, err := u.sessionOf(c.Request)
		if err != nil {
			return
		}
		render := func(f func()) error {
			before := len(c.Errors)
			if f(); len(c.Errors) > before {
				return c.Errors.Last().Err
			}
			return nil
		}
		if err := h(call{
			s: s, w: c.Writer, r: c.Request,
			text:     func(code int, s string) error { return render(func() { c.String(code, "%s", s) }) },
			json:     func(code int, v any) error { return render(func() { c.JSON(code, v) }) },
			redirect: func(code int, to string) error { return render(func() { c.Redirect(code, to) }) },
			status:   func(code int) error { return render(func() { c.Status(code) }) },
		}); err != nil {
			_ = c.AbortWithError(http.StatusTeapot, err)
		}
	}
}

// ---- Echo

func echoRouter(u setup) http.Handler {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	e.Use(echomiddleware.RequestLoggerWithConfig(echomiddleware.RequestLoggerConfig{
		LogStatus: true, LogResponseSize: true,
		LogValuesFunc: func(_ echo.Context, v echomiddleware.RequestLoggerValues) error {
			u.log(sent{v.Status, int(v.ResponseSize)})
			return nil
		},
	}), echomiddleware.RecoverWithConfig(echomiddleware.RecoverConfig{DisablePrintStack: true}),
		func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				w, r := c.Response(), c.Request()
				defer func() { u.leaves(c.Response() == w && c.Request() == r, c.Request()) }()
				return next(c)
			}
		}, echosession.Session(u.m))
	for path, h := range u.routes {
		e.Any(path, u.echo(h))
	}
	return e
}

// echo serves a handler by Echo.
func (u setup) echo(h handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		s, err := u.sessionOf(c.Request())
		if err != nil {
			return err
		}
		if err := h(call{
			s: s, w: c.Response(), r: c.Request(),
			text: c.String, json: c.JSON, redirect: c.Redirect, status: c.NoContent,
		}); err != nil {
			return echo.NewHTTPError(http.StatusTeapot, err.Error()).SetInternal(err)
		}
		return nil
	}
}

// asJSON returns v as the frameworks write it.
func asJSON(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		t.Error(err)
	}
	return b.String()
}
