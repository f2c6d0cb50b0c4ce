package session

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNames(t *testing.T) {
	var none *names
	if none.has("a") || len(none.all()) != 0 {
		t.Errorf("a nil set holds %q, want nothing", none.all())
	}
	n := new(names)
	var want []string
	for i := range 3 * manyNames {
		name := strconv.Itoa(i)
		if n.has(name) {
			t.Errorf("of %d names, %q is one before it was added", i, name)
		}
		want = append(want, name)
		for _, name := range want {
			n.add(name)
		}
		for _, name := range want {
			if !n.has(name) {
				t.Errorf("of %d names, %q is none", i+1, name)
			}
		}
		if d := cmp.Diff(want, n.all()); d != "" {
			t.Fatalf("names, mismatch (-want +got):\n%s", d)
		}
	}
}
