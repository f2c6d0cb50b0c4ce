package rueidis

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/packing"
)

// replies returns n replies that say the same.
func replies(t *testing.T, n int) []rueidisclient.RedisMessage {
	t.Helper()
	server := miniredis.RunT(t)
	server.HSet("h", "a", "1")
	client, err := rueidisclient.NewClient(rueidisclient.ClientOption{
		InitAddress: []string{server.Addr()}, DisableCache: true, ForceSingleClient: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var all []rueidisclient.RedisMessage
	for range n {
		reply, err := client.Do(t.Context(), client.B().Hgetall().Key("h").Build()).ToMessage()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, reply)
	}
	return all
}

// A reply is known again by what it is, not by what it says: an older one may say the same, and be of another record, or
// of another time.
func TestApartKnowsAReplyAgain(t *testing.T) {
	if !canCompare {
		t.Fatal("the client's replies cannot be compared: records are taken apart at each read")
	}
	a := &apart{window: time.Hour}
	all := replies(t, 2)
	one, copied, other := all[0], all[0], all[1]
	rec := backend.Record{Fields: map[string]string{"a": "1"}, TTL: time.Minute}
	if a.find(7, "id", &one) != nil {
		t.Error("found before it was kept")
	}
	a.keep(7, "id", &one, rec)
	got := a.find(7, "id", &copied)
	if got == nil {
		t.Fatal("not found")
	}
	if diff := cmp.Diff(rec, backend.Record{Fields: got.fields.Map(), TTL: got.ttl}); diff != "" {
		t.Errorf("mismatch (-want +got):\n%s", diff)
	}
	for name, found := range map[string]*taken{
		"another reply":  a.find(7, "id", &other),
		"another record": a.find(7, "di", &one),
		"another slot":   a.find(7<<32, "id", &one),
	} {
		if found != nil {
			t.Errorf("%s: found", name)
		}
	}
	a.keep(7, "id", &other, rec)
	if a.find(7, "id", &one) != nil || a.find(7, "id", &other) == nil {
		t.Error("a record's later reply has not taken the place of the one before")
	}
}

// Two records have room beside each other. A third drives out neither for as long as the client may have them all.
func TestApartKeepsItsPlace(t *testing.T) {
	reply, rec := &replies(t, 1)[0], backend.Record{TTL: time.Minute}
	for _, tt := range []struct {
		name   string
		window time.Duration
		stay   bool
	}{{"within the window", time.Hour, true}, {"after it", time.Nanosecond, false}} {
		a := &apart{window: tt.window}
		found := func(id string) bool { return a.find(7, id, reply) != nil }
		a.keep(7, "one", reply, rec)
		if a.keep(7, "two", reply, rec); tt.stay && (!found("one") || !found("two")) {
			t.Errorf("%s: no room for two", tt.name)
		}
		time.Sleep(time.Millisecond)
		a.keep(7, "three", reply, rec)
		if stayed := found("one") && found("two"); stayed != tt.stay || found("three") == tt.stay {
			t.Errorf("%s: they stayed: %v, want %v; the third came: %v", tt.name, stayed, tt.stay, found("three"))
		}
	}
}

// A record that is in one place does not get another.
func TestApartKeepsARecordOnce(t *testing.T) {
	all, rec := replies(t, 3), backend.Record{TTL: time.Minute}
	a := &apart{window: time.Hour}
	for i := range all {
		a.keep(7, "id", &all[i], rec)
	}
	held := 0
	for _, slot := range a.places(7) {
		if slot.Load() != nil {
			held++
		}
	}
	if held != 1 || a.find(7, "id", &all[2]) == nil {
		t.Errorf("a record is held %d times, want once, as it was last", held)
	}
}

// An ID is a part of a token, and may be one of a request's header: neither is to be kept in memory by it.
func TestApartKeepsNoToken(t *testing.T) {
	reply, token := &replies(t, 1)[0], strings.Repeat("t", 43)
	id := token[:16]
	a := &apart{window: time.Hour}
	a.keep(7, id, reply, backend.Record{TTL: time.Minute})
	if got := a.find(7, id, reply); unsafe.StringData(got.id) == unsafe.StringData(token) {
		t.Error("what is kept holds the token")
	}
}

func TestApartKeepsNothingLarge(t *testing.T) {
	reply := &replies(t, 1)[0]
	fields := func(n, size int) map[string]string {
		fields := map[string]string{"0": strings.Repeat("v", size-4*n)} // it takes four more, as much as each other
		for i := 1; i < n; i++ {
			fields[string(rune('0'+i))] = "v"
		}
		return fields
	}
	for _, tt := range []struct {
		fields, bytes int
		want          bool
	}{
		{1, maxApartBytes, true}, {1, maxApartBytes + 1, false},
		{maxApartFields, maxApartBytes, true}, {maxApartFields + 1, 500, false},
	} {
		a := &apart{window: time.Hour}
		rec := backend.Record{Fields: fields(tt.fields, tt.bytes), TTL: time.Minute}
		if got := packing.Size(rec.Fields); got != tt.bytes {
			t.Fatalf("%d bytes, want %d", got, tt.bytes)
		}
		a.keep(7, "id", reply, rec)
		if got := a.find(7, "id", reply) != nil; got != tt.want {
			t.Errorf("%d fields of %d bytes are kept: %v, want %v", tt.fields, tt.bytes, got, tt.want)
		}
	}
}

// What has ended does not stay for ever.
func TestApartForgets(t *testing.T) {
	reply, rec := &replies(t, 1)[0], backend.Record{TTL: time.Minute}
	a := &apart{window: time.Hour}
	held := func() (n int) {
		for i := range a.slots {
			if a.slots[i].Load() != nil {
				n++
			}
		}
		return n
	}
	a.keep(7, "one", reply, rec)
	a.keep(7, "two", reply, rec)
	if a.drop(7, "one"); a.find(7, "one", reply) != nil || a.find(7, "two", reply) == nil {
		t.Error("not the record that was dropped is gone")
	}
	for range a.slots {
		a.keep(1<<40, "other", reply, rec)
	}
	if n := held(); n != 2 {
		t.Errorf("%d records are held within the window, want 2", n)
	}
	a.window = time.Nanosecond
	time.Sleep(time.Millisecond)
	for range a.slots {
		a.keep(1<<40, "other", reply, rec)
	}
	if n := held(); n > 1 {
		t.Errorf("%d records are held after it, want the one that is read", n)
	}
}

// A write makes the process forget what it holds of the record.
func TestApartForgetsOwnWrites(t *testing.T) {
	reply, rec := &replies(t, 1)[0], backend.Record{TTL: time.Minute}
	b := &Backend{own: newOwn(time.Hour), apart: newApart(time.Hour)}
	hash := b.own.hash("id")
	b.apart.keep(hash, "id", reply, rec)
	if b.wrote("id"); b.apart.find(hash, "id", reply) != nil || !b.own.recent(hash) {
		t.Error("a record that was written is held, or counts as not written")
	}
}

// Without a way to compare replies, nothing is remembered.
func TestApartOfNothing(t *testing.T) {
	reply := &replies(t, 1)[0]
	var a *apart
	a.keep(7, "id", reply, backend.Record{TTL: time.Minute})
	a.drop(7, "id")
	if a.find(7, "id", reply) != nil {
		t.Error("found")
	}
}
