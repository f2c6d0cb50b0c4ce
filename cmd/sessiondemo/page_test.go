package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStaticFiles(t *testing.T) {
	c := newClient(t, newStore())
	for path, kind := range map[string]string{
		"/":           "text/html; charset=utf-8",
		"/index.html": "text/html; charset=utf-8",
		"/style.css":  "text/css; charset=utf-8",
		"/app.js":     "text/javascript; charset=utf-8",
	} {
		t.Run(path, func(t *testing.T) {
			got := c.get(path)
			if got.Code != 200 || got.Body == "" {
				t.Errorf("GET = %d with %d bytes", got.Code, len(got.Body))
			}
			if h := got.Header.Get("Content-Type"); h != kind {
				t.Errorf("Content-Type = %q, want %q", h, kind)
			}
			if h := got.Header.Get("Cache-Control"); h != "no-cache" {
				t.Errorf("Cache-Control = %q, want no-cache", h)
			}
			got.wantCookie(t, keepsCookie)

			head := c.do(httptest.NewRequest("HEAD", path, nil))
			if head.Code != 200 || head.Body != "" || head.Header.Get("Content-Length") != got.Header.Get("Content-Length") {
				t.Errorf("HEAD = %d, %d bytes, Content-Length %q", head.Code, len(head.Body), head.Header.Get("Content-Length"))
			}
			again := httptest.NewRequest("GET", path, nil)
			again.Header.Set("If-None-Match", got.Header.Get("ETag"))
			if same := c.do(again); same.Code != http.StatusNotModified || same.Body != "" {
				t.Errorf("GET with the ETag %q = %d with %d bytes, want 304", got.Header.Get("ETag"), same.Code, len(same.Body))
			}
		})
	}
	if c.get("/").Body != c.get("/index.html").Body {
		t.Error("/ and /index.html differ")
	}
	if c.get("/").Header.Get("ETag") == c.get("/app.js").Header.Get("ETag") {
		t.Error("two files have one ETag")
	}
}

// TestPageNamesStore checks that the page, and not the API, says where the sessions are.
func TestPageNamesStore(t *testing.T) {
	seen := make(map[string]bool)
	for store, want := range map[string]string{
		"memory": "<strong>memory</strong>", "goredis": "<strong>Redis through go-redis</strong>",
		"rueidis": "<strong>Redis through rueidis</strong>",
	} {
		h, err := newServer(newStore(), settings{store: store}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, h: h}
		got := c.get("/")
		if !strings.Contains(got.Body, want) {
			t.Errorf("-backend %s: no %q in the page", store, want)
		}
		if redis := strings.Contains(got.Body, "redis-cli HGETALL session:"); redis != (store != "memory") {
			t.Errorf("-backend %s: redis-cli is shown: %v", store, redis)
		}
		if seen[got.Header.Get("ETag")] {
			t.Errorf("-backend %s: the ETag is another page's", store)
		}
		seen[got.Header.Get("ETag")] = true
		if body := c.get("/session").Body; body != anonymous {
			t.Errorf("-backend %s: GET /session = %s", store, body)
		}
	}
}

func TestPageNamesRotation(t *testing.T) {
	for _, tt := range []struct {
		rotate time.Duration
		want   string // "" for nothing
	}{
		{rotate: 0},
		{rotate: time.Second, want: "one second old"},
		{rotate: 90 * time.Second, want: "90 seconds old"},
		{rotate: 5 * time.Minute, want: "5 minutes old"},
		{rotate: time.Hour, want: "one hour old"},
		{rotate: 1500 * time.Millisecond, want: "1.5s old"},
	} {
		got := newRotating(t, newStore(), tt.rotate).get("/").Body
		if said := strings.Contains(got, "is replaced at the next use"); said != (tt.want != "") || !strings.Contains(got, tt.want) {
			t.Errorf("-rotate %v: said: %v, want %q", tt.rotate, said, tt.want)
		}
	}
}

// TestPageObeysPolicy checks that the page needs nothing that its Content-Security-Policy forbids.
func TestPageObeysPolicy(t *testing.T) {
	c := newClient(t, newStore())
	html, css, js := c.get("/").Body, c.get("/style.css").Body, c.get("/app.js").Body
	for name, re := range map[string]string{
		"inline script":  `<script[^>]*>\s*[^<\s]`,
		"inline style":   `<style|\sstyle\s*=`,
		"inline handler": `\son\w+\s*=\s*["']`,
		"script URL":     `javascript:`,
		"frame":          `<(iframe|object|embed|base)\b`,
	} {
		if m := regexp.MustCompile(`(?i)` + re).FindString(html); m != "" {
			t.Errorf("index.html: %s: %q", name, m)
		}
	}
	if m := regexp.MustCompile(`@import|@font-face|url\(`).FindString(css); m != "" {
		t.Errorf("style.css loads something: %q", m)
	}
	outside := regexp.MustCompile(`(https?:)?//[\w.-]+\.\w+`)
	for name, text := range map[string]string{
		"index.html": strings.ReplaceAll(html, "http://www.w3.org/2000/svg", ""), "style.css": css, "app.js": js,
	} {
		if m := outside.FindString(text); m != "" {
			t.Errorf("%s names another server: %q", name, m)
		}
	}
	for _, m := range regexp.MustCompile(`\b(?:src|href)="([^"]*)"`).FindAllStringSubmatch(html, -1) {
		if strings.HasPrefix(m[1], "data:image/svg+xml,") {
			continue
		}
		if got := c.get(m[1]); got.Code != 200 {
			t.Errorf("index.html asks for %s: %d", m[1], got.Code)
		}
	}
	for _, source := range []string{"unsafe", "http:", "https:", "*", "blob:"} {
		if strings.Contains(contentPolicy, source) {
			t.Errorf("the policy allows %s: %s", source, contentPolicy)
		}
	}
}

// TestScriptWritesTextOnly checks that the script uses nothing that could take text for markup or code.
func TestScriptWritesTextOnly(t *testing.T) {
	js := newClient(t, newStore()).get("/app.js").Body
	if m := regexp.MustCompile(`(?i)(inner|outer)HTML|insertAdjacentHTML|setHTML|parseFromString|` +
		`createContextualFragment|document\.write|srcdoc|\beval\b|\bFunction\(|set(Timeout|Interval)\(\s*["'` + "`" + `]|` +
		`document\.cookie|location\s*=`).FindString(js); m != "" {
		t.Errorf("app.js uses %q", m)
	}
}

// TestPageHoldsTogether checks what the script, labels and descriptions name by ID, and that every field has
// a label.
func TestPageHoldsTogether(t *testing.T) {
	c := newClient(t, newStore())
	html, js := c.get("/").Body, c.get("/app.js").Body
	var ids []string
	for _, m := range regexp.MustCompile(`\bid="([^"]+)"`).FindAllStringSubmatch(html, -1) {
		if slices.Contains(ids, m[1]) {
			t.Errorf("two elements have the ID %q", m[1])
		}
		ids = append(ids, m[1])
	}
	want := func(id, where string) {
		if !slices.Contains(ids, id) {
			t.Errorf("%s: there is no element %q", where, id)
		}
	}
	for _, m := range regexp.MustCompile(`(?:\$|put|problem)\("([^"]+)"`).FindAllStringSubmatch(js, -1) {
		want(m[1], "app.js")
	}
	for _, m := range regexp.MustCompile(`field: "([^"]+)"`).FindAllStringSubmatch(js, -1) {
		want(m[1], "app.js")
		want(m[1]+"-error", "app.js")
	}
	for _, m := range regexp.MustCompile(`\b(?:for|aria-labelledby|aria-describedby)="([^"]+)"`).FindAllStringSubmatch(html, -1) {
		for id := range strings.FieldsSeq(m[1]) {
			want(id, m[0])
		}
	}
	for _, m := range regexp.MustCompile(`<input id="([^"]+)"`).FindAllStringSubmatch(html, -1) {
		if !strings.Contains(html, `<label for="`+m[1]+`"`) {
			t.Errorf("the input %q has no label", m[1])
		}
	}
}
