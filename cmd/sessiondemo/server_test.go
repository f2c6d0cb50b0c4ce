package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestMethods(t *testing.T) {
	pages := []string{"/", "/index.html", "/style.css", "/app.js", "/session", "/sessions"}
	actions := []string{"/login", "/increment", "/ttl", "/logout", "/sessions/end", "/sessions/end-others"}
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"}
	for _, path := range append(pages, actions...) {
		allow := "GET, HEAD"
		if slices.Contains(actions, path) {
			allow = "POST"
		}
		for _, method := range methods {
			t.Run(method+path, func(t *testing.T) {
				b := newStore()
				got := newClient(t, b).do(httptest.NewRequest(method, path, nil))
				if strings.Contains(allow, method) {
					if got.Code == http.StatusMethodNotAllowed || got.Code == http.StatusNotFound {
						t.Errorf("%s %s = %d", method, path, got.Code)
					}
					return
				}
				got.wantError(t, http.StatusMethodNotAllowed, "Method Not Allowed")
				if h := got.Header.Get("Allow"); h != allow {
					t.Errorf("Allow = %q, want %q", h, allow)
				}
				got.wantCookie(t, keepsCookie)
				if n := b.calls.Load(); n != 0 {
					t.Errorf("%d calls of the store", n)
				}
			})
		}
	}
}

func TestUnknownPath(t *testing.T) {
	c := newClient(t, newStore())
	for _, path := range []string{
		"/nope", "/session/", "/session/x", "/sessions/", "/sessions/x", "/login/", "/Login", "/index.htm", "/page/", "/page/app.js",
		"/app.js/", "/favicon.ico", "/%3Cscript%3E", "/%2e%2e/server.go", "/.git/config",
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			got := c.do(httptest.NewRequest(method, path, nil))
			got.wantError(t, http.StatusNotFound, "Not Found")
		}
	}
}

func TestCrossOrigin(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header map[string]string
		ok     bool
	}{
		{name: "a program", ok: true},
		{name: "same origin", header: map[string]string{"Sec-Fetch-Site": "same-origin"}, ok: true},
		{name: "typed in", header: map[string]string{"Sec-Fetch-Site": "none"}, ok: true},
		{name: "origin is host", header: map[string]string{"Origin": "http://example.com"}, ok: true},
		{name: "cross site", header: map[string]string{"Sec-Fetch-Site": "cross-site"}},
		{name: "same site", header: map[string]string{"Sec-Fetch-Site": "same-site"}},
		{name: "other origin", header: map[string]string{"Origin": "http://evil.example"}},
		{name: "opaque origin", header: map[string]string{"Origin": "null"}},
	} {
		for _, path := range []string{"/login", "/increment", "/ttl", "/logout", "/sessions/end", "/sessions/end-others"} {
			t.Run(tt.name+path, func(t *testing.T) {
				b := newStore()
				c := newClient(t, b)
				id := c.login(nil)
				before := b.calls.Load()
				r := request("POST", path, "ttl=5&id="+id)
				for name, value := range tt.header {
					r.Header.Set(name, value)
				}
				got := c.do(r)
				if tt.ok {
					if got.Code != 200 {
						t.Errorf("POST %s = %d %s", path, got.Code, got.Body)
					}
					return
				}
				got.wantError(t, http.StatusForbidden, "Cross-origin request refused")
				got.wantCookie(t, keepsCookie)
				if n := b.calls.Load() - before; n != 0 {
					t.Errorf("%d calls of the store", n)
				}
			})
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	c := newClient(t, newStore())
	foreign := request("POST", "/logout", "")
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	for name, got := range map[string]response{
		"page": c.get("/"), "script": c.get("/app.js"), "JSON": c.get("/session"), "404": c.get("/nope"),
		"405": c.post("/session", ""), "401": c.post("/ttl", ""), "403": c.do(foreign),
	} {
		for header, want := range map[string]string{
			"Content-Security-Policy":      contentPolicy,
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "same-origin",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if h := got.Header.Get(header); h != want {
				t.Errorf("%s: %s = %q, want %q", name, header, h, want)
			}
		}
	}
}
