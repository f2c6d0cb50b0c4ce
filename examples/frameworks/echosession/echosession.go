// Package echosession gives the requests of an Echo router sessions. It is one short file, to be copied.
//
//	e := echo.New()
//	e.Use(middleware.RequestLogger(), middleware.Recover(), echosession.Session(sessions))
//	e.GET("/", func(c echo.Context) error {
//		s, err := sessions.Get(c.Request())
//		if err != nil {
//			return err // the session could not be read: 503, whatever is written here
//		}
//		return c.String(http.StatusOK, "Hello, "+s.Get("name"))
//	})
//
// What to know:
//
//   - Recover comes before Session. After it, it would answer inside, and what a handler that panicked has changed
//     would be stored.
//   - A logger comes before Session, too, or it does not see the 503 of a store that failed.
//   - Errors that handlers return are answered inside, by the Echo's HTTPErrorHandler, so that an error page may use
//     the session. They are an answer like any other: what the handler has changed is stored. A middleware that turns
//     errors into others comes after Session. One before it still sees the error, and an HTTPErrorHandler of yours is
//     called for it again: it has to return if c.Response().Committed, as Echo asks it to.
//   - echo.WrapMiddleware(sessions.Handler) would leave the session's writer in the context. When the store is down and
//     503 was sent, what looks at c.Response() afterwards finds the handler's status there, and a logger that of the
//     error that the handler returned.
//   - Whoever takes the connection over, as a WebSocket does, sends the cookie by himself: see session.Manager.Handler.
package echosession

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/faeeb396/session"
)

// Session returns a middleware that gives the requests it passes on a session of m.
func Session(m *session.Manager) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
			outer, request := c.Response(), c.Request()
			defer func() { // after a panic, too
				c.SetResponse(outer)
				c.SetRequest(request)
			}()
			var inner *echo.Response
			m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				inner = echo.NewResponse(w, c.Echo())
				inner.Status = outer.Status
				c.SetResponse(inner)
				c.SetRequest(r)
				if err = next(c); err != nil {
					c.Error(err)
				}
			})).ServeHTTP(outer, request)
			if inner.Status != outer.Status {
				return nil // m has answered in its place, and a logger would take the error's status for the one sent
			}
			return err
		}
	}
}
