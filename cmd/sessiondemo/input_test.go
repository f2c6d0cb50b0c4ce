package main

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestBadCookie(t *testing.T) {
	good := strings.Repeat("A", 43)
	plain := newStore()
	newClient(t, plain).login(nil)
	perLogin := plain.calls.Load()
	for name, cookie := range map[string]string{
		"empty":         "sid=",
		"no value":      "sid",
		"short":         "sid=" + good[1:],
		"long":          "sid=" + good + "A",
		"oversized":     "sid=" + strings.Repeat("A", 20000),
		"quoted":        `sid="` + good + `"`,
		"padded":        "sid=" + good + "=",
		"non-canonical": "sid=" + good[1:] + "B",
		"wrong letters": "sid=" + good[2:] + "+/",
		"non-ASCII":     "sid=" + good[2:] + "é",
		"spaced name":   "sid =" + good,
		"other case":    "SID=" + good,
		"markup":        "sid=<script>alert(1)</script>",
		"twice":         "sid=" + good + "; sid=" + good,
	} {
		t.Run(name, func(t *testing.T) {
			b := newStore()
			c := newClient(t, b)
			c.cookie = cookie
			answers := []response{
				c.get("/session"), c.get("/sessions"), c.post("/increment", ""), c.post("/ttl", "ttl=9"),
				c.post("/sessions/end", "id=AAAAAAAAAAAAAAAA"), c.post("/sessions/end-others", ""),
			}
			answers[0].wantJSON(t, 200, anonymous, "")
			answers[1].wantJSON(t, 200, noSessions, "")
			for _, got := range answers[2:] {
				got.wantError(t, 401, "No active session")
			}
			for _, got := range answers {
				got.wantCookie(t, keepsCookie)
			}
			if n := b.calls.Load(); n != 0 {
				t.Errorf("%d calls of the store", n)
			}
			// Neither does it keep anybody from logging in and out.
			if got := c.post("/logout", ""); got.Code != 200 {
				t.Errorf("POST /logout = %d", got.Code)
			}
			c.cookie = cookie
			c.login(nil)
			if n := b.calls.Load(); n != perLogin {
				t.Errorf("%d calls of the store to log in, want %d", n, perLogin)
			}
		})
	}
}

func TestTTL(t *testing.T) {
	for _, tt := range []struct {
		ttl   string // as it is typed
		want  float64
		error string
	}{
		{ttl: "1", want: 1},
		{ttl: "007", want: 7},
		{ttl: " 60\t", want: 60},
		{ttl: "31536000", want: 31536000},
		{ttl: "31536001", error: longTTL},
		{ttl: "9223372036854775808", error: longTTL},
		{ttl: "99999999999999999999999999", error: longTTL},
		{ttl: "0", error: badTTL},
		{ttl: "000", error: badTTL},
		{ttl: "-1", error: badTTL},
		{ttl: "-99999999999999999999999999", error: badTTL},
		{ttl: "+5", error: badTTL},
		{ttl: "1.5", error: badTTL},
		{ttl: "5.0", error: badTTL},
		{ttl: "1e3", error: badTTL},
		{ttl: "0x10", error: badTTL},
		{ttl: "1_000", error: badTTL},
		{ttl: "1 000", error: badTTL},
		{ttl: "60s", error: badTTL},
		{ttl: "", error: badTTL},
		{ttl: "   ", error: badTTL},
		{ttl: "NaN", error: badTTL},
		{ttl: "Infinity", error: badTTL},
		{ttl: "٦٠", error: badTTL},
		{ttl: "6\x000", error: badTTL},
		{ttl: "\xff", error: badTTL},
	} {
		t.Run(tt.ttl, func(t *testing.T) {
			b := newStore()
			c := newClient(t, b)
			c.login(nil)
			for _, path := range []string{"/login", "/ttl"} {
				before := b.calls.Load()
				got := c.post(path, url.Values{"ttl": {tt.ttl}}.Encode())
				if tt.error != "" {
					got.wantError(t, 400, tt.error)
					if n := b.calls.Load() - before; n != 0 {
						t.Errorf("POST %s: %d calls of the store", path, n)
					}
					continue
				}
				if n := got.field(t, "configured_ttl"); got.Code != 200 || n != tt.want {
					t.Errorf("POST %s = %d %s, want configured_ttl %v", path, got.Code, got.Body, tt.want)
				}
				if n := got.field(t, "ttl"); n != tt.want {
					t.Errorf("POST %s: ttl = %v, want %v", path, n, tt.want)
				}
			}
		})
	}
}

// TestTTLErrorText holds the text that the guide's servers answer with.
func TestTTLErrorText(t *testing.T) {
	c := newClient(t, newStore())
	c.login(nil)
	c.post("/ttl", "ttl=x").wantError(t, 400, "TTL must be a whole number greater than 0.")
	c.post("/ttl", "").wantError(t, 400, "TTL must be a whole number greater than 0.") // there is no default here
	c.cookie = ""
	for _, form := range []string{"ttl=x", "%zz", strings.Repeat("x", maxForm+1)} {
		c.post("/ttl", form).wantError(t, 401, "No active session") // before the form is looked at
	}
}

func TestUsername(t *testing.T) {
	for _, tt := range []struct {
		name  string
		typed string
		want  string // "" for an error
	}{
		{name: "plain", typed: "andrew", want: "andrew"},
		{name: "empty", typed: "", want: "Guest"},
		{name: "space", typed: " \t\n ", want: "Guest"},
		{name: "trimmed", typed: "  Ann Lee ", want: "Ann Lee"},
		{name: "markup", typed: "<img src=x onerror=alert(1)>", want: "<img src=x onerror=alert(1)>"},
		{name: "quotes", typed: `"'\` + "`${x}", want: `"'\` + "`${x}"},
		{name: "other scripts", typed: "Ζωή 张伟 🙂", want: "Ζωή 张伟 🙂"},
		{name: "control characters", typed: "a\x00b\u202ec", want: "a\x00b\u202ec"},
		{name: "64 characters", typed: strings.Repeat("ü", 64), want: strings.Repeat("ü", 64)},
		{name: "65 characters", typed: strings.Repeat("u", 65)},
		{name: "invalid UTF-8", typed: "a\xffb"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, newStore())
			got := c.post("/login", url.Values{"username": {tt.typed}}.Encode())
			if tt.want == "" {
				got.wantError(t, 400, "Username must be text of at most 64 characters.")
				got.wantCookie(t, keepsCookie)
				return
			}
			fields, _ := got.field(t, "session").(map[string]any)
			if got.Code != 200 || fields["username"] != tt.want {
				t.Errorf("POST /login = %d %s, want username %q", got.Code, got.Body, tt.want)
			}
			if strings.ContainsAny(got.Body, "<>&") {
				t.Errorf("markup in the body: %s", got.Body)
			}
		})
	}
}

func TestForm(t *testing.T) {
	const urlencoded = "application/x-www-form-urlencoded"
	const kindError = "The form must be application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name    string
		kind    string
		body    string
		chunked bool
		code    int
		error   string
	}{
		{name: "nothing", code: 200},
		{name: "empty form", kind: urlencoded, code: 200},
		{name: "charset", kind: urlencoded + "; charset=UTF-8", body: "ttl=5", code: 200},
		{name: "other case", kind: "Application/X-WWW-Form-URLEncoded", body: "ttl=5", code: 200},
		{name: "chunked", kind: urlencoded, body: "ttl=5", chunked: true, code: 200},
		{name: "unknown fields", kind: urlencoded, body: "ttl=5&admin=1&session_token=x", code: 200},
		{name: "no type", body: "ttl=5", code: 415, error: kindError},
		{name: "no type, chunked", body: "ttl=5", chunked: true, code: 415, error: kindError},
		{name: "JSON", kind: "application/json", body: `{"ttl": 5}`, code: 415, error: kindError},
		{name: "multipart", kind: "multipart/form-data; boundary=x", body: "--x--", code: 415, error: kindError},
		{name: "text", kind: "text/plain", body: "ttl=5", code: 415, error: kindError},
		{name: "garbled type", kind: ";;;", body: "ttl=5", code: 415, error: kindError},
		{name: "largest", kind: urlencoded, body: "ttl=5&x=" + strings.Repeat("x", maxForm-8), code: 200},
		{name: "too large", kind: urlencoded, body: "ttl=5&x=" + strings.Repeat("x", maxForm-7), code: 413, error: "The form is too large"},
		{name: "too large, chunked", kind: urlencoded, body: strings.Repeat("x", 1<<20), chunked: true, code: 413, error: "The form is too large"},
		{name: "bad escape", kind: urlencoded, body: "ttl=%zz", code: 400, error: "The form is malformed"},
		{name: "semicolon", kind: urlencoded, body: "ttl=5;username=x", code: 400, error: "The form is malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newStore()
			c := newClient(t, b)
			r := httptest.NewRequest("POST", "/login", strings.NewReader(tt.body))
			if tt.chunked {
				r = httptest.NewRequest("POST", "/login", unread(tt.body))
			}
			if tt.kind != "" {
				r.Header.Set("Content-Type", tt.kind)
			}
			got := c.do(r)
			if tt.error == "" {
				fields, _ := got.field(t, "session").(map[string]any)
				if got.Code != tt.code || fields["admin"] != nil || fields["session_token"] != nil {
					t.Errorf("status = %d, want %d: %s", got.Code, tt.code, got.Body)
				}
				return
			}
			got.wantError(t, tt.code, tt.error)
			if n := b.calls.Load(); n != 0 {
				t.Errorf("%d calls of the store", n)
			}
		})
	}
}

// TestFormIsNotInURL checks that what logs and histories keep is not read.
func TestFormIsNotInURL(t *testing.T) {
	c := newClient(t, newStore())
	got := c.post("/login?username=eve&ttl=5", "")
	fields, _ := got.field(t, "session").(map[string]any)
	if fields["username"] != "Guest" || fields["session_ttl"] != "60" {
		t.Errorf("session = %v, want the defaults", fields)
	}
}
