package redissuite

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
)

// patience is how long a call without a deadline may take. Five seconds are what go-redis waits for a reply, and
// ten what rueidis does, by default; each may do so twice, to connect and to call.
const patience = 60 * time.Second

// silences are how a server ceases to answer.
var silences = map[string]func(*lab){
	"the server is down":                   func(l *lab) { l.server.Kill() },
	"the network is parted in silence":     func(l *lab) { l.proxy.Partition() },
	"the server has stopped in its tracks": func(l *lab) { l.server.Pause(l.t) },
}

// WithoutDeadline checks that a call ends also where its context has no deadline, whatever the server does.
func WithoutDeadline(t *testing.T, open Open) {
	var wg sync.WaitGroup
	for name, harm := range silences {
		for _, c := range calls {
			wg.Go(func() {
				t.Run(name+", "+c.name, func(t *testing.T) {
					l := newLab(t, open, true)
					l.start(nil)
					if c.name != "Create" {
						l.plant(c.name, "1")
					}
					harm(l)
					endsByItself(t, l.backend, c)
				})
			})
		}
		wg.Go(func() {
			t.Run(name+", durable", func(t *testing.T) {
				l := newLab(t, open, true)
				backends := l.startDurable()
				harm(l)
				var wg sync.WaitGroup
				for _, b := range backends {
					for _, c := range durableCalls {
						wg.Go(func() { endsByItself(t, b, c) })
					}
				}
				wg.Wait()
			})
		})
	}
	wg.Wait()
}

// endsByItself makes a call without a deadline.
func endsByItself(t *testing.T, b backend.Backend, c call) {
	began := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- c.make(context.Background(), b, c.name) }()
	select {
	case err := <-ended:
		t.Logf("%v: %v", time.Since(began).Round(time.Millisecond), err)
		if err == nil || refused(err) {
			t.Errorf("%s = %v, want an error that says that the outcome is unknown", c.name, err)
		}
	case <-time.After(patience):
		t.Errorf("%s has not ended after %v", c.name, patience)
	}
}

// durableCalls are those that wait for replicas.
var durableCalls = []call{
	calls[0],
	{
		name: "Apply",
		make: func(ctx context.Context, b backend.Backend, id string) error {
			_, err := b.Apply(ctx, id, backend.Patch{Add: map[string]int64{"n": 1}, Durable: true})
			return err
		},
	},
	calls[len(calls)-1],
}

// startDurable starts the server, which has the record "Apply", and returns backends that wait for a replica in vain,
// and not for long: one that has a connection for that, and one that has yet to make it.
func (l *lab) startDurable() map[string]backend.Backend {
	l.t.Helper()
	l.start(nil)
	l.plant("Apply", "1")
	c := Config{
		Addrs: []string{l.proxy.Addr()}, Defaults: l.defaults, WaitReplicas: 1, WaitTimeout: 10 * time.Millisecond,
	}
	backends := map[string]backend.Backend{"connected": l.open(l.t, c), "not connected": l.open(l.t, c)}
	for range 2 { // while the second waits, the client gets ready the connection of the first for the next
		if err := backends["connected"].Delete(l.t.Context(), "a"); !errors.Is(err, backend.ErrNotReplicated) {
			l.t.Fatalf("Delete = %v, want ErrNotReplicated", err)
		}
	}
	return backends
}

// DurableDeadline checks that a write that waits for replicas keeps the deadline of its context, also where its
// connection is yet to be made.
func DurableDeadline(t *testing.T, open Open) {
	var wg sync.WaitGroup
	for name, harm := range silences {
		wg.Go(func() {
			t.Run(name, func(t *testing.T) {
				l := newLab(t, open, false)
				backends := l.startDurable()
				harm(l)
				var wg sync.WaitGroup
				for kind, b := range backends {
					for _, c := range durableCalls {
						wg.Go(func() { keepsDeadline(t, kind, b, c, l.server.Running()) })
					}
				}
				wg.Wait()
			})
		})
	}
	wg.Wait()
}

// keepsDeadline makes a call with a deadline, which it is to wait for if the server is silent.
func keepsDeadline(t *testing.T, kind string, b backend.Backend, c call, silent bool) {
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	began := time.Now()
	err := c.make(ctx, b, c.name)
	took := time.Since(began)
	if err == nil || refused(err) || silent && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s, %s = %v, want an error that wraps %v", kind, c.name, err, context.DeadlineExceeded)
	}
	if took > advisedLimit {
		t.Errorf("%s, %s took %v, with a deadline of %v: %v", kind, c.name, took, callTimeout, err)
	}
}
