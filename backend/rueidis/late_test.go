package rueidis_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/rueidis"
	"github.com/faeeb396/session/internal/redistest"
)

// asking counts what the client is asked through its cache.
type asking struct {
	rueidisclient.Client
	asked atomic.Int64
}

func (a *asking) DoCache(ctx context.Context, cmd rueidisclient.Cacheable,
	ttl time.Duration) rueidisclient.RedisResult {
	a.asked.Add(1)
	return a.Client.DoCache(ctx, cmd, ttl)
}

// A reply that comes after its read was given up does not pass for that to a later read, which others join: it is as
// old as the read.
func TestLocalCacheIsBoundedWhereAReadWasGivenUp(t *testing.T) {
	for _, tt := range []struct {
		name   string
		window time.Duration
		own    bool
	}{
		{name: "another process's logout", window: 1100 * time.Millisecond},
		{name: "own logout", window: 1100 * time.Millisecond, own: true},
		{name: "another process's logout, short window", window: 300 * time.Millisecond},
		{name: "own logout, short window", window: 300 * time.Millisecond, own: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			server := redistest.Start(t, nil)
			proxy := redistest.NewProxy(t, server.Addr())
			client := &asking{Client: connect(t, proxy.Addr())}
			cached := rueidis.New(client, &rueidis.Options{
				LocalCache: tt.window, WaitReplicas: 1, WaitTimeout: time.Millisecond, // on a connection of its own
			})
			other := rueidis.New(connect(t, server.Addr()), nil)
			mustCreate(t, other, "a")

			hang := proxy.Inject(redistest.Fault{Command: "EXEC", Do: redistest.HangReply})
			defer hang.Release()
			ctx, cancel := context.WithCancel(t.Context())
			go func() { hang.Await(t); cancel() }() // the server has answered
			if _, err := cached.Load(ctx, "a"); !errors.Is(err, context.Canceled) {
				t.Fatalf("Load = %v, want %v", err, context.Canceled)
			}
			writer := other
			if tt.own {
				writer = cached
			}
			if err := writer.Delete(t.Context(), "a"); err != nil && !errors.Is(err, backend.ErrNotReplicated) {
				t.Fatal(err)
			}
			time.Sleep(tt.window)

			var wg sync.WaitGroup
			for range 2 { // one is sent, and the other joins it
				wg.Go(func() {
					if rec, err := cached.Load(t.Context(), "a"); !errors.Is(err, backend.ErrNotFound) {
						t.Errorf("Load, which began %v after the Delete = %v, %v; want ErrNotFound", tt.window, rec, err)
					}
				})
			}
			eventually(t, "both reads", func() bool { return client.asked.Load() == 3 && proxy.Calls()["EXEC"] == 2 })
			hang.Release()
			wg.Wait()
		})
	}
}
