package rueidis_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/rueidis"
)

// counting counts what it is given by itself, and what together.
type counting struct {
	rueidisclient.Client
	single, joint atomic.Int64
}

func (c *counting) Do(ctx context.Context, cmd rueidisclient.Completed) rueidisclient.RedisResult {
	c.single.Add(1)
	return c.Client.Do(ctx, cmd)
}

func (c *counting) DoMulti(ctx context.Context, multi ...rueidisclient.Completed) []rueidisclient.RedisResult {
	c.joint.Add(int64(len(multi)))
	return c.Client.DoMulti(ctx, multi...)
}

// callers are more than there are lanes.
const callers = 128

// loadMany loads a record from many goroutines until enough is true, and returns how often.
func loadMany(t *testing.T, b *rueidis.Backend, enough func() bool) int64 {
	t.Helper()
	rec := backend.Record{Fields: map[string]string{"a": "1"}, TTL: time.Hour}
	if err := b.Create(t.Context(), "x", rec); err != nil {
		t.Fatal(err)
	}
	var (
		loads atomic.Int64
		wg    sync.WaitGroup
	)
	deadline := time.Now().Add(20 * time.Second)
	for range callers {
		wg.Go(func() {
			for calls := 0; calls < 20 || !enough() && time.Now().Before(deadline); calls++ {
				loads.Add(1)
				if _, err := b.Load(t.Context(), "x"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return loads.Load()
}

func TestManyReadsGoTogether(t *testing.T) {
	client := &counting{Client: connectMini(t, miniredis.RunT(t).Addr())}
	b := rueidis.New(client, nil)
	b.Patient()
	loadMany(t, b, func() bool { return client.joint.Load() > 0 })
	if client.joint.Load() == 0 {
		t.Error("each read went by itself")
	}
}

func TestDisableBatching(t *testing.T) {
	client := &counting{Client: connectMini(t, miniredis.RunT(t).Addr())}
	b := rueidis.New(client, &rueidis.Options{DisableBatching: true})
	loads := loadMany(t, b, func() bool { return true })
	if n := client.joint.Load(); n != 0 {
		t.Errorf("%d commands went together", n)
	}
	if n := client.single.Load(); n < loads {
		t.Errorf("%d commands for %d reads", n, loads)
	}
}

// clusterMode passes for the client of a cluster.
type clusterMode struct{ *counting }

func (clusterMode) Mode() rueidisclient.ClientMode { return rueidisclient.ClientModeCluster }

// What goes together to several nodes would wait for the slowest of them.
func TestReadsOfAClusterGoByThemselves(t *testing.T) {
	client := clusterMode{&counting{Client: connectMini(t, miniredis.RunT(t).Addr())}}
	loadMany(t, rueidis.New(client, nil), func() bool { return true })
	if n := client.joint.Load(); n != 0 {
		t.Errorf("%d commands went together", n)
	}
}
