package frameworks_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode) // or it prints its routes
	os.Exit(m.Run())
}

var errDown = errors.New("the store is down")

// store is a store that can be down, and counts what is written.
type store struct {
	backend.Backend
	noRead, noWrite atomic.Bool
	writes          atomic.Int32
}

func (s *store) Load(ctx context.Context, id string) (backend.Record, error) {
	if s.noRead.Load() {
		return backend.Record{}, errDown
	}
	return s.Backend.Load(ctx, id)
}

func (s *store) Create(ctx context.Context, id string, rec backend.Record) error {
	if s.noWrite.Load() {
		return errDown
	}
	s.writes.Add(1)
	return s.Backend.Create(ctx, id, rec)
}

func (s *store) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if s.noWrite.Load() {
		return backend.Record{}, errDown
	}
	s.writes.Add(1)
	return s.Backend.Apply(ctx, id, p)
}

func (s *store) Delete(ctx context.Context, id string) error {
	if s.noWrite.Load() {
		return errDown
	}
	s.writes.Add(1)
	return s.Backend.Delete(ctx, id)
}

// newManager returns a Manager of which nothing is logged.
func newManager(t *testing.T, o session.Options) (*session.Manager, *store) {
	t.Helper()
	b := &store{Backend: memory.New(nil)}
	o.OnEvent = func(context.Context, session.Event) {}
	m, err := session.New(b, &o)
	if err != nil {
		t.Fatal(err)
	}
	return m, b
}

// site is a server, and a browser that keeps cookies and follows no redirect.
type site struct {
	m      *session.Manager
	store  *store
	url    string
	client *http.Client
	logged chan sent
}

// newSite serves routes by router.
func newSite(t *testing.T, router func(setup) http.Handler, routes map[string]handler) *site {
	t.Helper()
	return newSiteWith(t, session.Options{}, router, routes)
}

func newSiteWith(t *testing.T, o session.Options, router func(setup) http.Handler, routes map[string]handler) *site {
	t.Helper()
	m, b := newManager(t, o)
	st := &site{m: m, store: b, logged: make(chan sent, 10)}
	srv := httptest.NewUnstartedServer(router(setup{t: t, m: m, routes: routes, log: func(s sent) {
		s.status = cmp.Or(s.status, http.StatusOK) // what net/http sends for a handler that answers nothing
		st.logged <- s
	}}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	st.url, st.client = srv.URL, srv.Client()
	st.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	st.forget(t)
	return st
}

// forget has the browser forget its cookies.
func (st *site) forget(t *testing.T) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	st.client.Jar = jar
}

// open begins a request.
func (st *site) open(t *testing.T, path string, header ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // a test that would hang fails
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, st.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := st.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// answer is a response that has been read.
type answer struct {
	status  int
	header  http.Header
	body    string
	trailer http.Header
	cookie  string // "set", "deleted", or empty if there is none
}

// get requests path. The framework's logger must have seen what was sent.
func (st *site) get(t *testing.T, path string) answer {
	t.Helper()
	res := st.open(t, path)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(body), trailer: res.Trailer}
	for _, c := range res.Cookies() {
		if a.cookie += "set"; c.MaxAge < 0 {
			a.cookie = "deleted"
		}
	}
	got := st.seen(t)
	if a.status == http.StatusNotFound {
		got.size = len(a.body) // gin writes its "404 page not found" after the logger
	}
	if got != (sent{a.status, len(a.body)}) {
		t.Errorf("%s: the logger has seen %+v; it was %d with %d bytes", path, got, a.status, len(a.body))
	}
	return a
}

// seen returns what the logger has seen of the request that has ended last.
func (st *site) seen(t *testing.T) sent {
	t.Helper()
	select {
	case s := <-st.logged:
		return s
	case <-time.After(30 * time.Second):
		t.Fatal("the logger has seen nothing")
		return sent{}
	}
}

// want fails unless a has this status, this body if it is not "*", and this cookie.
func (a answer) want(t *testing.T, status int, body, cookie string) {
	t.Helper()
	if a.status != status || a.cookie != cookie || body != "*" && a.body != body {
		t.Errorf("%d %q, cookie %q, want %d %q, cookie %q", a.status, a.body, a.cookie, status, body, cookie)
	}
	varies := strings.Contains(strings.Join(a.header["Vary"], ","), "Cookie")
	if !varies && a.status != http.StatusNotFound { // for that nobody asks for the session
		t.Errorf("%d %q without Vary: Cookie", a.status, a.body)
	}
}
