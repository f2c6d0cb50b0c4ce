package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// A stream whose commit fails answers so at once, though its handler goes on.
func TestFailedCommitOfAStreamIsSeen(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		b := newSpy()
		m := mustNew(t, b, quiet(session.Options{}))
		b.fail = map[string]error{"Create": errStore}
		srv := serverFor(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := m.Get(r)
			if err != nil {
				return
			}
			s.Set("seen", "1")
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush() // the usual way; it has no error to look at
			for {
				select {
				case <-r.Context().Done():
					return
				case <-time.After(20 * time.Millisecond):
					fmt.Fprint(w, ": ping\n\n")
					w.(http.Flusher).Flush()
				}
			}
		})), http2)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
		if res, err := srv.Client().Do(req); err != nil {
			t.Errorf("HTTP/2 %v: no answer: %v, want 503", http2, err)
		} else {
			res.Body.Close()
		}
		cancel()
	}
}

// What a proxy inside panics with, since it cannot write, does not take the error handler's answer away.
func TestFailedCommitBeforeAReverseProxyIs503(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "upstream") }))
	defer up.Close()
	target, _ := url.Parse(up.URL)
	proxy := httputil.NewSingleHostReverseProxy(target)
	for _, http2 := range []bool{false, true} {
		b := newSpy()
		m := mustNew(t, b, quiet(session.Options{}))
		b.fail = map[string]error{"Create": errStore}
		srv := serverFor(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := m.Get(r)
			if err != nil {
				return
			}
			s.Set("last", r.URL.Path)
			proxy.ServeHTTP(w, r)
		})), http2)
		if res, err := srv.Client().Get(srv.URL); err != nil {
			t.Errorf("HTTP/2 %v: %v, want 503", http2, err)
		} else {
			res.Body.Close()
		}
	}
}

// Another panic goes on, after a commit that failed too.
func TestPanicAfterAFailedCommitGoesOn(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, quiet(session.Options{}))
	b.fail = map[string]error{"Create": errStore}
	h := routes(m, map[string]serve{"/": func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		s.Set("a", "1")
		_, _ = w.Write(nil) // the error handler answers
		panic("oops")
	}})
	defer func() {
		if p := recover(); p != "oops" {
			t.Errorf("recover = %v, want the handler's panic", p)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
}

// The temporary files of an upload go when the request has been answered, as they do without Handler.
func TestUploadLeavesNoTemporaryFiles(t *testing.T) {
	for _, with := range []bool{false, true} {
		t.Run(fmt.Sprint("Handler ", with), func(t *testing.T) {
			tmp := t.TempDir()
			t.Setenv("TMPDIR", tmp)
			var h http.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				f, _, err := r.FormFile("f")
				if err != nil {
					t.Error(err)
					return
				}
				_ = f.Close()
			})
			if with {
				h = mustNew(t, memory.New(nil), nil).Handler(h)
			}
			srv := httptest.NewServer(h)
			var body bytes.Buffer
			form := multipart.NewWriter(&body)
			part, _ := form.CreateFormFile("f", "big")
			_, _ = part.Write(make([]byte, 40<<20)) // over the 32 MB that stay in memory
			_ = form.Close()
			res, err := http.Post(srv.URL, form.FormDataContentType(), &body)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			srv.Close()
			if left, _ := filepath.Glob(filepath.Join(tmp, "multipart-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// A log or metrics outside see the pattern that a mux inside has found.
func TestPatternIsSeenOutside(t *testing.T) {
	m := mustNew(t, memory.New(nil), nil)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{id}", func(http.ResponseWriter, *http.Request) {})
	r := httptest.NewRequest("GET", "/items/7", nil)
	m.Handler(mux).ServeHTTP(httptest.NewRecorder(), r) // as an access log or metrics outside call it
	if r.Pattern != "GET /items/{id}" {
		t.Errorf("pattern %q", r.Pattern)
	}
}

// slowLoad is a store that takes its time to answer Load.
type slowLoad struct{ *spy }

func (s *slowLoad) Load(ctx context.Context, _ string) (backend.Record, error) {
	select {
	case <-ctx.Done():
		return backend.Record{}, ctx.Err()
	case <-time.After(3 * time.Second):
		return backend.Record{}, errors.New("took 3s")
	}
}

// The session is read within the deadline of the caller's context.
func TestFromContextHonoursTheContext(t *testing.T) {
	m := mustNew(t, &slowLoad{newSpy()}, quiet(session.Options{}))
	br := newBrowser(t, m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := m.FromContext(ctx)
		if d := time.Since(start); d > time.Second {
			t.Errorf("FromContext with a deadline of 50ms: %v after %v", err, d)
		}
	})))
	br.cookie = goodToken
	br.get("/")
}

func TestTimeoutHandlerInsideAnswersInTime(t *testing.T) {
	m := mustNew(t, &slowLoad{newSpy()}, quiet(session.Options{}))
	br := newBrowser(t, m.Handler(http.TimeoutHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = m.Get(r)
	}), 50*time.Millisecond, "late")))
	br.cookie = goodToken
	start := time.Now()
	br.get("/")
	if d := time.Since(start); d > time.Second {
		t.Errorf("a TimeoutHandler of 50ms answered after %v", d)
	}
}

// The session can be read with a context that outlives the request.
func TestFromContextAfterTheRequest(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	token := mustCreate(t, m, map[string]string{"a": "1"}).Token()
	over, done := make(chan struct{}), make(chan struct{})
	srv := serverFor(t, m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := context.WithoutCancel(r.Context()) // for work that outlives the request
		go func() {
			defer close(done)
			<-over
			if _, err := m.FromContext(ctx); err != nil {
				t.Errorf("FromContext with a context that never ends: %v", err)
			}
		}()
	})), false)
	req, _ := http.NewRequest("GET", srv.URL, nil)
	req.Header.Set("Cookie", "__Host-sid="+token.Reveal())
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	time.Sleep(50 * time.Millisecond) // net/http cancels the request's context
	close(over)
	<-done
}

// A client that goes away is no failure of the store.
func TestClientThatWentAwayIsNoStoreError(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		ev := new(events)
		m := mustNew(t, memory.New(nil), &session.Options{OnEvent: ev.hook})
		token := mustCreate(t, m, map[string]string{"a": "1"}).Token()
		ev.kinds()
		done, arrived := make(chan struct{}), make(chan struct{})
		srv := serverFor(t, m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			defer close(done)
			close(arrived)
			<-r.Context().Done() // the visitor closes the tab
			_, _ = m.Get(r)
		})), http2)
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
		req.Header.Set("Cookie", "__Host-sid="+token.Reveal())
		go func() { <-arrived; cancel() }()
		_, _ = srv.Client().Do(req)
		<-done
		for _, e := range ev.list {
			t.Errorf("HTTP/2 %v: event %q: %v", http2, e.Kind, e.Err)
		}
	}
}

// A token that was stored before the handler panicked reaches the browser.
func TestTokenThatWasStoredIsGivenOutThoughTheHandlerPanics(t *testing.T) {
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	inner := routes(m, map[string]serve{
		"/login": func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Login("andrew") },
		"/elevate": func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			s.Rotate()
			_, _ = s.Increment(r.Context(), "n", 1) // stores the rotation, too
			panic("oops")
		},
		"/who": func(w http.ResponseWriter, _ *http.Request, s *session.Session) { _, _ = io.WriteString(w, s.Owner()) },
	})
	b := newBrowser(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { // outside Handler, as its documentation says
			if recover() != nil {
				http.Error(w, "sorry", http.StatusInternalServerError)
			}
		}()
		inner.ServeHTTP(w, r)
	}))
	b.get("/login")
	b.get("/elevate")
	if got := b.get("/who").Body.String(); got != "andrew" {
		t.Errorf("owner %q after a panic: the browser was not told of the token", got)
	}
}

// So does that of a Manager inside another, whose own commit fails.
func TestTokenOfTheInnerManagerIsGivenOutThoughTheOuterFails(t *testing.T) {
	ob := newSpy()
	outer := mustNew(t, ob, quiet(session.Options{Cookie: session.CookieOptions{Name: "__Host-outer"}}))
	inner := mustNew(t, memory.New(nil), quiet(session.Options{}))
	b := newBrowser(t, outer.Handler(routes(inner, map[string]serve{
		"/login": func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Login("andrew") },
		"/rotate": func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			o, _ := outer.Get(r)
			o.Set("a", "1")
			s.Rotate()
		},
		"/who": func(w http.ResponseWriter, _ *http.Request, s *session.Session) { _, _ = io.WriteString(w, s.Owner()) },
	})))
	b.get("/login")
	ob.fail = map[string]error{"Create": errStore}
	b.get("/rotate")
	if got := b.get("/who").Body.String(); got != "andrew" {
		t.Errorf("owner %q: the outer Manager's failure dropped the inner one's new token", got)
	}
}

// Directives are compared whole: private="Field" is about that field alone (RFC 9111, section 5.2.2.7).
func TestCookieIsNeverLeftToSharedCaches(t *testing.T) {
	for _, control := range []string{`max-age=60, private="X-User"`, `public, s-maxage=600, ext="no-store"`, `max-age=60, x-private=0`} {
		m := mustNew(t, memory.New(nil), nil)
		w := newBrowser(t, routes(m, map[string]serve{"/": func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			w.Header().Set("Cache-Control", control)
			s.Set("a", "1")
		}})).get("/")
		ok := false
		for d := range strings.SplitSeq(strings.Join(w.Header()["Cache-Control"], ","), ",") {
			d = strings.TrimSpace(d)
			ok = ok || d == "private" || d == "no-store"
		}
		if !ok {
			t.Errorf("beside Set-Cookie: Cache-Control %q", w.Header()["Cache-Control"])
		}
	}
}

// So are those that are for content delivery networks (RFC 9213).
func TestCookieIsNeverLeftToDeliveryNetworks(t *testing.T) {
	for _, tt := range []struct{ set, want string }{
		{set: "", want: ""},
		{set: "max-age=60", want: "no-store"},
		{set: "Private", want: "Private"},
		{set: `max-age=60, private="X-User"`, want: "no-store"},
	} {
		m := mustNew(t, memory.New(nil), nil)
		w := newBrowser(t, routes(m, map[string]serve{"/": func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			if tt.set != "" {
				w.Header().Set("CDN-Cache-Control", tt.set)
			}
			s.Set("a", "1")
		}})).get("/")
		if got := w.Header().Get("CDN-Cache-Control"); got != tt.want || !setsCookie(w) {
			t.Errorf("beside Set-Cookie: CDN-Cache-Control %q for %q, want %q", got, tt.set, tt.want)
		}
	}
}

// A connection that cannot be taken over, as those of HTTP/2, leaves the session open.
func TestHijackThatIsNotSupportedLeavesTheSessionOpen(t *testing.T) {
	ev := new(events)
	m := mustNew(t, memory.New(nil), &session.Options{OnEvent: ev.hook})
	srv := serverFor(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := m.Get(r)
		if _, _, err := http.NewResponseController(w).Hijack(); err != nil { // HTTP/2
			s.Set("flash", "cannot be upgraded")
			http.Redirect(w, r, "/plain", http.StatusSeeOther)
		}
	})), true)
	if res := fetch(t, srv, nil); len(res.Cookies()) != 1 {
		t.Errorf("the change was lost though nothing had been sent: events %q", ev.kinds())
	}
}

// A Domain that ends with a dot fits no host (RFC 6265, section 5.1.3).
func TestDomainWithTrailingDotIsRefused(t *testing.T) {
	m, err := session.New(memory.New(nil), &session.Options{Cookie: session.CookieOptions{Domain: "example.com."}})
	if err != nil {
		return
	}
	h := make(http.Header)
	m.WriteCookie(h, mustCreate(t, m, nil))
	c, _ := http.ParseSetCookie(h.Get("Set-Cookie"))
	jar, _ := cookiejar.New(nil)
	u, _ := url.Parse("https://www.example.com/")
	jar.SetCookies(u, []*http.Cookie{c})
	if len(jar.Cookies(u)) == 0 {
		t.Error("New accepts a Domain that browsers refuse")
	}
}

func TestNothingOfTheHandlersIsSentAsTrailerEither(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, quiet(session.Options{}))
	b.fail = map[string]error{"Create": errStore}
	srv := serverFor(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := m.Get(r)
		s.Set("a", "1")
		fmt.Fprint(w, "body")
		w.Header().Set(http.TrailerPrefix+"X-Late", "of the handler")
	})), true)
	if res := fetch(t, srv, nil); len(res.Trailer) > 0 {
		t.Errorf("%d with trailer %v", res.StatusCode, res.Trailer)
	}
}

// CloseNotify
// Some frameworks rely on it to tell when the client has gone.
func TestCloseNotify(t *testing.T) {
	m := mustNew(t, memory.New(nil), nil)
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan bool)
	srv := serverFor(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n, ok := w.(interface{ CloseNotify() <-chan bool })
		if !ok {
			t.Errorf("%T has no CloseNotify, as net/http's own writers have", w)
			close(told)
			return
		}
		gone := n.CloseNotify()
		select {
		case <-gone:
			t.Error("the client is said to have gone, and waits")
		default:
		}
		cancel()
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			t.Error("nothing is told of a client that has gone")
		}
		close(told)
	})), false)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := srv.Client().Do(req); err == nil {
		res.Body.Close()
	}
	<-told
}
