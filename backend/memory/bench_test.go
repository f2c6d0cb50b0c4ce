package memory_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// sessionID returns an ID as session.Manager makes them: 16 characters of base64url.
func sessionID(n int) string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[4:], uint64(n))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// sessionRecord returns a record as session.Manager makes them, with two short fields of the application.
func sessionRecord() backend.Record {
	return backend.Record{
		TTL: 30 * time.Minute,
		Fields: map[string]string{
			"username":         "andrew",
			"page_views":       "3",
			"created_at":       "2026-11-23T08:37:29+00:00",
			"last_accessed_at": "2026-11-23T08:40:10+00:00",
			"session_token":    strings.Repeat("k", 43),
		},
	}
}

// filled returns a backend without a cap that holds n sessions.
func filled(tb testing.TB, n int) *memory.Backend {
	b := memory.New(&memory.Options{MaxRecords: -1})
	rec := sessionRecord()
	for i := range n {
		if err := b.Create(context.Background(), sessionID(i), rec); err != nil {
			tb.Fatal(err)
		}
	}
	return b
}

// benchmark runs call in parallel over many IDs, in no regular order, of a backend that holds them all.
func benchmark(b *testing.B, call func(ctx context.Context, m *memory.Backend, id string) error) {
	const sessions = 300_000
	m := filled(b, sessions)
	ids := make([]string, sessions)
	for i := range ids {
		ids[i] = sessionID(i)
	}
	var starts atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		ctx := b.Context()
		for i := int(starts.Add(1)) * 104_729; pb.Next(); i += 7_919 {
			if err := call(ctx, m, ids[i%sessions]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	benchmark(b, func(ctx context.Context, m *memory.Backend, id string) error {
		_, err := m.Load(ctx, id)
		return err
	})
}

func BenchmarkApply(b *testing.B) {
	created := map[string]string{"created_at": "2026-11-23T08:37:29+00:00"}
	for _, bm := range []struct {
		name  string
		patch backend.Patch
	}{
		{name: "touch", patch: backend.Patch{If: created, Touch: true}},
		{name: "set", patch: backend.Patch{If: created, Set: map[string]string{"username": "barbara"}, Touch: true}},
		{name: "counter", patch: backend.Patch{If: created, Add: map[string]int64{"page_views": 1}, Touch: true}},
		{name: "read", patch: backend.Patch{If: created, Touch: true, Load: true}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			benchmark(b, func(ctx context.Context, m *memory.Backend, id string) error {
				_, err := m.Apply(ctx, id, bm.patch)
				return err
			})
		})
	}
}

// BenchmarkApplyIndex adds a field to a record of so many, and deletes it again.
func BenchmarkApplyIndex(b *testing.B) {
	for _, fields := range []int{10, 100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("fields=%d", fields), func(b *testing.B) {
			m := memory.New(nil)
			if err := m.Create(b.Context(), "owner", index(fields)); err != nil {
				b.Fatal(err)
			}
			set := backend.Patch{Set: map[string]string{"new": "1795509449"}, Touch: true}
			del := backend.Patch{Has: []string{"new"}, Delete: []string{"new"}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Apply(b.Context(), "owner", set); err != nil {
					b.Fatal(err)
				}
				if _, err := m.Apply(b.Context(), "owner", del); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLoadIndex(b *testing.B) {
	m := memory.New(nil)
	if err := m.Create(b.Context(), "owner", index(10_000)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Load(b.Context(), "owner"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreate(b *testing.B) {
	for _, bm := range []struct {
		name string
		max  int
	}{
		{name: "free", max: -1},
		{name: "evicting", max: 10_000},
	} {
		b.Run(bm.name, func(b *testing.B) {
			m := memory.New(&memory.Options{MaxRecords: bm.max})
			rec := sessionRecord()
			var next atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := m.Create(b.Context(), sessionID(int(next.Add(1))), rec); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkScan goes over all records; its figures are per record.
func BenchmarkScan(b *testing.B) {
	const sessions = 100_000
	m := filled(b, sessions)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range m.Scan(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != sessions {
			b.Fatalf("Scan yielded %d IDs, want %d", n, sessions)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/sessions, "ns/record")
}

// heapPerSession returns how many bytes of heap one of n sessions takes.
func heapPerSession(tb testing.TB, n int) float64 {
	before := heap()
	m := filled(tb, n)
	after := heap()
	runtime.KeepAlive(m)
	return float64(after-before) / float64(n)
}

// BenchmarkHeapPerSession reports the heap of a session with two short fields of the application, besides the
// Manager's own three and the ID: 148 bytes of text.
func BenchmarkHeapPerSession(b *testing.B) {
	for _, sessions := range []int{100_000, 300_000, 1_000_000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			var bytes float64
			for b.Loop() {
				bytes = heapPerSession(b, sessions)
			}
			b.ReportMetric(bytes, "B/session")
		})
	}
}

// BenchmarkExpiry lets a million sessions expire at one instant, and reports the longest call, and how many
// calls it takes until their memory is given back.
func BenchmarkExpiry(b *testing.B) {
	const sessions = 1_000_000
	ctx := context.Background()
	var longest time.Duration
	calls := 0
	for b.Loop() {
		b.StopTimer()
		m := filled(b, sessions)
		memory.Advance(m, time.Hour)
		runtime.GC() // not to measure it
		b.StartTimer()
		rec := sessionRecord()
		for i := sessions; m.Len() > i-sessions+1; i++ {
			start := time.Now()
			if err := m.Create(ctx, sessionID(i), rec); err != nil {
				b.Fatal(err)
			}
			longest = max(longest, time.Since(start))
			calls++
		}
	}
	b.ReportMetric(float64(longest.Microseconds()), "µs-longest")
	b.ReportMetric(float64(calls)/float64(b.N), "calls")
}
