package session_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/backend/rueidis"
	"github.com/faeeb396/session/internal/redistest"
)

// contender is a backend with what reading the plain hash through the same client costs, nil where there is no
// client.
type contender struct {
	name    string
	backend backend.Backend
	plain   func(ctx context.Context, id string) (map[string]string, error)
	client  rueidisclient.Client // if it is one of these
}

func contenders(tb testing.TB) []contender {
	server := redistest.Start(tb, nil)
	goClient := redis.NewClient(&redis.Options{Addr: server.Addr()})
	tb.Cleanup(func() { _ = goClient.Close() })
	ruClient, err := rueidisclient.NewClient(rueidisclient.ClientOption{InitAddress: []string{server.Addr()}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(ruClient.Close)
	return []contender{
		{name: "memory", backend: memory.New(nil)},
		{name: "goredis", backend: goredis.New(goClient, nil), plain: func(ctx context.Context, id string) (map[string]string, error) {
			return goClient.HGetAll(ctx, "session:"+id).Result()
		}},
		{name: "rueidis", backend: rueidis.New(ruClient, nil), plain: func(ctx context.Context, id string) (map[string]string, error) {
			return ruClient.Do(ctx, ruClient.B().Hgetall().Key("session:"+id).Build()).AsStrMap()
		}, client: ruClient},
	}
}

// nullWriter is a response writer that costs nothing but its header.
type nullWriter struct{ header http.Header }

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) WriteHeader(int)             {}

// request returns a whole request on a session with two fields, from the cookie to the end of the response.
func request(tb testing.TB, b backend.Backend, opts *session.Options, serve func(ctx context.Context, s *session.Session) error) (do func(), id string) {
	m := mustNew(tb, b, opts)
	s := mustCreate(tb, m, map[string]string{"username": "andrew", "page_views": "3"})
	return requestOf(tb, m, s.Token(), serve), s.ID()
}

// requestOf is request on a session that there is.
func requestOf(tb testing.TB, m *session.Manager, token session.Token, serve func(ctx context.Context, s *session.Session) error) (do func()) {
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := m.Get(r)
		if err == nil {
			err = serve(r.Context(), s)
		}
		if err != nil {
			tb.Error(err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", "__Host-sid="+token.Reveal())
	w := &nullWriter{header: make(http.Header)}
	return func() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

func readName(_ context.Context, s *session.Session) error {
	if s.Get("username") != "andrew" {
		return session.ErrNotFound
	}
	return nil
}

func changeName(_ context.Context, s *session.Session) error { s.Set("username", "andrew"); return nil }

func countView(ctx context.Context, s *session.Session) error {
	_, err := s.Increment(ctx, "page_views", 1)
	return err
}

func BenchmarkRequest(b *testing.B) {
	for _, c := range contenders(b) {
		for _, route := range []struct {
			name  string
			opts  *session.Options
			serve func(ctx context.Context, s *session.Session) error
		}{
			{"read", nil, readName},
			{"read, touch at every read", &session.Options{TouchInterval: -1}, readName},
			{"change", nil, changeName},
			{"count", nil, countView},
		} {
			b.Run(c.name+"/"+route.name, func(b *testing.B) {
				do, _ := request(b, c.backend, route.opts, route.serve)
				b.ReportAllocs()
				for b.Loop() {
					do()
				}
			})
		}
		if c.plain == nil {
			continue
		}
		b.Run(c.name+"/plain HGETALL", func(b *testing.B) {
			_, id := request(b, c.backend, nil, readName)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.plain(b.Context(), id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A whole request, on memory.
func TestRequestAllocations(t *testing.T) {
	skipUnderRace(t)
	for _, tt := range []struct {
		name  string
		opts  *session.Options
		serve func(ctx context.Context, s *session.Session) error
		most  float64
	}{
		{"read", nil, readName, 1},
		{"read, touched at every read", &session.Options{TouchInterval: -1}, readName, 6},
		{"change", nil, changeName, 8},
		{"count", nil, countView, 16},
	} {
		do, _ := request(t, memory.New(nil), tt.opts, tt.serve)
		if got := allocs(do); got > tt.most {
			t.Errorf("%s: a request allocates %v times, want at most %v", tt.name, got, tt.most)
		}
	}
}

// What a whole read request allocates beyond the plain HGETALL of the same client. One that touches the session allocates
// less than that: the script replies with one text.
func TestReadRequestAllocationsOnRedis(t *testing.T) {
	skipUnderRace(t)
	touched := &session.Options{TouchInterval: -1}
	for _, c := range contenders(t) {
		if c.plain == nil {
			continue
		}
		for _, tt := range []struct {
			name string
			opts *session.Options
			most float64
		}{{"read", nil, 1}, {"read, touched at every read", touched, -4}} {
			do, id := request(t, c.backend, tt.opts, readName)
			got := allocs(do) - allocs(func() {
				if _, err := c.plain(t.Context(), id); err != nil {
					t.Error(err)
				}
			})
			if got > tt.most {
				t.Errorf("%s, %s: a request allocates %v times more than HGETALL, want at most %v", c.name, tt.name, got, tt.most)
			}
		}
	}
}

// A read from a local cache makes no map either, from the second one on.
func TestLocalCacheReadAllocations(t *testing.T) {
	skipUnderRace(t)
	all := contenders(t)
	cached := rueidis.New(all[2].client, &rueidis.Options{LocalCache: time.Hour})
	made := mustCreate(t, mustNew(t, all[1].backend, nil), map[string]string{"username": "andrew", "page_views": "3"})
	do := requestOf(t, mustNew(t, cached, nil), made.Token(), readName)
	if got := allocs(do); got > 3 {
		t.Errorf("a read allocates %v times, want at most 3", got)
	}
}

// allocs returns how often do allocates. A client that connects in the background allocates too: the least of some
// measurements is that of do alone.
func allocs(do func()) float64 {
	least := testing.AllocsPerRun(200, do)
	for range 9 {
		least = min(least, testing.AllocsPerRun(200, do))
	}
	return least
}

func skipUnderRace(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates too")
	}
}

// A route that ignores the session costs what the middleware costs.
func TestIgnoredSessionAllocations(t *testing.T) {
	skipUnderRace(t)
	m := mustNew(t, memory.New(nil), nil)
	h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/", nil)
	w := &nullWriter{header: make(http.Header)}
	if got := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }); got > 1 {
		t.Errorf("%v allocations, want 1", got)
	}
}
