package rueidis_test

import (
	"errors"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend/internal/redissuite"
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
	*redissuite.Server
}

// newStore returns a backend on the server at addr.
func newStore(tb testing.TB, client rueidisclient.Client, addr, prefix string) *store {
	tb.Helper()
	b := rueidis.New(client, &rueidis.Options{Prefix: prefix})
	return &store{b, redissuite.NewServer(tb, b, addr, prefix)}
}

// isReply reports whether an error reply of the server is found in err.
func isReply(err error) bool {
	var reply *rueidisclient.RedisError
	return errors.As(err, &reply)
}
