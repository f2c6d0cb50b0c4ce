package packing

import (
	"maps"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNumber(t *testing.T) {
	for _, n := range []uint64{0, 1, 127, 128, 1<<14 - 1, 1 << 14, 1<<63 - 1, 1 << 63, math.MaxUint64} {
		var b Builder
		b.Number(n)
		if got, rest := Number(b.String() + "rest"); got != n || rest != "rest" {
			t.Errorf("Number(%d) = %d, %q", n, got, rest)
		}
		if NumberSize(n) != b.Len() {
			t.Errorf("NumberSize(%d) = %d, want %d", n, NumberSize(n), b.Len())
		}
	}
}

func TestPack(t *testing.T) {
	many := make(map[string]string)
	for i := range 1000 {
		many[strconv.Itoa(i)] = strings.Repeat("v", i)
	}
	for name, want := range map[string]map[string]string{
		"none":            {},
		"one":             {"a": ""},
		"an empty name":   {"": "b"},
		"arbitrary bytes": {"\x00": "\xff\x80", "\xf0\x28": "\x00", "a": "b"},
		"many":            many,
	} {
		f := Pack(want)
		if len(f) != Size(want) || f.Len() != len(want) {
			t.Errorf("%s: %d bytes and %d fields, want %d and %d", name, len(f), f.Len(), Size(want), len(want))
		}
		if diff := cmp.Diff(want, f.Map()); diff != "" {
			t.Errorf("%s: mismatch (-want +got):\n%s", name, diff)
		}
		for field := range maps.Keys(want) {
			if got, ok := f.Lookup(field); !ok || got != want[field] {
				t.Errorf("%s: Lookup(%q) = %q, %v; want %q", name, field, got, ok, want[field])
			}
		}
		if got, ok := f.Lookup("absent"); ok || got != "" {
			t.Errorf("%s: Lookup of what is not there = %q, %v", name, got, ok)
		}
	}
}

// Packing allocates once, and no byte too much.
func TestPackAllocatesOnce(t *testing.T) {
	fields := map[string]string{"username": "andrew", "text": strings.Repeat("x", 1400)}
	if got := testing.AllocsPerRun(100, func() { Pack(fields) }); got > 1 {
		t.Errorf("Pack allocates %v times, want 1", got)
	}
}
