package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// client is a browser as far as the demo's cookie goes, in front of a handler.
type client struct {
	t      testing.TB
	h      http.Handler
	cookie string // the Cookie header, "" for none
}

// response is an answer that has been read.
type response struct {
	Code   int
	Header http.Header
	Body   string
}

// newClient returns a client of a demo on b that replaces no tokens.
func newClient(t testing.TB, b backend.Backend) *client {
	t.Helper()
	return newRotating(t, b, 0)
}

// newRotating returns a client of a demo on b that replaces tokens of an age.
func newRotating(t testing.TB, b backend.Backend, age time.Duration) *client {
	t.Helper()
	h, err := newServer(b, settings{store: "memory", rotate: age}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("newServer: %v", err)
	}
	return &client{t: t, h: h}
}

// do sends a request with the cookie, and keeps what the answer says of it.
func (c *client) do(r *http.Request) response {
	c.t.Helper()
	if c.cookie != "" {
		r.Header.Set("Cookie", c.cookie)
	}
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	for _, line := range w.Header()["Set-Cookie"] {
		cookie, err := http.ParseSetCookie(line)
		if err != nil {
			c.t.Fatalf("Set-Cookie %q: %v", line, err)
		}
		c.cookie = cookie.Name + "=" + cookie.Value
		if cookie.MaxAge < 0 {
			c.cookie = ""
		}
	}
	return response{Code: w.Code, Header: w.Header(), Body: w.Body.String()}
}

func (c *client) get(path string) response {
	c.t.Helper()
	return c.do(httptest.NewRequest(http.MethodGet, path, nil))
}

// post sends a form, which is written as in a URL.
func (c *client) post(path, form string) response {
	c.t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(r)
}

// login starts a session and returns its public ID.
func (c *client) login(form url.Values) string {
	c.t.Helper()
	got := c.post("/login", form.Encode())
	if got.Code != http.StatusOK {
		c.t.Fatalf("POST /login %v = %d %s", form, got.Code, got.Body)
	}
	return got.field(c.t, "session_id").(string)
}

// field returns a field of an answer in JSON.
func (r response) field(t testing.TB, name string) any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(r.Body), &body); err != nil {
		t.Fatalf("body %q: %v", r.Body, err)
	}
	return body[name]
}

// wantJSON compares an answer with its golden JSON, in which ID stands for the public ID.
func (r response) wantJSON(t testing.TB, code int, golden, id string) {
	t.Helper()
	if r.Code != code {
		t.Errorf("status = %d, want %d: %s", r.Code, code, r.Body)
	}
	if got := r.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type = %q", got)
	}
	if got := r.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store", got)
	}
	var got, want any
	if err := json.Unmarshal([]byte(r.Body), &got); err != nil {
		t.Fatalf("body %q: %v", r.Body, err)
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(golden, "ID", id)), &want); err != nil {
		t.Fatalf("golden %q: %v", golden, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body mismatch (-want +got):\n%s", diff)
	}
}

// wantError compares an answer with an error of the demo.
func (r response) wantError(t testing.TB, code int, message string) {
	t.Helper()
	r.wantJSON(t, code, `{"error": `+quoteJSON(message)+`}`, "ID")
}

func quoteJSON(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

// store is a backend on memory that counts its calls and can be made to fail.
type store struct {
	*memory.Backend
	calls atomic.Int64
	fail  func(ctx context.Context) error // nil: nothing fails
}

func newStore() *store { return &store{Backend: memory.New(nil)} }

func (s *store) called(ctx context.Context) error {
	s.calls.Add(1)
	if s.fail == nil {
		return nil
	}
	return s.fail(ctx)
}

func (s *store) Create(ctx context.Context, id string, rec backend.Record) error {
	if err := s.called(ctx); err != nil {
		return err
	}
	return s.Backend.Create(ctx, id, rec)
}

func (s *store) Load(ctx context.Context, id string) (backend.Record, error) {
	if err := s.called(ctx); err != nil {
		return backend.Record{}, err
	}
	return s.Backend.Load(ctx, id)
}

func (s *store) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if err := s.called(ctx); err != nil {
		return backend.Record{}, err
	}
	return s.Backend.Apply(ctx, id, p)
}

func (s *store) Delete(ctx context.Context, id string) error {
	if err := s.called(ctx); err != nil {
		return err
	}
	return s.Backend.Delete(ctx, id)
}

// ids returns the IDs of the sessions in the store.
func (s *store) ids(t testing.TB) []string {
	t.Helper()
	var ids []string
	for id, err := range s.Scan(t.Context()) {
		if err != nil {
			t.Fatalf("Scan: %v", err)
		}
		if !strings.HasPrefix(id, "owner:") {
			ids = append(ids, id)
		}
	}
	return ids
}

// unread is a body of unknown length, as a chunked one is.
func unread(s string) io.Reader { return io.MultiReader(bytes.NewBufferString(s)) }
