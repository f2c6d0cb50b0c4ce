package redissuite

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redishash"
	"github.com/faeeb396/session/internal/redistest"
)

// The patches that have scripts of their own must do the same as the script that takes any. The same patch with one
// condition more, which holds, has none of its own.
func testSessionsOwnScripts(t *testing.T, k Kit) {
	k.onServers(t, func(t *testing.T, s *Store) {
		const seed, tries = 20261128, 1500
		rnd := patchMaker{rand.New(rand.NewPCG(seed, seed))}
		seen := map[string]int{}
		for range tries {
			hash, left := rnd.session()
			one := rnd.sessionPatch()
			other := one
			other.Has = append(slices.Clone(one.Has), "always")
			got, want := s.try(t, "own", hash, left, one), s.try(t, "any", hash, left, other)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("Apply(%+v) to %q, mismatch (-any +own):\n%s", one, hash, diff)
			}
			seen[got.Err]++
		}
		for _, err := range []error{nil, backend.ErrNotFound, backend.ErrConflict, backend.ErrCounter, backend.ErrUnreadable} {
			if seen[text(err)] < tries/100 {
				t.Errorf("%d of %d patches gave the error %v", seen[text(err)], tries, err)
			}
		}
	})
}

// A script replies with each field once, also with those that it has set.
func testReplyHasEachFieldOnce(t *testing.T, k Kit) {
	k.onServers(t, func(t *testing.T, s *Store) {
		key := s.Prefix + "x"
		for _, has := range [][]string{{"created_at", "last_accessed_at"}, {"last_accessed_at", "created_at"}} {
			s.Do(t, "HSET", key, "created_at", "1", "last_accessed_at", "1", "session_token", "1", "session_ttl", "3600", "a", "1", "n", "1")
			for _, counter := range []string{"n", "m"} {
				p := backend.Patch{
					If:  map[string]string{"session_token": "1", "session_version": ""},
					Has: has, Touch: true, Load: true,
					Set: map[string]string{"last_accessed_at": "2", "a": "2", "b": "2"},
					Add: map[string]int64{counter: 1},
				}
				call := redishash.Apply(key, &p, redishash.Counters(&p))
				reply := s.Do(t, slices.Concat([]string{"EVAL", call.Source, "1", key}, call.Args)...)
				if got, want := texts(reply), 2*len(s.Do(t, "HGETALL", key).Map()); got != want {
					t.Errorf("Apply(%+v) replies with %d names and values, want %d: %q", p, got, want, reply)
				}
			}
		}
	})
}

// texts returns how many names and values a script has replied with, of which there are less than 2^16 where they are
// packed.
func texts(reply redistest.Reply) int {
	packed := reply.String()
	switch first := packed[0]; first {
	case '[': // as fmt writes an array
		return len(reply.Array())
	case 0xdc:
		return int(packed[1])<<8 | int(packed[2])
	default:
		return int(first &^ 0x90)
	}
}

// What a script has packed is read back, whatever it is long: MessagePack has forms for up to 15 and 65 535 texts, and
// for those of up to 31, 255 and 65 535 bytes.
func testPackedReply(t *testing.T, k Kit) {
	k.onServers(t, func(t *testing.T, s *Store) {
		for _, fields := range []int{7, 8, 1<<15 - 1, 1 << 15} { // with session_ttl, and each is two texts
			rec := tokenRecord()
			for i := len(rec.Fields); i < fields-1; i++ {
				rec.Fields[strconv.Itoa(i)] = "v"
			}
			s.checkTouch(t, "fields"+strconv.Itoa(fields), rec)
		}
		for _, n := range []int{31, 32, 255, 256, 1<<16 - 1, 1 << 16} {
			rec := tokenRecord()
			rec.Fields[strings.Repeat("n", n)] = strings.Repeat("\x00\xff", n)[:n]
			s.checkTouch(t, "bytes"+strconv.Itoa(n), rec)
		}
	})
}

// tokenRecord returns the least that is a session.
func tokenRecord() backend.Record {
	rec := newRecord("1")
	for _, name := range []string{"created_at", "last_accessed_at", "session_token"} {
		rec.Fields[name] = "1"
	}
	return rec
}

// checkTouch touches a session by its token, which touch.lua does, and looks at what that returns.
func (s *Store) checkTouch(t *testing.T, id string, rec backend.Record) {
	t.Helper()
	if err := s.Create(t.Context(), id, rec); err != nil {
		t.Fatal(err)
	}
	got, err := s.Apply(t.Context(), id, backend.Patch{
		If:  map[string]string{"session_token": "1", "session_version": ""},
		Has: []string{"created_at", "last_accessed_at"}, Touch: true, Load: true,
		Set: map[string]string{"last_accessed_at": "2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	rec.Fields["last_accessed_at"] = "2"
	if diff := cmp.Diff(rec, got); diff != "" {
		t.Errorf("%s: mismatch (-want +got):\n%.1000s", id, diff)
	}
}

// applied is what an Apply has done.
type applied struct {
	Err    string
	Record backend.Record
	Hash   map[string]string
	Left   string // of the time to live
}

// try applies p to a hash that is stored under id for left milliseconds, or without an expiry if that is empty.
func (s *Store) try(t *testing.T, id string, hash []string, left string, p backend.Patch) applied {
	t.Helper()
	key := s.Prefix + id
	s.Do(t, "DEL", key)
	s.Do(t, append([]string{"HSET", key}, hash...)...)
	if left != "" {
		s.Do(t, "PEXPIRE", key, left)
	}
	rec, err := s.Apply(t.Context(), id, p)
	a := applied{Hash: s.Do(t, "HGETALL", key).Map()}
	for _, known := range []error{backend.ErrNotFound, backend.ErrConflict, backend.ErrCounter, backend.ErrUnreadable} {
		if errors.Is(err, known) {
			a.Err = text(known)
		}
	}
	switch ms := s.Do(t, "PTTL", key).Int(); {
	case err != nil && a.Err == "":
		t.Fatalf("Apply(%+v): %v", p, err)
	case ms > 3590_000:
		a.Left = "an hour"
	case ms > 490_000:
		a.Left = "as before"
	}
	if err == nil && len(rec.Fields) > 0 {
		a.Record = rec
	}
	return a
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// session returns the fields of a session, or of what is none for lack of one, and what is left of its time to live.
func (r patchMaker) session() (hash []string, left string) {
	digits := strings.Repeat("1", 400)
	hash = []string{"always", "", "session_ttl", "3600"}
	if r.IntN(20) == 0 {
		hash[3] = r.pick("", "0", "01", "x", "-1", "9223372037", digits)
	}
	if r.IntN(20) == 0 {
		hash = hash[:2]
	}
	for _, name := range []string{"created_at", "last_accessed_at", "session_token", "session_epoch"} {
		if r.IntN(20) != 0 {
			hash = append(hash, name, r.pick("1", "1", "1", "1", "1", "1", "1", "1", "2", ""))
		}
	}
	if r.IntN(20) == 0 {
		hash = append(hash, "session_version", r.pick("", "2"))
	}
	fields := r.fields()
	if r.IntN(2) == 0 {
		fields["n"] = r.pick("9007199254740991", "-9007199254740991", "9007199254740992", "-9007199254740992", "0", digits)
	}
	for name, value := range fields {
		hash = append(hash, name, value)
	}
	return hash, r.pick("", "500000")
}

// sessionPatch returns a patch like those that session.Manager makes, of a session that is named by its token or was
// read before.
func (r patchMaker) sessionPatch() backend.Patch {
	p := backend.Patch{
		If:    map[string]string{"created_at": "1", "session_epoch": r.pick("1", "1", "1", "")},
		Has:   []string{"last_accessed_at", "session_token"},
		Set:   map[string]string{},
		Touch: r.IntN(2) == 0,
	}
	if r.IntN(2) == 0 {
		p.If = map[string]string{"session_token": "1", "session_version": ""}
		p.Has = []string{"created_at", "last_accessed_at"}
		p.Load, p.Touch = true, true
	}
	if p.Touch {
		p.Set["last_accessed_at"] = r.pick("1", "3")
	}
	for range r.IntN(3) {
		p.Set[r.name()] = strings.Repeat(r.value(), 1+r.IntN(3))
	}
	if r.IntN(3) == 0 {
		p.Set[r.pick("session_token", "session_epoch", "created_at", "session_version")] = r.value()
	}
	if name := r.pick("n", r.name()); r.IntN(2) == 0 {
		delete(p.Set, name)
		p.Add = map[string]int64{name: r.delta()}
	}
	return p
}
