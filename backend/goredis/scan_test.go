package goredis_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/internal/redistest"
)

func TestScanReachesEveryNode(t *testing.T) {
	const records = 300
	for _, kind := range []struct {
		name    string
		connect func(t *testing.T, addrs ...string) redis.UniversalClient
	}{
		{name: "ClusterClient", connect: func(t *testing.T, addrs ...string) redis.UniversalClient {
			return connectCluster(t, nil, addrs...)
		}},
		{name: "Ring", connect: func(t *testing.T, addrs ...string) redis.UniversalClient {
			shards := map[string]string{}
			for _, addr := range addrs {
				shards[addr] = addr
			}
			client := redis.NewRing(&redis.RingOptions{Addrs: shards})
			t.Cleanup(func() { client.Close() })
			return client
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			servers := []*redistest.Server{redistest.Start(t, nil), redistest.Start(t, nil), redistest.Start(t, nil)}
			b := goredis.New(kind.connect(t, servers[0].Addr(), servers[1].Addr(), servers[2].Addr()), nil)
			var want []string
			for i := range records {
				id := fmt.Sprintf("id%04d", i)
				if err := b.Create(t.Context(), id, backend.Record{TTL: time.Hour}); err != nil {
					t.Fatal(err)
				}
				want = append(want, id)
			}
			for _, s := range servers {
				if n := s.Do(t, "DBSIZE").Int(); n < records/10 {
					t.Fatalf("%d records on one of the servers", n)
				}
			}
			if diff := cmp.Diff(want, redissuite.Scanned(t, b)); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScanThroughAutoPipeline(t *testing.T) {
	redis := redistest.Shared(t)
	s := newStore(t, autoPipelined(t, connect(t, redis.Addr())), redis.Addr(), redis.Prefix(t))
	s.MustCreate(t, "x", nil)
	if diff := cmp.Diff([]string{"x"}, redissuite.Scanned(t, s.Backend)); diff != "" {
		t.Errorf("mismatch (-want +got):\n%s", diff)
	}
}

// A scan that leaves nodes out would be a list of sessions that is not whole.
func TestScanThroughAutoPipelinedClusterFails(t *testing.T) {
	nodes := []*miniredis.Miniredis{miniredis.RunT(t), miniredis.RunT(t)}
	addrs := []string{nodes[0].Addr(), nodes[1].Addr()}
	for _, node := range nodes {
		node.Server().SetPreHook(func(peer *server.Peer, command string, args ...string) bool {
			if command != "CLUSTER" || len(args) != 1 || !strings.EqualFold(args[0], "slots") {
				return false
			}
			writeSlots(peer, addrs)
			return true
		})
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs[:1]})
	t.Cleanup(func() { client.Close() })
	b := goredis.New(autoPipelined(t, client), nil)
	if err := b.Create(t.Context(), "x", backend.Record{TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for id, err := range b.Scan(t.Context()) {
		n++
		if id != "" || err == nil || !strings.Contains(err.Error(), "one node only") {
			t.Errorf("Scan yields %q, %v", id, err)
		}
	}
	if n != 1 {
		t.Errorf("Scan yields %d times, want an error", n)
	}
}

// writeSlots writes the reply to CLUSTER SLOTS of a cluster of these masters.
func writeSlots(peer *server.Peer, addrs []string) {
	peer.WriteLen(len(addrs))
	for i, addr := range addrs {
		host, port, _ := net.SplitHostPort(addr)
		number, _ := strconv.Atoi(port)
		peer.WriteLen(3)
		peer.WriteInt(i * 16384 / len(addrs))
		peer.WriteInt((i+1)*16384/len(addrs) - 1)
		peer.WriteLen(3)
		peer.WriteBulk(host)
		peer.WriteInt(number)
		peer.WriteBulk(fmt.Sprintf("%040d", i))
	}
}
