package goredis_test

import (
	"cmp"
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/rueidis"
	"github.com/faeeb396/session/conformance"
	"github.com/faeeb396/session/internal/redistest"
)

// What miniredis does with records of 10 000 fields takes a processor for seconds: not beside others.
func TestConformanceOnMiniredis(t *testing.T) {
	server := miniredis.RunT(t)
	client := connectMini(t, server.Addr())
	other := rueidis.New(connectOther(t, server.Addr()), nil)
	runConformance(t, client, other, goredis.Options{}, server.FastForward)
}

func TestConformance(t *testing.T) {
	t.Parallel() // it mostly waits
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server := redistest.Shared(t)
		prefix := server.Prefix(t)
		client := connect(t, server.Addr())
		other := rueidis.New(connectOther(t, server.Addr()), &rueidis.Options{Prefix: prefix})
		runConformance(t, client, other, goredis.Options{Prefix: prefix}, nil)
	})
	t.Run("auto-pipelined", func(t *testing.T) {
		t.Parallel()
		server := redistest.Shared(t)
		prefix := server.Prefix(t)
		client := autoPipelined(t, connect(t, server.Addr()))
		other := goredis.New(connect(t, server.Addr()), &goredis.Options{Prefix: prefix})
		runConformance(t, client, other, goredis.Options{Prefix: prefix}, nil)
	})
	t.Run("RESP2, each call by itself", func(t *testing.T) {
		t.Parallel()
		server := redistest.Shared(t)
		prefix := server.Prefix(t)
		client := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2})
		t.Cleanup(func() { client.Close() })
		other := goredis.New(autoPipelined(t, client), &goredis.Options{Prefix: prefix})
		runConformance(t, client, other, goredis.Options{Prefix: prefix, DisableBatching: true}, nil)
	})
}

func autoPipelined(tb testing.TB, client redis.UniversalClient) redis.UniversalClient {
	tb.Helper()
	auto, err := client.AutoPipeline()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { auto.Close() })
	return auto
}

func runConformance(t *testing.T, client redis.UniversalClient, second backend.Backend, opts goredis.Options,
	advance func(time.Duration)) {
	b := goredis.New(client, &opts)
	prefix := cmp.Or(opts.Prefix, "session:")
	newTarget := func(*testing.T) conformance.Target {
		return conformance.Target{
			Backend: b,
			Second:  second,
			Advance: advance,
			Plant: map[string]func(context.Context, string) error{
				"a string": func(ctx context.Context, id string) error {
					return plant(ctx, client, prefix+id, "set", "v")
				},
				"a list": func(ctx context.Context, id string) error {
					return plant(ctx, client, prefix+id, "rpush", "v")
				},
				"a garbled session_ttl": func(ctx context.Context, id string) error {
					return plant(ctx, client, prefix+id, "hset", "session_ttl", "1e3")
				},
			},
		}
	}
	conformance.Run(t, newTarget)
	conformance.RunSessions(t, newTarget)
}

// plant runs a command that makes a key, and gives that an expiry.
func plant(ctx context.Context, client redis.UniversalClient, key, command string, args ...any) error {
	if err := client.Do(ctx, append([]any{command, key}, args...)...).Err(); err != nil {
		return err
	}
	return client.Expire(ctx, key, time.Hour).Err()
}
