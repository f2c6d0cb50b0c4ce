package rueidis_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/rueidis"
	"github.com/faeeb396/session/internal/redistest"
)

// scanned returns the IDs that Scan yields, sorted.
func scanned(t *testing.T, b *rueidis.Backend) []string {
	t.Helper()
	ids := map[string]bool{}
	for id, err := range b.Scan(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids[id] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// A prefix is a prefix, whatever a pattern would make of it.
func TestScanKeepsToPrefix(t *testing.T) {
	prefixes := []string{
		"session:", "session", "s*n:", "s?ssion:", "[a-z]:", "[^a]:", `\`, `\*`, "{tag}:", "]", "^", "a[b", "\x00", "session:*",
	}
	test := func(t *testing.T, client rueidisclient.Client, prefixes []string) {
		for i, prefix := range prefixes {
			b := rueidis.New(client, &rueidis.Options{Prefix: prefix})
			id := "id" + strconv.Itoa(i)
			if err := b.Create(t.Context(), id, backend.Record{TTL: time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		for i, prefix := range prefixes {
			want := []string{"id" + strconv.Itoa(i)}
			if prefix == "session" { // begins the others' keys
				want = []string{":id0", "id1"}
			}
			b := rueidis.New(client, &rueidis.Options{Prefix: prefix})
			if diff := cmp.Diff(want, scanned(t, b)); diff != "" {
				t.Errorf("Scan with prefix %q, mismatch (-want +got):\n%s", prefix, diff)
			}
		}
	}
	t.Run("miniredis", func(t *testing.T) { test(t, connectMini(t, miniredis.RunT(t).Addr()), prefixes) })
	t.Run("redis", func(t *testing.T) {
		test(t, connect(t, redistest.Start(t, nil).Addr()), append(prefixes, "\xff")) // of which miniredis makes a bad pattern
	})
}

func TestScanYieldsIDsOnly(t *testing.T) {
	onServers(t, func(t *testing.T, s *store) {
		s.create(t, "A-z_0.9:", nil)
		for _, id := range []string{"", "a b", "/probe", "ä", "a\x00", "{a}", "12345678901234567890123456789012345678901234567890123456789012345"} {
			s.do(t, "SET", s.prefix+id, "v", "EX", "100")
		}
		if diff := cmp.Diff([]string{"A-z_0.9:"}, scanned(t, s.Backend)); diff != "" {
			t.Errorf("mismatch (-want +got):\n%s", diff)
		}
	})
}

func TestScanPages(t *testing.T) {
	const records = 2500 // more than one SCAN looks at
	s := onRedis(t)
	var want []string
	for i := range records {
		id := fmt.Sprintf("id%04d", i)
		s.create(t, id, nil)
		want = append(want, id)
	}
	if diff := cmp.Diff(want, scanned(t, s.Backend)); diff != "" {
		t.Errorf("mismatch (-want +got):\n%s", diff)
	}
}

func TestScanFailsLast(t *testing.T) {
	s, proxy := onProxy(t, clients[0].connect)
	proxy.Inject(redistest.Fault{Command: "SCAN", Do: redistest.DropReply, Times: redistest.Always})
	n := 0
	for id, err := range s.Scan(t.Context()) {
		n++
		if id != "" || err == nil {
			t.Errorf("Scan yields %q, %v", id, err)
		}
	}
	if n != 1 {
		t.Errorf("Scan yields %d times, want an error", n)
	}
}
