package memory_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// create creates a record with one field that lives for ttl.
func create(t *testing.T, b *memory.Backend, id string, ttl time.Duration) {
	t.Helper()
	if err := b.Create(t.Context(), id, backend.Record{TTL: ttl, Fields: map[string]string{"id": id}}); err != nil {
		t.Fatalf("Create(%q): %v", id, err)
	}
}

// check checks the tables of b, and that it holds n records in memory.
func check(t *testing.T, b *memory.Backend, n int) {
	t.Helper()
	if err := memory.Check(b); err != nil {
		t.Fatal(err)
	}
	if b.Len() != n {
		t.Fatalf("Len = %d, want %d", b.Len(), n)
	}
}

// scan returns the IDs of the live records in order, each once.
func scan(t *testing.T, b *memory.Backend) []string {
	t.Helper()
	var ids []string
	for id, err := range b.Scan(t.Context()) {
		if err != nil {
			t.Fatalf("Scan: %v", err)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// idsOf returns n IDs that belong to one shard.
func idsOf(b *memory.Backend, shard, n int) []string {
	ids := make([]string, 0, n)
	for i := 0; len(ids) < n; i++ {
		if id := fmt.Sprint("id-", i); memory.ShardOf(b, id) == shard {
			ids = append(ids, id)
		}
	}
	return ids
}

// heap returns the bytes of heap in use.
func heap() int {
	runtime.GC()
	runtime.GC() // what the first one's finalizers and cleanups let go of
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

func TestOptions(t *testing.T) {
	const flood = 100
	for _, tt := range []struct {
		name string
		opts *memory.Options
		want int // records there are after a flood of them
		err  error
	}{
		{name: "nil", opts: nil, want: flood},
		{name: "zero", opts: &memory.Options{}, want: flood},
		{name: "cap", opts: &memory.Options{MaxRecords: 10}, want: 10},
		{name: "cap of one", opts: &memory.Options{MaxRecords: 1}, want: 1},
		{name: "cap that fails", opts: &memory.Options{MaxRecords: 10, FailWhenFull: true}, want: 10, err: memory.ErrFull},
		{name: "cap that is not reached", opts: &memory.Options{MaxRecords: flood, FailWhenFull: true}, want: flood},
		{name: "none", opts: &memory.Options{MaxRecords: -1}, want: flood},
		{name: "none, and fails", opts: &memory.Options{MaxRecords: math.MinInt, FailWhenFull: true}, want: flood},
		{name: "largest", opts: &memory.Options{MaxRecords: math.MaxInt}, want: flood},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := memory.New(tt.opts)
			var last error
			for i := range flood {
				last = b.Create(t.Context(), fmt.Sprint(i), backend.Record{TTL: time.Hour})
				if last != nil && last != tt.err {
					t.Fatalf("Create = %v, want nil or %v", last, tt.err)
				}
			}
			if last != tt.err {
				t.Errorf("last Create = %v, want %v", last, tt.err)
			}
			check(t, b, tt.want)
		})
	}
}

func TestNewCapsByDefault(t *testing.T) {
	for name, opts := range map[string]*memory.Options{"nil": nil, "zero": {}} {
		if got := memory.MaxRecords(memory.New(opts)); got != memory.DefaultMaxRecords {
			t.Errorf("with %s options: cap of %d, want %d", name, got, memory.DefaultMaxRecords)
		}
	}
}

func TestNewCopiesOptions(t *testing.T) {
	opts := &memory.Options{MaxRecords: 2}
	b := memory.New(opts)
	opts.MaxRecords, opts.FailWhenFull = 1, true
	create(t, b, "a", time.Hour)
	create(t, b, "b", time.Hour)
	create(t, b, "c", time.Hour)
	check(t, b, 2)
}

// A context that has ended fails every method, and changes nothing.
func TestContextThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(nil)
		create(t, b, "id", 10*time.Second)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("the cause"))
		time.Sleep(time.Second)

		_, loadErr := b.Load(ctx, "id")
		_, applyErr := b.Apply(ctx, "id", backend.Patch{Set: map[string]string{"id": "x"}, Touch: true})
		_, checkErr := b.Apply(ctx, "id", backend.Patch{})
		for name, err := range map[string]error{
			"Create":        b.Create(ctx, "other", backend.Record{TTL: time.Hour}),
			"Load":          loadErr,
			"Apply":         applyErr,
			"Apply nothing": checkErr,
			"Delete":        b.Delete(ctx, "id"),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s = %v, want %v", name, err, context.Canceled)
			}
		}
		for id, err := range b.Scan(ctx) {
			if id != "" || !errors.Is(err, context.Canceled) {
				t.Errorf("Scan yields %q, %v, want %q, %v", id, err, "", context.Canceled)
			}
		}
		check(t, b, 1)
		rec, err := b.Load(t.Context(), "id")
		if want := map[string]string{"id": "id"}; err != nil || !cmp.Equal(rec.Fields, want) {
			t.Errorf("Load = %v, %v, want %v", rec.Fields, err, want)
		}
		time.Sleep(9 * time.Second) // not touched
		if _, err := b.Load(t.Context(), "id"); err != backend.ErrNotFound {
			t.Errorf("Load = %v, want %v", err, backend.ErrNotFound)
		}
	})
}

// What the caller gave or got is not kept, by either form of a record.
func TestNoAliasing(t *testing.T) {
	for _, size := range []int{1, memory.LargeSize + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			b := memory.New(nil)
			value := strings.Repeat("v", size)
			want := map[string]string{"a": value, "b": "1"}
			spoil := func(fields map[string]string) {
				for name := range fields {
					fields[name] = "spoilt"
				}
				fields["more"] = "spoilt"
			}
			intact := func(after string) {
				t.Helper()
				rec, err := b.Load(t.Context(), "id")
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, rec.Fields); diff != "" {
					t.Fatalf("after %s: mismatch (-want +got):\n%s", after, diff)
				}
				spoil(rec.Fields)
			}
			apply := func(p backend.Patch) map[string]string {
				t.Helper()
				rec, err := b.Apply(t.Context(), "id", p)
				if err != nil {
					t.Fatal(err)
				}
				return rec.Fields
			}

			given := map[string]string{"a": value, "b": "1"}
			if err := b.Create(t.Context(), "id", backend.Record{TTL: time.Hour, Fields: given}); err != nil {
				t.Fatal(err)
			}
			spoil(given)
			intact("Create")
			intact("Load")
			spoil(apply(backend.Patch{Load: true}))
			intact("Apply that only loads")
			spoil(apply(backend.Patch{Load: true, Touch: true}))
			intact("Apply that touches")
			set := map[string]string{"c": value}
			want["c"] = value
			spoil(apply(backend.Patch{Load: true, Set: set}))
			spoil(set)
			intact("Apply that sets")
			want["b"] = "2"
			spoil(apply(backend.Patch{Add: map[string]int64{"b": 1}}))
			intact("Apply that adds")
			last := apply(backend.Patch{Load: true, Remove: true})
			if diff := cmp.Diff(want, last); diff != "" {
				t.Errorf("mismatch in what was removed (-want +got):\n%s", diff)
			}
			if err := b.Create(t.Context(), "id", backend.Record{TTL: time.Hour, Fields: want}); err != nil {
				t.Fatal(err)
			}
			spoil(last)
			intact("Create after Remove")
		})
	}
}

// A few bytes out of something large, such as a request's body, do not keep all of it in memory.
func TestCallersTextsAreNotKept(t *testing.T) {
	const large, records = 1 << 20, 32
	for _, tt := range []struct {
		name string
		size int // of the record's other field
	}{
		{name: "small record", size: 10},
		{name: "large record", size: memory.LargeSize + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := memory.New(nil)
			piece := func() string { return strings.Repeat("x", large)[:10] }
			before := heap()
			for i := range records {
				id := fmt.Sprint(i)
				err := b.Create(t.Context(), strings.Repeat(id, large)[:len(id)], backend.Record{
					TTL:    time.Hour,
					Fields: map[string]string{"size": strings.Repeat("s", tt.size), "created": piece()},
				})
				if err != nil {
					t.Fatal(err)
				}
				set := map[string]string{"set": piece(), piece(): "name"}
				if _, err := b.Apply(t.Context(), id, backend.Patch{Set: set}); err != nil {
					t.Fatal(err)
				}
			}
			if grown := heap() - before; grown > records*large/2 {
				t.Errorf("%d records take %d bytes of heap", records, grown)
			}
			runtime.KeepAlive(b)
		})
	}
}
