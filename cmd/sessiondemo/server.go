package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
)

const (
	defaultTTL = 60 * time.Second
	maxTTL     = 365 * 24 * time.Hour

	// storeTimeout is how long the store has to answer a request.
	storeTimeout = 3 * time.Second
)

// settings say how the demo is set up, for newServer and for the page.
type settings struct {
	store  string        // the value of the flag -backend
	rotate time.Duration // the age at which a token is replaced, 0 for never
}

// newServer returns the demo on b, for which set.store stands.
func newServer(b backend.Backend, set settings, logger *slog.Logger) (http.Handler, error) {
	sessions, err := session.New(b, &session.Options{
		IdleTimeout:     defaultTTL,
		AbsoluteTimeout: maxTTL,
		RotateInterval:  set.rotate,
		RotateGrace:     rotateGrace(set.rotate),
		StoreTimeout:    storeTimeout,
		Cookie:          session.CookieOptions{Name: "sid", InsecurePlainHTTP: true},
		OnEvent:         session.LogEvents(logger),
	})
	if err != nil {
		return nil, err
	}
	mux, err := routes(&api{sessions}, set)
	if err != nil {
		return nil, err
	}
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusForbidden, "Cross-origin request refused")
	}))
	return secure(csrf.Handler(deadline(mux))), nil
}

// rotateGrace returns for how long a token that was replaced is still good for requests under way: the usual
// time, or less where tokens are replaced more often than that.
func rotateGrace(rotate time.Duration) time.Duration {
	if rotate == 0 {
		return 0
	}
	return min(rotate, session.DefaultRotateGrace)
}

// routes returns the handler of all paths.
func routes(a *api, set settings) (http.Handler, error) {
	mux := http.NewServeMux()
	handle := func(method, path string, h http.Handler) {
		mux.Handle(method+" "+path, h)
		mux.HandleFunc(path, wrongMethod(method))
	}
	index, err := readIndex(set)
	if err != nil {
		return nil, err
	}
	handle("GET", "/{$}", index)
	handle("GET", "/index.html", index)
	for _, name := range []string{"style.css", "app.js"} {
		file, err := readAsset(name)
		if err != nil {
			return nil, err
		}
		handle("GET", "/"+name, file)
	}
	handle("GET", "/session", http.HandlerFunc(a.show))
	handle("POST", "/login", http.HandlerFunc(a.login))
	handle("POST", "/increment", http.HandlerFunc(a.increment))
	handle("POST", "/ttl", http.HandlerFunc(a.setTTL))
	handle("POST", "/logout", http.HandlerFunc(a.logout))
	handle("GET", "/sessions", http.HandlerFunc(a.list))
	handle("POST", "/sessions/end", http.HandlerFunc(a.endOne))
	handle("POST", "/sessions/end-others", http.HandlerFunc(a.endOthers))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusNotFound, "Not Found")
	})
	return mux, nil
}

// wrongMethod answers the methods that a path does not have; it has the one given.
func wrongMethod(method string) http.HandlerFunc {
	allow := method
	if method == http.MethodGet {
		allow = "GET, HEAD"
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", allow)
		fail(w, http.StatusMethodNotAllowed, "Method Not Allowed")
	}
}

// contentPolicy lets the page load what this server sends and nothing else; its icon alone is inline.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secure sets the headers that every response has.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// deadline bounds how long a request waits for the store: a client may try again for as long as its context
// lets it.
func deadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// fail answers with an error.
func fail(w http.ResponseWriter, code int, message string) {
	answer(w, code, struct {
		Error string `json:"error"`
	}{message})
}

// answer writes body as JSON. What the bodies hold can always be encoded.
func answer(w http.ResponseWriter, code int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(text)
}
