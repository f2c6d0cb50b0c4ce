package goredis_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/internal/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Run(m)) }

// connect returns a client with go-redis's default settings, closed when the test ends.
func connect(tb testing.TB, addr string) *redis.Client {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	tb.Cleanup(func() { client.Close() })
	return client
}

// connectMini is connect for miniredis, whose scripts take their time on a busy machine.
func connectMini(tb testing.TB, addr string) redis.UniversalClient {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: time.Minute})
	tb.Cleanup(func() { client.Close() })
	return client
}

// connectOther returns a client of the other library, closed when the test ends.
func connectOther(tb testing.TB, addr string) rueidisclient.Client {
	tb.Helper()
	client, err := rueidisclient.NewClient(rueidisclient.ClientOption{
		InitAddress:       []string{addr},
		DisableCache:      true, // miniredis has no CLIENT TRACKING,
		ForceSingleClient: true, // and passes for a cluster
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	return client
}

// A store is a backend and its server.
type store struct {
	*goredis.Backend
	*redissuite.Server
}

// newStore returns a backend on the server at addr.
func newStore(tb testing.TB, client redis.UniversalClient, addr, prefix string) *store {
	tb.Helper()
	b := goredis.New(client, &goredis.Options{Prefix: prefix})
	return &store{b, redissuite.NewServer(tb, b, addr, prefix)}
}

// isReply reports whether an error reply of the server is found in err.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}
