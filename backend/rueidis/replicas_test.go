package rueidis_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/backend/rueidis"
	"github.com/faeeb396/session/internal/redistest"
)

// group is servers with replicas, and how a client finds them.
type group struct {
	option              rueidisclient.ClientOption
	primaries, replicas []*redistest.Server
}

// sendingReads returns a client that sends to the replicas what only reads.
func (g *group) sendingReads(t *testing.T) rueidisclient.Client {
	t.Helper()
	g.option.SendToReplicas = func(cmd rueidisclient.Completed) bool { return cmd.IsReadOnly() }
	return connectWith(t, g.option)
}

// fill creates these records, and waits until the replicas have them.
func (g *group) fill(t *testing.T, ids ...string) {
	t.Helper()
	option := g.option
	option.Standalone = rueidisclient.StandaloneOption{}
	b := rueidis.New(connectWith(t, option), nil)
	for _, id := range ids {
		mustCreate(t, b, id)
	}
	for _, s := range g.primaries {
		s.AwaitReplicas(t)
	}
}

// calls returns how often servers ran what the backend sends.
func calls(t *testing.T, servers []*redistest.Server) map[string]int {
	t.Helper()
	sum := map[string]int{}
	for _, s := range servers {
		for command, n := range s.Calls(t) {
			if slices.Contains([]string{"HGETALL", "SCAN", "EVALSHA", "EVAL"}, command) {
				sum[command] += n
			}
		}
	}
	return sum
}

func startStandalone(t *testing.T) *group {
	primary := redistest.Start(t, nil)
	replica := redistest.StartReplica(t, primary, nil)
	return &group{
		option: rueidisclient.ClientOption{
			InitAddress: []string{primary.Addr()},
			Standalone:  rueidisclient.StandaloneOption{ReplicaAddress: []string{replica.Addr()}},
		},
		primaries: []*redistest.Server{primary},
		replicas:  []*redistest.Server{replica},
	}
}

func startSentinel(t *testing.T) *group {
	s := redistest.StartSentinel(t, nil)
	return &group{
		option: rueidisclient.ClientOption{
			InitAddress: s.Addrs(),
			Sentinel:    rueidisclient.SentinelOption{MasterSet: s.MasterName()},
		},
		primaries: []*redistest.Server{s.Primary(t)},
		replicas:  []*redistest.Server{s.Replica(t)},
	}
}

func startCluster(t *testing.T) *group {
	c := redistest.StartCluster(t, nil)
	g := &group{primaries: c.Masters(t)}
	// Connections to those named here are for writing, and the client reads from no replica among them.
	g.option.InitAddress = []string{g.primaries[0].Addr()}
	for _, s := range c.Nodes() {
		if !slices.Contains(g.primaries, s) {
			g.replicas = append(g.replicas, s)
		}
	}
	return g
}

// awaitKnown waits until each node of a cluster names the replicas to clients, which it does some time after they
// have received something.
func (g *group) awaitKnown(t *testing.T) {
	t.Helper()
	eventually(t, "the replicas in CLUSTER SLOTS", func() bool {
		for _, s := range slices.Concat(g.primaries, g.replicas) {
			for _, slots := range s.Do(t, "CLUSTER", "SLOTS").Array() {
				if len(slots.Array()) < 4 { // first, last, master, replica
					return false
				}
			}
		}
		return true
	})
}

// An application that sends what only reads to replicas still has its sessions from the primary.
func TestReplicasAreNotRead(t *testing.T) {
	t.Parallel()                       // it mostly waits
	ids := strings.Split("abcdef", "") // on each master of a cluster
	for _, tt := range []struct {
		name  string
		start func(t *testing.T) *group
	}{
		{name: "standalone", start: startStandalone},
		{name: "Sentinel", start: startSentinel},
		{name: "Cluster", start: startCluster},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := tt.start(t)
			g.fill(t, ids...)
			if tt.name == "Cluster" {
				g.awaitKnown(t)
			}
			client := g.sendingReads(t)
			for _, opts := range []rueidis.Options{{}, {LocalCache: time.Minute}} {
				primaries, replicas := calls(t, g.primaries), calls(t, g.replicas)
				b := rueidis.New(client, &opts)
				readTwice(t, b, ids)
				want := 2 * len(ids)
				if opts.LocalCache > 0 {
					want = len(ids)
				}
				if n := calls(t, g.primaries)["HGETALL"] - primaries["HGETALL"]; n != want {
					t.Errorf("LocalCache %v: reading %d records twice took the primaries %d HGETALL, want %d",
						opts.LocalCache, len(ids), n, want)
				}
				if err := b.Ping(t.Context()); err != nil {
					t.Errorf("LocalCache %v: Ping = %v", opts.LocalCache, err)
				}
				if diff := cmp.Diff(ids, redissuite.Scanned(t, b)); diff != "" {
					t.Errorf("LocalCache %v: Scan, mismatch (-want +got):\n%s", opts.LocalCache, diff)
				}
				if diff := cmp.Diff(replicas, calls(t, g.replicas)); diff != "" {
					t.Errorf("LocalCache %v: the replicas were read (-before +after):\n%s", opts.LocalCache, diff)
				}
			}
			// What is marked goes there.
			before := calls(t, g.replicas)["HGETALL"]
			if err := client.Do(t.Context(), client.B().Hgetall().Key("session:a").Build()).Error(); err != nil {
				t.Fatal(err)
			}
			if n := calls(t, g.replicas)["HGETALL"]; n != before+1 {
				t.Errorf("the application's own read took the replicas %d HGETALL, want 1", n-before)
			}
		})
	}
}

func readTwice(t *testing.T, b *rueidis.Backend, ids []string) {
	t.Helper()
	for range 2 {
		for _, id := range ids {
			get(t, b, id)
		}
	}
}

// A replica that has lost its primary does not keep a session that has ended.
func TestLocalCacheIsBoundedWhereAReplicaLags(t *testing.T) {
	g := startSentinel(t)
	g.fill(t, "own", "other")
	const window = 200 * time.Millisecond
	cached := rueidis.New(g.sendingReads(t), &rueidis.Options{LocalCache: window})
	other := rueidis.New(connect(t, g.primaries[0].Addr()), nil)
	readTwice(t, cached, []string{"own", "other"})
	g.replicas[0].Do(t, "REPLICAOF", "127.0.0.1", "1") // where nobody listens

	for _, tt := range []struct {
		id    string
		b     backend.Backend
		bound time.Duration
	}{
		{id: "own", b: cached, bound: 0},
		{id: "other", b: other, bound: window},
	} {
		t.Run(tt.id, func(t *testing.T) {
			if err := tt.b.Delete(t.Context(), tt.id); err != nil {
				t.Fatal(err)
			}
			for deleted := time.Now(); time.Since(deleted) < 5*window/2; time.Sleep(window / 20) {
				age := time.Since(deleted)
				rec, err := cached.Load(t.Context(), tt.id)
				if age >= tt.bound && !errors.Is(err, backend.ErrNotFound) {
					t.Fatalf("Load %v after the Delete = %v, %v; want ErrNotFound", age, rec, err)
				}
			}
		})
	}
}
