package memory_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

func TestScanYieldsEveryLiveRecord(t *testing.T) {
	for _, records := range []int{0, 1, memory.ScanMax - 1, memory.ScanMax, memory.ScanMax + 1, 3*memory.ScanMax + 7} {
		t.Run(fmt.Sprint(records), func(t *testing.T) {
			b := memory.New(nil)
			want := idsOf(b, 5, records) // all in one shard
			want = append(want, idsOf(b, 0, 1)...)
			want = append(want, idsOf(b, memory.ShardCount-1, 1)...)
			for _, id := range want {
				create(t, b, id, time.Hour)
			}
			slices.Sort(want)
			seq := b.Scan(t.Context())
			for range 2 { // a sequence can be used again
				got := []string{}
				for id, err := range seq {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, id)
				}
				slices.Sort(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("mismatch (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestScanEndsWithItsLoop(t *testing.T) {
	b := memory.New(nil)
	for i := range 1000 {
		create(t, b, fmt.Sprint(i), time.Hour)
	}
	n := 0
	for range b.Scan(t.Context()) {
		if n++; n == 10 {
			break
		}
	}
	if n != 10 {
		t.Errorf("%d IDs, want 10", n)
	}
}

func TestScanSeesTheEndOfItsContext(t *testing.T) {
	b := memory.New(nil)
	for _, id := range idsOf(b, 0, 5*memory.ScanMax) {
		create(t, b, id, time.Hour)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ids := 0
	var errs []error
	for id, err := range b.Scan(ctx) {
		cancel()
		if err == nil {
			ids++
			continue
		}
		if id != "" {
			t.Errorf("%q with an error", id)
		}
		errs = append(errs, err)
	}
	if ids > memory.ScanMax {
		t.Errorf("%d IDs after the end of the context, want %d at most", ids, memory.ScanMax)
	}
	if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) {
		t.Errorf("errors %v, want one: %v", errs, context.Canceled)
	}
}

// Scan does not touch.
func TestScanLeavesDeadlinesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(nil)
		create(t, b, "id", time.Second)
		time.Sleep(time.Second - time.Nanosecond)
		if ids := scan(t, b); len(ids) != 1 {
			t.Errorf("Scan yields %q", ids)
		}
		time.Sleep(time.Nanosecond)
		if ids := scan(t, b); len(ids) != 0 {
			t.Errorf("Scan yields %q", ids)
		}
	})
}

// Whatever the loop itself creates, deletes and lets expire, and so however the records move under the scan, all
// that stays is yielded. The loop may call the backend: no lock is held.
func TestScanYieldsWhatStaysWhileOthersComeAndGo(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 0))
				b := memory.New(nil)
				ids := idsOf(b, int(seed), 8*memory.ScanMax)
				rnd.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				stay := make(map[string]bool)
				for i, id := range ids[:6*memory.ScanMax] {
					ttl := time.Hour
					switch i % 4 {
					case 0:
						stay[id] = true
					case 1: // expires soon
						ttl = time.Duration(1+rnd.IntN(10)) * time.Second
					}
					create(t, b, id, ttl)
				}
				left := maps.Clone(stay)
				for id, err := range b.Scan(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					delete(left, id)
					for range 1 + rnd.IntN(4) {
						other := ids[rnd.IntN(len(ids))]
						switch {
						case stay[other]:
							b.Apply(t.Context(), other, backend.Patch{Touch: true})
						case rnd.IntN(3) == 0:
							b.Create(t.Context(), other, backend.Record{TTL: time.Duration(1+rnd.IntN(20)) * time.Second})
						default:
							b.Delete(t.Context(), other)
						}
					}
					time.Sleep(10 * time.Millisecond)
				}
				if len(left) > 0 {
					t.Errorf("Scan left out %d of %d records that were there all the time", len(left), len(stay))
				}
				if err := memory.Check(b); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A shard that shrinks under the scan by more than it looks at in one go does not confuse it.
func TestScanYieldsWhatStaysWhileTheRestGoes(t *testing.T) {
	b := memory.New(nil)
	ids := idsOf(b, 0, 5*memory.ScanMax)
	for _, id := range ids {
		create(t, b, id, time.Hour)
	}
	left := make(map[string]bool) // over half: the room for the others is kept
	for i, id := range ids {
		if i%5 < 3 {
			left[id] = true
		}
	}
	stay := maps.Clone(left)
	for id, err := range b.Scan(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		delete(left, id)
		for _, id := range ids {
			if !stay[id] && b.Len() > len(stay) {
				b.Delete(t.Context(), id)
			}
		}
	}
	if len(left) > 0 {
		t.Errorf("Scan left out %v", left)
	}
	check(t, b, len(stay))
}

// The same with the others in goroutines of their own.
func TestScanYieldsWhatStaysUnderConcurrency(t *testing.T) {
	b := memory.New(nil)
	ids := idsOf(b, 0, 4*memory.ScanMax)
	stay := ids[:memory.ScanMax]
	come := ids[memory.ScanMax:]
	var (
		wg   sync.WaitGroup
		stop atomic.Bool
	)
	// Those that stay are spread over the table.
	for i, id := range stay {
		create(t, b, come[2*i], time.Hour)
		create(t, b, id, time.Hour)
	}
	for w := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			for !stop.Load() {
				id := come[rnd.IntN(len(come))]
				if rnd.IntN(2) == 0 {
					b.Delete(t.Context(), id)
				} else {
					b.Create(t.Context(), id, backend.Record{TTL: time.Hour})
				}
			}
		})
	}
	for range 50 {
		yielded := make(map[string]bool)
		for id := range b.Scan(t.Context()) {
			yielded[id] = true
		}
		for _, id := range stay {
			if !yielded[id] {
				t.Errorf("Scan left %q out", id)
			}
		}
	}
	stop.Store(true)
	wg.Wait()
	check(t, b, b.Len())
}
