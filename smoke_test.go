package session_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

func TestSmoke(t *testing.T) {
	m, err := session.New(memory.New(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := m.Get(r)
		if err != nil {
			return
		}
		n, err := s.Increment(r.Context(), "n", 1)
		t.Log(s, n, err, s.Remaining())
		w.Write([]byte("hi"))
	}))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	t.Log(rec.Header(), rec.Code)
	req := httptest.NewRequest("GET", "/", nil)
	req.Header.Set("Cookie", rec.Result().Cookies()[0].String()[:10+1+43])
	rec = httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	t.Log(rec.Header(), rec.Code)
}
