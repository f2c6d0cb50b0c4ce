package session_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

// nullWriter is a response writer that costs nothing but its header.
type nullWriter struct{ header http.Header }

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) WriteHeader(int)             {}

func BenchmarkRequest(b *testing.B) {
	m, _ := session.New(memory.New(nil), nil)
	s, err := m.Create(b.Context(), map[string]string{"username": "andrew", "page_views": "3"}, 0)
	if err != nil {
		b.Fatal(err)
	}
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := m.Get(r)
		if err != nil || s.Get("username") != "andrew" {
			b.Error("lost")
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", "__Host-sid="+s.Token().Reveal())
	w := &nullWriter{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}
