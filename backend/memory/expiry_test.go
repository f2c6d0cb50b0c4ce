package memory_test

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// A record is there up to the last nanosecond of its time to live, and gone for every method from then on.
func TestExpiryIsExact(t *testing.T) {
	const ttl = 10 * time.Second
	apply := func(p backend.Patch) func(*testing.T, *memory.Backend) error {
		return func(t *testing.T, b *memory.Backend) error {
			_, err := b.Apply(t.Context(), "id", p)
			return err
		}
	}
	for _, tt := range []struct {
		name   string
		call   func(t *testing.T, b *memory.Backend) error
		before error
		after  error
	}{
		{
			name: "Load",
			call: func(t *testing.T, b *memory.Backend) error {
				_, err := b.Load(t.Context(), "id")
				return err
			},
			after: backend.ErrNotFound,
		},
		{
			name: "Create",
			call: func(t *testing.T, b *memory.Backend) error {
				return b.Create(t.Context(), "id", backend.Record{TTL: ttl})
			},
			before: backend.ErrExists,
		},
		{
			name: "Scan",
			call: func(t *testing.T, b *memory.Backend) error {
				for range b.Scan(t.Context()) {
					return nil
				}
				return backend.ErrNotFound
			},
			after: backend.ErrNotFound,
		},
		{name: "Apply nothing", call: apply(backend.Patch{}), after: backend.ErrNotFound},
		{name: "Apply Load", call: apply(backend.Patch{Load: true}), after: backend.ErrNotFound},
		{name: "Apply Touch", call: apply(backend.Patch{Touch: true}), after: backend.ErrNotFound},
		{name: "Apply TTL", call: apply(backend.Patch{TTL: ttl}), after: backend.ErrNotFound},
		{name: "Apply Set", call: apply(backend.Patch{Set: map[string]string{"a": ""}}), after: backend.ErrNotFound},
		{name: "Apply Add", call: apply(backend.Patch{Add: map[string]int64{"a": 1}}), after: backend.ErrNotFound},
		{name: "Apply Delete", call: apply(backend.Patch{Delete: []string{"id"}}), after: backend.ErrNotFound},
		{name: "Apply Remove", call: apply(backend.Patch{Remove: true}), after: backend.ErrNotFound},
		{name: "Apply If", call: apply(backend.Patch{If: map[string]string{"a": "b"}}), before: backend.ErrConflict, after: backend.ErrNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, at := range []struct {
				name string
				age  time.Duration
				want error
			}{
				{name: "before", age: ttl - time.Nanosecond, want: tt.before},
				{name: "at", age: ttl, want: tt.after},
				{name: "after", age: ttl + time.Nanosecond, want: tt.after},
			} {
				synctest.Test(t, func(t *testing.T) {
					b := memory.New(nil)
					time.Sleep(time.Millisecond) // deadlines do not depend on New's time
					create(t, b, "id", ttl)
					time.Sleep(at.age)
					if err := tt.call(t, b); err != at.want {
						t.Errorf("%s the deadline: %v, want %v", at.name, err, at.want)
					}
				})
			}
		})
	}
}

// A touch counts the time to live anew and a TTL changes it; nothing else moves the deadline.
func TestDeadlineMovesOnlyByTouchAndTTL(t *testing.T) {
	const ttl = 10 * time.Second
	for _, tt := range []struct {
		name  string
		patch backend.Patch
		want  time.Duration // what is left after the patch
	}{
		{name: "nothing", patch: backend.Patch{}, want: 6 * time.Second},
		{name: "Load", patch: backend.Patch{Load: true}, want: 6 * time.Second},
		{name: "Set", patch: backend.Patch{Set: map[string]string{"a": "b"}}, want: 6 * time.Second},
		{name: "Delete", patch: backend.Patch{Delete: []string{"id"}}, want: 6 * time.Second},
		{name: "Add", patch: backend.Patch{Add: map[string]int64{"n": 1}}, want: 6 * time.Second},
		{name: "Conflict", patch: backend.Patch{Has: []string{"x"}, TTL: time.Hour, Touch: true}, want: 6 * time.Second},
		{name: "Counter", patch: backend.Patch{Add: map[string]int64{"id": 1}, TTL: time.Hour, Touch: true}, want: 6 * time.Second},
		{name: "Touch", patch: backend.Patch{Touch: true}, want: ttl},
		{name: "Touch and Set", patch: backend.Patch{Touch: true, Set: map[string]string{"a": "b"}}, want: ttl},
		{name: "longer TTL", patch: backend.Patch{TTL: time.Minute}, want: time.Minute},
		{name: "shorter TTL", patch: backend.Patch{TTL: time.Second}, want: time.Second},
		{name: "TTL and Touch", patch: backend.Patch{TTL: time.Minute, Touch: true}, want: time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memory.New(nil)
				create(t, b, "id", ttl)
				time.Sleep(4 * time.Second)
				b.Apply(t.Context(), "id", tt.patch)
				time.Sleep(tt.want - time.Nanosecond)
				if _, err := b.Load(t.Context(), "id"); err != nil {
					t.Fatalf("Load before the deadline: %v", err)
				}
				time.Sleep(time.Nanosecond)
				if _, err := b.Load(t.Context(), "id"); err != backend.ErrNotFound {
					t.Fatalf("Load at the deadline: %v, want %v", err, backend.ErrNotFound)
				}
				check(t, b, 0)
			})
		})
	}
}

// The longest times to live there are do not overflow, and their records can be evicted.
func TestLongestTTL(t *testing.T) {
	for _, ttl := range []time.Duration{math.MaxInt64, math.MaxInt64 / time.Second * time.Second} {
		for _, age := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprint(ttl, age), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := memory.New(&memory.Options{MaxRecords: 1})
					time.Sleep(age)
					create(t, b, "a", ttl)
					if rec, err := b.Load(t.Context(), "a"); err != nil || rec.TTL != ttl {
						t.Errorf("Load = %v, %v, want %v", rec.TTL, err, ttl)
					}
					create(t, b, "b", time.Second)
					if _, err := b.Apply(t.Context(), "b", backend.Patch{TTL: ttl}); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Hour)
					if _, err := b.Apply(t.Context(), "b", backend.Patch{Touch: true}); err != nil {
						t.Error(err)
					}
					create(t, b, "c", time.Second)
					check(t, b, 1)
				})
			})
		}
	}
}

// Memory comes back as calls come, whichever they are.
func TestExpiredRecordsAreTakenAway(t *testing.T) {
	const records = 20_000
	for _, tt := range []struct {
		name string
		call func(t *testing.T, b *memory.Backend, i int)
	}{
		{name: "Load", call: func(t *testing.T, b *memory.Backend, i int) { b.Load(t.Context(), fmt.Sprint(i)) }},
		{name: "Apply that reads", call: func(t *testing.T, b *memory.Backend, i int) {
			b.Apply(t.Context(), fmt.Sprint(i), backend.Patch{Load: true})
		}},
		{name: "Apply that writes", call: func(t *testing.T, b *memory.Backend, i int) {
			b.Apply(t.Context(), fmt.Sprint(i), backend.Patch{Touch: true})
		}},
		{name: "Delete", call: func(t *testing.T, b *memory.Backend, i int) { b.Delete(t.Context(), fmt.Sprint(i)) }},
		{name: "Scan", call: func(t *testing.T, b *memory.Backend, i int) { scan(t, b) }},
		// Those that write do so for the shards, too, whose IDs nobody calls.
		{name: "Apply of one record", call: func(t *testing.T, b *memory.Backend, i int) {
			b.Apply(t.Context(), "one", backend.Patch{Touch: true})
		}},
		{name: "Delete of one record", call: func(t *testing.T, b *memory.Backend, i int) { b.Delete(t.Context(), "one") }},
		{name: "Create of one record", call: func(t *testing.T, b *memory.Backend, i int) {
			b.Create(t.Context(), "one", backend.Record{TTL: 2 * time.Second})
			b.Delete(t.Context(), "one")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memory.New(nil)
				before := heap()
				for i := range records {
					create(t, b, fmt.Sprint("old-", i), time.Second)
				}
				peak := heap() - before
				check(t, b, records)
				time.Sleep(time.Second)
				for i := 0; b.Len() > 0; i++ {
					was := b.Len()
					tt.call(t, b, i)
					if taken := was - b.Len(); tt.name != "Scan" && taken > 4*memory.SweepMax {
						t.Fatalf("one call took %d records away", taken)
					}
					if i > 10*records {
						t.Fatalf("%d records are left after %d calls", b.Len(), i)
					}
				}
				check(t, b, 0)
				if room, most := memory.Room(b), memory.ShardCount*memory.MinCap; room > most {
					t.Errorf("room for %d records is left, want %d at most", room, most)
				}
				if left := heap() - before; left > peak/8 {
					t.Errorf("%d bytes of heap are left of %d", left, peak)
				}
				runtime.KeepAlive(b)
			})
		})
	}
}

// Expired records do not hide live ones, nor are live ones taken away with them.
func TestSweepTakesOnlyExpiredRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(nil)
		const seconds, each = 20, 50
		for i := range each {
			for s := range seconds {
				create(t, b, fmt.Sprintf("%d-%d", s+1, i), time.Duration(s+1)*time.Second)
			}
		}
		for s := range seconds + 1 {
			for range memory.ShardCount * 2 {
				if err := b.Delete(t.Context(), "none"); err != nil {
					t.Fatal(err)
				}
			}
			check(t, b, (seconds-s)*each)
			if got, want := len(scan(t, b)), (seconds-s)*each; got != want {
				t.Fatalf("after %d s: %d live records, want %d", s, got, want)
			}
			time.Sleep(time.Second)
		}
	})
}

// A backend that was not called for long has nothing alive, whatever is still in memory.
func TestLenCountsWhatIsStillInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(nil)
		for i := range 1000 {
			create(t, b, fmt.Sprint(i), time.Second)
		}
		time.Sleep(time.Hour)
		if got := b.Len(); got != 1000 {
			t.Errorf("Len = %d, want 1000: nothing takes records away but calls", got)
		}
		if ids := scan(t, b); len(ids) > 0 {
			t.Errorf("Scan yields %d records", len(ids))
		}
	})
}
