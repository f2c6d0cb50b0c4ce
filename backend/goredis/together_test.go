package goredis_test

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/internal/redistest"
)

// A gate has calls go together: a hook of the client lets each DEL that goes by itself pass.
type gate struct {
	hold atomic.Pointer[chan struct{}] // those that pass wait for its end
	held atomic.Int64                  // how many do
}

// pass waits while the gate is shut.
func (g *gate) pass() {
	if hold := g.hold.Load(); hold != nil {
		g.held.Add(1)
		<-*hold
	}
}

// shut has calls that hold all lanes, and returns what opens the gate to them and waits for their end. The backend is to
// be patient.
func (g *gate) shut(t *testing.T, b *goredis.Backend) (open func()) {
	t.Helper()
	hold := make(chan struct{})
	g.hold.Store(&hold)
	lanes := 2 * runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for range lanes {
		wg.Go(func() { _ = b.Delete(t.Context(), "nobody") })
	}
	for g.held.Load() < int64(lanes) {
		time.Sleep(100 * time.Microsecond)
	}
	return func() {
		close(hold)
		wg.Wait()
		g.hold.Store(nil)
		g.held.Store(0)
	}
}

// together makes calls that go together, in this order. The backend is to be patient.
func (g *gate) together(t *testing.T, b *goredis.Backend, calls ...func()) {
	t.Helper()
	open := g.shut(t, b)
	var wg sync.WaitGroup
	for i, call := range calls {
		wg.Go(call)
		for b.Waiting() <= i {
			time.Sleep(100 * time.Microsecond)
		}
	}
	open()
	wg.Wait()
}

// patient returns a backend whose calls wait until they go together, on a client with a hook.
func patient(t *testing.T, server *redistest.Server) (*goredis.Backend, *hook) {
	client, h := connect(t, server.Addr()), &hook{}
	client.AddHook(h)
	b := goredis.New(client, nil)
	b.Patient()
	return b, h
}

// A call whose context ends while it waits for others fails, and is not sent.
func TestCallThatWaitsAndEndsIsNotSent(t *testing.T) {
	server := redistest.Start(t, nil)
	b, h := patient(t, server)
	rec := backend.Record{Fields: map[string]string{"a": "1"}, TTL: time.Hour}
	if err := b.Create(t.Context(), "x", rec); err != nil {
		t.Fatal(err)
	}
	ran := server.CallsDuring(t, func() {
		open := h.shut(t, b)
		defer open()
		for _, m := range redissuite.Methods {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
			defer cancel()
			if err := m.Call(ctx, b); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s = %v, want %v", m.Name, err, context.DeadlineExceeded)
			}
		}
	})
	maps.DeleteFunc(ran, func(name string, _ int) bool { return name != "EVALSHA" && name != "HGETALL" && name != "DEL" })
	if diff := cmp.Diff(map[string]int{"DEL": 2 * runtime.GOMAXPROCS(0)}, ran); diff != "" {
		t.Errorf("the server ran (-want +got):\n%s", diff)
	}
}

// Each call has its own answer, also if the server has lost its scripts.
func TestCallsInOnePipelineHaveTheirOwnAnswers(t *testing.T) {
	server := redistest.Start(t, nil)
	b, h := patient(t, server)
	for _, id := range []string{"x", "y"} {
		rec := backend.Record{Fields: map[string]string{"a": id, "n": "z"}, TTL: time.Hour}
		if err := b.Create(t.Context(), id, rec); err != nil {
			t.Fatal(err)
		}
	}
	server.Do(t, "SET", "session:z", "no hash")
	server.Do(t, "SCRIPT", "FLUSH")
	load := func(id string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := b.Load(ctx, id)
			return err
		}
	}
	apply := func(id string, p backend.Patch) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := b.Apply(ctx, id, p)
			return err
		}
	}
	create := func(id string) func(context.Context) error {
		return func(ctx context.Context) error { return b.Create(ctx, id, backend.Record{TTL: time.Hour}) }
	}
	var calls []func()
	for _, tt := range []struct {
		call func(context.Context) error
		want error
	}{
		{load("absent"), backend.ErrNotFound},
		{load("z"), backend.ErrUnreadable},
		{load("x"), nil},
		{apply("x", backend.Patch{If: map[string]string{"a": "y"}, Touch: true}), backend.ErrConflict},
		{apply("x", backend.Patch{Add: map[string]int64{"n": 1}}), backend.ErrCounter},
		{apply("x", backend.Patch{Add: map[string]int64{"m": 1}}), nil},
		{apply("absent", backend.Patch{Touch: true, Load: true}), backend.ErrNotFound},
		{create("y"), backend.ErrExists},
		{create("new"), nil},
		{func(ctx context.Context) error { return b.Delete(ctx, "absent") }, nil},
	} {
		calls = append(calls, func() {
			if err := tt.call(t.Context()); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	h.together(t, b, calls...)
	if got := server.Do(t, "HGET", "session:x", "m").String(); got != "1" {
		t.Errorf("counted once, m = %s", got)
	}
	if h.pipelines.Load() == 0 {
		t.Error("each call went by itself")
	}
}
