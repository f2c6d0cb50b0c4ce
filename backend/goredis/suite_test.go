package goredis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/internal/redistest"
)

// open connects with the settings that the package comment gives.
func open(tb testing.TB, c redissuite.Config) backend.Backend {
	var client redis.UniversalClient = redis.NewClient(&redis.Options{Addr: c.Addrs[0], ContextTimeoutEnabled: true})
	if c.Cluster {
		client = redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: c.Addrs, ContextTimeoutEnabled: true, ClusterStateReloadInterval: time.Second,
		})
	}
	tb.Cleanup(func() { _ = client.Close() })
	return goredis.New(client, &goredis.Options{
		Prefix: c.Prefix, WaitReplicas: c.WaitReplicas, WaitTimeout: c.WaitTimeout,
	})
}

func TestDurable(t *testing.T) { redissuite.Durable(t, open) }

func TestWaitReplicasNeedsAClientThatCan(t *testing.T) {
	server := redistest.Shared(t)
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": server.Addr()}})
	defer ring.Close()
	b := goredis.New(ring, &goredis.Options{Prefix: server.Prefix(t), WaitReplicas: 1})
	err := b.Delete(t.Context(), "a")
	if err == nil || errors.Is(err, backend.ErrNotReplicated) || b.Ping(t.Context()) == nil {
		t.Errorf("Delete = %v, want an error that says that the client cannot wait", err)
	}
}
