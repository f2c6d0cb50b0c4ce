package goredis_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
)

// hook counts reads that go by themselves, and pipelines of them, which it may refuse to send.
type hook struct {
	pipelines, singles atomic.Int64
	refuse             atomic.Pointer[error]
}

func (h *hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "hgetall" {
			h.singles.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (h *hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() != "hgetall" {
			return next(ctx, cmds) // what opens a connection
		}
		h.pipelines.Add(1)
		if err := h.refuse.Load(); err != nil {
			return *err
		}
		return next(ctx, cmds)
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

// loadMany loads the record from many goroutines until enough is true, and returns the errors.
func loadMany(t *testing.T, b *goredis.Backend, enough func() bool) (errs []error) {
	t.Helper()
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	deadline := time.Now().Add(20 * time.Second)
	for range 16 * runtime.GOMAXPROCS(0) {
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
	if n, want := h.singles.Load()-before, int64(16*runtime.GOMAXPROCS(0)*20); n != want {
		t.Errorf("%d commands were sent, want %d", n, want)
	}
	if len(errs) > 0 {
		t.Errorf("%d calls failed, one with: %v", len(errs), errs[0])
	}
}

// A hook that fails, and sends nothing, must not make anybody's session look absent.
func TestPipelineHookThatFails(t *testing.T) {
	b, h := hooked(t, nil)
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
