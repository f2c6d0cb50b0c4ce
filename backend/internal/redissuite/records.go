package redissuite

import (
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
)

// Records checks how records lie in a hash, what other programs may do to that, and what cannot be read.
func Records(t *testing.T, k Kit) {
	for name, test := range map[string]func(*testing.T, Kit){
		"RecordIsOneHash":            testRecordIsOneHash,
		"OtherProgramsWritesAreSeen": testOtherProgramsWritesAreSeen,
		"HashWithoutTTLIsNoRecord":   testHashWithoutTTLIsNoRecord,
		"UnreadableTTL":              testUnreadableTTL,
		"LongestTTL":                 testLongestTTL,
		"WrongTypeNamesItsCause":     testWrongTypeNamesItsCause,
		"WriteRestoresExpiry":        testWriteRestoresExpiry,
		"WidePatchTouches":           testWidePatchTouches,
		"BigRecord":                  testBigRecord,
	} {
		t.Run(name, func(t *testing.T) { test(t, k) })
	}
}

func testRecordIsOneHash(t *testing.T, k Kit) {
	k.onServers(t, func(t *testing.T, s *Store) {
		key := s.Prefix + "x"
		s.MustCreate(t, "x", map[string]string{"username": "andrew", "empty": "", "\x00\xff": "\r\n"})
		want := map[string]string{"username": "andrew", "empty": "", "\x00\xff": "\r\n", "session_ttl": "3600"}
		if diff := cmp.Diff(want, s.Do(t, "HGETALL", key).Map()); diff != "" {
			t.Errorf("after Create, mismatch (-want +got):\n%s", diff)
		}
		_, err := s.Apply(t.Context(), "x", backend.Patch{
			Set:    map[string]string{"username": "ann"},
			Delete: []string{"empty"},
			Add:    map[string]int64{"page_views": 2},
			TTL:    time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		want = map[string]string{"username": "ann", "\x00\xff": "\r\n", "page_views": "2", "session_ttl": "60"}
		if diff := cmp.Diff(want, s.Do(t, "HGETALL", key).Map()); diff != "" {
			t.Errorf("after Apply, mismatch (-want +got):\n%s", diff)
		}
		if left := s.Do(t, "PTTL", key).Int(); left <= 0 || left > 60_000 {
			t.Errorf("PTTL = %d, want a minute", left)
		}
		if err := s.Delete(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if n := s.Do(t, "EXISTS", key).Int(); n != 0 {
			t.Errorf("EXISTS = %d after Delete", n)
		}
	})
}

func testOtherProgramsWritesAreSeen(t *testing.T, k Kit) {
	k.onServers(t, func(t *testing.T, s *Store) {
		key := s.Prefix + "x"
		s.MustCreate(t, "x", map[string]string{"page_views": "1"})
		s.Do(t, "HINCRBY", key, "page_views", "1")
		s.Do(t, "HSET", key, "session_ttl", "60", "cart", "3")
		s.Do(t, "EXPIRE", key, "60")
		got, err := s.Load(t.Context(), "x")
		want := backend.Record{Fields: map[string]string{"page_views": "2", "cart": "3"}, TTL: time.Minute}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Load: %v, mismatch (-want +got):\n%s", err, diff)
		}
	})
}

func testHashWithoutTTLIsNoRecord(t *testing.T, k Kit) {
	k.onServers(t, func(t *testing.T, s *Store) {
		key := s.Prefix + "x"
		want := map[string]string{"username": "andrew", "n": "1"}
		s.Do(t, "HSET", key, "username", "andrew", "n", "1")
		s.Do(t, "EXPIRE", key, "100")
		if _, err := s.Load(t.Context(), "x"); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("Load = %v, want ErrNotFound", err)
		}
		for _, p := range []backend.Patch{
			{}, {Load: true}, {Touch: true}, {TTL: time.Hour}, {Set: map[string]string{"a": "1"}},
			{Add: map[string]int64{"n": 1}}, {Delete: []string{"n"}}, {Remove: true},
			{If: map[string]string{"n": "2"}, Has: []string{"missing"}},
		} {
			if _, err := s.Apply(t.Context(), "x", p); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("Apply(%+v) = %v, want ErrNotFound", p, err)
			}
		}
		if err := s.Create(t.Context(), "x", backend.Record{TTL: time.Hour}); !errors.Is(err, backend.ErrExists) {
			t.Errorf("Create = %v, want ErrExists", err)
		}
		if diff := cmp.Diff(want, s.Do(t, "HGETALL", key).Map()); diff != "" {
			t.Errorf("the hash has changed (-want +got):\n%s", diff)
		}
		if left := s.Do(t, "TTL", key).Int(); left < 1 || left > 100 {
			t.Errorf("TTL = %d, was 100", left)
		}
	})
}

func testUnreadableTTL(t *testing.T, k Kit) {
	k.onServers(t, func(t *testing.T, s *Store) {
		key := s.Prefix + "x"
		for _, ttl := range []string{
			"", "0", "-1", "+1", "01", " 1", "1 ", "1\n", "1.0", "1e3", "0x10", "inf", "nan", "1\x00", "\x001", "٣",
			"9223372037", "9999999999", "10000000000", strings.Repeat("1", 400),
		} {
			want := map[string]string{"session_ttl": ttl, "n": "1"}
			s.Do(t, "HSET", key, "session_ttl", ttl, "n", "1")
			s.Do(t, "EXPIRE", key, "100")
			_, loadErr := s.Load(t.Context(), "x")
			_, touchErr := s.Apply(t.Context(), "x", backend.Patch{Touch: true, Add: map[string]int64{"n": 1}})
			_, removeErr := s.Apply(t.Context(), "x", backend.Patch{Remove: true, Load: true})
			for _, err := range []error{loadErr, touchErr, removeErr} {
				if !errors.Is(err, backend.ErrUnreadable) || !strings.Contains(err.Error(), "session_ttl") {
					t.Errorf("session_ttl = %.20q: %v, want ErrUnreadable that names the field", ttl, err)
				}
			}
			if diff := cmp.Diff(want, s.Do(t, "HGETALL", key).Map()); diff != "" {
				t.Errorf("session_ttl = %.20q: the hash has changed (-want +got):\n%s", ttl, diff)
			}
		}
	})
}

func testLongestTTL(t *testing.T, k Kit) {
	k.onServers(t, func(t *testing.T, s *Store) {
		const longest = 9223372036 * time.Second
		if err := s.Create(t.Context(), "x", backend.Record{TTL: longest}); err != nil {
			t.Fatal(err)
		}
		got, err := s.Apply(t.Context(), "x", backend.Patch{Touch: true, Load: true})
		if err != nil || got.TTL != longest {
			t.Errorf("Apply = %v, %v, want TTL %v", got, err, longest)
		}
		if got, err := s.Load(t.Context(), "x"); err != nil || got.TTL != longest {
			t.Errorf("Load = %v, %v, want TTL %v", got, err, longest)
		}
	})
}

func testWrongTypeNamesItsCause(t *testing.T, k Kit) {
	s := k.onRedis(t)
	s.Do(t, "SET", s.Prefix+"x", "v", "EX", "100")
	_, loadErr := s.Load(t.Context(), "x")
	_, applyErr := s.Apply(t.Context(), "x", backend.Patch{Touch: true})
	for op, err := range map[string]error{"load": loadErr, "apply": applyErr} {
		want := k.Name + ": " + op + ": record is unreadable: WRONGTYPE "
		if !errors.Is(err, backend.ErrUnreadable) || !strings.HasPrefix(err.Error(), want) || !k.IsReply(err) {
			t.Errorf("%s: %v, want %s… and the reply inside", op, err, want)
		}
	}
}

// A program that takes a key's expiry away must not make a session immortal.
func testWriteRestoresExpiry(t *testing.T, k Kit) {
	k.onServers(t, func(t *testing.T, s *Store) {
		key := s.Prefix + "x"
		s.MustCreate(t, "x", map[string]string{"a": "1", "n": "1"})
		for _, tt := range []struct {
			name  string
			p     backend.Patch
			write bool
		}{
			{name: "nothing", p: backend.Patch{}},
			{name: "read", p: backend.Patch{Load: true, Has: []string{"n"}}},
			{name: "set", p: backend.Patch{Set: map[string]string{"a": "2"}}, write: true},
			{name: "delete", p: backend.Patch{Delete: []string{"a"}}, write: true},
			{name: "add", p: backend.Patch{Add: map[string]int64{"n": 1}}, write: true},
			{name: "touch", p: backend.Patch{Touch: true}, write: true},
			{name: "TTL", p: backend.Patch{TTL: time.Hour}, write: true},
		} {
			s.Do(t, "PERSIST", key)
			if _, err := s.Apply(t.Context(), "x", tt.p); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			switch left := s.Do(t, "TTL", key).Int(); {
			case tt.write && (left < 3590 || left > 3600):
				t.Errorf("%s: TTL = %d, want an hour", tt.name, left)
			case !tt.write && left != -1:
				t.Errorf("%s: TTL = %d: a read has written", tt.name, left)
			}
		}
	})
}

// More than 70 names in a part of a patch have the script take its arguments in another form.
func testWidePatchTouches(t *testing.T, k Kit) {
	k.onServers(t, func(t *testing.T, s *Store) {
		key := s.Prefix + "x"
		for _, n := range []int{70, 71, 4001} {
			values, deltas, names := map[string]string{}, map[string]int64{}, make([]string, n)
			for i := range n {
				names[i] = "f" + strconv.Itoa(i)
				values[names[i]], deltas[names[i]] = strconv.Itoa(i), 1
			}
			for name, p := range map[string]backend.Patch{
				"conditions": {If: values, Has: names}, "Set": {Set: values}, "Add": {Add: deltas}, "Delete": {Delete: names},
			} {
				for _, tt := range []struct {
					change string
					touch  bool
					ttl    time.Duration
					left   int
				}{
					{change: "no touch", left: 100},
					{change: "a touch", touch: true, left: 3600},
					{change: "a new TTL", ttl: 2 * time.Hour, left: 7200},
				} {
					s.Do(t, "DEL", key)
					s.MustCreate(t, "x", values)
					s.Do(t, "EXPIRE", key, "100")
					p.Touch, p.TTL = tt.touch, tt.ttl
					if _, err := s.Apply(t.Context(), "x", p); err != nil {
						t.Fatalf("%d %s and %s: %v", n, name, tt.change, err)
					}
					if left := s.Do(t, "TTL", key).Int(); left < tt.left-30 || left > tt.left {
						t.Errorf("%d %s and %s: TTL = %d, want %d", n, name, tt.change, left, tt.left)
					}
				}
			}
		}
	})
}

// Lua's stack holds about 8000 values.
func testBigRecord(t *testing.T, k Kit) {
	k.onServers(t, func(t *testing.T, s *Store) {
		for _, n := range []int{3999, 4000, 4001, 9001} {
			t.Run(strconv.Itoa(n), func(t *testing.T) { bigRecord(t, s, n) })
		}
	})
}

// bigRecord has a record of n fields live through what Apply does to many.
func bigRecord(t *testing.T, s *Store, n int) {
	id := "big" + strconv.Itoa(n)
	values, deltas, sums := map[string]string{}, map[string]int64{}, map[string]string{}
	names := make([]string, n)
	for i := range n {
		names[i] = "f" + strconv.Itoa(i)
		values[names[i]] = "v" + strconv.Itoa(i)
		deltas["n"+strconv.Itoa(i)] = int64(i)
		sums["n"+strconv.Itoa(i)] = strconv.Itoa(i)
	}
	s.MustCreate(t, id, values)
	s.WantLoad(t, id, values)

	got, err := s.Apply(t.Context(), id, backend.Patch{If: values, Has: names, Add: deltas})
	if diff := cmp.Diff(backend.Record{Fields: sums}, got); err != nil || diff != "" {
		t.Fatalf("Apply to add: %v, mismatch (-want +got):\n%.2000s", err, diff)
	}
	// The last of many is looked at, too, also where it is the only one in its piece.
	if _, err := s.Apply(t.Context(), id, backend.Patch{Has: names}); err != nil {
		t.Errorf("Apply with Has alone = %v", err)
	}
	wrong := maps.Clone(values)
	wrong[names[n-1]] = "other"
	for name, p := range map[string]backend.Patch{
		"If":  {If: wrong, Set: values},
		"Has": {Has: append(names[:n:n], "missing"), Set: values},
	} {
		if _, err := s.Apply(t.Context(), id, p); !errors.Is(err, backend.ErrConflict) {
			t.Errorf("Apply with a wrong %s = %v, want ErrConflict", name, err)
		}
	}
	got, err = s.Apply(t.Context(), id, backend.Patch{Delete: names, Set: map[string]string{"a": "1"}, Load: true})
	if err != nil {
		t.Fatal(err)
	}
	sums["a"] = "1"
	if diff := cmp.Diff(sums, got.Fields); diff != "" {
		t.Errorf("Apply to delete, mismatch (-want +got):\n%.2000s", diff)
	}
	if _, err := s.Apply(t.Context(), id, backend.Patch{Set: values}); err != nil {
		t.Fatal(err)
	}
	maps.Copy(sums, values)
	s.WantLoad(t, id, sums)
}
