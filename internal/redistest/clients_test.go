package redistest_test

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

func TestProxyCarriesGoRedis(t *testing.T) {
	_, p, _, key := through(t)
	rdb := redis.NewClient(&redis.Options{Addr: p.Addr()})
	defer rdb.Close()
	ctx := t.Context()
	var counts []*redis.IntCmd
	_, err := rdb.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for range 10 {
			counts = append(counts, pipe.Incr(ctx, key))
		}
		return nil
	})
	if err != nil || counts[9].Val() != 10 {
		t.Errorf("tenth INCR = %v, %v, want 10", counts[9], err)
	}
	sub := rdb.Subscribe(ctx, key)
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	if err := rdb.Publish(ctx, key, "hello").Err(); err != nil {
		t.Fatal(err)
	}
	if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != "hello" {
		t.Errorf("message = %v, %v", m, err)
	}
}

func TestProxyCarriesRueidis(t *testing.T) {
	s, p, _, key := through(t)
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{p.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := t.Context()
	get := func() (string, bool) {
		r := client.DoCache(ctx, client.B().Get().Key(key).Cache(), 1<<40)
		v, err := r.ToString()
		if err != nil {
			t.Fatal(err)
		}
		return v, r.IsCacheHit()
	}
	get()
	if v, hit := get(); v != "0" || !hit {
		t.Errorf("GET = %s, from the cache %v, want 0 from the cache", v, hit)
	}
	s.Do(t, "INCR", key)
	await(t, "invalidation", func() bool { v, _ := get(); return v == "1" })
}
