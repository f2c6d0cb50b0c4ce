package main

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// idleTimeout is everybody's.
const idleTimeout = 30 * time.Minute

// A route is what a request does.
type route string

// The routes. Those that are measured come first.
const (
	routeRead   route = "read"   // answers with the field username
	routeChange route = "change" // gives the field username another value
	routeCount  route = "count"  // adds one to the field page_views
	routeLogin  route = "login"  // logs in, in the session that is there or in a new one
	routeLogout route = "logout" // ends the session
	routeIgnore route = "ignore" // does not ask for the session
	routeSeed   route = "seed"   // sets username and page_views, in a new session
	routeShow   route = "show"   // answers with the field that is named
	routeField  route = "field"  // reads the session, passes the gate, and sets the field that is named
)

var measured = []route{routeRead, routeChange, routeCount, routeLogin, routeLogout, routeIgnore}

// A contender is one way to keep sessions, set up and ready to serve.
type contender struct {
	name   string
	kind   kind
	routes []route // those that are measured; nil for all
	agent  func() agent
	cached bool   // reads are answered from the process, of sessions that were read a moment ago
	gate   *gates // nil if it has neither routeField nor routeShow
	close  func()
}

// kind says how a contender is drawn, and what is counted for it.
type kind string

const (
	ours  kind = "ours"
	floor kind = "floor" // the plain commands, without a session around them
	guide kind = "guide"
	peer  kind = "peer"
)

// has reports whether the route is measured.
func (c *contender) has(r route) bool {
	return c.routes == nil || slices.Contains(c.routes, r)
}

// An agent sends requests to a contender, one at a time, without a network.
type agent interface {
	// do sends one request. cookie is a whole Cookie header, or empty. The response is good until the next call.
	do(r route, cookie, field, value string) response
}

type response struct {
	status int
	body   []byte
	cookie string // what the browser would send from now on; empty if the response says nothing of it
}

// gates holds requests on routeField between reading the session and changing it.
type gates struct{ now atomic.Pointer[gate] }

type gate struct {
	entered chan struct{}
	open    chan struct{}
}

func newGate() *gate { return &gate{entered: make(chan struct{}), open: make(chan struct{})} }

// pass waits until the gate opens, if there is one.
func (g *gates) pass() {
	if now := g.now.Load(); now != nil {
		now.entered <- struct{}{}
		<-now.open
	}
}

// The headers that tell routes what to do, in canonical form.
const (
	fieldHeader = "X-Field"
	valueHeader = "X-Value"
)

// httpAgent is an agent of net/http handlers.
type httpAgent struct {
	handlers map[route]http.Handler
	template http.Request
	request  http.Request
	writer   recorder
	cookie   []string
	field    []string
	value    []string
}

// httpContender makes a contender of handlers, one for each route, each with its middleware.
func httpContender(name string, k kind, handlers map[route]http.Handler, g *gates, closer func()) *contender {
	return &contender{name: name, kind: k, gate: g, close: closer, agent: func() agent { return newHTTPAgent(handlers) }}
}

func newHTTPAgent(handlers map[route]http.Handler) *httpAgent {
	r, err := http.NewRequest(http.MethodGet, "http://localhost/", nil)
	if err != nil {
		panic(err) // the URL is a constant
	}
	a := &httpAgent{handlers: handlers, template: *r, cookie: make([]string, 1), field: make([]string, 1), value: make([]string, 1)}
	a.template.Header = http.Header{fieldHeader: a.field, valueHeader: a.value}
	a.writer.header = make(http.Header)
	return a
}

func (a *httpAgent) do(r route, cookie, field, value string) response {
	a.request = a.template // gorilla writes to the request
	a.field[0], a.value[0], a.cookie[0] = field, value, cookie
	if cookie == "" {
		delete(a.request.Header, "Cookie")
	} else {
		a.request.Header["Cookie"] = a.cookie
	}
	a.writer.reset()
	a.handlers[r].ServeHTTP(&a.writer, &a.request)
	return a.writer.response()
}

// recorder is a response writer that costs next to nothing.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (w *recorder) reset() {
	clear(w.header)
	w.status, w.body = 0, w.body[:0]
}

// Header implements http.ResponseWriter.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) { w.status = cmp.Or(w.status, status) }

// Write implements http.ResponseWriter.
func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, p...)
	return len(p), nil
}

// WriteString implements io.StringWriter.
func (w *recorder) WriteString(s string) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, s...)
	return len(s), nil
}

func (w *recorder) response() response {
	resp := response{status: cmp.Or(w.status, http.StatusOK), body: w.body}
	for _, c := range w.header["Set-Cookie"] {
		resp.cookie, _, _ = strings.Cut(c, ";")
	}
	return resp
}
