package session

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

// This file is the exchange as a response writer: whatever begins the response commits the session first. Each
// way to begin it has a method here, because http.ResponseController would find the writer below by Unwrap and
// go round the commit.

// WriteHeader begins the response, unless code is informational: 1xx other than 101 may be followed by more.
func (x *exchange) WriteHeader(code int) {
	informational := code >= 100 && code < 200 && code != http.StatusSwitchingProtocols
	if !informational && x.begin() != nil {
		return
	}
	x.ResponseWriter.WriteHeader(code)
}

// Write begins the response.
func (x *exchange) Write(p []byte) (int, error) {
	if err := x.begin(); err != nil {
		return 0, err
	}
	return x.ResponseWriter.Write(p)
}

// WriteString begins the response.
func (x *exchange) WriteString(s string) (int, error) {
	if err := x.begin(); err != nil {
		return 0, err
	}
	return io.WriteString(x.ResponseWriter, s)
}

// ReadFrom begins the response, and keeps the writer below's way of copying a file.
func (x *exchange) ReadFrom(src io.Reader) (int64, error) {
	if err := x.begin(); err != nil {
		return 0, err
	}
	if rf, ok := x.ResponseWriter.(io.ReaderFrom); ok {
		return rf.ReadFrom(src)
	}
	return io.Copy(struct{ io.Writer }{x.ResponseWriter}, src)
}

// FlushError begins the response.
func (x *exchange) FlushError() error {
	if !mayFlush(x.ResponseWriter) { // nothing begins
		return http.ErrNotSupported
	}
	err := x.begin()
	if err != nil && !x.committed.Load() {
		return err // the error handler is at work, in another goroutine
	}
	flushed := http.NewResponseController(x.ResponseWriter).Flush() // of the error handler's answer, too
	return cmp.Or(err, flushed)
}

// Flush begins the response.
func (x *exchange) Flush() { _ = x.FlushError() }

// Hijack commits the session before it gives the connection away. A cookie to be set must then be sent by
// whoever takes it: see Manager.WriteCookie.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !mayHijack(x.ResponseWriter) { // HTTP/2: nothing begins
		return nil, nil, http.ErrNotSupported
	}
	if err := x.begin(); err != nil {
		return nil, nil, err
	}
	return http.NewResponseController(x.ResponseWriter).Hijack()
}

// Unwrap returns the writer below, for http.ResponseController's other methods.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// CloseNotify is what net/http's writers have, and some frameworks rely on.
func (x *exchange) CloseNotify() <-chan bool {
	gone := make(chan bool, 1)
	context.AfterFunc(x.above, func() { gone <- true })
	return gone
}

// mayHijack reports whether the writer below all others knows how to give its connection away.
func mayHijack(w http.ResponseWriter) bool {
	_, ok := lowest(w).(http.Hijacker)
	return ok
}

// mayFlush reports whether the writer below all others knows how to flush.
func mayFlush(w http.ResponseWriter) bool {
	switch lowest(w).(type) {
	case interface{ FlushError() error }, http.Flusher:
		return true
	}
	return false
}

// lowest returns the writer below all others, as a rule net/http's. Those between, a Manager's own and those of
// frameworks, have every method and only pass it on.
func lowest(w http.ResponseWriter) http.ResponseWriter {
	for {
		below := unwrap(w)
		if below == nil {
			return w
		}
		w = below
	}
}

// Format keeps cookies out of what fmt prints of a response writer.
func (x *exchange) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "session.responseWriter") }

// unwrap returns the response writer inside of w, as http.ResponseController finds it, or nil.
func unwrap(w http.ResponseWriter) http.ResponseWriter {
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return u.Unwrap()
	}
	return nil
}

// Header returns the response's header; once the error handler has answered, one that nobody sends.
func (x *exchange) Header() http.Header {
	if x.committed.Load() && x.failed != nil {
		return make(http.Header)
	}
	return x.ResponseWriter.Header()
}
