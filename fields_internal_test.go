package session

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whether they were read packed or as a map, the same fields are there, before and after changes.
func TestFields(t *testing.T) {
	for _, n := range []int{0, 1, 2, manyFields - 1, manyFields, 3 * manyFields} {
		want := make(map[string]string)
		for i := range n {
			want[strconv.Itoa(i)] = "v" + strconv.Itoa(i)
		}
		for _, form := range []string{"map", "packed"} {
			f := fields{set: maps.Clone(want)}
			if form == "packed" {
				f = packed(f)
			}
			want := maps.Clone(want)
			for _, change := range []struct {
				name string
				do   func()
			}{
				{"nothing", func() {}},
				{"remove what is not there", func() { f.remove("x") }},
				{"put a new one", func() { f.put("new", ""); want["new"] = "" }},
				{"put one that is there", func() { f.put("0", "other"); want["0"] = "other" }},
				{"remove", func() { f.remove("0"); delete(want, "0") }},
			} {
				change.do()
				if diff := cmp.Diff(want, maps.Collect(f.all)); diff != "" {
					t.Errorf("%d fields, %s, %s: mismatch (-want +got):\n%s", n, form, change.name, diff)
				}
				for _, name := range append(slices.Collect(maps.Keys(want)), "0", "new", "absent") {
					value, ok := want[name]
					if got, there := f.get(name); got != value || there != ok {
						t.Errorf("%d fields, %s, %s: get(%q) = %q, %v; want %q, %v", n, form, change.name, name, got, there, value, ok)
					}
					if f.value(name) != value || f.has(name) != ok {
						t.Errorf("%d fields, %s, %s: value and has of %q differ from get", n, form, change.name, name)
					}
				}
			}
		}
	}
}

// What ends early ends the iteration.
func TestFieldsAllStops(t *testing.T) {
	set := fields{set: map[string]string{"a": "", "b": ""}}
	for _, f := range []fields{set, packed(set)} {
		n := 0
		for range f.all {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%d fields, want one", n)
		}
	}
}
