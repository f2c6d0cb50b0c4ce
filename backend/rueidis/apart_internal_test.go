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

// Two records that share a slot do not drive each other out for as long as the client may have them both.
func TestApartKeepsItsPlace(t *testing.T) {
	reply, rec := &replies(t, 1)[0], backend.Record{TTL: time.Minute}
	for _, tt := range []struct {
		name   string
		window time.Duration
		stays  bool
	}{{"within the window", time.Hour, true}, {"after it", time.Nanosecond, false}} {
		a := &apart{window: tt.window}
		a.keep(7, "one", reply, rec)
		time.Sleep(time.Millisecond)
		a.keep(7, "two", reply, rec)
		if stayed := a.find(7, "one", reply) != nil; stayed != tt.stays {
			t.Errorf("%s: it stayed: %v, want %v", tt.name, stayed, tt.stays)
		}
		if came := a.find(7, "two", reply) != nil; came == tt.stays {
			t.Errorf("%s: the other came: %v, want %v", tt.name, came, !tt.stays)
		}
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
	for size, want := range map[int]bool{maxApart - 4: true, maxApart - 3: false} { // a name, its length, and a length of two
		a := &apart{window: time.Hour}
		rec := backend.Record{Fields: map[string]string{"n": strings.Repeat("v", size)}, TTL: time.Minute}
		a.keep(7, "id", reply, rec)
		if got := a.find(7, "id", reply) != nil; got != want {
			t.Errorf("%d bytes are kept: %v, want %v", size, got, want)
		}
	}
}
