package session_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

func TestNewRefusesOptionsThatMakeNoSense(t *testing.T) {
	cookie := func(c session.CookieOptions) session.Options { return session.Options{Cookie: c} }
	for _, tt := range []struct {
		name string
		opts session.Options
		want string // the option that the error names
	}{
		{name: "idle negative", opts: session.Options{IdleTimeout: -time.Second}, want: "IdleTimeout"},
		{name: "idle under a second", opts: session.Options{IdleTimeout: time.Millisecond}, want: "IdleTimeout"},
		{name: "idle not whole", opts: session.Options{IdleTimeout: 1500 * time.Millisecond}, want: "IdleTimeout"},
		{name: "absolute negative", opts: session.Options{AbsoluteTimeout: -time.Hour}, want: "AbsoluteTimeout"},
		{name: "absolute not whole", opts: session.Options{AbsoluteTimeout: time.Hour + 1}, want: "AbsoluteTimeout"},
		{name: "absolute under idle", opts: session.Options{AbsoluteTimeout: time.Minute}, want: "AbsoluteTimeout"},
		{name: "remember idle not whole", opts: session.Options{RememberIdleTimeout: time.Hour + 1}, want: "RememberIdleTimeout"},
		{name: "remember idle under idle", opts: session.Options{RememberIdleTimeout: time.Minute}, want: "RememberIdleTimeout"},
		{name: "remember absolute negative", opts: session.Options{RememberAbsoluteTimeout: -time.Hour}, want: "RememberAbsoluteTimeout"},
		{name: "remember absolute under absolute", opts: session.Options{RememberIdleTimeout: time.Hour, RememberAbsoluteTimeout: 2 * time.Hour}, want: "RememberAbsoluteTimeout"},
		{name: "rotate interval negative", opts: session.Options{RotateInterval: -1}, want: "RotateInterval"},
		{name: "rotate interval under grace", opts: session.Options{RotateInterval: time.Second}, want: "RotateInterval"},
		{name: "rotate grace", opts: session.Options{RotateGrace: time.Millisecond}, want: "RotateGrace"},
		{name: "max sessions", opts: session.Options{MaxSessions: -1}, want: "MaxSessions"},
		{name: "refuse without max", opts: session.Options{RefuseLogin: true}, want: "RefuseLogin"},
		{name: "touch over half of idle", opts: session.Options{TouchInterval: 16 * time.Minute}, want: "TouchInterval"},
		{name: "store timeout", opts: session.Options{StoreTimeout: -1}, want: "StoreTimeout"},
		{name: "fields", opts: session.Options{MaxFields: -1}, want: "MaxFields"},
		{name: "bytes", opts: session.Options{MaxBytes: -1}, want: "MaxBytes"},
		{name: "cookie name with a space", opts: cookie(session.CookieOptions{Name: "a b"}), want: "Cookie.Name"},
		{name: "cookie name with =", opts: cookie(session.CookieOptions{Name: "a=b"}), want: "Cookie.Name"},
		{name: "cookie name not ASCII", opts: cookie(session.CookieOptions{Name: "sïd"}), want: "Cookie.Name"},
		{name: "cookie too long", opts: cookie(session.CookieOptions{Name: strings.Repeat("n", 4096-42)}), want: "Cookie.Name"},
		{name: "host with domain", opts: cookie(session.CookieOptions{Name: "__Host-x", Domain: "example.com"}), want: "Cookie.Domain"},
		{name: "host in other case", opts: cookie(session.CookieOptions{Name: "__hOsT-x", Domain: "example.com"}), want: "Cookie.Domain"},
		{name: "host with path", opts: cookie(session.CookieOptions{Name: "__Host-x", Path: "/app"}), want: "Cookie.Path"},
		{name: "host over plain HTTP", opts: cookie(session.CookieOptions{Name: "__Host-x", InsecurePlainHTTP: true}), want: "Cookie.InsecurePlainHTTP"},
		{name: "secure over plain HTTP", opts: cookie(session.CookieOptions{Name: "__SECURE-x", InsecurePlainHTTP: true}), want: "Cookie.InsecurePlainHTTP"},
		{name: "None over plain HTTP", opts: cookie(session.CookieOptions{SameSite: http.SameSiteNoneMode, InsecurePlainHTTP: true}), want: "Cookie.InsecurePlainHTTP"},
		{name: "partitioned, and sent to no other site", opts: cookie(session.CookieOptions{Partitioned: true}), want: "Cookie.Partitioned"},
		{name: "SameSite default mode", opts: cookie(session.CookieOptions{SameSite: http.SameSiteDefaultMode}), want: "Cookie.SameSite"},
		{name: "SameSite unknown", opts: cookie(session.CookieOptions{SameSite: 9}), want: "Cookie.SameSite"},
		{name: "relative path", opts: cookie(session.CookieOptions{Path: "app"}), want: "Cookie.Path"},
		{name: "path with semicolon", opts: cookie(session.CookieOptions{Path: "/a;b"}), want: "Cookie.Path"},
		{name: "domain with a port", opts: cookie(session.CookieOptions{Domain: "example.com:80"}), want: "Cookie.Domain"},
		{name: "domain with a space", opts: cookie(session.CookieOptions{Domain: "exa mple.com"}), want: "Cookie.Domain"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := session.New(memory.New(nil), &tt.opts)
			if err == nil || m != nil {
				t.Fatalf("New = %v, %v, want an error", m, err)
			}
			if !strings.Contains(err.Error(), "Options."+tt.want) {
				t.Errorf("New = %v, want an error that names %s", err, tt.want)
			}
		})
	}
}

func TestNewRefusesNoBackend(t *testing.T) {
	if _, err := session.New(nil, nil); err == nil {
		t.Error("New(nil) = nil error")
	}
	if _, err := session.New((*memory.Backend)(nil), nil); err == nil {
		t.Error("New with a nil pointer = nil error")
	}
}

func TestNewKeepsACopyOfOptions(t *testing.T) {
	opts := session.Options{IdleTimeout: time.Minute}
	m := mustNew(t, memory.New(nil), &opts)
	opts.IdleTimeout = time.Hour
	if got := mustCreate(t, m, nil).TTL(); got != time.Minute {
		t.Errorf("TTL = %v, want what the options said at New", got)
	}
}

func TestCookieGolden(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cookie session.CookieOptions
		set    string // with TOKEN for the token
		clear  string
	}{
		{
			name:  "default",
			set:   "__Host-sid=TOKEN; Path=/; HttpOnly; Secure; SameSite=Lax",
			clear: "__Host-sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
		{
			name:   "plain HTTP",
			cookie: session.CookieOptions{InsecurePlainHTTP: true},
			set:    "sid=TOKEN; Path=/; HttpOnly; SameSite=Lax",
			clear:  "sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly; SameSite=Lax",
		},
		{
			name:   "domain",
			cookie: session.CookieOptions{Domain: "example.com", SameSite: http.SameSiteStrictMode},
			set:    "__Secure-sid=TOKEN; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Strict",
			clear:  "__Secure-sid=; Path=/; Domain=example.com; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly; Secure; SameSite=Strict",
		},
		{
			name:   "embedded",
			cookie: session.CookieOptions{SameSite: http.SameSiteNoneMode, Partitioned: true},
			set:    "__Host-sid=TOKEN; Path=/; HttpOnly; Secure; SameSite=None; Partitioned",
			clear:  "__Host-sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly; Secure; SameSite=None; Partitioned",
		},
		{
			name:   "path",
			cookie: session.CookieOptions{Name: "__Secure-app", Path: "/app"},
			set:    "__Secure-app=TOKEN; Path=/app; HttpOnly; Secure; SameSite=Lax",
			clear:  "__Secure-app=; Path=/app; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := mustNew(t, memory.New(nil), &session.Options{Cookie: tt.cookie})
			s := mustCreate(t, m, nil)
			h := make(http.Header)
			m.WriteCookie(h, s)
			want := strings.ReplaceAll(tt.set, "TOKEN", s.Token().Reveal())
			if got := h["Set-Cookie"]; len(got) != 1 || got[0] != want {
				t.Errorf("set: %q, want %q", got, want)
			}
			if got := h.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control = %q, want no-store", got)
			}
			m.ClearCookie(h) // in place of the other
			if got := h["Set-Cookie"]; len(got) != 1 || got[0] != tt.clear {
				t.Errorf("clear: %q, want %q", got, tt.clear)
			}
		})
	}
}

func TestRequestTokenTakesExactlyOneCookie(t *testing.T) {
	m := mustNew(t, memory.New(nil), nil)
	const good = "__Host-sid=" + goodToken
	for _, tt := range []struct {
		name  string
		lines []string
		ok    bool
	}{
		{name: "none"},
		{name: "one", lines: []string{good}, ok: true},
		{name: "among others", lines: []string{"a=b; " + good + "; c=d"}, ok: true},
		{name: "without a space", lines: []string{"a=b;" + good + ";c=d"}, ok: true},
		{name: "on a line of its own", lines: []string{"a=b", good}, ok: true},
		{name: "beside nonsense", lines: []string{";;;=; \x00é ; " + good}, ok: true},
		{name: "after thousands", lines: []string{strings.Repeat("a=b; ", 5000) + good}, ok: true},
		{name: "twice, the same", lines: []string{good + "; " + good}},
		{name: "twice, different", lines: []string{good + "; __Host-sid=x"}},
		{name: "twice, different, bad first", lines: []string{"__Host-sid=x; " + good}},
		{name: "twice, on two lines", lines: []string{good, good}},
		{name: "quoted", lines: []string{`__Host-sid="` + goodToken + `"`}},
		{name: "padded", lines: []string{good + "="}},
		{name: "not canonical", lines: []string{"__Host-sid=" + goodToken[:42] + "B"}},
		{name: "not ASCII", lines: []string{"__Host-sid=é" + goodToken[2:]}},
		{name: "oversized", lines: []string{"__Host-sid=" + strings.Repeat("A", 100_000)}},
		{name: "space round the name", lines: []string{"__Host-sid =" + goodToken}},
		{name: "space before the value", lines: []string{"__Host-sid= " + goodToken}},
		{name: "other case", lines: []string{"__host-sid=" + goodToken}},
		{name: "other name", lines: []string{"sid=" + goodToken}},
		{name: "name alone", lines: []string{"__Host-sid"}},
		{name: "comma", lines: []string{"a=b, " + good}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{Header: http.Header{"Cookie": tt.lines}}
			token, ok := m.RequestToken(r)
			if ok != tt.ok {
				t.Fatalf("RequestToken ok = %v, want %v", ok, tt.ok)
			}
			if ok && token.Reveal() != goodToken {
				t.Errorf("RequestToken = %q", token.Reveal())
			}
		})
	}
}

func FuzzRequestToken(f *testing.F) {
	m := mustNew(f, memory.New(nil), nil)
	f.Add("a=b; __Host-sid=" + goodToken)
	f.Add("__Host-sid=" + goodToken + ";__Host-sid=x")
	f.Fuzz(func(t *testing.T, line string) {
		token, ok := m.RequestToken(&http.Request{Header: http.Header{"Cookie": {line}}})
		if !ok {
			return
		}
		if strings.Count(line, "__Host-sid="+token.Reveal()) != 1 {
			t.Fatalf("%q gives a token that it does not hold once", line)
		}
		if _, err := session.ParseToken(token.Reveal()); err != nil {
			t.Fatalf("%q gives a malformed token", line)
		}
	})
}

// What the documentation says of the standard's limits (NIST SP 800-63B-4, sections 2.1.3, 2.2.3 and 2.3.3), and of the
// timeouts without options.
func TestTimeouts(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name      string
		got, want time.Duration
	}{
		{"AAL1, absolute", session.AAL1AbsoluteTimeout, 30 * day},
		{"AAL2, idle", session.AAL2IdleTimeout, time.Hour},
		{"AAL2, absolute", session.AAL2AbsoluteTimeout, day},
		{"AAL3, idle", session.AAL3IdleTimeout, 15 * time.Minute},
		{"AAL3, absolute", session.AAL3AbsoluteTimeout, 12 * time.Hour},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name           string
			remember       bool
			idle, absolute time.Duration
		}{
			{"by default", false, 30 * time.Minute, 12 * time.Hour},
			{"remembered", true, 14 * day, 30 * day},
		} {
			m := mustNew(t, memory.New(nil), nil)
			s := m.NewSession()
			s.Login("andrew")
			if tt.remember {
				s.Remember()
			}
			if err := s.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := s.TTL(); got != tt.idle {
				t.Errorf("%s: idle timeout %v, want %v", tt.name, got, tt.idle)
			}
			start, used := time.Now(), s
			for {
				time.Sleep(tt.idle / 2)
				var err error
				if used, err = m.Touch(t.Context(), used.Token()); err != nil {
					break
				}
			}
			if got := time.Since(start); got < tt.absolute || got > tt.absolute+tt.idle {
				t.Errorf("%s: ended after %v, want %v", tt.name, got, tt.absolute)
			}
		}
	})
}
