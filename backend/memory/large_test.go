package memory_test

import (
	"fmt"
	"maps"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// index returns a record of n fields, as an index of a user's sessions is one.
func index(n int) backend.Record {
	rec := backend.Record{TTL: time.Hour, Fields: make(map[string]string)}
	for i := range n {
		rec.Fields[sessionID(i)] = "1795509449"
	}
	return rec
}

func apply(t *testing.T, b *memory.Backend, id string, p backend.Patch) backend.Record {
	t.Helper()
	rec, err := b.Apply(t.Context(), id, p)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return rec
}

// A record is packed while it is small and a map while it is large, and looks the same both ways. Between the
// two limits it stays what it is.
func TestRecordChangesItsForm(t *testing.T) {
	b := memory.New(nil)
	want := backend.Record{TTL: time.Hour, Fields: map[string]string{"a": "1", "b": ""}}
	if err := b.Create(t.Context(), "id", want); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name  string
		patch backend.Patch
		large bool
	}{
		{name: "small", patch: backend.Patch{}},
		{name: "grows", patch: backend.Patch{Set: map[string]string{"c": strings.Repeat("c", memory.SmallSize)}}},
		{name: "grows again", patch: backend.Patch{Set: map[string]string{"d": strings.Repeat("d", memory.SmallSize)}}, large: true},
		{name: "other TTL", patch: backend.Patch{TTL: time.Minute}, large: true},
		{name: "counts", patch: backend.Patch{Add: map[string]int64{"a": 1, "e": -1}}, large: true},
		{name: "touch", patch: backend.Patch{Touch: true}, large: true},
		{name: "shrinks", patch: backend.Patch{Delete: []string{"d", "none"}}, large: true},
		{name: "is as it was", patch: backend.Patch{Set: map[string]string{"b": "x"}}, large: true},
		{name: "shrinks again", patch: backend.Patch{Set: map[string]string{"c": ""}}},
		{name: "small and sets", patch: backend.Patch{Set: map[string]string{"b": ""}, TTL: time.Hour}},
		{name: "grows at once", patch: backend.Patch{Set: map[string]string{"c": strings.Repeat("c", memory.LargeSize)}, TTL: time.Second}, large: true},
		{name: "shrinks at once", patch: backend.Patch{Delete: []string{"c"}, TTL: time.Minute}},
	} {
		maps.Copy(want.Fields, step.patch.Set)
		for _, name := range step.patch.Delete {
			delete(want.Fields, name)
		}
		if len(step.patch.Add) > 0 {
			want.Fields["a"], want.Fields["e"] = "2", "-1"
		}
		if step.patch.TTL > 0 {
			want.TTL = step.patch.TTL
		}
		apply(t, b, "id", step.patch)
		got, err := b.Load(t.Context(), "id")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: mismatch (-want +got):\n%s", step.name, diff)
		}
		if _, large := memory.LargeFields(b, "id"); large != step.large {
			t.Errorf("%s: large = %v, want %v", step.name, large, step.large)
		}
		check(t, b, 1)
	}
}

// What a change replaces does not count.
func TestRewrittenFieldDoesNotMakeARecordLarge(t *testing.T) {
	b := memory.New(nil)
	fields := map[string]string{"data": strings.Repeat("v", memory.LargeSize*6/10)}
	if err := b.Create(t.Context(), "id", backend.Record{TTL: time.Hour, Fields: fields}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Apply(t.Context(), "id", backend.Patch{Set: fields}); err != nil {
		t.Fatal(err)
	}
	if _, ok := memory.LargeFields(b, "id"); ok {
		t.Errorf("a record of %d bytes is a map, want one of more than %d to be", len(fields["data"]), memory.LargeSize)
	}
}

// A change of one field costs as much with 10 000 others as with few: it allocates the new texts, no more.
func TestChangeOfLargeRecordCopiesNothing(t *testing.T) {
	b := memory.New(nil)
	if err := b.Create(t.Context(), "owner", index(10_000)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		patch backend.Patch
		want  float64
	}{
		{name: "add and delete a field", patch: backend.Patch{Set: map[string]string{"new": "1795509449"}}, want: 2},
		{name: "touch", patch: backend.Patch{Touch: true}},
		{name: "conditions", patch: backend.Patch{Has: []string{sessionID(7)}, If: map[string]string{sessionID(8): "1795509449"}}},
	} {
		del := backend.Patch{Delete: []string{"new"}}
		got := testing.AllocsPerRun(100, func() {
			apply(t, b, "owner", tt.patch)
			apply(t, b, "owner", del)
		})
		if got > tt.want {
			t.Errorf("%s: %v allocations, want %v", tt.name, got, tt.want)
		}
	}
	check(t, b, 1)
}

// An index of many sessions that has become one of few gives its memory back on the way.
func TestLargeRecordGivesMemoryBack(t *testing.T) {
	const fields = 10_000
	b := memory.New(nil)
	before := heap()
	if err := b.Create(t.Context(), "owner", index(fields)); err != nil {
		t.Fatal(err)
	}
	full := heap() - before
	for i := range fields {
		apply(t, b, "owner", backend.Patch{Delete: []string{sessionID(i)}})
		if most, large := memory.LargeFields(b, "owner"); large && most > 4*(fields-i) {
			t.Fatalf("room for %d fields, %d in use", most, fields-i-1)
		}
		if i == fields*9/10 {
			if now := heap() - before; now > full/2 {
				t.Errorf("a tenth of the fields takes %d bytes of %d", now, full)
			}
		}
	}
	if _, large := memory.LargeFields(b, "owner"); large {
		t.Error("a record without fields is a map")
	}
	check(t, b, 1)
	if err := b.Delete(t.Context(), "owner"); err != nil {
		t.Fatal(err)
	}
	check(t, b, 0)
}

// What a patch with very many names does, it does with a small record too.
func TestApplyManyNames(t *testing.T) {
	for _, n := range []int{1, 16, 17, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			b := memory.New(nil)
			create(t, b, "id", time.Hour)
			p := backend.Patch{
				If: map[string]string{"id": "id"}, Set: make(map[string]string), Add: make(map[string]int64), Load: true,
			}
			want := map[string]string{"id": "id"}
			for i := range n {
				p.If[fmt.Sprint("none-", i)] = ""
				p.Has = append(p.Has, "id")
				p.Set[fmt.Sprint("set-", i)] = fmt.Sprint(i)
				p.Add[fmt.Sprint("add-", i)] = int64(i)
				p.Delete = append(p.Delete, fmt.Sprint("none-", i))
				want[fmt.Sprint("set-", i)] = fmt.Sprint(i)
				want[fmt.Sprint("add-", i)] = fmt.Sprint(i)
			}
			if diff := cmp.Diff(want, apply(t, b, "id", p).Fields); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
			p.If["none-0"] = "x"
			if _, err := b.Apply(t.Context(), "id", p); err != backend.ErrConflict {
				t.Errorf("Apply = %v, want %v", err, backend.ErrConflict)
			}
			check(t, b, 1)
		})
	}
}

// What is kept of a record does not keep alive what the caller has cut names and values out of.
func TestLargeRecordKeepsNoRequestAlive(t *testing.T) {
	const requests, size = 64, 1 << 20
	b := memory.New(nil)
	fields := map[string]string{"pad": strings.Repeat("x", 4<<10)}
	for i := range requests {
		fields["field-"+strconv.Itoa(i)] = "0"
	}
	if err := b.Create(t.Context(), "x", backend.Record{Fields: fields, TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	before := heap()
	for i := range requests {
		body := strings.Repeat("b", size) + "field-" + strconv.Itoa(i)
		p := backend.Patch{Set: map[string]string{body[size:]: body[size:]}}
		if _, err := b.Apply(t.Context(), "x", p); err != nil {
			t.Fatal(err)
		}
	}
	if grew := heap() - before; grew > requests*size/8 {
		t.Errorf("the backend keeps %d KiB of the requests alive", grew/1024)
	}
	runtime.KeepAlive(b)
}
