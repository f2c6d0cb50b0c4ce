package redistest_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/internal/redistest"
)

func TestPrefixIsUniqueAndSafe(t *testing.T) {
	s := redistest.Shared(t)
	t.Run("a/b *[c]? \x00", func(t *testing.T) {
		a, b := s.Prefix(t), s.Prefix(t)
		if a == b {
			t.Errorf("Prefix = %q twice", a)
		}
		if !regexp.MustCompile(`^session:TestPrefix[A-Za-z0-9_.-]+:$`).MatchString(a) {
			t.Errorf("Prefix = %q", a)
		}
	})
}

func TestPrefixDeletesKeysOfTest(t *testing.T) {
	s := redistest.Start(t, nil)
	s.Do(t, "SET", "session:other", "v", "EX", "100")
	t.Run("test", func(t *testing.T) { s.Do(t, "SET", s.Prefix(t)+"k", "v", "EX", "100") })
	want := []string{"session:other"}
	if diff := cmp.Diff(want, s.Do(t, "KEYS", "*").Strings()); diff != "" {
		t.Errorf("keys mismatch (-want +got):\n%s", diff)
	}
}

func TestPrefixReportsKeysWithoutExpiry(t *testing.T) {
	s := redistest.Start(t, nil)
	var v *verdict
	t.Run("test", func(t *testing.T) {
		v = &verdict{TB: t}
		prefix := s.Prefix(v)
		s.Do(t, "SET", prefix+"mortal", "v", "EX", "100")
		s.Do(t, "SET", prefix+"immortal", "v")
	})
	if !strings.Contains(v.errors, ":immortal") || strings.Contains(v.errors, ":mortal") {
		t.Errorf("the test failed with %q, want the key immortal", v.errors)
	}
}

func TestServerImmortal(t *testing.T) {
	s := redistest.Start(t, nil)
	s.Do(t, "MSET", "a:1", "v", "a:2", "v", "b:1", "v")
	s.Do(t, "EXPIRE", "a:2", "100")
	if diff := cmp.Diff([]string{"a:1"}, s.Immortal(t, "a:*")); diff != "" {
		t.Errorf("mismatch (-want +got):\n%s", diff)
	}
}

func TestServerCallsDuring(t *testing.T) {
	s := redistest.Start(t, nil)
	s.Do(t, "GET", "a")
	got := s.CallsDuring(t, func() {
		s.Do(t, "GET", "a")
		s.Do(t, "EVAL", "redis.call('GET', KEYS[1]) return redis.call('HGETALL', KEYS[1])", "1", "a")
		s.Do(t, "CONFIG", "GET", "maxmemory")
		s.Do(t, "INFO")
	})
	want := map[string]int{"GET": 2, "HGETALL": 1, "EVAL": 1, "CONFIG|GET": 1, "INFO": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mismatch (-want +got):\n%s", diff)
	}
	if got := s.CallsDuring(t, func() {}); len(got) != 0 {
		t.Errorf("CallsDuring nothing = %v", got)
	}
}

func TestServerClients(t *testing.T) {
	s := redistest.Start(t, nil)
	for range 100 {
		s.Do(t, "PING")
		if got := s.Clients(t); len(got) != 0 {
			t.Fatalf("Clients = %q, want none", got)
		}
	}
	c := s.Dial(t)
	if _, err := c.Do("CLIENT", "SETNAME", "me"); err != nil {
		t.Fatal(err)
	}
	if got := s.Clients(t); len(got) != 1 || !strings.Contains(got[0], " name=me ") {
		t.Errorf("Clients = %q, want the one named me", got)
	}
}

func TestServerMonitor(t *testing.T) {
	s := redistest.Start(t, nil)
	s.Do(t, "GET", "before")
	lines := s.Monitor(t)
	s.Do(t, "EVAL", "return redis.call('GET', KEYS[1])", "1", "a")
	s.Do(t, "GET", "b c")
	first := lines()
	s.Do(t, "GET", "d")
	second := lines()

	stamp := regexp.MustCompile(`^[0-9.]+ \[0 [a-z0-9.:]+\] `)
	for i, l := range first {
		first[i] = stamp.ReplaceAllString(l, "")
	}
	want := []string{`"EVAL" "return redis.call('GET', KEYS[1])" "1" "a"`, `"GET" "a"`, `"GET" "b c"`}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("first call mismatch (-want +got):\n%s", diff)
	}
	if len(second) != 1 || !strings.HasSuffix(second[0], `"GET" "d"`) {
		t.Errorf("second call = %q, want GET d alone", second)
	}
	if again := lines(); len(again) != 0 {
		t.Errorf("third call = %q, want none", again)
	}
}

func TestMonitorShowsCommandsOfAnyLength(t *testing.T) {
	s := redistest.Shared(t)
	stop := s.Monitor(t)
	long := strings.Repeat("x", 100_000)
	s.Do(t, "ECHO", long)
	if lines := stop(); len(lines) != 1 || !strings.Contains(lines[0], long) {
		t.Errorf("Monitor recorded %d lines, want the whole command", len(lines))
	}
}
