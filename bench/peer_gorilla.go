package main

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/boj/redistore"
	redigo "github.com/gomodule/redigo/redis"
	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
)

const gorillaCookie = "session"

// gorillaOnRedis returns gorilla/sessions with redistore, faster than its documentation sets it up: values in JSON
// and not in gob, and a pool that keeps all its connections and does not send a PING before each use. An idle
// timeout needs a Save with each read, for it is Save that starts the time over.
func gorillaOnRedis(addr string) (*contender, error) {
	pool := &redigo.Pool{
		MaxIdle:     256,
		IdleTimeout: 4 * time.Minute,
		Dial:        func() (redigo.Conn, error) { return redigo.Dial("tcp", addr) },
	}
	store, err := redistore.NewRediStoreWithPool(pool, securecookie.GenerateRandomKey(32))
	if err != nil {
		return nil, err
	}
	store.SetMaxAge(int(idleTimeout / time.Second))
	store.SetSerializer(redistore.JSONSerializer{})
	store.Options.HttpOnly = true
	store.Options.SameSite = http.SameSiteLaxMode
	g := new(gates)
	return httpContender(nameGorilla, peer, gorillaRoutes(store, g), g, func() { _ = store.Close() }), nil
}

func gorillaRoutes(store *redistore.RediStore, g *gates) map[route]http.Handler {
	// on serves with the session and saves it before answering.
	on := func(serve func(r *http.Request, s *sessions.Session) (answer string)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := store.Get(r, gorillaCookie)
			if err != nil {
				fail(w, err)
				return
			}
			answer := serve(r, s)
			if err := s.Save(r, w); err != nil {
				fail(w, err)
				return
			}
			_, _ = io.WriteString(w, answer)
		})
	}
	return map[route]http.Handler{
		routeRead: on(func(_ *http.Request, s *sessions.Session) string {
			name, _ := s.Values["username"].(string)
			return name
		}),
		routeChange: on(func(r *http.Request, s *sessions.Session) string {
			s.Values["username"] = r.Header.Get(valueHeader)
			return ""
		}),
		routeCount: on(func(_ *http.Request, s *sessions.Session) string {
			views, _ := s.Values["page_views"].(float64) // what JSON makes of a number
			s.Values["page_views"] = views + 1
			return strconv.Itoa(int(views) + 1)
		}),
		// gorilla has no call that gives a session a new ID: the login keeps the old one.
		routeLogin: on(func(r *http.Request, s *sessions.Session) string {
			s.Values["username"] = r.Header.Get(valueHeader)
			return ""
		}),
		routeLogout: on(func(_ *http.Request, s *sessions.Session) string {
			s.Options.MaxAge = -1
			return ""
		}),
		routeIgnore: http.HandlerFunc(ignore),
		routeSeed: on(func(_ *http.Request, s *sessions.Session) string {
			s.Values["username"], s.Values["page_views"] = "andrew", 3
			return ""
		}),
		routeShow: on(func(r *http.Request, s *sessions.Session) string {
			value, _ := s.Values[r.Header.Get(fieldHeader)].(string)
			return value
		}),
		routeField: on(func(r *http.Request, s *sessions.Session) string {
			g.pass()
			s.Values[r.Header.Get(fieldHeader)] = r.Header.Get(valueHeader)
			return ""
		}),
	}
}
