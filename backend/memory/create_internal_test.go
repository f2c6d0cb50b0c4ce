package memory

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
)

func TestEarliest(t *testing.T) {
	for _, tt := range []struct {
		name   string
		dues   map[int]int64 // by shard; the others are empty
		first  int           // none if negative
		second int64
	}{
		{name: "none", first: -1, second: never},
		{name: "one", dues: map[int]int64{5: 7}, first: 5, second: never},
		{name: "at time 0", dues: map[int]int64{0: 0}, first: 0, second: never},
		{name: "up", dues: map[int]int64{0: 1, 1: 2, 63: 3}, first: 0, second: 2},
		{name: "down", dues: map[int]int64{0: 3, 1: 2, 63: 1}, first: 63, second: 2},
		{name: "in the middle", dues: map[int]int64{0: 2, 1: 1, 63: 3}, first: 1, second: 2},
		{name: "second before first", dues: map[int]int64{0: 2, 1: 3, 63: 1}, first: 63, second: 2},
		{name: "equal", dues: map[int]int64{8: 4, 9: 4}, first: 8, second: 4},
		{name: "latest", dues: map[int]int64{8: never - 1}, first: 8, second: never},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := New(nil)
			for i, due := range tt.dues {
				b.shards[i].due.Store(due)
			}
			first, second := b.earliest()
			if second != tt.second || tt.first < 0 && first != nil || tt.first >= 0 && first != &b.shards[tt.first] {
				t.Errorf("earliest = %p, %d, want shard %d, %d", first, second, tt.first, tt.second)
			}
		})
	}
}

// What was found to expire first is not evicted if it does not any more.
func TestEvictSeesWhatHasChanged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(b *Backend, first string) error
		want   bool
	}{
		{name: "nothing", change: func(*Backend, string) error { return nil }, want: true},
		{name: "put off a little", change: func(b *Backend, first string) error {
			_, err := b.Apply(t.Context(), first, backend.Patch{TTL: time.Hour + 30*time.Minute})
			return err
		}, want: true},
		{name: "put off", change: func(b *Backend, first string) error {
			_, err := b.Apply(t.Context(), first, backend.Patch{TTL: 3 * time.Hour})
			return err
		}},
		{name: "deleted", change: func(b *Backend, first string) error { return b.Delete(t.Context(), first) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := New(&Options{MaxRecords: 2})
			var ids []string // of different shards
			for i := 0; len(ids) < 2; i++ {
				if id := fmt.Sprint(i); len(ids) == 0 || b.shard(id) != b.shard(ids[0]) {
					ids = append(ids, id)
				}
			}
			for i, id := range ids {
				if err := b.Create(t.Context(), id, backend.Record{TTL: time.Duration(i+1) * time.Hour}); err != nil {
					t.Fatal(err)
				}
			}
			first, second := b.earliest()
			if err := tt.change(b, ids[0]); err != nil {
				t.Fatal(err)
			}
			b.full.Lock()
			own := b.shard(ids[1])
			own.mu.Lock()
			evicted, err := b.evict(own, first, second)
			own.mu.Unlock()
			b.full.Unlock()
			if evicted != tt.want || err != nil {
				t.Errorf("evict = %v, %v, want %v", evicted, err, tt.want)
			}
			if len(own.queue) != 1 {
				t.Error("the other record is gone")
			}
		})
	}
}

// However many reserve at once, there are as many places as the cap says.
func TestReserveIsExact(t *testing.T) {
	const workers, each = 4, 500_000 // long enough for them to run at once
	for _, most := range []int{workers * each / 2, math.MaxInt, -1} {
		b := New(&Options{MaxRecords: most})
		var (
			wg    sync.WaitGroup
			total atomic.Int64
		)
		for range workers {
			wg.Go(func() {
				for range each {
					if b.reserve() {
						total.Add(1)
					}
				}
			})
		}
		wg.Wait()
		want := int64(workers * each)
		if most > 0 {
			want = min(want, int64(most))
		}
		if total.Load() != want || b.count.Load() != want {
			t.Errorf("cap %d: %d places, and a count of %d, want %d", most, total.Load(), b.count.Load(), want)
		}
	}
}
