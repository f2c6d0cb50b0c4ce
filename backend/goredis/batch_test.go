package goredis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/internal/redistest"
)

// hook counts reads that go by themselves, and pipelines, which it may refuse to send.
type hook struct {
	pipelines, singles atomic.Int64
	refuse             atomic.Pointer[error]

	sees  func([]redis.Cmder) // what is to see pipelines, if not nil
	after error               // what pipelines that went well end with, if not nil
	wrap  string              // what it makes of the error of a pipeline, with a verb for that; or ""

	gate // for deletions that go by themselves
}

func (h *hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		switch cmd.Name() {
		case "hgetall":
			h.singles.Add(1)
		case "del":
			h.pass()
		}
		return next(ctx, cmd)
	}
}

func (h *hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		switch cmds[0].Name() {
		case "hgetall", "evalsha", "del":
		default:
			return next(ctx, cmds) // what opens a connection
		}
		h.pipelines.Add(1)
		if h.sees != nil {
			h.sees(cmds)
		}
		if err := h.refuse.Load(); err != nil {
			return *err
		}
		err := next(ctx, cmds)
		switch {
		case err != nil && h.wrap != "":
			return fmt.Errorf(h.wrap, err)
		case err == nil:
			return h.after
		}
		return err
	}
}

// hooked returns a backend on a client with a hook. It has the record "x".
func hooked(t *testing.T, opts *goredis.Options) (*goredis.Backend, *hook) {
	t.Helper()
	client := connect(t, miniredis.RunT(t).Addr())
	h := &hook{}
	client.AddHook(h)
	b := goredis.New(client, opts)
	rec := backend.Record{Fields: map[string]string{"a": "1"}, TTL: time.Hour}
	if err := b.Create(t.Context(), "x", rec); err != nil {
		t.Fatal(err)
	}
	return b, h
}

// callers are more than there are lanes.
const callers = 128

// loadMany loads the record from many goroutines until enough is true, and returns the errors.
func loadMany(t *testing.T, b *goredis.Backend, enough func() bool) (errs []error) {
	t.Helper()
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	deadline := time.Now().Add(20 * time.Second)
	for range callers {
		wg.Go(func() {
			for calls := 0; calls < 20 || !enough() && time.Now().Before(deadline); calls++ {
				if _, err := b.Load(t.Context(), "x"); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return errs
}

func TestManyCallsGoTogether(t *testing.T) {
	b, h := hooked(t, nil)
	b.Patient()
	errs := loadMany(t, b, func() bool { return h.pipelines.Load() > 0 })
	if h.pipelines.Load() == 0 {
		t.Error("each call went by itself")
	}
	if len(errs) > 0 {
		t.Errorf("%d calls failed, one with: %v", len(errs), errs[0])
	}
}

func TestDisableBatching(t *testing.T) {
	b, h := hooked(t, &goredis.Options{DisableBatching: true})
	before := h.singles.Load()
	errs := loadMany(t, b, func() bool { return true })
	if n := h.pipelines.Load(); n != 0 {
		t.Errorf("%d pipelines were sent", n)
	}
	if n, want := h.singles.Load()-before, int64(20*callers); n != want {
		t.Errorf("%d commands were sent, want %d", n, want)
	}
	if len(errs) > 0 {
		t.Errorf("%d calls failed, one with: %v", len(errs), errs[0])
	}
}

// A hook that fails, and sends nothing, must not make anybody's session look absent.
func TestPipelineHookThatFails(t *testing.T) {
	b, h := hooked(t, nil)
	b.Patient()
	open := errors.New("circuit open")
	h.refuse.Store(&open)
	errs := loadMany(t, b, func() bool { return h.pipelines.Load() > 0 })
	if h.pipelines.Load() == 0 || len(errs) < 2 {
		t.Fatalf("%d pipelines were refused, %d calls failed", h.pipelines.Load(), len(errs))
	}
	for _, err := range errs {
		if !errors.Is(err, open) {
			t.Fatalf("Load = %v, want %v", err, open)
		}
	}
}

// What a hook makes of one call's error must not become that of another: a session that is there would look absent, and
// a write that was done would be done again, since another one's script is missing.
func TestPipelineHookThatWrapsErrors(t *testing.T) {
	for _, wrap := range []string{"redis: %w", "%w: in a pipeline", "redis: %v", "NOSCRIPT %v", ""} {
		t.Run(wrap, func(t *testing.T) {
			b, h := hooked(t, nil)
			b.Patient()
			h.wrap = wrap
			_, err := b.Apply(t.Context(), "x", backend.Patch{Touch: true}) // the server has the script
			if err != nil {
				t.Fatal(err)
			}
			h.together(t, b,
				func() {
					if _, err := b.Apply(t.Context(), "absent", backend.Patch{Touch: true}); err != backend.ErrNotFound {
						t.Errorf("Apply to what is absent = %v", err)
					}
				},
				func() {
					if _, err := b.Load(t.Context(), "x"); err != nil {
						t.Errorf("Load = %v", err)
					}
				},
				func() {
					if _, err := b.Apply(t.Context(), "x", backend.Patch{Add: map[string]int64{"n": 1}}); err != nil {
						t.Errorf("Apply = %v", err)
					}
				})
			if rec, err := b.Load(t.Context(), "x"); err != nil || rec.Fields["n"] != "1" {
				t.Errorf("counted once, n = %q, %v", rec.Fields["n"], err)
			}
		})
	}
}

// A hook that fails with what looks like a reply has no write sent again.
func TestPipelineHookThatFailsLikeAServer(t *testing.T) {
	b, h := hooked(t, nil)
	b.Patient()
	if _, err := b.Apply(t.Context(), "x", backend.Patch{Touch: true}); err != nil {
		t.Fatal(err)
	}
	h.after = reply("NOSCRIPT No matching script.")
	for range 2 {
		h.together(t, b, func() {
			_, _ = b.Apply(t.Context(), "x", backend.Patch{Add: map[string]int64{"n": 1}})
		}, func() {
			if _, err := b.Load(t.Context(), "x"); !strings.Contains(fmt.Sprint(err), "pipeline failed") {
				t.Errorf("Load = %v", err)
			}
		})
	}
	h.after = nil
	if rec, err := b.Load(t.Context(), "x"); err != nil || rec.Fields["n"] != "2" {
		t.Errorf("counted twice, n = %q, %v", rec.Fields["n"], err)
	}
}

// The same goes for a write that waits for replicas.
func TestPipelineHookThatFailsADurableWrite(t *testing.T) {
	client, h := connect(t, miniredis.RunT(t).Addr()), &hook{}
	client.AddHook(h)
	b := goredis.New(client, &goredis.Options{WaitReplicas: 1})
	open := errors.New("circuit open")
	h.refuse.Store(&open)
	if err := b.Delete(t.Context(), "x"); !errors.Is(err, open) {
		t.Errorf("Delete = %v, want %v", err, open)
	}
}

// No call to a node of a cluster waits for another node.
func TestCallsToOneNodeGoTogether(t *testing.T) {
	nodes := []string{miniredis.RunT(t).Addr(), miniredis.RunT(t).Addr()}
	client := connectCluster(t, nil, nodes...)
	var mixed, shared atomic.Int64
	h := &hook{sees: func(cmds []redis.Cmder) {
		if len(cmds) > 1 {
			shared.Add(1)
		}
		upper := func(cmd redis.Cmder) bool {
			return cmd.Name() == "hgetall" && redistest.Slot(cmd.Args()[1].(string)) >= 8192
		}
		for _, cmd := range cmds {
			if upper(cmd) != upper(cmds[0]) {
				mixed.Add(1)
			}
		}
	}}
	client.AddHook(h)
	b := goredis.New(client, nil)
	b.Patient(nodes...)
	var wg sync.WaitGroup
	deadline := time.Now().Add(20 * time.Second)
	for i := range callers {
		wg.Go(func() {
			for shared.Load() < 20 && time.Now().Before(deadline) {
				if _, err := b.Load(t.Context(), strconv.Itoa(i)); err != backend.ErrNotFound {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if shared.Load() == 0 || mixed.Load() > 0 {
		t.Errorf("%d pipelines of several calls, %d of them to two nodes", shared.Load(), mixed.Load())
	}
}

// reply is an error reply of a server.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// Behind a name that leads to another server after a failover, a connection to the old one must end.
func TestConnectionToAReplicaIsClosed(t *testing.T) {
	master := redistest.Start(t, nil)
	replica := redistest.StartReplica(t, master, nil)
	client := connect(t, replica.Addr())
	h := &hook{}
	client.AddHook(h)
	b := goredis.New(client, nil)
	b.Patient()
	master.Do(t, "HSET", "session:x", "session_ttl", "100")
	master.AwaitReplicas(t)
	_, _ = b.Apply(t.Context(), "x", backend.Patch{Touch: true}) // now it has the script
	h.together(t, b,
		func() { _, _ = b.Load(t.Context(), "x") },
		func() { _, _ = b.Load(t.Context(), "x") },
		func() {
			if _, err := b.Apply(t.Context(), "x", backend.Patch{Touch: true}); !redis.IsReadOnlyError(err) {
				t.Errorf("Apply = %v", err)
			}
		})
	if n := client.PoolStats().PipelineStats.TotalConns; h.pipelines.Load() == 0 || n != 0 {
		t.Errorf("after %d pipelines, %d connections are open", h.pipelines.Load(), n)
	}
}
