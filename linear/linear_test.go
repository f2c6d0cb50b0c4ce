package linear_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	t.Setenv("TMPDIR", t.TempDir()) // where the pictures go
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

// A check of calls that have told nothing says nothing, and one error that no call may return is enough.
func TestCheckerFailsOnErrors(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // where the pictures go
	down := errors.New("connection refused")
	atCall77 := func(n int) bool { return n == 77 }
	for _, tt := range []struct {
		name  string
		err   error
		fails func(call int) bool
		want  string // a part of the failure, or "" if there is none
	}{
		{name: "all fail", err: down, fails: func(int) bool { return true }, want: "300 of 300 calls is unknown"},
		{name: "3 of 5 fail", err: down, fails: func(n int) bool { return n%5 < 3 }, want: "180 of 300 calls is unknown"},
		{name: "2 of 5 fail", err: down, fails: func(n int) bool { return n%5 < 2 }},
		{name: "one is no counter", err: backend.ErrCounter, fails: atCall77, want: "not linearizable"},
		{name: "one is unreadable", err: backend.ErrUnreadable, fails: atCall77, want: "not linearizable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ids []string
			for i := range 60 {
				ids = append(ids, fmt.Sprint("id", i))
			}
			spy := &failing{TB: t}
			b := &flaky{Backend: memory.New(nil), err: tt.err, fails: tt.fails}
			linear.Check(spy, linear.Options{Operations: 300, IDs: ids}, b)
			if spy.failed != (tt.want != "") || !strings.Contains(spy.text, tt.want) {
				t.Errorf("the checker says %q, want %q", spy.text, tt.want)
			}
		})
	}
}

func TestCheckerNeedsABackend(t *testing.T) {
	spy := &failing{TB: t}
	done := make(chan struct{})
	go func() { // which Fatal ends
		defer close(done)
		linear.Check(spy, linear.Options{})
	}()
	<-done
	if !spy.failed {
		t.Error("Check without a backend does not fail")
	}
}

// All calls that are asked for are made.
func TestCheckerMakesAllCalls(t *testing.T) {
	for _, tt := range []struct{ operations, clients, want int }{
		{operations: 3, clients: 8, want: 3},
		{operations: 10, clients: 4, want: 10},
		{operations: 20, want: 20},
		{want: 2000},
	} {
		b := &flaky{Backend: memory.New(nil), fails: func(int) bool { return false }}
		linear.Check(t, linear.Options{Operations: tt.operations, Clients: tt.clients, IDs: []string{"x"}}, b)
		if got := int(b.calls.Load()) - 1; got != tt.want { // the last call cleans up
			t.Errorf("Operations %d, Clients %d: %d calls, want %d", tt.operations, tt.clients, got, tt.want)
		}
	}
}

// flaky is a backend of which some calls fail, without doing anything.
type flaky struct {
	backend.Backend
	err   error
	fails func(call int) bool
	calls atomic.Int64
}

func (f *flaky) next() error {
	if n := f.calls.Add(1); f.fails(int(n - 1)) {
		return f.err
	}
	return nil
}

func (f *flaky) Create(ctx context.Context, id string, rec backend.Record) error {
	if err := f.next(); err != nil {
		return err
	}
	return f.Backend.Create(ctx, id, rec)
}

func (f *flaky) Load(ctx context.Context, id string) (backend.Record, error) {
	if err := f.next(); err != nil {
		return backend.Record{}, err
	}
	return f.Backend.Load(ctx, id)
}

func (f *flaky) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if err := f.next(); err != nil {
		return backend.Record{}, err
	}
	return f.Backend.Apply(ctx, id, p)
}

func (f *flaky) Delete(ctx context.Context, id string) error {
	if err := f.next(); err != nil {
		return err
	}
	return f.Backend.Delete(ctx, id)
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
	text   string
}

func (f *failing) Errorf(format string, args ...any) {
	f.failed, f.text = true, fmt.Sprintf(format, args...)
}

func (f *failing) Fatal(args ...any) {
	f.failed, f.text = true, fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *failing) Logf(string, ...any) {}
