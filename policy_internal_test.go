package session

import (
	"testing"
	"time"

	"github.com/faeeb396/session/internal/packing"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// sample returns a live session's record, changed.
func sample(change map[string]string) record {
	set := map[string]string{
		fieldCreated:  "2026-11-23T11:00:00+00:00",
		fieldAccessed: "2026-11-23T11:59:00+00:00",
		fieldToken:    hashToken(goodToken).String(),
	}
	for name, value := range change {
		if set[name] = value; value == "absent" {
			delete(set, name)
		}
	}
	return record{fields{set: set}, 30 * time.Minute}
}

// packed returns f packed.
func packed(f fields) fields { return fields{packed: packing.Pack(f.set)} }

const goodToken = "3q2-7wAAAAAAAAABxxxxxxxxxxxxxxxxxxxxxxxxxxA"

func TestJudge(t *testing.T) {
	opts, err := (*Options)(nil).complete()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change map[string]string
		ttl    time.Duration
		token  string
		want   verdict
	}{
		{name: "live", want: live},
		{name: "zulu", change: map[string]string{fieldCreated: "2026-11-23T11:00:00Z"}, want: live},
		{name: "no created_at", change: map[string]string{fieldCreated: "absent"}, want: noSession},
		{name: "no last_accessed_at", change: map[string]string{fieldAccessed: "absent"}, want: noSession},
		{name: "no token", change: map[string]string{fieldToken: "absent"}, want: noSession},
		{name: "empty token", change: map[string]string{fieldToken: ""}, want: noSession},
		{name: "garbled created_at", change: map[string]string{fieldCreated: "yesterday"}, want: noSession},
		{name: "other zone", change: map[string]string{fieldCreated: "2026-11-23T11:00:00+01:00"}, want: noSession},
		{name: "31 November", change: map[string]string{fieldCreated: "2026-11-31T11:00:00Z"}, want: noSession},
		{name: "garbled login", change: map[string]string{fieldAuthenticated: "x"}, want: noSession},
		{name: "garbled rotation", change: map[string]string{fieldRotated: "x"}, want: noSession},
		{name: "garbled first sight", change: map[string]string{fieldSeen: "x", fieldRotated: "2026-11-23T11:00:00Z"}, want: noSession},
		{name: "empty first sight", change: map[string]string{fieldSeen: "", fieldRotated: "2026-11-23T11:00:00Z"}, want: noSession},
		{name: "garbled first sight, never rotated", change: map[string]string{fieldSeen: "x"}, want: live},
		{name: "newer version, and garbled", change: map[string]string{fieldVersion: "", fieldCreated: "x"}, want: unreadable},
		{name: "no TTL", ttl: time.Millisecond, want: noSession},
		{name: "past its lifetime", change: map[string]string{fieldCreated: "2026-11-23T00:00:00Z"}, want: expired},
		{name: "last second", change: map[string]string{fieldCreated: "2026-11-23T00:00:01Z"}, want: live},
		{
			name:   "old, but logged in since",
			change: map[string]string{fieldCreated: "2026-11-22T00:00:00Z", fieldAuthenticated: "2026-11-23T11:00:00Z"},
			want:   live,
		},
		{name: "created in the future", change: map[string]string{fieldCreated: "2026-11-23T13:00:00Z"}, want: live},
		{name: "newer version", change: map[string]string{fieldVersion: "2"}, want: unreadable},
		{name: "other secret", token: goodToken[:42] + "E", want: mismatch},
		{name: "other hash", change: map[string]string{fieldToken: "short"}, want: mismatch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec, token := sample(tt.change), goodToken
			if tt.ttl != 0 {
				rec.ttl = tt.ttl
			}
			if tt.token != "" {
				token = tt.token
			}
			for _, f := range []fields{rec.fields, packed(rec.fields)} {
				if _, got := opts.judge(noon, &record{f, rec.ttl}, hashToken(token)); got != tt.want {
					t.Errorf("judge(%v) = %v, want %v", f, got, tt.want)
				}
			}
		})
	}
}

func TestTouchDue(t *testing.T) {
	for _, tt := range []struct {
		name     string
		interval time.Duration
		ago      time.Duration
		ttl      time.Duration
		want     bool
	}{
		{name: "just used", ago: 0, ttl: 30 * time.Minute},
		{name: "default is a minute at the most", ago: 59 * time.Second, ttl: 30 * time.Minute},
		{name: "default, due", ago: time.Minute, ttl: 30 * time.Minute, want: true},
		{name: "default of a short TTL", ago: 2 * time.Second, ttl: time.Minute, want: true},
		{name: "default of a short TTL, not due", ago: time.Second, ttl: time.Minute},
		{name: "long TTL", ago: time.Minute, ttl: 24 * time.Hour, want: true},
		{name: "negative", interval: -1, ttl: time.Hour, want: true},
		{name: "set", interval: 10 * time.Minute, ago: 9 * time.Minute, ttl: time.Hour},
		{name: "set, due", interval: 10 * time.Minute, ago: 10 * time.Minute, ttl: time.Hour, want: true},
		{name: "never longer than half of this session's TTL", interval: 10 * time.Minute, ago: time.Minute, ttl: 2 * time.Minute, want: true},
		{name: "used in the future", ago: -time.Hour, ttl: 30 * time.Minute, want: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &Options{TouchInterval: tt.interval}
			if got := o.touchDue(noon, instant(noon.Add(-tt.ago).Unix()), tt.ttl, false); got != tt.want {
				t.Errorf("touchDue = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestFormatTimeIsReadBack(t *testing.T) {
	for _, in := range []time.Time{noon, {}, noon.In(time.FixedZone("x", 3600)), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		text := formatTime(in)
		if got, ok := parseTime(text); !ok || got != instant(in.Unix()) {
			t.Errorf("parseTime(%q) = %v, %v, want %v", text, got, ok, in)
		}
		if back := instant(in.Unix()).time(); !back.Equal(in) {
			t.Errorf("time of %q = %v, want %v", text, back, in)
		}
	}
	if got := formatTime(noon); got != "2026-11-23T12:00:00+00:00" {
		t.Errorf("formatTime = %q", got)
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("2026-11-23T08:37:29+00:00")
	f.Add("2026-02-29T24:00:60Z")
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := parseTime(in)
		want, err := time.Parse("2006-01-02T15:04:05Z07:00", in)
		fixed := len(in) == 20 || len(in) == 25 && in[19:] == "+00:00"
		if wantOK := err == nil && fixed; ok != wantOK || ok && got != instant(want.Unix()) {
			t.Fatalf("parseTime(%q) = %v, %v; time.Parse = %v, %v", in, got, ok, want, err)
		}
	})
}

func TestNextEpoch(t *testing.T) {
	for in, want := range map[string]string{"": "1", "1": "2", "41": "42", "x": "1", "-3": "1"} {
		if got := nextEpoch(in); got != want {
			t.Errorf("nextEpoch(%q) = %q, want %q", in, got, want)
		}
	}
}

// What was touched when it was read is not touched again in the same second, and then by the default interval.
func TestTouchDueOfWhatWasTouched(t *testing.T) {
	for _, tt := range []struct {
		ago, ttl time.Duration
		want     bool
	}{
		{ago: 0, ttl: time.Second, want: false},
		{ago: 0, ttl: 10 * time.Second, want: false},
		{ago: 59 * time.Second, ttl: time.Hour, want: false},
		{ago: time.Minute, ttl: time.Hour, want: true},
	} {
		o := &Options{TouchInterval: -1}
		if got := o.touchDue(noon, instant(noon.Add(-tt.ago).Unix()), tt.ttl, true); got != tt.want {
			t.Errorf("touchDue of what was touched %v ago, with a TTL of %v = %v", tt.ago, tt.ttl, got)
		}
	}
}
