package redissuite

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/redistest"
)

// Commands checks which commands are sent and what errors hold, that scans yield all IDs and nothing else, and that
// patches do the same as in the memory backend.
func Commands(t *testing.T, k Kit) {
	for name, test := range map[string]func(*testing.T, Kit){
		"OneCommandPerCall":     testOneCommandPerCall,
		"ErrorsHoldNoData":      testErrorsHoldNoData,
		"ServerOutOfMemory":     testServerOutOfMemory,
		"ScanYieldsIDsOnly":     testScanYieldsIDsOnly,
		"ScanPages":             testScanPages,
		"ScanKeepsToPrefix":     testScanKeepsToPrefix,
		"ScanFailsLast":         testScanFailsLast,
		"ApplyLikeMemory":       testApplyLikeMemory,
		"SessionsOwnScripts":    testSessionsOwnScripts,
		"ReplyHasEachFieldOnce": testReplyHasEachFieldOnce,
		"PackedReply":           testPackedReply,
	} {
		t.Run(name, func(t *testing.T) { test(t, k) })
	}
}

// clientsOwn reports whether a command is one that clients send to see to their connections.
func clientsOwn(command string, _ int) bool {
	return command == "PING" || command == "HELLO" || strings.HasPrefix(command, "CLIENT")
}

func testOneCommandPerCall(t *testing.T, k Kit) {
	server := redistest.Start(t, nil)
	s := k.on(t, server.Addr(), "session:")
	want := map[string]map[string]int{
		"Create":          {"EVALSHA": 1, "EXISTS": 1, "HSET": 1, "EXPIRE": 1},
		"Load":            {"HGETALL": 1},
		"Apply":           {"EVALSHA": 1, "HMGET": 1, "HINCRBY": 1, "HSET": 1, "PTTL": 1},
		"Apply with Load": {"EVALSHA": 1, "HGETALL": 1, "HINCRBY": 1, "PTTL": 1},
		"Delete":          {"DEL": 1},
	}
	for _, round := range []string{"server has the scripts", "server has lost the scripts"} {
		s.Do(t, "FLUSHALL")
		s.MustCreate(t, "x", map[string]string{"n": "1"})
		if _, err := s.Apply(t.Context(), "x", backend.Patch{}); err != nil {
			t.Fatal(err)
		}
		for _, c := range Methods {
			want := maps.Clone(want[c.Name])
			if round == "server has lost the scripts" {
				s.Do(t, "SCRIPT", "FLUSH")
				if want["EVALSHA"] > 0 {
					want["EVAL"] = 1
				}
			}
			var err error
			got := server.CallsDuring(t, func() { err = c.Call(t.Context(), s) })
			if err != nil {
				t.Errorf("%s, %s: %v", round, c.Name, err)
			}
			maps.DeleteFunc(got, clientsOwn)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s: commands mismatch (-want +got):\n%s", round, c.Name, diff)
			}
		}
	}
}

// A server that does not know a command replies with what it was given.
func testErrorsHoldNoData(t *testing.T, k Kit) {
	server := redistest.Start(t, &redistest.Options{Config: []string{
		`rename-command EVALSHA ""`, `rename-command HGETALL ""`, `rename-command DEL ""`,
	}})
	s := k.on(t, server.Addr(), "session:secret")
	for _, c := range Methods {
		err := c.Call(t.Context(), s)
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "unknown command") {
			t.Errorf("%s = %v, want an error without data", c.Name, err)
		}
		if !k.IsReply(err) {
			t.Errorf("%s = %v, without the reply inside", c.Name, err)
		}
	}
}

// What the server refuses is an error that says so; logging out works all the same.
func testServerOutOfMemory(t *testing.T, k Kit) {
	server := redistest.Start(t, nil)
	s := k.on(t, server.Addr(), "session:")
	s.MustCreate(t, "x", map[string]string{"n": "1", "a": "1"})
	s.MustCreate(t, "y", nil)
	s.Do(t, "CONFIG", "SET", "maxmemory", "1")
	for _, c := range Methods {
		err := c.Call(t.Context(), s)
		if name, _, _ := strings.Cut(c.Name, " "); name == "Load" || name == "Delete" {
			if err != nil {
				t.Errorf("%s = %v", c.Name, err)
			}
			continue
		}
		op, _, _ := strings.Cut(strings.ToLower(c.Name), " ")
		if want := k.Name + ": " + op + ": OOM "; err == nil || !strings.HasPrefix(err.Error(), want) || !k.IsReply(err) {
			t.Errorf("%s = %v, want %s… and the reply inside", c.Name, err, want)
		}
	}
	if _, err := s.Apply(t.Context(), "y", backend.Patch{Touch: true, Delete: []string{"a"}}); err != nil {
		t.Errorf("Apply that needs no memory = %v", err)
	}
	if _, err := s.Apply(t.Context(), "y", backend.Patch{Remove: true}); err != nil {
		t.Errorf("Apply to remove = %v", err)
	}
	if n := s.Do(t, "DBSIZE").Int(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

func testScanYieldsIDsOnly(t *testing.T, k Kit) {
	k.onServers(t, func(t *testing.T, s *Store) {
		s.MustCreate(t, "A-z_0.9:", nil)
		for _, id := range []string{"", "a b", "/probe", "ä", "a\x00", "{a}", "12345678901234567890123456789012345678901234567890123456789012345"} {
			s.Do(t, "SET", s.Prefix+id, "v", "EX", "100")
		}
		if diff := cmp.Diff([]string{"A-z_0.9:"}, Scanned(t, s)); diff != "" {
			t.Errorf("mismatch (-want +got):\n%s", diff)
		}
	})
}

func testScanPages(t *testing.T, k Kit) {
	const records = 2500 // more than one SCAN looks at
	s := k.onRedis(t)
	var want []string
	for i := range records {
		id := fmt.Sprintf("id%04d", i)
		s.MustCreate(t, id, nil)
		want = append(want, id)
	}
	if diff := cmp.Diff(want, Scanned(t, s)); diff != "" {
		t.Errorf("mismatch (-want +got):\n%s", diff)
	}
}

// Scanned returns the IDs that Scan yields, sorted.
func Scanned(t *testing.T, b backend.Scanner) []string {
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
func testScanKeepsToPrefix(t *testing.T, k Kit) {
	prefixes := []string{
		"session:", "session", "s*n:", "s?ssion:", "[a-z]:", "[^a]:", `\`, `\*`, "{tag}:", "]", "^", "a[b", "\x00", "session:*",
	}
	test := func(t *testing.T, open Connect, addr string, prefixes []string) {
		for i, prefix := range prefixes {
			b := open(t, addr, prefix)
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
			b := open(t, addr, prefix)
			if diff := cmp.Diff(want, Scanned(t, b.(backend.Scanner))); diff != "" {
				t.Errorf("Scan with prefix %q, mismatch (-want +got):\n%s", prefix, diff)
			}
		}
	}
	t.Run("miniredis", func(t *testing.T) { test(t, k.OpenMini, miniredis.RunT(t).Addr(), prefixes) })
	t.Run("redis", func(t *testing.T) {
		test(t, k.Open, redistest.Start(t, nil).Addr(), append(prefixes, "\xff")) // of which miniredis makes a bad pattern
	})
}

func testScanFailsLast(t *testing.T, k Kit) {
	s, proxy := OnProxy(t, k.Open)
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
