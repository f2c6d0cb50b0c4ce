package rueidis_test

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/google/go-cmp/cmp"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/backend/rueidis"
)

// A cluster is a number of servers that say that they are one. Each master has a share of the slots; the others
// are replicas of the first.
type cluster struct {
	nodes   []*miniredis.Miniredis
	addrs   []string
	masters int

	mu     sync.Mutex
	owner  string // if set, the ID of the first master in CLUSTER SLOTS
	noMyID string // if set, the error of CLUSTER MYID
}

func newCluster(t *testing.T, masters, replicas int) *cluster {
	t.Helper()
	c := &cluster{masters: masters}
	for range masters + replicas {
		node := miniredis.RunT(t)
		c.nodes, c.addrs = append(c.nodes, node), append(c.addrs, node.Addr())
	}
	for i, node := range c.nodes {
		node.Server().SetPreHook(func(peer *server.Peer, command string, args ...string) bool {
			return c.answer(peer, i, append([]string{command}, args...))
		})
	}
	return c
}

// lie sets what CLUSTER SLOTS and CLUSTER MYID say.
func (c *cluster) lie(owner, noMyID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owner, c.noMyID = owner, noMyID
}

// connect returns a client of the cluster. In RESP2 it takes the servers for old ones, and asks CLUSTER SLOTS only.
func (c *cluster) connect(t *testing.T) rueidisclient.Client {
	t.Helper()
	return connectWith(t, rueidisclient.ClientOption{
		InitAddress:  c.addrs[:1],
		AlwaysRESP2:  true,
		DisableCache: true,
	})
}

// answer answers what node i knows of the cluster.
func (c *cluster) answer(peer *server.Peer, i int, command []string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch strings.ToUpper(strings.Join(command, " ")) {
	case "CLUSTER SLOTS":
		c.writeSlots(peer)
	case "CLUSTER MYID":
		if c.noMyID != "" {
			peer.WriteError(c.noMyID)
		} else {
			peer.WriteBulk(nodeID(i))
		}
	default:
		return false
	}
	return true
}

func (c *cluster) writeSlots(peer *server.Peer) {
	peer.WriteLen(c.masters)
	for i := range c.masters {
		nodes := []int{i}
		if i == 0 {
			for n := c.masters; n < len(c.nodes); n++ {
				nodes = append(nodes, n)
			}
		}
		peer.WriteLen(2 + len(nodes))
		peer.WriteInt(i * 16384 / c.masters)
		peer.WriteInt((i+1)*16384/c.masters - 1)
		for _, n := range nodes {
			host, port, _ := net.SplitHostPort(c.addrs[n])
			number, _ := strconv.Atoi(port)
			peer.WriteLen(3)
			peer.WriteBulk(host)
			peer.WriteInt(number)
			if n == 0 && c.owner != "" {
				peer.WriteBulk(c.owner)
			} else {
				peer.WriteBulk(nodeID(n))
			}
		}
	}
}

func nodeID(i int) string { return fmt.Sprintf("%040d", i) }

func TestScanReachesEveryMaster(t *testing.T) {
	const records = 90
	c := newCluster(t, 3, 1)
	b := rueidis.New(c.connect(t), nil)
	var want []string
	for i := range records {
		id := fmt.Sprintf("id%04d", i)
		if err := b.Create(t.Context(), id, backend.Record{TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		want = append(want, id)
	}
	for i, node := range c.nodes[:c.masters] {
		if n := len(node.Keys()); n < records/10 {
			t.Fatalf("%d records on node %d", n, i)
		}
	}
	// What a replica holds may be gone already.
	if err := c.nodes[3].Set("session:stale", "v"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, redissuite.Scanned(t, b)); diff != "" {
		t.Errorf("mismatch (-want +got):\n%s", diff)
	}
}

// A scan that leaves a master out would be a list of sessions that is not whole.
func TestScanFailsWithoutEveryMaster(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(c *cluster)
		want string
	}{
		{name: "not known", harm: func(c *cluster) { c.lie(nodeID(99), "") }, want: "not every master"},
		{name: "down", harm: func(c *cluster) { c.nodes[1].Close() }, want: "not every master"},
		{name: "not permitted", harm: func(c *cluster) { c.lie("", "NOPERM cluster|myid") }, want: "NOPERM cluster|myid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t, 2, 0)
			b := rueidis.New(c.connect(t), nil)
			tt.harm(c)
			var last error
			for id, err := range b.Scan(t.Context()) {
				if id != "" || last != nil {
					t.Errorf("Scan yields %q, %v after %v", id, err, last)
				}
				last = err
			}
			if last == nil || !strings.Contains(last.Error(), tt.want) || errors.Is(last, backend.ErrNotFound) {
				t.Errorf("Scan = %v, want %q", last, tt.want)
			}
		})
	}
}
