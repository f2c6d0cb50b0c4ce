package goredis_test

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/internal/redistest"
)

// clients are the kinds of client that users have, each with its default settings.
var clients = []redissuite.Kind{
	{Name: "Client", Open: onClient(func(tb testing.TB, addr string) redis.UniversalClient { return connect(tb, addr) })},
	{Name: "ClusterClient", Open: onClient(func(tb testing.TB, addr string) redis.UniversalClient {
		return connectCluster(tb, nil, addr)
	})},
	{Name: "Ring", Open: onClient(func(tb testing.TB, addr string) redis.UniversalClient {
		client := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"shard": addr}})
		tb.Cleanup(func() { client.Close() })
		return client
	})},
	{Name: "auto-pipelined Client", Open: onClient(func(tb testing.TB, addr string) redis.UniversalClient {
		return autoPipelined(tb, connect(tb, addr))
	})},
	{Name: "auto-pipelined ClusterClient", Open: onClient(func(tb testing.TB, addr string) redis.UniversalClient {
		return autoPipelined(tb, connectCluster(tb, nil, addr))
	})},
	{Name: "deferring Client", Open: onClient(func(tb testing.TB, addr string) redis.UniversalClient {
		auto, err := connect(tb, addr).AsyncAutoPipeline()
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { auto.Close() })
		return auto
	})},
}

// connectCluster returns a client to which the servers, which know nothing of it, are the masters of a cluster,
// each with its share of the slots. opts may be nil.
func connectCluster(tb testing.TB, opts *redis.ClusterOptions, addrs ...string) *redis.ClusterClient {
	tb.Helper()
	if opts == nil {
		opts = &redis.ClusterOptions{}
	}
	opts.ClusterSlots = func(context.Context) ([]redis.ClusterSlot, error) {
		var slots []redis.ClusterSlot
		for i, addr := range addrs {
			slots = append(slots, redis.ClusterSlot{
				Start: i * 16384 / len(addrs),
				End:   (i+1)*16384/len(addrs) - 1,
				Nodes: []redis.ClusterNode{{Addr: addr}},
			})
		}
		return slots, nil
	}
	client := redis.NewClusterClient(opts)
	tb.Cleanup(func() { client.Close() })
	return client
}

func TestDeadline(t *testing.T) {
	redissuite.Deadline(t, onClient(func(tb testing.TB, addr string) redis.UniversalClient {
		client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
		tb.Cleanup(func() { client.Close() })
		return client
	}))
}

// No answer is never "no session".
func TestServerDown(t *testing.T) {
	server := redistest.Start(t, nil)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), DialerRetries: 1})
	t.Cleanup(func() { client.Close() })
	s := newStore(t, client, server.Addr(), "session:")
	s.MustCreate(t, "x", nil)
	server.Kill()
	for _, c := range redissuite.Methods {
		redissuite.WantUnknown(t, c.Call(t.Context(), s))
	}
	redissuite.WantUnknown(t, s.Ping(t.Context()))
	for _, err := range s.Scan(t.Context()) {
		redissuite.WantUnknown(t, err)
	}
}

// refusing is a client of somebody's own, which fails before go-redis has seen the command.
type refusing struct{ redis.UniversalClient }

func (refusing) Process(context.Context, redis.Cmder) error { return errors.New("circuit open") }

func TestClientThatRefuses(t *testing.T) {
	server := redistest.Shared(t)
	s := newStore(t, refusing{connect(t, server.Addr())}, server.Addr(), server.Prefix(t))
	for _, c := range redissuite.Methods {
		redissuite.WantUnknown(t, c.Call(t.Context(), s))
	}
}

func TestReadsFromReplicasAreRefused(t *testing.T) {
	server := redistest.Shared(t)
	for name, opts := range map[string]*redis.ClusterOptions{
		"ReadOnly":       {ReadOnly: true},
		"RouteByLatency": {RouteByLatency: true},
		"RouteRandomly":  {RouteRandomly: true},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := redistest.NewProxy(t, server.Addr())
			b := goredis.New(connectCluster(t, opts, proxy.Addr()), nil)
			check := func(method string, err error) {
				t.Helper()
				if err == nil {
					t.Errorf("%s reads from replicas", method)
				}
			}
			for _, c := range redissuite.Methods {
				check(c.Name, c.Call(t.Context(), b))
			}
			check("Ping", b.Ping(t.Context()))
			for _, err := range b.Scan(t.Context()) {
				check("Scan", err)
			}
			if sent := proxy.Calls(); sent["HGETALL"]+sent["EVALSHA"]+sent["DEL"]+sent["SCAN"] != 0 {
				t.Errorf("sent %v", sent)
			}
		})
	}
}
