// Package ginsession gives the requests of a gin router sessions. It is one short file, to be copied.
//
//	r := gin.New()
//	r.Use(gin.Logger(), gin.Recovery(), ginsession.Session(sessions))
//	r.GET("/", func(c *gin.Context) {
//		s, err := sessions.Get(c.Request)
//		if err != nil {
//			return // the session could not be read: 503, whatever is written here
//		}
//		c.String(http.StatusOK, "Hello, %s", s.Get("name"))
//	})
//
// gin.Default has Logger and Recovery outside already. What to know:
//
//   - Recovery comes before Session. After it, it would answer inside, and what a handler that panicked has changed
//     would be stored.
//   - Logger comes before Session, too, or it does not see the 503 of a store that failed.
//   - Ask by c.Request, or by c.Request.Context(), which is also the context for the session's methods. A gin.Context
//     itself has the session, a deadline and an end only with Engine.ContextWithFallback.
//   - Redirect instead of calling Engine.HandleContext: it goes back to gin's own writer, which answers before the
//     session is stored, so that the cookie is lost.
//   - Whoever takes the connection over, as a WebSocket does, sends the cookie by himself: see session.Manager.Handler.
package ginsession

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/faeeb396/session"
)

// Session returns a middleware that gives the requests it passes on a session of m.
func Session(m *session.Manager) gin.HandlerFunc {
	return func(c *gin.Context) {
		outer, request, returned := c.Writer, c.Request, false
		defer func() { c.Writer, c.Request = outer, request }() // after a panic, too
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.Writer, c.Request = &inside{outer, w}, r
			c.Next()
			returned = true
		})).ServeHTTP(outside{outer}, request)
		if !returned { // m has answered in place of a proxy, and recovered what that panicked with
			c.Abort()
		}
	}
}

// inside is what the handlers write to. Whatever begins the response goes by the session's writer, which stores the
// session first. WriteHeader, Status and their like are gin's: it notes the status, and begins nothing.
type inside struct {
	gin.ResponseWriter
	session http.ResponseWriter
}

func (w *inside) Header() http.Header               { return w.session.Header() }
func (w *inside) Write(p []byte) (int, error)       { w.begin(); return w.session.Write(p) }
func (w *inside) WriteString(s string) (int, error) { w.begin(); return io.WriteString(w.session, s) }
func (w *inside) Flush()                            { w.begin(); _ = http.NewResponseController(w.session).Flush() }
func (w *inside) Unwrap() http.ResponseWriter       { return w.session }

// begin begins the response with the status that gin has noted.
func (w *inside) begin() {
	if !w.Written() {
		w.WriteHeaderNow()
	}
}

// Hijack stores the session before it gives the connection away.
func (w *inside) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.session).Hijack()
}

// WriteHeaderNow is how gin begins a response without a body.
func (w *inside) WriteHeaderNow() { w.session.WriteHeader(w.Status()) }

// outside is gin's writer as the session's expects one: WriteHeader begins the response, and so does what comes without
// it, with 200 and not with the status that the handler has noted.
type outside struct{ gin.ResponseWriter }

func (w outside) WriteHeader(code int) {
	w.ResponseWriter.WriteHeader(code)
	w.WriteHeaderNow()
}

func (w outside) begin() {
	if !w.Written() {
		w.WriteHeader(http.StatusOK)
	}
}

func (w outside) Write(p []byte) (int, error) { w.begin(); return w.ResponseWriter.Write(p) }
func (w outside) WriteString(s string) (int, error) {
	w.begin()
	return w.ResponseWriter.WriteString(s)
}
func (w outside) Flush() { w.begin(); w.ResponseWriter.Flush() }

func (w outside) Unwrap() http.ResponseWriter { return w.ResponseWriter }
