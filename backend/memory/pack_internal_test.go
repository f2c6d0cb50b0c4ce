package memory

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session/internal/packing"
	"github.com/google/go-cmp/cmp"
)

func TestPackKeepsEverything(t *testing.T) {
	many := make(map[string]string)
	for i := range 1000 {
		many[fmt.Sprint(i)] = strings.Repeat("v", i)
	}
	for _, tt := range []struct {
		name   string
		id     string
		ttl    time.Duration
		fields map[string]string
	}{
		{name: "empty", id: "a", ttl: time.Second},
		{name: "fields", id: "abc_DEF-012.:", ttl: time.Hour, fields: map[string]string{"a": "b", "c": "", "d": "a"}},
		{name: "arbitrary bytes", id: "i", ttl: 1, fields: map[string]string{"\x00": "\xff\x80", "\xf0\x28": "\x00"}},
		{name: "lengths of two bytes", id: "i", ttl: math.MaxInt64, fields: map[string]string{
			strings.Repeat("n", 127): strings.Repeat("v", 128), strings.Repeat("n", 16383): strings.Repeat("v", 16384),
		}},
		{name: "many", id: strings.Repeat("i", 64), ttl: time.Second, fields: many},
	} {
		t.Run(tt.name, func(t *testing.T) {
			size := packing.Size(tt.fields)
			p := pack(tt.id, tt.ttl, tt.fields, size)
			ttl, n, rest := p.header()
			if p.id() != tt.id || ttl != tt.ttl || p.ttl() != tt.ttl || n != len(tt.fields) || len(rest) != size {
				t.Errorf("header is %q, %v, %d and %d bytes", p.id(), ttl, n, len(rest))
			}
			if got := p.toMap(); !maps.Equal(got, tt.fields) {
				t.Errorf("mismatch (-want +got):\n%s", cmp.Diff(tt.fields, got))
			}
		})
	}
}

// A packed record is exactly as large as was computed: a byte more would cost up to a size class.
func TestPackAllocatesOnce(t *testing.T) {
	fields := map[string]string{"username": "andrew", "text": strings.Repeat("x", 1400)}
	size := packing.Size(fields)
	if got := testing.AllocsPerRun(100, func() { pack("id", time.Hour, fields, size) }); got > 1 {
		t.Errorf("pack allocates %v times, want 1", got)
	}
	deleted, set := []string{"username"}, []field{{"more", strings.Repeat("y", 500)}}
	r := pack("id", time.Hour, fields, size)
	if got := testing.AllocsPerRun(100, func() { repack(r, time.Hour, deleted, set) }); got > 1 {
		t.Errorf("repack allocates %v times, want 1", got)
	}
}

// FuzzPack packs a record, changes it, and compares it with a map that is changed alike.
func FuzzPack(f *testing.F) {
	f.Add("id", int64(time.Hour), "a", "1", "b", "", "c", "\x00\xff")
	f.Add("", int64(-1), "", "", "", "\x80", strings.Repeat("n", 200), strings.Repeat("v", 20_000))
	f.Fuzz(func(t *testing.T, id string, ttl int64, name1, value1, name2, value2, name3, value3 string) {
		fields := map[string]string{name1: value1, name2: value2}
		p := pack(id, time.Duration(ttl), fields, packing.Size(fields))
		same := func(ttl int64) {
			t.Helper()
			_, n, rest := p.header()
			if p.id() != id || int64(p.ttl()) != ttl || n != len(fields) || len(rest) != packing.Size(fields) {
				t.Errorf("header is %q, %v, %d and %d bytes", p.id(), p.ttl(), n, len(rest))
			}
			if diff := cmp.Diff(fields, p.toMap()); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		}
		same(ttl)
		repacked := func(ttl int64, deleted []string, set []field) {
			t.Helper()
			changed, ok := repack(p, time.Duration(ttl), deleted, set)
			for _, name := range deleted {
				delete(fields, name)
			}
			for _, f := range set {
				fields[f.name] = f.value
			}
			if large := packing.Size(fields) > largeSize; ok == large {
				t.Errorf("repack reports %v for %d bytes", ok, packing.Size(fields))
			}
			p = changed
			if !ok {
				p = pack(id, time.Duration(ttl), fields, packing.Size(fields))
			}
			same(ttl)
		}
		repacked(7, nil, []field{{name3, value3}})
		repacked(-1, []string{name1, name3}, []field{{name2, value3}})
	})
}
