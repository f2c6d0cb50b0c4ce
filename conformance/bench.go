package conformance

import (
	"context"
	"crypto/rand"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/faeeb396/session/backend"
)

// benchRecords is how many records the benchmarks work on in turn, unless they create or delete.
const benchRecords = 1000

// benchParallelism is how many goroutines for each processor the parallel benchmarks use.
const benchParallelism = 16

// Bench measures the backends that newBackend makes, in the same way for every backend so that the figures can
// be compared: each method, on small sessions of five fields, by one goroutine (Serial) and by sixteen for each
// processor (Parallel), with allocations. It calls newBackend once for each of these benchmarks, and deletes
// what it has made.
//
//	func BenchmarkBackend(b *testing.B) {
//		conformance.Bench(b, func(b *testing.B) backend.Backend { return mystore.New(address, nil) })
//	}
func Bench(b *testing.B, newBackend func(b *testing.B) backend.Backend) {
	for _, bm := range benchmarks {
		b.Run(bm.name, func(b *testing.B) {
			b.Run("Serial", func(b *testing.B) { bm.measure(b, newBackend(b), false) })
			b.Run("Parallel", func(b *testing.B) { bm.measure(b, newBackend(b), true) })
		})
	}
}

// A benchmark measures one call.
type benchmark struct {
	name string

	// made says that the call works on records which are there, and fresh that each is used once.
	made, fresh bool

	call func(ctx context.Context, b backend.Backend, id string) error
}

var benchmarks = []benchmark{
	{name: "Load", made: true, call: func(ctx context.Context, b backend.Backend, id string) error {
		_, err := b.Load(ctx, id)
		return err
	}},
	{name: "ApplyTouch", made: true, call: applying(backend.Patch{Touch: true})},
	{name: "ApplyTouchLoad", made: true, call: applying(backend.Patch{Touch: true, Load: true})},
	{name: "ApplySet", made: true, call: applying(backend.Patch{
		If:    fields{"created_at": benchTime},
		Set:   fields{"last_accessed_at": benchTime},
		Touch: true,
	})},
	{name: "ApplyAdd", made: true, call: applying(backend.Patch{Add: map[string]int64{"page_views": 1}})},
	{name: "Create", fresh: true, call: func(ctx context.Context, b backend.Backend, id string) error {
		return b.Create(ctx, id, benchRecord)
	}},
	{name: "Delete", made: true, fresh: true, call: func(ctx context.Context, b backend.Backend, id string) error {
		return b.Delete(ctx, id)
	}},
}

// applying returns a call of Apply. All calls are given the same maps, so that the allocations are the backend's.
func applying(p backend.Patch) func(context.Context, backend.Backend, string) error {
	return func(ctx context.Context, b backend.Backend, id string) error {
		_, err := b.Apply(ctx, id, p)
		return err
	}
}

const benchTime = "2026-11-23T08:37:29+00:00"

var benchRecord = record(fields{
	"created_at":       benchTime,
	"last_accessed_at": benchTime,
	"session_token":    "3q2-7wAAAAAAAAABd3d3d3d3d3d3d3d3d3d3d3d3d3c",
	"username":         "andrew",
	"page_views":       "3",
})

// measure runs the benchmark b.N times.
func (bm benchmark) measure(b *testing.B, be backend.Backend, parallel bool) {
	b.Helper()
	ctx := b.Context()
	n := benchRecords
	if bm.fresh {
		n = b.N
	}
	ids := make([]string, n)
	prefix := "b-" + rand.Text()[:12] + "-"
	for i := range ids {
		ids[i] = prefix + strconv.Itoa(i)
	}
	b.Cleanup(func() {
		for _, id := range ids {
			_ = be.Delete(context.WithoutCancel(ctx), id)
		}
	})
	if bm.made {
		for _, id := range ids {
			if err := be.Create(ctx, id, benchRecord); err != nil {
				b.Fatalf("Create = %v", err)
			}
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	if !parallel {
		for i := range b.N {
			if err := bm.call(ctx, be, ids[i%n]); err != nil {
				b.Fatalf("%s = %v", bm.name, err)
			}
		}
		return
	}
	var next atomic.Int64
	b.SetParallelism(benchParallelism)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(next.Add(1) - 1)
			if err := bm.call(ctx, be, ids[i%n]); err != nil {
				b.Errorf("%s = %v", bm.name, err)
				return
			}
		}
	})
}
