package redishash_test

import (
	"crypto/sha1"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redishash"
)

// Programs written before a change of a script share the server's cache with those written after.
func TestSHA1(t *testing.T) {
	rec, patch, byToken, byEpoch := backend.Record{TTL: time.Hour}, backend.Patch{}, byTokenPatch(), byEpochPatch()
	for name, call := range map[string]redishash.Call{
		"create.lua": redishash.Create("k", &rec),
		"apply.lua":  redishash.Apply("k", &patch, nil),
		"touch.lua":  redishash.Apply("k", &byToken, nil),
		"change.lua": redishash.Apply("k", &byEpoch, nil),
		"delete.lua": redishash.Delete("k"),
		"probe.lua":  redishash.Probe("p:"),
	} {
		sum := sha1.Sum([]byte(call.Source))
		if want := hex.EncodeToString(sum[:]); call.SHA1 != want {
			t.Errorf("SHA1 of %s = %s, want %s", name, call.SHA1, want)
		}
	}
}

func TestCreate(t *testing.T) {
	for _, tt := range []struct {
		name string
		rec  backend.Record
		want [][]string
	}{
		{
			name: "no fields",
			rec:  backend.Record{TTL: time.Second},
			want: [][]string{{"1"}, {"session_ttl", "1"}},
		},
		{
			name: "fields",
			rec:  backend.Record{Fields: map[string]string{"a": "1", "\x00": ""}, TTL: 36 * time.Hour},
			want: [][]string{{"129600"}, {"\x00", ""}, {"a", "1"}, {"session_ttl", "129600"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			call := redishash.Create("session:x", &tt.rec)
			if call.Key != "session:x" {
				t.Errorf("Key = %q", call.Key)
			}
			if diff := cmp.Diff(tt.want, append([][]string{call.Args[:1]}, pairs(call.Args[1:])...)); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

// pairs returns names and values, in the order of the names.
func pairs(args []string) [][]string {
	return slices.SortedFunc(slices.Chunk(args, 2), slices.Compare)
}

func TestApply(t *testing.T) {
	p := backend.Patch{
		If:     map[string]string{"i": "1"},
		Has:    []string{"h", "g"},
		Add:    map[string]int64{"n": -7},
		Set:    map[string]string{"s": ""},
		Delete: []string{"d", "e"},
		TTL:    time.Minute,
		Load:   true,
	}
	for _, tt := range []struct {
		name string
		p    backend.Patch
		want []string
	}{
		{name: "nothing", want: []string{"00000--"}},
		{name: "touch", p: backend.Patch{Touch: true}, want: []string{"00000t-"}},
		{
			name: "remove",
			p:    backend.Patch{Remove: true, Load: true},
			want: []string{"00000xl"},
		},
		{
			name: "everything",
			p:    p,
			want: []string{
				"12122nl",
				"i", "h", "g", "n", "1", "-7", "session_ttl", "60", "s", "", "d", "e",
			},
		},
		{
			name: "the most that a character says",
			p:    backend.Patch{Has: fields(70), Touch: true},
			want: append([]string{"0v000t-"}, fields(70)...),
		},
		{
			name: "more",
			p:    backend.Patch{If: map[string]string{"i": "1"}, Has: fields(71), Touch: true},
			want: slices.Concat([]string{"t-", "1", "71", "0", "0", "0", "i"}, fields(71), []string{"1"}),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			call := redishash.Apply("k", &tt.p, redishash.Counters(&tt.p))
			if diff := cmp.Diff(tt.want, call.Args); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func fields(n int) []string { return slices.Repeat([]string{"f"}, n) }

// Maps have no order, and the parts of ARGV must have the same.
func TestApplyKeepsNamesAndValuesTogether(t *testing.T) {
	p := backend.Patch{If: map[string]string{}, Add: map[string]int64{}}
	for c := 'a'; c <= 'z'; c++ {
		p.If[string(c)] = strings.ToUpper(string(c))
		p.Add["n"+string(c)] = int64(c)
	}
	for range 20 {
		counters := redishash.Counters(&p)
		args := redishash.Apply("k", &p, counters).Args[1:]
		names, addNames, values, deltas := args[:26], args[26:52], args[52:78], args[78:]
		if !slices.Equal(addNames, counters) {
			t.Fatalf("counters are named %q, want %q", addNames, counters)
		}
		for i := range names {
			if p.If[names[i]] != values[i] {
				t.Fatalf("condition %q = %q, want %q", names[i], values[i], p.If[names[i]])
			}
			if want := addNames[i][1]; deltas[i] != strconv.Itoa(int(want)) {
				t.Fatalf("delta of %q = %s, want %d", addNames[i], deltas[i], want)
			}
		}
	}
}
