package main

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/backend/rueidis"
)

// localCache is for how long a session that was ended on another machine may live on in the local cache.
const localCache = 5 * time.Second

// goClient returns a go-redis client, set up for everybody who uses one as our documentation says.
func goClient(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
}

func ruClient(addr string) (rueidisclient.Client, error) {
	return rueidisclient.NewClient(rueidisclient.ClientOption{InitAddress: []string{addr}})
}

func options(touch time.Duration) *session.Options {
	return &session.Options{IdleTimeout: idleTimeout, TouchInterval: touch}
}

const everyRead = -1 // as a TouchInterval

// oursOnRedis returns our contenders on Redis.
func oursOnRedis(addr string) ([]*contender, error) {
	var all []*contender
	add := func(name string, b backend.Backend, touch time.Duration, closer func()) error {
		c, err := ourContender(name, b, touch, closer)
		all = append(all, c)
		return err
	}
	gc := goClient(addr)
	auto, err := goClient(addr).AutoPipeline()
	if err != nil {
		return nil, err
	}
	rc, err := ruClient(addr)
	if err != nil {
		return nil, err
	}
	cached, err := ruClient(addr)
	if err != nil {
		return nil, err
	}
	closeAll := func() {
		_ = gc.Close()
		_ = auto.Close()
		rc.Close()
		cached.Close()
	}
	nothing := func() {}
	for _, err := range []error{
		add(nameGo, goredis.New(gc, nil), 0, closeAll),
		add(nameGoTouch, goredis.New(gc, nil), everyRead, nothing),
		add(nameGoAuto, goredis.New(auto, nil), 0, nothing),
		add(nameGoEach, goredis.New(gc, &goredis.Options{DisableBatching: true}), 0, nothing),
		add(nameRu, rueidis.New(rc, nil), 0, nothing),
		add(nameRuTouch, rueidis.New(rc, nil), everyRead, nothing),
		add(nameRuEach, rueidis.New(rc, &rueidis.Options{DisableBatching: true}), 0, nothing),
		add(nameRuCache, rueidis.New(cached, &rueidis.Options{LocalCache: localCache}), 0, nothing),
	} {
		if err != nil {
			return nil, err
		}
	}
	all[len(all)-1].cached = true
	for _, t := range []struct {
		name    string
		backend backend.Backend
	}{{nameGoToken, goredis.New(gc, nil)}, {nameRuToken, rueidis.New(rc, nil)}} {
		c, err := byToken(t.name, t.backend)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// oursInMemory returns our contender in memory.
func oursInMemory() (*contender, error) {
	return ourContender(nameMemory, memory.New(&memory.Options{MaxRecords: -1}), 0, func() {})
}

func ourContender(name string, b backend.Backend, touch time.Duration, closer func()) (*contender, error) {
	m, err := session.New(b, options(touch))
	if err != nil {
		return nil, err
	}
	g := new(gates)
	return httpContender(name, ours, ourRoutes(m, g), g, closer), nil
}

// byToken returns a contender that counts without the middleware, in one round trip.
func byToken(name string, b backend.Backend) (*contender, error) {
	m, err := session.New(b, options(0))
	if err != nil {
		return nil, err
	}
	routes := ourRoutes(m, new(gates))
	routes[routeCount] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := m.RequestToken(r)
		s, err := m.Increment(r.Context(), token, "page_views", 1)
		if err != nil {
			fail(w, err)
			return
		}
		_, _ = io.WriteString(w, s.Get("page_views"))
	})
	c := httpContender(name, ours, routes, nil, func() {})
	c.routes = []route{routeCount}
	return c, nil
}

// ourRoutes returns the handlers of all routes on m.
func ourRoutes(m *session.Manager, g *gates) map[route]http.Handler {
	on := func(serve func(w http.ResponseWriter, r *http.Request, s *session.Session)) http.Handler {
		return m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s, err := m.Get(r); err == nil {
				serve(w, r, s)
			}
		}))
	}
	return map[route]http.Handler{
		routeRead: on(func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			_, _ = io.WriteString(w, s.Get("username"))
		}),
		routeChange: on(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			s.Set("username", r.Header.Get(valueHeader))
			w.WriteHeader(http.StatusOK)
		}),
		routeCount: on(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			n, err := s.Increment(r.Context(), "page_views", 1)
			if err != nil {
				fail(w, err)
				return
			}
			_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
		}),
		routeLogin: on(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			user := r.Header.Get(valueHeader)
			s.Login(user)
			s.Set("username", user)
			w.WriteHeader(http.StatusOK)
		}),
		routeLogout: on(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			if err := s.Destroy(r.Context()); err != nil {
				fail(w, err)
				return
			}
			w.WriteHeader(http.StatusOK)
		}),
		routeIgnore: m.Handler(http.HandlerFunc(ignore)),
		routeSeed: on(func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			s.Set("username", "andrew")
			s.Set("page_views", "3")
			w.WriteHeader(http.StatusOK)
		}),
		routeShow: on(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			_, _ = io.WriteString(w, s.Get(r.Header.Get(fieldHeader)))
		}),
		routeField: on(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			g.pass()
			s.Set(r.Header.Get(fieldHeader), r.Header.Get(valueHeader))
			w.WriteHeader(http.StatusOK)
		}),
	}
}

// ignore is the route that does not ask for the session.
func ignore(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func fail(w http.ResponseWriter, err error) {
	http.Error(w, err.Error(), http.StatusInternalServerError)
}
