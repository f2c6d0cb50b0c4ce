package goredis_test

import (
	"fmt"
	"maps"
	"net"
	"slices"
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
	"github.com/faeeb396/session/internal/redistest"
)

// scanned returns the IDs that Scan yields, sorted.
func scanned(t *testing.T, b *goredis.Backend) []string {
	t.Helper()
	ids := map[string]bool{}
	for id, err := range b.Scan(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids[id] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// A prefix is a prefix, whatever a pattern would make of it.
func TestScanKeepsToPrefix(t *testing.T) {
	prefixes := []string{
		"session:", "session", "s*n:", "s?ssion:", "[a-z]:", "[^a]:", `\`, `\*`, "{tag}:", "]", "^", "a[b", "\x00", "session:*",
	}
	test := func(t *testing.T, addr string, prefixes []string) {
		client := connect(t, addr)
		for i, prefix := range prefixes {
			b := goredis.New(client, &goredis.Options{Prefix: prefix})
			id := "id" + strconv.Itoa(i)
			if err := b.Create(t.Context(), id, backend.Record{TTL: time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		for i, prefix := range prefixes {
			want := []string{"id" + strconv.Itoa(i)}
			if prefix == "session" { // begins the others' keys
				want = []string{":id0", "id1"}
			}
			b := goredis.New(client, &goredis.Options{Prefix: prefix})
			if diff := cmp.Diff(want, scanned(t, b)); diff != "" {
				t.Errorf("Scan with prefix %q, mismatch (-want +got):\n%s", prefix, diff)
			}
		}
	}
	t.Run("miniredis", func(t *testing.T) { test(t, miniredis.RunT(t).Addr(), prefixes) })
	t.Run("redis", func(t *testing.T) {
		test(t, redistest.Start(t, nil).Addr(), append(prefixes, "\xff")) // of which miniredis makes a bad pattern
	})
}

func TestScanYieldsIDsOnly(t *testing.T) {
	onServers(t, func(t *testing.T, s *store) {
		s.create(t, "A-z_0.9:", nil)
		for _, id := range []string{"", "a b", "/probe", "ä", "a\x00", "{a}", "12345678901234567890123456789012345678901234567890123456789012345"} {
			s.do(t, "SET", s.prefix+id, "v", "EX", "100")
		}
		if diff := cmp.Diff([]string{"A-z_0.9:"}, scanned(t, s.Backend)); diff != "" {
			t.Errorf("mismatch (-want +got):\n%s", diff)
		}
	})
}

func TestScanPages(t *testing.T) {
	const records = 2500 // more than one SCAN looks at
	s := onRedis(t)
	var want []string
	for i := range records {
		id := fmt.Sprintf("id%04d", i)
		s.create(t, id, nil)
		want = append(want, id)
	}
	if diff := cmp.Diff(want, scanned(t, s.Backend)); diff != "" {
		t.Errorf("mismatch (-want +got):\n%s", diff)
	}
}

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
			if diff := cmp.Diff(want, scanned(t, b)); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScanThroughAutoPipeline(t *testing.T) {
	redis := redistest.Shared(t)
	s := newStore(t, autoPipelined(t, connect(t, redis.Addr())), redis.Addr(), redis.Prefix(t))
	s.create(t, "x", nil)
	if diff := cmp.Diff([]string{"x"}, scanned(t, s.Backend)); diff != "" {
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

func TestScanFailsLast(t *testing.T) {
	s, proxy := onProxy(t, clients[0].connect)
	proxy.Inject(redistest.Fault{Command: "SCAN", Do: redistest.DropReply, Times: redistest.Always})
	n := 0
	for id, err := range s.Scan(t.Context()) {
		n++
		if id != "" || err == nil {
			t.Errorf("Scan yields %q, %v", id, err)
		}
	}
	if n != 1 {
		t.Errorf("Scan yields %d times, want an error", n)
	}
}
