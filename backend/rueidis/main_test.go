package rueidis_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/rueidis"
	"github.com/faeeb396/session/internal/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Run(m)) }

// connect returns a client with rueidis's default settings, closed when the test ends.
func connect(tb testing.TB, addr string) rueidisclient.Client {
	tb.Helper()
	return connectWith(tb, rueidisclient.ClientOption{InitAddress: []string{addr}})
}

// connectMini returns a client that miniredis can serve: it has no CLIENT TRACKING, and passes for a cluster.
func connectMini(tb testing.TB, addr string) rueidisclient.Client {
	tb.Helper()
	return connectWith(tb, rueidisclient.ClientOption{
		InitAddress:       []string{addr},
		DisableCache:      true,
		ForceSingleClient: true,
	})
}

func connectWith(tb testing.TB, opts rueidisclient.ClientOption) rueidisclient.Client {
	tb.Helper()
	client, err := rueidisclient.NewClient(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	return client
}

// connectOther returns a client of the other library, closed when the test ends.
func connectOther(tb testing.TB, addr string) redis.UniversalClient {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	tb.Cleanup(func() { client.Close() })
	return client
}

// A store is a backend and its server.
type store struct {
	*rueidis.Backend
	prefix string
	conn   *redistest.Conn
}

// onServers runs a test on miniredis and on Redis.
func onServers(t *testing.T, test func(t *testing.T, s *store)) {
	t.Run("miniredis", func(t *testing.T) {
		addr := miniredis.RunT(t).Addr()
		test(t, newStore(t, connectMini(t, addr), addr, "session:"))
	})
	t.Run("redis", func(t *testing.T) {
		server := redistest.Shared(t)
		test(t, newStore(t, connect(t, server.Addr()), server.Addr(), server.Prefix(t)))
	})
}

// newStore returns a backend on the server at addr.
func newStore(tb testing.TB, client rueidisclient.Client, addr, prefix string) *store {
	tb.Helper()
	conn, err := redistest.Dial(addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return &store{rueidis.New(client, &rueidis.Options{Prefix: prefix}), prefix, conn}
}

// do has the server run a command, past the backend.
func (s *store) do(t *testing.T, command ...string) redistest.Reply {
	t.Helper()
	reply, err := s.conn.Do(command...)
	if err != nil {
		t.Fatalf("%.80q: %v", command, err)
	}
	return reply
}

// create creates a record that lives for an hour.
func (s *store) create(t *testing.T, id string, fields map[string]string) {
	t.Helper()
	if err := s.Create(t.Context(), id, backend.Record{Fields: fields, TTL: time.Hour}); err != nil {
		t.Fatalf("Create(%s): %v", id, err)
	}
}

// wantLoad checks that the record under id has these fields, and lives for an hour.
func (s *store) wantLoad(t *testing.T, id string, fields map[string]string) {
	t.Helper()
	got, err := s.Load(t.Context(), id)
	if err != nil {
		t.Fatalf("Load(%s): %v", id, err)
	}
	if diff := cmp.Diff(backend.Record{Fields: fields, TTL: time.Hour}, got); diff != "" {
		t.Errorf("Load(%s), mismatch (-want +got):\n%.2000s", id, diff)
	}
}

// calls are a call of each method, on the record "x", which has a counter "n".
var calls = []struct {
	name string
	call func(context.Context, backend.Backend) error
}{
	{name: "Create", call: func(ctx context.Context, b backend.Backend) error {
		return b.Create(ctx, "new", backend.Record{Fields: map[string]string{"a": "secret"}, TTL: time.Hour})
	}},
	{name: "Load", call: func(ctx context.Context, b backend.Backend) error {
		_, err := b.Load(ctx, "x")
		return err
	}},
	{name: "Apply", call: func(ctx context.Context, b backend.Backend) error {
		_, err := b.Apply(ctx, "x", backend.Patch{Set: map[string]string{"a": "secret"}, Add: map[string]int64{"n": 1}})
		return err
	}},
	{name: "Apply with Load", call: func(ctx context.Context, b backend.Backend) error {
		_, err := b.Apply(ctx, "x", backend.Patch{Add: map[string]int64{"n": 1}, Load: true})
		return err
	}},
	{name: "Delete", call: func(ctx context.Context, b backend.Backend) error { return b.Delete(ctx, "x") }},
}
