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

// patience is how long a call without a deadline may take. Five seconds are what go-redis waits for a reply, and
// ten what rueidis does, by default; each may do so twice, to connect and to call.
const patience = 60 * time.Second

// WithoutDeadline checks that a call ends also where its context has no deadline, whatever the server does.
func WithoutDeadline(t *testing.T, open Open) {
	var wg sync.WaitGroup
	for name, harm := range map[string]func(*lab){
		"the server is down":                   func(l *lab) { l.server.Kill() },
		"the network is parted in silence":     func(l *lab) { l.proxy.Partition() },
		"the server has stopped in its tracks": func(l *lab) { l.server.Pause(l.t) },
	} {
		for _, c := range calls {
			wg.Go(func() {
				t.Run(name+", "+c.name, func(t *testing.T) {
					l := newLab(t, open, true)
					l.start(nil)
					if c.name != "Create" {
						l.plant(c.name, "1")
					}
					harm(l)
					began := time.Now()
					err := c.make(context.Background(), l.backend, c.name)
					t.Logf("%v: %v", time.Since(began).Round(time.Millisecond), err)
					if err == nil || refused(err) {
						t.Errorf("%s = %v, want an error that says that the outcome is unknown", c.name, err)
					}
					if took := time.Since(began); took > patience {
						t.Errorf("%s took %v", c.name, took)
					}
				})
			})
		}
	}
	wg.Wait()
}
