package redissuite

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/redistest"
)

// Cluster checks a backend on a cluster that is well, and whose slots move.
func Cluster(t *testing.T, open Open) {
	cluster := redistest.SharedCluster(t)
	config := func(t *testing.T) Config {
		return Config{Addrs: cluster.Addrs(), Cluster: true, Prefix: cluster.Prefix(t)}
	}
	t.Run("each command names one key", func(t *testing.T) { oneKey(t, open, cluster, config(t)) })
	t.Run("a scan reaches all masters", func(t *testing.T) { scanAll(t, open, cluster, config(t)) })
	t.Run("a slot moves under load", func(t *testing.T) { slotMoves(t, open, cluster, config(t)) })
	t.Run("a slot moves under load, with WaitReplicas", func(t *testing.T) {
		c := config(t)
		c.WaitReplicas, c.WaitTimeout = 1, 10*time.Second
		slotMoves(t, open, cluster, c)
	})
}

// ClusterConformance runs the conformance suite on a cluster. No slot may move meanwhile, as in Cluster.
func ClusterConformance(t *testing.T, open Open) {
	cluster := redistest.SharedCluster(t)
	c := Config{Addrs: cluster.Addrs(), Cluster: true, Prefix: cluster.Prefix(t)}
	conform(t, open, c, func(key string, args ...string) error {
		_, err := cluster.MasterOf(t, key).Try(args...)
		return err
	})
}

// ClusterCalls is Cluster for a backend whose client reaches no single node of a cluster: it can neither scan them nor
// wait for replicas.
func ClusterCalls(t *testing.T, open Open) {
	cluster := redistest.SharedCluster(t)
	c := Config{Addrs: cluster.Addrs(), Cluster: true, Prefix: cluster.Prefix(t)}
	t.Run("a slot moves under load", func(t *testing.T) { slotMoves(t, CallsOnly(open), cluster, c) })
}

// CallsOnly returns what opens backends that have their four methods and no more.
func CallsOnly(open Open) Open {
	return func(tb testing.TB, c Config) backend.Backend { return struct{ backend.Backend }{open(tb, c)} }
}

// oneKey looks at what every node was sent: a client of a cluster can send a command only if all of its keys are
// on one node, so each is to have one.
func oneKey(t *testing.T, open Open, cluster *redistest.Cluster, c Config) {
	c.WaitReplicas, c.WaitTimeout = 1, waitTimeout
	b := open(t, c)
	var recorded []func() []string
	for _, node := range cluster.Nodes() {
		recorded = append(recorded, node.Monitor(t))
	}
	useAll(t, b)
	seen := make(map[string]int)
	for i, lines := range recorded {
		for _, line := range lines() {
			args := monitored(t, line)
			if len(args) < 2 || strings.EqualFold(args[0], "SCAN") || !strings.Contains(line, c.Prefix) {
				continue
			}
			seen[strings.ToUpper(args[0])]++
			keys := cluster.Nodes()[i].Do(t, append([]string{"COMMAND", "GETKEYS"}, args...)...).Strings()
			if len(keys) != 1 || !strings.HasPrefix(keys[0], c.Prefix) {
				t.Errorf("the keys of %.100q are %q, want one that begins with %q", args, keys, c.Prefix)
			}
		}
	}
	for _, command := range []string{"HGETALL", "EVALSHA", "DEL"} {
		if seen[command] == 0 {
			t.Errorf("no %s among what was sent: %v", command, seen)
		}
	}
}

// useAll makes every kind of call.
func useAll(t *testing.T, b backend.Backend) {
	t.Helper()
	ctx := t.Context()
	patch := backend.Patch{
		If: map[string]string{"n": "1"}, Has: []string{"n"}, Set: map[string]string{"a": "1", "b": "2"},
		Delete: []string{"c", "d"}, Add: map[string]int64{"n": 1, "m": 1}, TTL: time.Minute,
	}
	for i := range 20 {
		id := strconv.Itoa(i)
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		check(b.Create(ctx, id, newRecord("1")))
		p := patch
		p.Load, p.Durable = i%2 == 0, i%3 == 0
		_, err := b.Apply(ctx, id, p)
		check(err)
		_, err = b.Apply(ctx, id, backend.Patch{Touch: true})
		check(err)
		_, err = b.Load(ctx, id)
		check(err)
		if i%2 == 0 {
			_, err = b.Apply(ctx, id, backend.Patch{Remove: true, Durable: true})
			check(err)
		}
		check(b.Delete(ctx, id))
		pinger, _ := backend.As[backend.Pinger](b)
		check(pinger.Ping(ctx))
	}
}

// monitored returns the command in a line of MONITOR.
func monitored(t *testing.T, line string) (args []string) {
	t.Helper()
	_, rest, _ := strings.Cut(line, "] ")
	for rest = strings.TrimSpace(rest); rest != ""; {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			t.Fatalf("MONITOR: %q: %v", line, err)
		}
		arg, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("MONITOR: %q: %v", line, err)
		}
		args = append(args, arg)
		rest = strings.TrimSpace(rest[len(quoted):])
	}
	return args
}

func scanAll(t *testing.T, open Open, cluster *redistest.Cluster, c Config) {
	b := open(t, c)
	masters := make(map[string]int)
	want := make(map[string]bool)
	for i := range 300 {
		id := strconv.Itoa(i)
		if err := b.Create(t.Context(), id, newRecord("1")); err != nil {
			t.Fatal(err)
		}
		masters[cluster.MasterOf(t, c.Prefix+id).Addr()]++
		want[id] = true
	}
	if len(masters) != 3 {
		t.Fatalf("the records are on %v, want three masters", masters)
	}
	scanner, ok := backend.As[backend.Scanner](b)
	if !ok {
		t.Fatal("no Scanner")
	}
	got := make(map[string]bool)
	for id, err := range scanner.Scan(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got[id] = true
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("mismatch (-want +got):\n%s", d)
	}
}

// slotMoves moves a slot from master to master while its records are in use: no call fails, and no change is lost
// or made twice.
func slotMoves(t *testing.T, open Open, cluster *redistest.Cluster, c Config) {
	const records, workers = 20, 24
	c.Prefix += "{moving}:" // all of them in one slot
	b := open(t, c)
	var added [records]atomic.Int64
	for i := range records {
		if err := b.Create(t.Context(), strconv.Itoa(i), newRecord("0")); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range workers {
		wg.Go(func() {
			for i := 0; !closed(stop); i++ {
				record := rand.IntN(records)
				if err := useMoving(t, b, strconv.Itoa(record), fmt.Sprintf("new-%d-%d", w, i)); err != nil {
					t.Errorf("a call failed: %v", err)
					return
				}
				added[record].Add(1)
			}
		})
	}
	moveAround(t, cluster, c.Prefix)
	close(stop)
	wg.Wait()
	total := int64(0)
	for i := range records {
		rec, err := b.Load(t.Context(), strconv.Itoa(i))
		if want := strconv.FormatInt(added[i].Load(), 10); err != nil || rec.Fields["n"] != want {
			t.Errorf("record %d holds %q, %v, want %s", i, rec.Fields["n"], err, want)
		}
		total += added[i].Load()
	}
	t.Logf("%d rounds of calls", total)
}

// useMoving adds one to a record, reads it, and creates and deletes another one.
func useMoving(t *testing.T, b backend.Backend, id, other string) error {
	ctx := t.Context()
	if _, err := b.Apply(ctx, id, backend.Patch{Add: map[string]int64{"n": 1}, Load: len(other)%2 == 0, Durable: true}); err != nil {
		return err
	}
	if _, err := b.Load(ctx, id); err != nil {
		return err
	}
	if err := b.Create(ctx, other, newRecord("0")); err != nil {
		return err
	}
	return b.Delete(ctx, other)
}

// moveAround moves the slot of a key to each of the other masters, and back, and waits at every stage.
func moveAround(t *testing.T, cluster *redistest.Cluster, key string) {
	const stage = 50 * time.Millisecond
	slot := redistest.Slot(key)
	home := cluster.MasterOf(t, key)
	stops := slices.DeleteFunc(cluster.Masters(t), func(s *redistest.Server) bool { return s == home })
	for _, to := range append(stops, home) {
		time.Sleep(stage)
		m := cluster.BeginMigration(t, slot, to)
		time.Sleep(stage)
		m.MoveKeys(t)
		time.Sleep(stage)
		m.Finish(t)
	}
	time.Sleep(stage)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
