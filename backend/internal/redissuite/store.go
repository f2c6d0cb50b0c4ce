package redissuite

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/redistest"
)

// Connect connects a client to the server at addr and returns the backend on it, with the prefix. The client is
// closed when the test ends.
type Connect func(tb testing.TB, addr, prefix string) backend.Backend

// Kit is what a backend's package gives for the tests on single servers.
type Kit struct {
	Name     string           // what errors begin with
	Open     Connect          // on a client with its default settings
	OpenMini Connect          // on one that miniredis can serve
	IsReply  func(error) bool // whether an error reply of the server is in err
	Kinds    []Kind           // the kinds of client that users have, with what retries by default retrying
}

// Kind is a kind of client.
type Kind struct {
	Name string
	Open Connect
}

// Server is a server that tests look at past the backend under test.
type Server struct {
	Prefix string
	conn   *redistest.Conn
	b      backend.Backend
}

// NewServer returns the server at addr, which b is a client of with the prefix.
func NewServer(tb testing.TB, b backend.Backend, addr, prefix string) *Server {
	tb.Helper()
	conn, err := redistest.Dial(addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return &Server{prefix, conn, b}
}

// Do has the server run a command, past the backend.
func (s *Server) Do(t *testing.T, command ...string) redistest.Reply {
	t.Helper()
	reply, err := s.conn.Do(command...)
	if err != nil {
		t.Fatalf("%.80q: %v", command, err)
	}
	return reply
}

// MustCreate creates a record that lives for an hour.
func (s *Server) MustCreate(t *testing.T, id string, fields map[string]string) {
	t.Helper()
	if err := s.b.Create(t.Context(), id, backend.Record{Fields: fields, TTL: time.Hour}); err != nil {
		t.Fatalf("Create(%s): %v", id, err)
	}
}

// WantLoad checks that the record under id has these fields, and lives for an hour.
func (s *Server) WantLoad(t *testing.T, id string, fields map[string]string) {
	t.Helper()
	got, err := s.b.Load(t.Context(), id)
	if err != nil {
		t.Fatalf("Load(%s): %v", id, err)
	}
	if diff := cmp.Diff(backend.Record{Fields: fields, TTL: time.Hour}, got); diff != "" {
		t.Errorf("Load(%s), mismatch (-want +got):\n%.2000s", id, diff)
	}
}

// Store is a backend and its server.
type Store struct {
	backend.Backend
	*Server
}

func newStore(tb testing.TB, b backend.Backend, addr, prefix string) *Store {
	tb.Helper()
	return &Store{b, NewServer(tb, b, addr, prefix)}
}

// Ping is the backend's.
func (s *Store) Ping(ctx context.Context) error {
	p, _ := backend.As[backend.Pinger](s.Backend)
	return p.Ping(ctx)
}

// Scan is the backend's.
func (s *Store) Scan(ctx context.Context) iter.Seq2[string, error] {
	sc, _ := backend.As[backend.Scanner](s.Backend)
	return sc.Scan(ctx)
}

// onServers runs a test on miniredis and on Redis.
func (k Kit) onServers(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Run("miniredis", func(t *testing.T) {
		addr := miniredis.RunT(t).Addr()
		test(t, newStore(t, k.OpenMini(t, addr, "session:"), addr, "session:"))
	})
	t.Run("redis", func(t *testing.T) { test(t, k.onRedis(t)) })
}

// onRedis returns a store on the shared server.
func (k Kit) onRedis(t *testing.T) *Store {
	t.Helper()
	server := redistest.Shared(t)
	return k.on(t, server.Addr(), server.Prefix(t))
}

// on returns a store on the server at addr.
func (k Kit) on(t *testing.T, addr, prefix string) *Store {
	t.Helper()
	return newStore(t, k.Open(t, addr, prefix), addr, prefix)
}

// OnProxy returns a store whose client has a proxy between it and the server. It has the record "x", and its
// connections and the scripts are there.
func OnProxy(t *testing.T, open Connect) (*Store, *redistest.Proxy) {
	t.Helper()
	server := redistest.Shared(t)
	proxy := redistest.NewProxy(t, server.Addr())
	prefix := server.Prefix(t)
	s := newStore(t, open(t, proxy.Addr(), prefix), server.Addr(), prefix)
	s.MustCreate(t, "x", map[string]string{"n": "1"})
	if _, err := s.Apply(t.Context(), "x", backend.Patch{}); err != nil {
		t.Fatal(err)
	}
	proxy.ResetCalls()
	return s, proxy
}

// Method is a call of a method.
type Method struct {
	Name string
	Call func(context.Context, backend.Backend) error
}

// Methods are a call of each method, on the record "x", which has a counter "n".
var Methods = []Method{
	{Name: "Create", Call: func(ctx context.Context, b backend.Backend) error {
		return b.Create(ctx, "new", backend.Record{Fields: map[string]string{"a": "secret"}, TTL: time.Hour})
	}},
	{Name: "Load", Call: func(ctx context.Context, b backend.Backend) error {
		_, err := b.Load(ctx, "x")
		return err
	}},
	{Name: "Apply", Call: func(ctx context.Context, b backend.Backend) error {
		_, err := b.Apply(ctx, "x", backend.Patch{Set: map[string]string{"a": "secret"}, Add: map[string]int64{"n": 1}})
		return err
	}},
	{Name: "Apply with Load", Call: func(ctx context.Context, b backend.Backend) error {
		_, err := b.Apply(ctx, "x", backend.Patch{Add: map[string]int64{"n": 1}, Load: true})
		return err
	}},
	{Name: "Delete", Call: func(ctx context.Context, b backend.Backend) error { return b.Delete(ctx, "x") }},
}

// CallMethod calls one of Methods, by its name.
func CallMethod(ctx context.Context, b backend.Backend, name string) error {
	for _, m := range Methods {
		if m.Name == name {
			return m.Call(ctx, b)
		}
	}
	panic("no method " + name)
}
