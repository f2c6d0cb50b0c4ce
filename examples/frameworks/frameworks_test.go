package frameworks_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/faeeb396/session"
)

// basics are routes that most tests use.
func basics() map[string]handler {
	return map[string]handler{
		"/login": func(c call) error {
			c.s.Login("andrew")
			return c.redirect(http.StatusSeeOther, "/me")
		},
		"/me": func(c call) error {
			if c.s.Owner() == "" {
				return c.text(http.StatusUnauthorized, "who?")
			}
			return c.json(http.StatusOK, map[string]string{"owner": c.s.Owner()})
		},
		"/logout": func(c call) error {
			if err := c.s.Destroy(c.r.Context()); err != nil {
				return err
			}
			return c.redirect(http.StatusSeeOther, "/me")
		},
		"/count": func(c call) error {
			n, _ := strconv.Atoi(c.s.Get("n"))
			c.s.Set("n", strconv.Itoa(n+1))
			return c.text(http.StatusOK, c.s.Get("n"))
		},
		"/read": func(c call) error { return c.text(http.StatusOK, "n="+c.s.Get("n")) },
	}
}

func TestLoginAndLogout(t *testing.T) {
	over(t, func(t *testing.T, router func(setup) http.Handler) {
		st := newSite(t, router, basics())
		st.get(t, "/me").want(t, http.StatusUnauthorized, "who?", "")
		a := st.get(t, "/login")
		a.want(t, http.StatusSeeOther, "*", "set")
		if to := a.header.Get("Location"); to != "/me" {
			t.Errorf("Location = %q", to)
		}
		a = st.get(t, "/me")
		a.want(t, http.StatusOK, "*", "")
		if kind := a.header.Get("Content-Type"); strings.TrimSpace(a.body) != `{"owner":"andrew"}` ||
			!strings.HasPrefix(kind, "application/json") {
			t.Errorf("%s %q", kind, a.body)
		}
		st.get(t, "/logout").want(t, http.StatusSeeOther, "*", "deleted")
		st.get(t, "/me").want(t, http.StatusUnauthorized, "who?", "")
	})
}

func TestCounter(t *testing.T) {
	over(t, func(t *testing.T, router func(setup) http.Handler) {
		st := newSite(t, router, basics())
		st.get(t, "/count").want(t, http.StatusOK, "1", "set")
		st.get(t, "/count").want(t, http.StatusOK, "2", "")
		st.get(t, "/count").want(t, http.StatusOK, "3", "")
		st.forget(t)
		st.get(t, "/count").want(t, http.StatusOK, "1", "set")
	})
}

// A visitor who writes nothing, and a path that nobody serves, cost no write and no cookie.
func TestNothingToStore(t *testing.T) {
	over(t, func(t *testing.T, router func(setup) http.Handler) {
		st := newSite(t, router, basics())
		st.get(t, "/read").want(t, http.StatusOK, "n=", "")
		st.get(t, "/nowhere").want(t, http.StatusNotFound, "*", "")
		if n := st.store.writes.Load(); n > 0 {
			t.Errorf("%d writes", n)
		}
	})
}

// ways are all ways to answer, after a change of the session.
var ways = map[string]struct {
	status int
	answer func(c call) error
}{
	"text":     {http.StatusCreated, func(c call) error { return c.text(http.StatusCreated, "secret") }},
	"json":     {http.StatusAccepted, func(c call) error { return c.json(http.StatusAccepted, "secret") }},
	"redirect": {http.StatusFound, func(c call) error { return c.redirect(http.StatusFound, "/secret") }},
	"status":   {http.StatusNoContent, func(c call) error { return c.status(http.StatusNoContent) }},
	"nothing":  {http.StatusOK, func(call) error { return nil }},
	"error":    {http.StatusTeapot, func(call) error { return errors.New("secret") }},
	"write": {http.StatusOK, func(c call) error {
		_, err := c.w.Write([]byte("secret"))
		return err
	}},
	"string": {http.StatusOK, func(c call) error {
		_, err := io.WriteString(c.w, "secret")
		return err
	}},
	"file": {http.StatusOK, func(c call) error {
		http.ServeFile(c.w, c.r, "doc.go")
		return nil
	}},
	"flush": {http.StatusOK, func(c call) error {
		c.w.WriteHeader(http.StatusOK)
		return http.NewResponseController(c.w).Flush()
	}},
	"trailer": {http.StatusOK, func(c call) error {
		c.w.WriteHeader(http.StatusOK)
		err := http.NewResponseController(c.w).Flush()
		c.w.Header().Set(http.TrailerPrefix+"X-Secret", "too")
		return err
	}},
	"twice": {http.StatusCreated, func(c call) error { // the second time is one too many, and ignored
		err := c.text(http.StatusCreated, "secret")
		c.w.WriteHeader(http.StatusBadRequest)
		return err
	}},
}

// changing returns the routes that change the session and answer then, in each of the ways.
func changing() map[string]handler {
	routes := basics()
	for name, way := range ways {
		routes["/"+name] = func(c call) error {
			c.w.Header().Set("X-Secret", name)
			c.s.Set("n", name)
			return way.answer(c)
		}
	}
	return routes
}

// Whatever begins the response stores the session first, and the cookie goes along.
func TestEveryWayToAnswerStores(t *testing.T) {
	over(t, func(t *testing.T, router func(setup) http.Handler) {
		st := newSite(t, router, changing())
		for name, way := range ways {
			t.Run(name, func(t *testing.T) {
				st.forget(t)
				a := st.get(t, "/"+name)
				a.want(t, way.status, "*", "set")
				if a.header.Get("X-Secret") != name || (name == "trailer") != (a.trailer.Get("X-Secret") == "too") {
					t.Errorf("header %v, trailer %v", a.header, a.trailer)
				}
				st.get(t, "/read").want(t, http.StatusOK, "n="+name, "")
			})
		}
	})
}

// What the session's writer does not do itself, http.ResponseController finds below it.
func TestDeadlines(t *testing.T) {
	over(t, func(t *testing.T, router func(setup) http.Handler) {
		st := newSite(t, router, map[string]handler{"/": func(c call) error {
			if err := http.NewResponseController(c.w).SetWriteDeadline(time.Time{}); err != nil {
				return err
			}
			return c.text(http.StatusOK, "set")
		}})
		st.get(t, "/").want(t, http.StatusOK, "set", "")
	})
}

// When the store is down, the client and the logger see 503, and nothing of what the handler answers.
func TestStoreIsDown(t *testing.T) {
	const unavailable = "Service Unavailable\n"
	over(t, func(t *testing.T, router func(setup) http.Handler) {
		st := newSite(t, router, changing())
		st.get(t, "/login").want(t, http.StatusSeeOther, "*", "set")
		for name := range ways {
			t.Run(name, func(t *testing.T) {
				for what, down := range map[string]func(bool){"read": st.store.noRead.Store, "write": st.store.noWrite.Store} {
					down(true)
					a := st.get(t, "/"+name)
					down(false)
					a.want(t, http.StatusServiceUnavailable, unavailable, "")
					if a.header.Get("X-Secret") != "" || a.header.Get("Location") != "" || len(a.trailer) > 0 {
						t.Errorf("no %s: header %v, trailer %v", what, a.header, a.trailer)
					}
				}
				st.get(t, "/read").want(t, http.StatusOK, "n=", "") // still logged in
			})
		}
		st.store.noWrite.Store(true)
		st.forget(t)
		st.get(t, "/login").want(t, http.StatusServiceUnavailable, unavailable, "")
	})
}

// An ErrorHandler that writes a status and no body has answered, whatever the handler goes on to write.
func TestErrorHandlerWithoutBody(t *testing.T) {
	over(t, func(t *testing.T, router func(setup) http.Handler) {
		o := session.Options{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		}}
		st := newSiteWith(t, o, router, changing())
		st.store.noWrite.Store(true)
		for name := range ways {
			a := st.get(t, "/"+name)
			a.want(t, http.StatusBadGateway, "", "")
		}
	})
}

// A handler that panics before it has answered leaves nothing, and the framework's recovery answers 500.
func TestPanic(t *testing.T) {
	over(t, func(t *testing.T, router func(setup) http.Handler) {
		routes := basics()
		routes["/panic"] = func(c call) error {
			c.w.Header().Set("Content-Type", "text/plain")
			c.s.Login("eve")
			c.s.Set("n", "99")
			panic("oops")
		}
		routes["/late"] = func(c call) error {
			c.s.Set("n", "5")
			_ = c.text(http.StatusOK, "begun")
			c.s.Set("n", "99")
			panic("oops")
		}
		st := newSite(t, router, routes)
		st.get(t, "/panic").want(t, http.StatusInternalServerError, "*", "")
		if n := st.store.writes.Load(); n > 0 {
			t.Errorf("%d writes", n)
		}
		st.get(t, "/count").want(t, http.StatusOK, "1", "set")
		st.get(t, "/panic").want(t, http.StatusInternalServerError, "*", "")
		st.get(t, "/read").want(t, http.StatusOK, "n=1", "")
		st.get(t, "/me").want(t, http.StatusUnauthorized, "who?", "")
		st.get(t, "/late").want(t, http.StatusOK, "begun", "")
		st.get(t, "/read").want(t, http.StatusOK, "n=5", "")
	})
}

// A stream reaches the client while its handler goes on, with the cookie.
func TestStream(t *testing.T) {
	over(t, func(t *testing.T, router func(setup) http.Handler) {
		more := make(chan bool)
		routes := basics()
		routes["/stream"] = func(c call) error {
			c.s.Set("n", "1")
			c.w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(c.w, "data: %d\n", i)
				if i%2 == 0 {
					c.w.(http.Flusher).Flush()
				} else if err := http.NewResponseController(c.w).Flush(); err != nil {
					t.Error(err)
				}
				select {
				case <-more:
				case <-c.r.Context().Done():
					t.Error("the client has gone before the stream's end")
					return nil
				}
			}
			return nil
		}
		st := newSite(t, router, routes)
		res := st.open(t, "/stream")
		defer res.Body.Close()
		if len(res.Cookies()) != 1 || res.Header.Get("Vary") != "Cookie" {
			t.Errorf("header %v", res.Header)
		}
		in := bufio.NewReader(res.Body)
		for i := range 3 {
			line, err := in.ReadString('\n')
			if want := fmt.Sprintf("data: %d\n", i); line != want {
				t.Fatalf("%q %v, want %q", line, err, want)
			}
			more <- true
		}
		if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
			t.Errorf("then %q %v", rest, err)
		}
		if got := st.seen(t); got.status != http.StatusOK {
			t.Errorf("the logger has seen %+v", got)
		}
		st.get(t, "/read").want(t, http.StatusOK, "n=1", "")
	})
}

// upgrade takes the connection over, as libraries for WebSockets do, sends back a line, and hangs up.
func upgrade(t *testing.T, m *session.Manager, c call) error {
	h := make(http.Header)
	c.s.Set("n", "1")
	if err := c.s.Commit(c.r.Context()); err != nil {
		return err
	}
	m.WriteCookie(h, c.s)
	conn, rw, err := c.w.(http.Hijacker).Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "lines")
	fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\n")
	if err := h.Write(rw); err != nil {
		t.Error(err)
	}
	fmt.Fprint(rw, "\r\n")
	if err := rw.Flush(); err != nil {
		t.Error(err)
	}
	line, err := rw.ReadString('\n')
	if err != nil {
		t.Error(err)
	}
	if alive, err := c.s.Alive(c.r.Context()); !alive || err != nil {
		t.Errorf("Alive = %v, %v", alive, err)
	}
	fmt.Fprint(rw, "you said "+line)
	return rw.Flush()
}

func TestUpgrade(t *testing.T) {
	over(t, func(t *testing.T, router func(setup) http.Handler) {
		routes := basics()
		var m *session.Manager
		routes["/upgrade"] = func(c call) error { return upgrade(t, m, c) }
		st := newSite(t, router, routes)
		m = st.m
		for _, cookies := range []int{1, 0} { // the second time it has one
			res := st.open(t, "/upgrade", "Connection", "Upgrade", "Upgrade", "lines")
			if res.StatusCode != http.StatusSwitchingProtocols || len(res.Cookies()) != cookies {
				t.Fatalf("%d %v", res.StatusCode, res.Header)
			}
			conn := res.Body.(io.ReadWriteCloser)
			fmt.Fprint(conn, "hello\n")
			if got, err := io.ReadAll(conn); string(got) != "you said hello\n" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			conn.Close()
			st.seen(t)
		}
		st.get(t, "/read").want(t, http.StatusOK, "n=1", "")
	})
}

// What has not been committed is stored before the connection is given away; when that fails, it is not given away.
func TestHijackStores(t *testing.T) {
	over(t, func(t *testing.T, router func(setup) http.Handler) {
		routes := basics()
		routes["/hijack"] = func(c call) error {
			c.s.Set("n", "7")
			conn, rw, err := c.w.(http.Hijacker).Hijack()
			if err != nil {
				return err
			}
			defer conn.Close()
			fmt.Fprint(rw, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
			return rw.Flush()
		}
		st := newSite(t, router, routes)
		st.get(t, "/count").want(t, http.StatusOK, "1", "set")
		st.store.noWrite.Store(true)
		st.get(t, "/hijack").want(t, http.StatusServiceUnavailable, "Service Unavailable\n", "")
		st.store.noWrite.Store(false)
		res := st.open(t, "/hijack")
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if st.seen(t); string(body) != "hi" {
			t.Errorf("%d %q", res.StatusCode, body)
		}
		st.get(t, "/read").want(t, http.StatusOK, "n=7", "")
	})
}

// The trap that README.md and the package's documentation name: a recovery inside answers, and what the handler has
// changed is stored. Outside, as in all other tests, it is not.
func TestRecoveryInsideStores(t *testing.T) {
	st := newSite(t, func(u setup) http.Handler {
		r := chi.NewRouter()
		r.Use(middleware.RequestLogger(chiLog(u.log)), middleware.Recoverer)
		for path, h := range u.routes {
			r.Handle(path, u.plain(h))
		}
		return u.m.Handler(r)
	}, map[string]handler{
		"/panic": func(c call) error {
			c.s.Set("n", "99")
			panic("oops")
		},
		"/read": basics()["/read"],
	})
	st.get(t, "/panic").want(t, http.StatusInternalServerError, "", "set")
	st.get(t, "/read").want(t, http.StatusOK, "n=99", "")
}
