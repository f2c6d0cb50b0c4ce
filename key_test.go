package session_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

type role string

type level int8

type cart struct {
	Items map[string]int `json:"items"`
	Note  string         `json:"note,omitempty"`
}

// roundTrip sets a value, stores it, reads it back in another request, and checks how it lies in the store.
func roundTrip[T any](t *testing.T, name string, v T, text string) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		m := mustNew(t, newSpy(), nil)
		k := session.NewKey[T]("field")
		s := m.NewSession()
		if err := k.Set(s, v); err != nil {
			t.Fatalf("Set = %v", err)
		}
		if err := s.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = mustPeek(t, m, s)
		if got := s.Get("field"); got != text {
			t.Errorf("field = %q, want %q", got, text)
		}
		got, err := k.Get(s)
		if err != nil {
			t.Fatalf("Get = %v", err)
		}
		if diff := cmp.Diff(v, got, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
			cmp.Comparer(func(a, b big.Int) bool { return a.Cmp(&b) == 0 }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("value mismatch (-want +got):\n%s", diff)
		}
	})
}

func TestKeyRoundTrips(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	roundTrip(t, "string", "a\x00\xff", "a\x00\xff")
	roundTrip(t, "empty string", "", "")
	roundTrip(t, "named string", role("admin"), "admin")
	roundTrip(t, "true", true, "true")
	roundTrip(t, "false", false, "false")
	roundTrip(t, "int", -42, "-42")
	roundTrip(t, "int64", int64(math.MinInt64), "-9223372036854775808")
	roundTrip(t, "uint64", uint64(math.MaxUint64), "18446744073709551615")
	roundTrip(t, "named int8", level(-128), "-128")
	roundTrip(t, "float64", 0.1, "0.1")
	roundTrip(t, "float32", float32(0.1), "0.1")
	roundTrip(t, "infinity", math.Inf(-1), "-Inf")
	roundTrip(t, "bytes", []byte{0, 255}, "\x00\xff")
	roundTrip(t, "time", time.Date(2026, 11, 23, 8, 37, 29, 5, time.UTC), "2026-11-23T08:37:29.000000005Z")
	roundTrip(t, "duration", 90*time.Second, "1m30s")
	roundTrip(t, "text", addr, "192.0.2.1")
	roundTrip(t, "pointer to text", &addr, "192.0.2.1")
	roundTrip(t, "text by pointer methods", *big.NewInt(42), "42")
	roundTrip(t, "struct", cart{Items: map[string]int{"tea": 2}}, `{"items":{"tea":2}}`)
	roundTrip(t, "pointer to struct", &cart{Note: "x"}, `{"items":null,"note":"x"}`)
	roundTrip(t, "slice", []string{"a", "b"}, `["a","b"]`)
	roundTrip(t, "map", map[string]bool{"a": true}, `{"a":true}`)
}

// RFC 3339 has zones of whole minutes.
func TestKeyOfATimeInAZoneWithSeconds(t *testing.T) {
	s, k := mustNew(t, newSpy(), nil).NewSession(), session.NewKey[time.Time]("k")
	want := time.Date(1890, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 53*60+28))
	if err := k.Set(s, want); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Get(s); err != nil || !got.Equal(want) {
		t.Errorf("Get = %v, %v, want %v", got, err, want)
	}
}

func TestKeyTellsAbsentFromUndecodable(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	s := mustCreate(t, m, map[string]string{"n": "seven-is-secret", "empty": ""})
	n, absent := session.NewKey[int]("n"), session.NewKey[int]("absent")
	if _, err := absent.Get(s); !errors.Is(err, session.ErrNoField) || errors.Is(err, session.ErrDecode) {
		t.Errorf("Get of an absent field = %v, want ErrNoField", err)
	}
	v, err := n.Get(s)
	if !errors.Is(err, session.ErrDecode) || errors.Is(err, session.ErrNoField) || v != 0 {
		t.Errorf("Get of text = %v, %v, want ErrDecode", v, err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows the value: %v", err)
	}
	if v, err := absent.GetOr(s, 5); v != 5 || err != nil {
		t.Errorf("GetOr of an absent field = %v, %v", v, err)
	}
	if v, err := n.GetOr(s, 5); v != 5 || !errors.Is(err, session.ErrDecode) {
		t.Errorf("GetOr of text = %v, %v", v, err)
	}
	if _, err := session.NewKey[uint8]("n").Get(s); !errors.Is(err, session.ErrDecode) {
		t.Errorf("Get as uint8 = %v", err)
	}
	if v, err := session.NewKey[string]("empty").Get(s); v != "" || err != nil {
		t.Errorf("Get of an empty string = %q, %v", v, err)
	}
}

func TestKeyRefuses(t *testing.T) {
	m, ctx := mustNew(t, newSpy(), nil), t.Context()
	s := mustCreate(t, m, nil)
	if err := session.NewKey[func()]("f").Set(s, func() {}); err == nil {
		t.Error("Set of a func = nil")
	}
	if err := session.NewKey[*netip.Addr]("f").Set(s, nil); err == nil {
		t.Error("Set of a nil pointer to text = nil")
	}
	for _, v := range []time.Time{
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 25*60*60)),
	} {
		if err := session.NewKey[time.Time]("f").Set(s, v); err == nil {
			t.Errorf("Set of %v, which RFC 3339 cannot tell, = nil", v)
		}
	}
	if _, ok := s.Lookup("f"); ok || s.Err() != nil {
		t.Error("a value that cannot be written was set")
	}
	for _, name := range []string{"", "created_at", "session_owner"} {
		k := session.NewKey[string](name)
		if _, err := k.Get(s); !errors.Is(err, session.ErrReserved) {
			t.Errorf("Get(%q) = %v, want ErrReserved", name, err)
		}
		if _, err := k.Take(ctx, s); !errors.Is(err, session.ErrReserved) {
			t.Errorf("Take(%q) = %v, want ErrReserved", name, err)
		}
		if _, err := session.NewCounter(name).Add(ctx, s, 1); !errors.Is(err, session.ErrReserved) {
			t.Errorf("Add(%q) = %v, want ErrReserved", name, err)
		}
		if _, err := session.NewCounter(name).Get(s); !errors.Is(err, session.ErrReserved) {
			t.Errorf("Counter.Get(%q) = %v, want ErrReserved", name, err)
		}
		if err := k.Set(mustPeek(t, m, s), "x"); !errors.Is(err, session.ErrReserved) {
			t.Errorf("Set(%q) = %v, want ErrReserved", name, err)
		}
	}
}

func TestCounter(t *testing.T) {
	m, ctx := mustNew(t, newSpy(), nil), t.Context()
	s := mustCreate(t, m, map[string]string{"text": "x"})
	views := session.NewCounter("views")
	if n, err := views.Get(s); n != 0 || err != nil {
		t.Errorf("Get of an absent counter = %d, %v", n, err)
	}
	if n, err := views.Add(ctx, s, 3); n != 3 || err != nil {
		t.Errorf("Add = %d, %v", n, err)
	}
	if n, err := views.Get(s); n != 3 || err != nil {
		t.Errorf("Get = %d, %v", n, err)
	}
	if _, err := session.NewCounter("text").Get(s); !errors.Is(err, session.ErrCounter) {
		t.Errorf("Get of text = %v, want ErrCounter", err)
	}
}

func TestTakeOnce(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	flash := session.NewKey[string]("flash")
	s := mustCreate(t, m, map[string]string{"flash": "saved", "a": "1"})
	first, second := mustPeek(t, m, s), mustPeek(t, m, s)
	first.Set("a", "2")
	if v, err := flash.Take(ctx, first); v != "saved" || err != nil {
		t.Errorf("first Take = %q, %v", v, err)
	}
	if v, err := flash.Take(ctx, second); v != "" || !errors.Is(err, session.ErrNoField) {
		t.Errorf("second Take = %q, %v, want ErrNoField", v, err)
	}
	if v, err := flash.Take(ctx, first); v != "" || !errors.Is(err, session.ErrNoField) {
		t.Errorf("Take again = %q, %v, want ErrNoField", v, err)
	}
	if got := sorted(mustPeek(t, m, s)); got != "a=2" {
		t.Errorf("fields = %q", got)
	}
}

func TestTakeSeesAValueThatIsNewer(t *testing.T) {
	m, ctx := mustNew(t, newSpy(), nil), t.Context()
	s := mustCreate(t, m, map[string]string{"flash": "old"})
	slow := mustPeek(t, m, s)
	if _, err := m.SetFields(ctx, s.Token(), map[string]string{"flash": "new"}); err != nil {
		t.Fatal(err)
	}
	if v, ok, err := slow.Take(ctx, "flash"); v != "new" || !ok || err != nil {
		t.Errorf("Take = %q, %v, %v, want the newer value", v, ok, err)
	}
}

func TestTakeOfWhatThisRequestHasSet(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	s := m.NewSession()
	s.Set("flash", "now")
	if v, ok, err := s.Take(ctx, "flash"); v != "now" || !ok || err != nil || b.took() != "" {
		t.Errorf("Take in a new session = %q, %v, %v", v, ok, err)
	}
	s = mustCreate(t, m, map[string]string{"flash": "old"})
	s.Set("flash", "now")
	if v, ok, err := s.Take(ctx, "flash"); v != "now" || !ok || err != nil {
		t.Errorf("Take = %q, %v, %v", v, ok, err)
	}
	if _, ok := mustPeek(t, m, s).Lookup("flash"); ok {
		t.Error("the older value is still stored")
	}
}

func TestTakeFailures(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, nil), t.Context()
	s := mustCreate(t, m, map[string]string{"flash": "x"})
	rotated, gone := mustPeek(t, m, s), mustPeek(t, m, s)
	s.Rotate()
	if err := s.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := rotated.Take(ctx, "flash"); ok || !errors.Is(err, session.ErrConflict) {
		t.Errorf("Take after a rotation by hand = %v, %v, want ErrConflict", ok, err)
	}
	b.fail = map[string]error{"Apply": errStore}
	if _, ok, err := s.Take(ctx, "flash"); ok || !errors.Is(err, errStore) {
		t.Errorf("Take = %v, %v, want the store's error", ok, err)
	}
	b.fail = nil
	if err := s.Destroy(ctx); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := gone.Take(ctx, "flash"); ok || !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Take after the logout = %v, %v, want ErrNotFound", ok, err)
	}
}

func FuzzKeyDecode(f *testing.F) {
	for _, seed := range []string{"", "1", "-0", "true", "null", `{"items":{"a":1}}`, "2026-11-23T08:37:29Z", "1m", "\xff"} {
		f.Add(seed)
	}
	m := mustNew(f, newSpy(), nil)
	f.Fuzz(func(t *testing.T, text string) {
		s := m.NewSession()
		s.Set("f", text)
		check(t, s, session.NewKey[int32]("f"))
		check(t, s, session.NewKey[float64]("f"))
		check(t, s, session.NewKey[bool]("f"))
		check(t, s, session.NewKey[time.Time]("f"))
		check(t, s, session.NewKey[time.Duration]("f"))
		check(t, s, session.NewKey[netip.Addr]("f"))
		check(t, s, session.NewKey[*cart]("f"))
		check(t, s, session.NewKey[[]byte]("f"))
	})
}

// check decodes, and has what was decoded encoded and decoded again.
func check[T any](t *testing.T, s *session.Session, k session.Key[T]) {
	v, err := k.Get(s)
	if err != nil {
		if !errors.Is(err, session.ErrDecode) {
			t.Fatalf("Get = %v, want ErrDecode", err)
		}
		return
	}
	again := session.NewKey[T]("again")
	if err := again.Set(s, v); err != nil {
		t.Fatalf("%T %v cannot be written: %v", v, v, err)
	}
	if _, err := again.Get(s); err != nil {
		t.Fatalf("%T %v cannot be read back: %v", v, v, err)
	}
}

// ratio reads text and JSON, and writes the latter.
type ratio struct{ A, B int }

func (r *ratio) UnmarshalText(b []byte) error { return errors.New("no ratio: " + string(b)) }

func (r *ratio) UnmarshalJSON(b []byte) error {
	type plain ratio
	return json.Unmarshal(b, (*plain)(r))
}

// strength reads text and writes none.
type strength int

func (l *strength) UnmarshalText(b []byte) error {
	for i, s := range []string{"low", "high"} {
		if s == string(b) {
			*l = strength(i)
			return nil
		}
	}
	return errors.New("no level")
}

// readsInto and readsList read text, and have no form that package json reads.
type (
	readsInto struct{ V string }
	readsList []string
)

func (o *readsInto) UnmarshalText(b []byte) error { o.V = string(b); return nil }
func (o *readsList) UnmarshalText(b []byte) error { *o = readsList{string(b)}; return nil }

func TestKeyOfATypeThatOnlyReadsText(t *testing.T) {
	s := mustNew(t, memory.New(nil), quiet(session.Options{})).NewSession()
	into, list := session.NewKey[readsInto]("a").Set(s, readsInto{"x"}), session.NewKey[readsList]("b").Set(s, readsList{"x"})
	if into == nil || list == nil || s.Get("a") != "" || s.Get("b") != "" {
		t.Errorf("Set of what Get cannot read back = %v, %v: %s", into, list, sorted(s))
	}
	roundTrip(t, "behind any", any("x"), `"x"`)
	roundTrip(t, "value", strength(1), "1")
	high := strength(1)
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	if err := session.NewKey[*strength]("field").Set(m.NewSession(), &high); err == nil {
		t.Error("Set of a pointer, which Get cannot read back, succeeds")
	}
	roundTrip(t, "pointer that reads JSON, too", &ratio{1, 2}, `{"A":1,"B":2}`)
}

// What a Take that is refused would have taken is still there.
func TestTakeThatIsRefusedTakesNothing(t *testing.T) {
	m, ctx := mustNew(t, newSpy(), quiet(session.Options{MaxBytes: 100})), t.Context()
	s := mustLoad(t, m, mustCreate(t, m, nil).Token())
	s.Set("flash", "saved")
	s.Set("big", strings.Repeat("x", 1000))
	if _, ok, err := s.Take(ctx, "flash"); !errors.Is(err, session.ErrTooLarge) || ok {
		t.Fatalf("Take = %v, %v, want ErrTooLarge", ok, err)
	}
	s.Delete("big")
	mustCommit(t, s)
	if got := mustPeek(t, m, s).Get("flash"); got != "saved" {
		t.Errorf("flash = %q, want saved", got)
	}
}
