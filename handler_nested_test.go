package session_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// wrapped is what other middleware puts around a response writer.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// The outer Manager cannot store its session: the client is told of the inner one's new token all the same.
func TestNestedHandlerThatFailsLeavesTheInnersCookie(t *testing.T) {
	for _, between := range []bool{false, true} {
		t.Run(fmt.Sprintf("a writer between %v", between), func(t *testing.T) {
			f := &faulty{Backend: memory.New(nil)}
			o := session.Options{Cookie: session.CookieOptions{Name: "__Host-outer"}}
			outer, inner := mustNew(t, f, quiet(o)), mustNew(t, memory.New(nil), quiet(session.Options{}))
			h := inner.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s, _ := inner.Get(r)
				s.Login("andrew")
				so, _ := outer.Get(r)
				so.Set("a", "1")
			}))
			if between {
				in := h
				h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { in.ServeHTTP(wrapped{w}, r) })
			}
			s := mustCreate(t, inner, map[string]string{"a": "1"})
			f.before = func(string, string, backend.Patch) error { return errStore }
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Cookie", "__Host-sid="+s.Token().Reveal())
			w := httptest.NewRecorder()
			outer.Handler(h).ServeHTTP(w, r)
			var c *http.Cookie
			for _, k := range w.Result().Cookies() {
				if k.Name == "__Host-sid" {
					c = k
				}
			}
			if c == nil && !alive(t, inner, s) {
				t.Errorf("%d: the old token is dead, and the client is not told of the new one", w.Code)
			}
		})
	}
}
