package linear_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/backend/rueidis"
	"github.com/faeeb396/session/internal/redistest"
	"github.com/faeeb396/session/linear"
)

func TestMain(m *testing.M) { os.Exit(redistest.Run(m)) }

// rounds returns how many histories of 2000 calls are checked: SESSION_TEST_ROUNDS, or a few.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("SESSION_TEST_ROUNDS")); err == nil {
		return n
	}
	return 3
}

func check(t *testing.T, opts linear.Options, backends ...backend.Backend) {
	t.Helper()
	for range rounds() {
		linear.Check(t, opts, backends...)
	}
}

func onGoRedis(t *testing.T, prefix string, addrs ...string) backend.Backend {
	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: addrs, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	return goredis.New(client, &goredis.Options{Prefix: prefix})
}

func onRueidis(t *testing.T, prefix string, addrs ...string) backend.Backend {
	t.Helper()
	client, err := rueidisclient.NewClient(rueidisclient.ClientOption{InitAddress: addrs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return rueidis.New(client, &rueidis.Options{Prefix: prefix})
}

func TestMemory(t *testing.T) { check(t, linear.Options{}, memory.New(nil)) }

func TestRedis(t *testing.T) {
	server := redistest.Shared(t)
	for name, open := range map[string]func(t *testing.T, prefix string, addrs ...string) backend.Backend{
		"goredis": onGoRedis, "rueidis": onRueidis,
	} {
		t.Run(name, func(t *testing.T) {
			prefix := server.Prefix(t)
			check(t, linear.Options{}, open(t, prefix, server.Addr()), open(t, prefix, server.Addr()))
		})
		t.Run(name+", replies are lost", func(t *testing.T) {
			proxy := redistest.NewProxy(t, server.Addr())
			var faults []*redistest.Injection
			for i := range 60 {
				fault := redistest.DropReply
				if i%3 == 2 {
					fault = redistest.CutReply
				}
				faults = append(faults, proxy.Inject(redistest.Fault{Command: "EVALSHA", Skip: 20 * (i + 1), Do: fault}))
			}
			// Few records more than calls under way: every lost reply leaves two possibilities open for good.
			var ids []string
			for i := range 60 {
				ids = append(ids, fmt.Sprint("lost", i))
			}
			linear.Check(t, linear.Options{Operations: 3000, IDs: ids}, open(t, server.Prefix(t), proxy.Addr()))
			lost := 0
			for _, f := range faults {
				lost += f.Hits()
			}
			if lost < 20 {
				t.Errorf("only %d replies were lost", lost)
			}
		})
	}
	t.Run("both", func(t *testing.T) {
		prefix := server.Prefix(t)
		check(t, linear.Options{}, onGoRedis(t, prefix, server.Addr()), onRueidis(t, prefix, server.Addr()))
	})
}

func TestClusterWhileASlotMoves(t *testing.T) {
	cluster := redistest.SharedCluster(t)
	for name, open := range map[string]func(t *testing.T, prefix string, addrs ...string) backend.Backend{
		"goredis": onGoRedis, "rueidis": onRueidis,
	} {
		t.Run(name, func(t *testing.T) {
			prefix := "{" + cluster.Prefix(t) + "}" // one slot for all
			slot := redistest.Slot(prefix)
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						cluster.MigrateSlot(t, slot, another(cluster.Masters(t), cluster.MasterOf(t, prefix)))
					}
				}
			})
			for range rounds() {
				linear.Check(t, linear.Options{}, open(t, prefix, cluster.Addrs()...))
			}
			close(stop)
			wg.Wait()
		})
	}
}

// another returns a server that is not this one.
func another(servers []*redistest.Server, this *redistest.Server) *redistest.Server {
	for _, s := range servers {
		if s.Addr() != this.Addr() {
			return s
		}
	}
	return nil
}

// broken is a correct backend in memory with a bug.
type broken struct {
	mu      sync.Mutex
	records map[string]backend.Record
	apply   func(b *broken, id string, p backend.Patch) (backend.Record, error)
	load    func(b *broken, id string) (backend.Record, error)
	create  func(b *broken, id string, rec backend.Record) error
}

func (b *broken) Create(_ context.Context, id string, rec backend.Record) error {
	if b.create != nil {
		return b.create(b, id, rec)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.records[id]; ok {
		return backend.ErrExists
	}
	b.records[id] = clone(rec)
	return nil
}

func (b *broken) Load(_ context.Context, id string) (backend.Record, error) {
	if b.load != nil {
		return b.load(b, id)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	rec, ok := b.records[id]
	if !ok {
		return backend.Record{}, backend.ErrNotFound
	}
	return clone(rec), nil
}

func (b *broken) Apply(_ context.Context, id string, p backend.Patch) (backend.Record, error) {
	if b.apply != nil {
		return b.apply(b, id, p)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	rec, ok := b.records[id]
	next, removed, reply, err := change(rec, ok, p)
	if err != nil {
		return backend.Record{}, err
	}
	b.put(id, next, removed)
	return reply, nil
}

func (b *broken) Delete(_ context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.records, id)
	return nil
}

func (b *broken) put(id string, rec backend.Record, removed bool) {
	if delete(b.records, id); !removed {
		b.records[id] = rec
	}
}

func clone(rec backend.Record) backend.Record {
	return backend.Record{Fields: maps.Clone(rec.Fields), TTL: rec.TTL}
}

// change is what an Apply does to a record.
func change(rec backend.Record, ok bool, p backend.Patch) (next backend.Record, removed bool, reply backend.Record, err error) {
	if !ok {
		return rec, false, reply, backend.ErrNotFound
	}
	for name, want := range p.If {
		if rec.Fields[name] != want {
			return rec, false, reply, backend.ErrConflict
		}
	}
	for _, name := range p.Has {
		if _, ok := rec.Fields[name]; !ok {
			return rec, false, reply, backend.ErrConflict
		}
	}
	next = clone(rec)
	maps.Copy(next.Fields, p.Set)
	for _, name := range p.Delete {
		delete(next.Fields, name)
	}
	reply.Fields = make(map[string]string)
	for name, delta := range p.Add {
		n, _ := strconv.ParseInt(next.Fields[name], 10, 64)
		next.Fields[name] = strconv.FormatInt(n+delta, 10)
		reply.Fields[name] = next.Fields[name]
	}
	if p.Load {
		reply = clone(next)
	}
	return next, p.Remove, reply, nil
}

// inTwoSteps reads and writes with a moment between the two.
func inTwoSteps(b *broken, id string, p backend.Patch) (backend.Record, error) {
	b.mu.Lock()
	rec, ok := b.records[id]
	b.mu.Unlock()
	next, removed, reply, err := change(rec, ok, p)
	if err != nil {
		return backend.Record{}, err
	}
	time.Sleep(10 * time.Microsecond)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(id, next, removed)
	return reply, nil
}

// The checker finds what is not linearizable.
func TestCheckerFindsBrokenBackends(t *testing.T) {
	for name, b := range map[string]*broken{
		"check and write in two steps": {apply: inTwoSteps},
		"create in two steps": {create: func(b *broken, id string, rec backend.Record) error {
			b.mu.Lock()
			_, ok := b.records[id]
			b.mu.Unlock()
			if ok {
				return backend.ErrExists
			}
			time.Sleep(10 * time.Microsecond)
			b.mu.Lock()
			defer b.mu.Unlock()
			b.records[id] = clone(rec)
			return nil
		}},
		"written twice": {apply: func(b *broken, id string, p backend.Patch) (backend.Record, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			var reply backend.Record
			for range 2 {
				rec, ok := b.records[id]
				next, removed, r, err := change(rec, ok, p)
				if err != nil {
					return r, err
				}
				b.put(id, next, removed)
				if reply = r; removed {
					break
				}
			}
			return reply, nil
		}},
		"reads from a lagging replica": lagging(),
	} {
		t.Run(name, func(t *testing.T) {
			b.records = make(map[string]backend.Record)
			spy := &failing{TB: t}
			for range 20 {
				if linear.Check(spy, linear.Options{}, b); spy.failed {
					return
				}
			}
			t.Error("the checker takes it for linearizable")
		})
	}
}

// lagging returns a backend whose Load returns what was there a moment ago.
func lagging() *broken {
	seen := make(map[string]backend.Record)
	var mu sync.Mutex
	n := 0
	return &broken{load: func(b *broken, id string) (backend.Record, error) {
		b.mu.Lock()
		rec, ok := b.records[id]
		b.mu.Unlock()
		mu.Lock()
		defer mu.Unlock()
		if n++; n%5 != 0 {
			if old, ok := seen[id]; ok {
				return clone(old), nil
			}
		}
		if !ok {
			delete(seen, id)
			return backend.Record{}, backend.ErrNotFound
		}
		seen[id] = clone(rec)
		return clone(rec), nil
	}}
}

// failing notes a failure in place of the test.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Errorf(string, ...any) { f.failed = true }
func (f *failing) Logf(string, ...any)   {}
