package redistest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Prefix returns a key prefix that no other test uses: "session:", the test's name in safe characters, a
// random part, and a colon. When the test ends, a key under it that has no expiry fails the test, and all
// keys under it are deleted.
func (s *Server) Prefix(tb testing.TB) string {
	tb.Helper()
	prefix := newPrefix(tb)
	tb.Cleanup(func() {
		if s.Running() {
			sweep(tb, s.Addr(), prefix)
		}
	})
	return prefix
}

var unsafeInPrefix = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

func newPrefix(tb testing.TB) string {
	name := unsafeInPrefix.ReplaceAllString(tb.Name(), "-")
	return fmt.Sprintf("session:%.40s-%.8s:", name, rand.Text())
}

// sweep reports the keys under prefix that have no expiry, and deletes all under it.
func sweep(tb testing.TB, addr, prefix string) {
	keys, err := immortal(addr, prefix+"*")
	if err != nil {
		tb.Errorf("redistest: keys under %s: %v", prefix, err)
		return
	}
	if len(keys) > 0 {
		tb.Errorf("redistest: keys without an expiry:\n\t%s", strings.Join(keys, "\n\t"))
	}
	if err := deleteKeys(addr, prefix+"*"); err != nil {
		tb.Errorf("redistest: delete the keys under %s: %v", prefix, err)
	}
}

// Immortal returns the keys that match a pattern of SCAN and have no expiry.
func (s *Server) Immortal(tb testing.TB, pattern string) []string {
	tb.Helper()
	keys, err := immortal(s.Addr(), pattern)
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	return keys
}

func immortal(addr, pattern string) (keys []string, err error) {
	err = scan(addr, pattern, func(c *Conn, key string) error {
		r, err := c.Do("PTTL", key)
		if err == nil && r.Int() == -1 {
			keys = append(keys, key)
		}
		return err
	})
	slices.Sort(keys)
	return slices.Compact(keys), err
}

func deleteKeys(addr, pattern string) error {
	return scan(addr, pattern, func(c *Conn, key string) error {
		_, err := c.Do("DEL", key)
		return err
	})
}

// scan calls f with every key that matches pattern, some of them more than once.
func scan(addr, pattern string, f func(c *Conn, key string) error) error {
	c, err := Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	for cursor := "0"; ; {
		r, err := c.Do("SCAN", cursor, "MATCH", pattern, "COUNT", "1000")
		if err != nil {
			return err
		}
		for _, key := range r.Array()[1].Strings() {
			if err := f(c, key); err != nil {
				return err
			}
		}
		if cursor = r.Array()[0].String(); cursor == "0" {
			return nil
		}
	}
}

// Calls returns how often each command ran since the server started, those that scripts call included. Names
// are as in "HGETALL" and "CONFIG|GET".
func (s *Server) Calls(tb testing.TB) map[string]int {
	tb.Helper()
	calls := make(map[string]int)
	for line := range strings.Lines(s.Do(tb, "INFO", "commandstats").String()) {
		name, stats, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok {
			continue
		}
		count, _, _ := strings.Cut(stats, ",")
		n, err := strconv.Atoi(count)
		if err != nil {
			tb.Fatalf("redistest: commandstats: %q", line)
		}
		calls[strings.ToUpper(name)] = n
	}
	return calls
}

// CallsDuring runs f and returns how often each command ran meanwhile, in the way of [Server.Calls]. On a
// shared server that includes what other tests send.
func (s *Server) CallsDuring(tb testing.TB, f func()) map[string]int {
	tb.Helper()
	before := s.Calls(tb)
	f()
	after := s.Calls(tb)
	after["INFO"]-- // the INFO of before is not counted in before
	for name, n := range before {
		after[name] -= n
	}
	maps.DeleteFunc(after, func(_ string, n int) bool { return n == 0 })
	return after
}

// Clients returns the lines of CLIENT LIST, one for each connection but the one that asks.
func (s *Server) Clients(tb testing.TB) []string {
	tb.Helper()
	var clients []string
	for line := range strings.Lines(s.Do(tb, "CLIENT", "LIST").String()) {
		if !strings.Contains(line, " cmd=client|list ") {
			clients = append(clients, strings.TrimSpace(line))
		}
	}
	return clients
}

// Monitor begins to record what the server runs. The function that it returns gives the lines of MONITOR
// recorded since, or since it was last called, as in
//
//	1339518083.107412 [0 127.0.0.1:60866] "hgetall" "session:abc"
//	1339518083.107492 [0 lua] "hgetall" "session:abc"
//
// Every command is there whose reply came before the call. On a shared server that includes what other tests
// send.
func (s *Server) Monitor(tb testing.TB) func() []string {
	tb.Helper()
	c := s.Dial(tb)
	if _, err := c.Do("MONITOR"); err != nil {
		tb.Fatalf("redistest: MONITOR: %v", err)
	}
	return func() (lines []string) {
		tb.Helper()
		marker := "redistest-" + rand.Text()
		s.Do(tb, "ECHO", marker)
		for {
			r, err := c.Receive()
			if err != nil {
				tb.Fatalf("redistest: MONITOR: %v", err)
			}
			if strings.Contains(r.String(), marker) {
				return lines
			}
			lines = append(lines, r.String())
		}
	}
}
