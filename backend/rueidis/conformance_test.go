package rueidis_test

import (
	"cmp"
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	rueidisclient "github.com/redis/rueidis"

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
	other := goredis.New(connectOther(t, server.Addr()), nil)
	runConformance(t, client, other, rueidis.Options{}, server.FastForward)
}

func TestConformance(t *testing.T) {
	t.Parallel() // it mostly waits
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server := redistest.Shared(t)
		prefix := server.Prefix(t)
		client := connect(t, server.Addr())
		other := goredis.New(connectOther(t, server.Addr()), &goredis.Options{Prefix: prefix})
		runConformance(t, client, other, rueidis.Options{Prefix: prefix}, nil)
	})
	t.Run("RESP2 without pipelining, each read by itself", func(t *testing.T) {
		t.Parallel()
		server := redistest.Shared(t)
		prefix := server.Prefix(t)
		client := connectWith(t, rueidisclient.ClientOption{
			InitAddress:           []string{server.Addr()},
			AlwaysRESP2:           true,
			DisableCache:          true,
			DisableAutoPipelining: true,
		})
		other := rueidis.New(connect(t, server.Addr()), &rueidis.Options{Prefix: prefix})
		runConformance(t, client, other, rueidis.Options{Prefix: prefix, DisableBatching: true}, nil)
	})
}

func runConformance(t *testing.T, client rueidisclient.Client, second backend.Backend, opts rueidis.Options,
	advance func(time.Duration)) {
	b := rueidis.New(client, &opts)
	prefix := cmp.Or(opts.Prefix, "session:")
	newTarget := func(*testing.T) conformance.Target {
		return conformance.Target{
			Backend: b,
			Second:  second,
			Advance: advance,
			Plant: map[string]func(context.Context, string) error{
				"a string": func(ctx context.Context, id string) error {
					return plant(ctx, client, prefix+id, "SET", "v")
				},
				"a list": func(ctx context.Context, id string) error {
					return plant(ctx, client, prefix+id, "RPUSH", "v")
				},
				"a garbled session_ttl": func(ctx context.Context, id string) error {
					return plant(ctx, client, prefix+id, "HSET", "session_ttl", "1e3")
				},
			},
		}
	}
	conformance.Run(t, newTarget)
	conformance.RunSessions(t, newTarget)
}

// plant runs a command that makes a key, and gives that an expiry.
func plant(ctx context.Context, client rueidisclient.Client, key, command string, args ...string) error {
	if err := client.Do(ctx, client.B().Arbitrary(command).Keys(key).Args(args...).Build()).Error(); err != nil {
		return err
	}
	return client.Do(ctx, client.B().Expire().Key(key).Seconds(3600).Build()).Error()
}
