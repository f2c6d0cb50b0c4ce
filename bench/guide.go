package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// The guide's cookie, key and reserved fields.
const (
	guideCookie   = "sid"
	guidePrefix   = "session:"
	fieldCreated  = "created_at"
	fieldAccessed = "last_accessed_at"
	fieldTTL      = "session_ttl"
)

var errNoSession = errors.New("no session")

func newID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// guideFields returns the fields of a new session, as the guide lays them out, and as long as ours.
func guideFields(user string) []string {
	now := timestamp()
	return []string{"username", user, "page_views", "3", fieldCreated, now, fieldAccessed, now,
		fieldTTL, strconv.FormatInt(idleSeconds, 10), "session_token", newID()}
}

func timestamp() string { return time.Now().UTC().Format("2006-01-02T15:04:05+00:00") }

// guideContender sends what Redis's guide to session storage (https://redis.io/docs/latest/develop/use-cases/session-store/go/)
// has an application send. A read is HGETALL, to see whether there is a session and what its TTL is, then a transaction:
// HSET of the time of access, EXPIRE, and HGETALL again, which is what the application gets. A write or a count is
// HGETALL, then the same transaction with the change instead of the second HGETALL. A logout is DEL.
func guideContender(name string, c commands) *contender {
	g := new(gates)
	handlers := guideHandlers{c}
	routes := map[route]http.Handler{
		routeSeed:  handlers.begin("andrew"),
		routeLogin: handlers.begin(""),
		routeRead:  handlers.read(func(*http.Request) string { return "username" }),
		routeShow:  handlers.read(func(r *http.Request) string { return r.Header.Get(fieldHeader) }),
		routeChange: handlers.write(func(r *http.Request) (string, string) {
			return "username", r.Header.Get(valueHeader)
		}),
		routeField: handlers.write(func(r *http.Request) (string, string) {
			g.pass()
			return r.Header.Get(fieldHeader), r.Header.Get(valueHeader)
		}),
		routeCount:  http.HandlerFunc(handlers.count),
		routeLogout: http.HandlerFunc(handlers.logout),
		routeIgnore: http.HandlerFunc(ignore),
	}
	return httpContender(name, guide, routes, g, func() {})
}

type guideHandlers struct{ commands }

// key returns the key of the session that the request's cookie names.
func (g guideHandlers) key(r *http.Request) (string, error) {
	cookie, err := r.Cookie(guideCookie)
	if err != nil {
		return "", errNoSession
	}
	return guidePrefix + cookie.Value, nil
}

// load reads the session that the request's cookie names, as far as a change needs to know it.
func (g guideHandlers) load(r *http.Request) (key string, ttl int64, err error) {
	key, err = g.key(r)
	if err != nil {
		return "", 0, err
	}
	hash, err := g.hgetall(r.Context(), key)
	if err == nil {
		err = complete(hash)
	}
	if err == nil {
		ttl, err = strconv.ParseInt(hash[fieldTTL], 10, 64)
	}
	return key, ttl, err
}

// complete reports whether a hash is a session: whether the reserved fields are there.
func complete(hash map[string]string) error {
	for _, name := range []string{fieldCreated, fieldAccessed, fieldTTL} {
		if _, ok := hash[name]; !ok {
			return errNoSession
		}
	}
	return nil
}

// begin makes a new session, for user or for whoever the request names.
func (g guideHandlers) begin(user string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := user
		if name == "" {
			name = r.Header.Get(valueHeader)
		}
		id := newID()
		if err := g.set(r.Context(), guidePrefix+id, idleSeconds, guideFields(name)...); err != nil {
			fail(w, err)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: guideCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	})
}

func (g guideHandlers) read(field func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ttl, err := g.load(r)
		var hash map[string]string
		if err == nil {
			hash, err = g.refresh(r.Context(), key, ttl, timestamp())
		}
		if err == nil {
			err = complete(hash)
		}
		if err != nil {
			fail(w, err)
			return
		}
		_, _ = io.WriteString(w, hash[field(r)])
	})
}

func (g guideHandlers) write(field func(*http.Request) (name, value string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ttl, err := g.load(r)
		if err == nil {
			name, value := field(r)
			err = g.set(r.Context(), key, ttl, name, value, fieldAccessed, timestamp())
		}
		if err != nil {
			fail(w, err)
		}
	})
}

func (g guideHandlers) count(w http.ResponseWriter, r *http.Request) {
	key, ttl, err := g.load(r)
	var n int64
	if err == nil {
		n, err = g.commands.count(r.Context(), key, ttl, "page_views", timestamp())
	}
	if err != nil {
		fail(w, err)
		return
	}
	_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
}

func (g guideHandlers) logout(w http.ResponseWriter, r *http.Request) {
	key, err := g.key(r)
	if err == nil {
		err = g.del(r.Context(), key)
	}
	if err != nil {
		fail(w, err)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: guideCookie, Path: "/", MaxAge: -1})
}

// plainOnRedis returns the floors and the guide's sequences, with a client of each kind.
func plainOnRedis(addr string) ([]*contender, error) {
	gc := goClient(addr)
	rc, err := ruClient(addr)
	if err != nil {
		return nil, err
	}
	all := []*contender{
		floorContender(namePlainGo, goCommands(gc)),
		floorContender(namePlainRu, ruCommands(rc)),
		guideContender(nameGuideGo, goCommands(gc)),
		guideContender(nameGuideRu, ruCommands(rc)),
	}
	all[0].close = func() { _ = gc.Close() }
	all[1].close = rc.Close
	return all, nil
}
