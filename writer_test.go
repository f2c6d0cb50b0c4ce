package session_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

// Every way to begin a response stores the session first, once, and sends the cookie.
func TestWhateverBeginsTheResponseCommits(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file.txt")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, begin := range map[string]func(w http.ResponseWriter, r *http.Request){
		"return":      func(http.ResponseWriter, *http.Request) {},
		"Write":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) },
		"WriteString": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") },
		"WriteHeader": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) },
		"twice":       func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a"); fmt.Fprint(w, "b") },
		"Flusher":     func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"controller": func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Errorf("Flush = %v", err)
			}
		},
		"after 103": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			fmt.Fprint(w, "x")
		},
		"ReadFrom": func(w http.ResponseWriter, _ *http.Request) {
			f, err := os.Open(file)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if n, err := w.(io.ReaderFrom).ReadFrom(f); n != 100_000 || err != nil {
				t.Errorf("ReadFrom = %d, %v", n, err)
			}
		},
		"ServeContent": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader("hello"))
		},
		"ServeFile": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) },
		"Redirect":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusSeeOther) },
		"Error":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
		"deadline": func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
		},
		"no content":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"not modified": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, HTTP/2 %v", name, http2), func(t *testing.T) {
				b := newSpy()
				m := mustNew(t, b, nil)
				srv := serverFor(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					s, err := m.Get(r)
					if err != nil {
						t.Error(err)
						return
					}
					s.Set("a", "1")
					begin(w, r)
				})), http2)
				res := fetch(t, srv, nil)
				if len(res.Cookies()) != 1 {
					t.Fatalf("Set-Cookie = %q, want one", res.Header["Set-Cookie"])
				}
				if got := b.took(); got != "Create" {
					t.Errorf("took %q, want one Create", got)
				}
				got, err := m.Load(t.Context(), parse(t, res.Cookies()[0].Value))
				if err != nil || got.Get("a") != "1" {
					t.Errorf("Load = %v, want the change", err)
				}
			})
		}
	}
}

func serverFor(t *testing.T, h http.Handler, http2 bool) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	if srv.EnableHTTP2 = http2; http2 {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	srv.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	open := countOpen(srv.Client().Transport.(*http.Transport))
	t.Cleanup(func() {
		srv.Close()
		// The client closes its connections by and by, and draws random numbers for it, which other tests set.
		for deadline := time.Now().Add(10 * time.Second); open.Load() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d connections of the client are open", open.Load())
			}
		}
	})
	return srv
}

// countOpen counts the connections of a client.
func countOpen(tr *http.Transport) *atomic.Int64 {
	open, dial := new(atomic.Int64), tr.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return countedConn{conn, sync.OnceFunc(func() { open.Add(-1) })}, nil
	}
	return open
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c countedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

// fetch gets / and reads the whole body.
func fetch(t *testing.T, srv *httptest.Server, trace *httptrace.ClientTrace) *http.Response {
	t.Helper()
	ctx := t.Context()
	if trace != nil {
		ctx = httptrace.WithClientTrace(ctx, trace)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res
}

func TestInformationalResponsesDoNotCommit(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	srv := serverFor(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := m.Get(r)
		w.WriteHeader(http.StatusEarlyHints)
		s.Set("a", "after the hints") // still in time
		fmt.Fprint(w, "x")
	})), false)
	hints := 0
	res := fetch(t, srv, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints++
		if h.Get("Set-Cookie") != "" {
			t.Errorf("the %d response sets the cookie", code)
		}
		return nil
	}})
	if hints != 1 || res.StatusCode != http.StatusOK || len(res.Cookies()) != 1 {
		t.Errorf("%d hints, then %d with cookies %v", hints, res.StatusCode, res.Cookies())
	}
}

func TestChangeAfterTheResponseHasBegun(t *testing.T) {
	b, ev := newSpy(), new(events)
	m := mustNew(t, b, &session.Options{OnEvent: ev.hook})
	h := routes(m, map[string]serve{"/": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		s.Set("a", "1")
		fmt.Fprint(w, "begun")
		s.Set("a", "2")
		if err := s.Err(); !errors.Is(err, session.ErrCommitted) {
			t.Errorf("Err = %v, want ErrCommitted", err)
		}
		if _, err := s.Increment(r.Context(), "n", 1); !errors.Is(err, session.ErrCommitted) {
			t.Errorf("Increment = %v, want ErrCommitted", err)
		}
		if err := s.SetTTL(time.Minute); !errors.Is(err, session.ErrCommitted) {
			t.Errorf("SetTTL = %v, want ErrCommitted", err)
		}
		if err := s.Commit(r.Context()); !errors.Is(err, session.ErrCommitted) {
			t.Errorf("Commit = %v, want ErrCommitted", err)
		}
	}})
	br := newBrowser(t, h)
	br.get("/")
	if got := b.took(); got != "Create" {
		t.Errorf("took %q, want the first commit alone", got)
	}
	if got, late := ev.kinds(), string(session.EventLateChange); !strings.HasSuffix(got, late) || strings.Count(got, late) != 1 {
		t.Errorf("events %q, want one late change at the end", got)
	}
	s, err := m.Load(t.Context(), parse(t, br.cookie))
	if err != nil || s.Get("a") != "1" {
		t.Errorf("a = %q, %v", s.Get("a"), err)
	}
}

func TestSessionFirstAskedForAfterTheResponseHasBegun(t *testing.T) {
	b, ev := newSpy(), new(events)
	m := mustNew(t, b, &session.Options{OnEvent: ev.hook})
	token := mustCreate(t, m, map[string]string{"a": "1"}).Token()
	b.took()
	br := newBrowser(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "begun ")
		s, err := m.Get(r)
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(w, s.Get("a")) // reading is fine
		s.Login("eve")
	})))
	br.cookie = token.Reveal()
	if w := br.get("/"); w.Body.String() != "begun 1" || setsCookie(w) {
		t.Errorf("= %q, header %v", w.Body, w.Header())
	}
	if got := b.took(); got != "Load" {
		t.Errorf("took %q, want a read alone", got)
	}
	if got := ev.kinds(); !strings.Contains(got, string(session.EventLateChange)) {
		t.Errorf("events %q, want a late change", got)
	}
}

func TestDestroyAfterTheResponseHasBegunEndsTheSession(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	token := mustCreate(t, m, nil).Token()
	br := newBrowser(t, routes(m, map[string]serve{"/": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		fmt.Fprint(w, "begun")
		if err := s.Destroy(r.Context()); err != nil {
			t.Errorf("Destroy = %v", err)
		}
	}}))
	br.cookie = token.Reveal()
	br.get("/")
	if _, err := m.Load(t.Context(), token); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load = %v, want ErrNotFound", err)
	}
}

func TestHijackCommitsAndHandsOverTheConnection(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, nil)
	srv := serverFor(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := m.Get(r)
		s.Set("a", "1")
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("Hijack = %v", err)
			return
		}
		defer conn.Close()
		h := make(http.Header)
		m.WriteCookie(h, s)
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nSet-Cookie: %s\r\n\r\n", h.Get("Set-Cookie"))
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		fmt.Fprintf(rw, "echo %s", line)
		_ = rw.Flush()
	})), false)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols || len(res.Cookies()) != 1 {
		t.Fatalf("upgrade = %v, %v", res, err)
	}
	fmt.Fprintf(conn, "hello\n")
	if line, err := in.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("echo = %q, %v", line, err)
	}
	if got := b.took(); got != "Create" {
		t.Errorf("took %q, want the commit before the upgrade", got)
	}
}

func TestServerSentEvents(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	next := make(chan string)
	srv := serverFor(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := m.Get(r)
		s.Set("a", "1")
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		for msg := range next {
			fmt.Fprintf(w, "data: %s\n\n", msg)
			if err := rc.Flush(); err != nil {
				t.Errorf("Flush = %v", err)
			}
		}
	})), false)
	go func() { next <- "one" }()
	res, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	line, err := in.ReadString('\n') // arrives while the handler still runs
	if line != "data: one\n" || len(res.Cookies()) != 1 {
		t.Errorf("first event %q, %v, cookies %v", line, err, res.Cookies())
	}
	if _, err := m.Load(t.Context(), parse(t, res.Cookies()[0].Value)); err != nil {
		t.Errorf("the session was not stored before the first byte: %v", err)
	}
	close(next)
}

// The writer below may know less than net/http's.
func TestWriterBelowWithoutExtras(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	w := &nullWriter{header: make(http.Header)}
	routes(m, map[string]serve{"/": func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		s.Set("a", "1")
		if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Hijack = %v, want ErrNotSupported", err)
		}
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Flush = %v, want ErrNotSupported", err)
		}
		if n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("hello")); n != 5 || err != nil {
			t.Errorf("ReadFrom = %d, %v", n, err)
		}
	}}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if len(w.header["Set-Cookie"]) != 1 {
		t.Errorf("header = %v, want the cookie", w.header)
	}
}

// A cookie of the same name with another path or domain is another one: a handler may delete it in the response that
// logs in. One for the same path gives way.
func TestHandlersOwnCookieOfTheName(t *testing.T) {
	o := session.CookieOptions{Name: "sid", Domain: "example.com", InsecurePlainHTTP: true}
	m := mustNew(t, memory.New(nil), quiet(session.Options{Cookie: o}))
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, c := range []http.Cookie{
			{Path: "/app", Domain: "example.com"}, {Path: "/"}, {Path: "/", Domain: "example.com"}, {Path: "/", Domain: ".example.com"},
		} {
			c.Name, c.MaxAge = "sid", -1
			http.SetCookie(w, &c)
		}
		w.Header().Add("Set-Cookie", "sid=a\x01b")
		s, _ := m.Get(r)
		s.Login("andrew")
	})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	var got []string
	for _, line := range w.Header()["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s%s %v", c.Domain, c.Path, c.MaxAge))
	}
	if want := []string{"example.com/app -1", "/ -1", "example.com/ 0"}; !slices.Equal(got, want) {
		t.Errorf("cookies %q, want %q", got, want)
	}
}

// A Set-Cookie of the very same cookie gives way, however it is spelled.
func TestHandlersOwnCookieIsReplaced(t *testing.T) {
	for _, tt := range []struct{ domain, line string }{
		{"example.com", "sid=x; Path=/; Domain=.example.com"},
		{"example.com", "sid=x; Path=/; Domain=Example.com"},
		{"Example.com", "sid=x; Path=/; Domain=example.com"},
		{"", "sid=x; Path=/"},
		{"", "sid=x"},
	} {
		h := http.Header{"Set-Cookie": {tt.line}}
		o := session.CookieOptions{Name: "sid", Domain: tt.domain, InsecurePlainHTTP: true}
		mustNew(t, memory.New(nil), quiet(session.Options{Cookie: o})).ClearCookie(h)
		if len(h["Set-Cookie"]) != 1 {
			t.Errorf("%q", h["Set-Cookie"])
		}
	}
}
