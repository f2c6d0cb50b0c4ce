package rueidis_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/rueidis"
	"github.com/faeeb396/session/internal/redistest"
)

// giving counts the connections that the client gives.
type giving struct {
	rueidisclient.Client
	given atomic.Int64
}

func (g *giving) Dedicate() (rueidisclient.DedicatedClient, func()) {
	conn, release := g.Client.Dedicate()
	g.given.Add(1)
	return conn, release
}

// A durable write that waits for a connection of the client's pool ends with its context, and is not sent then.
func TestDurableWriteThatWaitsForAConnection(t *testing.T) {
	server := redistest.Start(t, nil)
	client := &giving{Client: connectWith(t, rueidisclient.ClientOption{
		InitAddress: []string{server.Addr()}, BlockingPoolSize: 1,
	})}
	b := rueidis.New(client, &rueidis.Options{WaitReplicas: 1, WaitTimeout: time.Millisecond})
	mustCreate(t, rueidis.New(client, nil), "a")
	_, release := client.Dedicate() // the only one
	for _, tt := range []struct {
		ctx  func(t *testing.T) context.Context
		want error
	}{
		{ctx: soon, want: context.DeadlineExceeded},
		{ctx: soonCanceled, want: context.Canceled},
	} {
		ctx, ended := tt.ctx(t), make(chan error, 1)
		go func() { ended <- b.Delete(ctx, "a") }()
		select {
		case err := <-ended:
			if !errors.Is(err, tt.want) {
				t.Errorf("Delete = %v, want %v", err, tt.want)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("Delete has not ended 10 s later, want %v", tt.want)
		}
	}
	calls := server.CallsDuring(t, func() {
		release()
		eventually(t, "the two to be given it in turn", func() bool { return client.given.Load() == 3 })
		if err := b.Delete(t.Context(), "b"); !errors.Is(err, backend.ErrNotReplicated) {
			t.Errorf("Delete = %v, want ErrNotReplicated", err)
		}
	})
	if calls["EVALSHA"] != 1 {
		t.Errorf("the server was sent %v: want the last Delete alone", calls)
	}
}

// A durable write ends when its context is cancelled, and what it has not waited for keeps nobody waiting.
func TestDurableWriteWithoutReply(t *testing.T) {
	for _, tt := range []struct {
		name       string
		pipelining bool
		want       error // at the deadline, or when it is cancelled
	}{
		{name: "default settings, deadline", want: context.DeadlineExceeded},
		{name: "default settings, cancelled", want: context.Canceled},
		{name: "advised settings, deadline", pipelining: true, want: context.DeadlineExceeded},
		{name: "advised settings, cancelled", pipelining: true, want: context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := redistest.Start(t, nil)
			proxy := redistest.NewProxy(t, server.Addr())
			client := connectWith(t, rueidisclient.ClientOption{
				InitAddress: []string{proxy.Addr()}, AlwaysPipelining: tt.pipelining,
			})
			b := rueidis.New(client, &rueidis.Options{WaitReplicas: 1, WaitTimeout: time.Millisecond})
			hang := proxy.Inject(redistest.Fault{Command: "EVALSHA", Do: redistest.HangReply})
			defer hang.Release()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- b.Delete(ctx, "a") }()
			hang.Await(t) // however long it takes the client to connect
			began := time.Now()
			if tt.want == context.Canceled {
				cancel()
			}
			err := <-done
			if took := time.Since(began); took > 3*time.Second || !errors.Is(err, tt.want) {
				t.Errorf("Delete = %v after %v, want %v", err, took, tt.want)
			}
			ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if err := b.Delete(ctx, "a"); !errors.Is(err, backend.ErrNotReplicated) {
				t.Errorf("Delete after it = %v, want ErrNotReplicated", err)
			}
		})
	}
}

// A durable write does not wait until its connection, which the client cleans, can be used by others.
func TestDurableWriteLeavesItsConnection(t *testing.T) {
	server := redistest.Start(t, nil)
	proxy := redistest.NewProxy(t, server.Addr())
	client := connectWith(t, rueidisclient.ClientOption{InitAddress: []string{proxy.Addr()}, AlwaysPipelining: true})
	b := rueidis.New(client, &rueidis.Options{WaitReplicas: 1, WaitTimeout: time.Millisecond})
	hang := proxy.Inject(redistest.Fault{Command: "UNSUBSCRIBE", Do: redistest.HangCommand})
	defer hang.Release()
	began := time.Now()
	if err := b.Delete(t.Context(), "a"); !errors.Is(err, backend.ErrNotReplicated) {
		t.Errorf("Delete = %v, want ErrNotReplicated", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("Delete took %v", took)
	}
	hang.Await(t)
}

// soon returns a context that ends soon.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// soonCanceled returns a context that is cancelled soon.
func soonCanceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	return ctx
}
