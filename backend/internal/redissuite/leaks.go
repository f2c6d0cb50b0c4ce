package redissuite

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/redistest"
)

// maxConnections is more than what either client opens by default for a few calls at a time.
const maxConnections = 50

// Leaks checks that calls that fail in every way leave no connection behind, nor a goroutine once the client is
// closed.
func Leaks(t *testing.T, open Open) {
	server := redistest.Start(t, nil)
	proxy := redistest.NewProxy(t, server.Addr())
	before := runtime.NumGoroutine()
	t.Run("faults", func(t *testing.T) {
		b := open(t, Config{Addrs: []string{proxy.Addr()}})
		for range 10 {
			for do := redistest.DropReply; do <= redistest.RefuseCommand; do++ {
				in := proxy.Inject(redistest.Fault{Do: do, Times: redistest.Always, Delay: time.Millisecond})
				hasten(b)
				in.Release()
			}
			proxy.Sever()
		}
		if n := len(server.Clients(t)); n > maxConnections {
			t.Errorf("%d connections are open", n)
		}
	})
	wait(t, "connections to end", func() bool { return proxy.Connections() == 0 && len(server.Clients(t)) == 0 })
	wait(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// hasten makes all calls at once, with little time for them.
func hasten(b backend.Backend) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for _, c := range calls {
		wg.Go(func() { _ = c.make(ctx, b, c.name) })
	}
	wg.Wait()
}

// wait waits until ok holds.
func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > recoveryLimit {
			stacks := make([]byte, 1<<16)
			t.Fatalf("waited in vain for %s\n%s", what, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
