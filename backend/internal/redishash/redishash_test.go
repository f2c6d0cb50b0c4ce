package redishash_test

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redishash"
)

func TestRecord(t *testing.T) {
	const longest = math.MaxInt64 / int64(time.Second)
	for _, tt := range []struct {
		name string
		hash map[string]string
		want backend.Record
		err  error
	}{
		{name: "nil", err: backend.ErrNotFound},
		{name: "empty", hash: map[string]string{}, err: backend.ErrNotFound},
		{name: "another program's", hash: map[string]string{"a": "1"}, err: backend.ErrNotFound},
		{name: "fields", hash: ttl("60", "a", ""), want: record(time.Minute, "a", "")},
		{name: "no fields", hash: ttl("1"), want: record(time.Second)},
		{name: "longest", hash: ttl("9223372036"), want: record(time.Duration(longest) * time.Second)},
		{name: "too long", hash: ttl("9223372037"), err: backend.ErrUnreadable},
		{name: "far too long", hash: ttl(strings.Repeat("9", 99)), err: backend.ErrUnreadable},
		{name: "zero", hash: ttl("0"), err: backend.ErrUnreadable},
		{name: "empty text", hash: ttl(""), err: backend.ErrUnreadable},
		{name: "negative", hash: ttl("-1"), err: backend.ErrUnreadable},
		{name: "plus", hash: ttl("+1"), err: backend.ErrUnreadable},
		{name: "leading zero", hash: ttl("01"), err: backend.ErrUnreadable},
		{name: "space", hash: ttl(" 1"), err: backend.ErrUnreadable},
		{name: "newline", hash: ttl("1\n"), err: backend.ErrUnreadable},
		{name: "exponent", hash: ttl("1e3"), err: backend.ErrUnreadable},
		{name: "underscore", hash: ttl("1_0"), err: backend.ErrUnreadable},
		{name: "hexadecimal", hash: ttl("0x10"), err: backend.ErrUnreadable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := redishash.Record("op", tt.hash)
			if !errors.Is(err, tt.err) {
				t.Errorf("Record = %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func ttl(text string, fields ...string) map[string]string {
	hash := map[string]string{"session_ttl": text}
	for i := 0; i < len(fields); i += 2 {
		hash[fields[i]] = fields[i+1]
	}
	return hash
}

func record(d time.Duration, fields ...string) backend.Record {
	hash := ttl("", fields...)
	delete(hash, "session_ttl")
	return backend.Record{Fields: hash, TTL: d}
}

// What a backend reads must be what it, or the other one, has written.
func FuzzRecordTTL(f *testing.F) {
	for _, s := range []string{"", "0", "1", "01", "-1", "+1", "1 ", "1e3", "9223372036", "9223372037", "٣", "1_0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := redishash.Record("op", ttl(text, "a", "1"))
		if err != nil {
			if !errors.Is(err, backend.ErrUnreadable) || rec.Fields != nil || rec.TTL != 0 {
				t.Errorf("Record(%q) = %v, %v", text, rec, err)
			}
			return
		}
		seconds := int64(rec.TTL / time.Second)
		if rec.TTL < time.Second || strconv.FormatInt(seconds, 10) != text {
			t.Errorf("Record(%q): TTL = %v", text, rec.TTL)
		}
		if got := redishash.Create("k", &rec).Args[0]; got != text {
			t.Errorf("Create writes %q, was %q", got, text)
		}
	})
}

func TestSums(t *testing.T) {
	for _, tt := range []struct {
		name     string
		counters []string
		sums     []int64
		want     backend.Record
		fails    bool
	}{
		{name: "none"},
		{
			name:     "some",
			counters: []string{"a", "b"},
			sums:     []int64{-7, backend.MaxCounter},
			want:     backend.Record{Fields: map[string]string{"a": "-7", "b": "9007199254740991"}},
		},
		{name: "too few", counters: []string{"a", "b"}, sums: []int64{1}, fails: true},
		{name: "too many", counters: []string{"a"}, sums: []int64{1, 2}, fails: true},
		{name: "unasked for", sums: []int64{1}, fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := redishash.Sums("op", tt.counters, tt.sums)
			if (err != nil) != tt.fails {
				t.Errorf("Sums = %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}
