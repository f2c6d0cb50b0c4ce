package memory

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"unsafe"
)

// The tables stay in order through any sequence of changes, also if hashes collide, which those of a backend
// hardly ever do.
func TestShardStaysInOrder(t *testing.T) {
	for _, tt := range []struct {
		name   string
		hashes uint32 // how many different ones
		times  int64  // how many different deadlines
	}{
		{name: "one hash", hashes: 1, times: 1 << 40},
		{name: "few hashes", hashes: 3, times: 1 << 40},
		{name: "some hashes", hashes: 50, times: 1 << 40},
		{name: "all hashes", hashes: 1<<32 - 1, times: 1 << 40},
		{name: "one deadline", hashes: 1<<32 - 1, times: 1},
		{name: "few deadlines", hashes: 50, times: 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, uint64(tt.hashes)))
			var count atomic.Int64
			s := &shard{count: &count}
			s.due.Store(never)
			deadlines := make(map[string]int64)
			hashes := make(map[string]uint32)
			for step := range 2000 {
				id := fmt.Sprint(rnd.IntN(150))
				// Now many come, and now many go.
				growing := step/500%2 == 0
				i, ok := s.table.find(hashes[id], id)
				if _, want := deadlines[id]; ok != want {
					t.Fatalf("step %d: find(%q) = %v, want %v", step, id, ok, want)
				}
				switch {
				case ok && (!growing || rnd.IntN(10) == 0):
					s.remove(i)
					delete(deadlines, id)
				case ok:
					deadlines[id] = rnd.Int64N(tt.times)
					s.reschedule(i, deadlines[id])
				case growing || rnd.IntN(10) == 0:
					hashes[id] = rnd.Uint32N(tt.hashes)
					deadlines[id] = rnd.Int64N(tt.times)
					count.Add(1)
					s.insert(hashes[id], record{packed: pack(id, 1, nil, 0)}, deadlines[id])
				}
				if err := s.check(); err != nil {
					t.Fatalf("step %d: %v", step, err)
				}
				if int(count.Load()) != len(deadlines) || len(s.queue) != len(deadlines) {
					t.Fatalf("step %d: count is %d, with %d in the queue, want %d", step, count.Load(), len(s.queue), len(deadlines))
				}
				for id, want := range deadlines {
					if i, ok := s.table.find(hashes[id], id); !ok || s.deadline(i) != want {
						t.Fatalf("step %d: %q is lost or has the wrong deadline", step, id)
					}
				}
			}
			// The rest goes in the order of its deadlines.
			order := slices.Sorted(maps.Values(deadlines))
			for n, want := range order {
				if got := s.due.Load(); got != want {
					t.Fatalf("deadline %d is %d, want %d", n, got, want)
				}
				s.take(s.first())
			}
			if err := s.check(); err != nil || len(s.queue) > 0 {
				t.Errorf("%d records in the end, %v", len(s.queue), err)
			}
		})
	}
}

// A sweep is bounded, so that no call waits long.
func TestSweepIsBounded(t *testing.T) {
	var count atomic.Int64
	s := &shard{count: &count}
	for i := range 3 * sweepMax {
		count.Add(1)
		s.insert(uint32(i), record{packed: pack(fmt.Sprint(i), 1, nil, 0)}, int64(i))
	}
	s.sweep(sweepMax / 2)
	if got, want := len(s.queue), 3*sweepMax-sweepMax/2-1; got != want {
		t.Errorf("%d records after a sweep that finds few, want %d", got, want)
	}
	was := len(s.queue)
	s.sweep(1 << 40)
	if got, want := len(s.queue), was-sweepMax; got != want {
		t.Errorf("%d records after a sweep that finds many, want %d", got, want)
	}
	s.mu.RLock()
	s.trySweep(1 << 40)
	if got, want := len(s.queue), was-sweepMax; got != want {
		t.Errorf("%d records after a sweep of a shard in use, want %d", got, want)
	}
	s.mu.RUnlock()
}

// No two shards' locks share a cache line of 64 bytes, wherever the shards begin.
func TestShardsAreApart(t *testing.T) {
	var b Backend
	if size := unsafe.Sizeof(b.shards[0]); size < 64+unsafe.Offsetof(b.shards[0].due)+8 {
		t.Errorf("a shard is %d bytes", size)
	}
	if gap := unsafe.Offsetof(b.count) - unsafe.Offsetof(b.fail); gap < 64 {
		t.Errorf("what every call reads is %d bytes from what some write", gap)
	}
}
