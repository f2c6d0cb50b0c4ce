package redistest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session/internal/redistest"
)

func TestSentinelFailsOver(t *testing.T) {
	s := redistest.StartSentinel(t, &redistest.SentinelOptions{
		Node:      redistest.Options{Config: []string{"maxmemory 50mb"}},
		DownAfter: 1100 * time.Millisecond,
	})
	if len(s.Addrs()) != 3 || len(s.Sentinels()) != 3 || len(s.Nodes()) != 2 {
		t.Fatalf("%d sentinels and %d nodes, want 3 and 2", len(s.Addrs()), len(s.Nodes()))
	}
	for i, w := range s.Sentinels() {
		m := w.Do(t, "SENTINEL", "MASTER", s.MasterName()).Map()
		if m["down-after-milliseconds"] != "1100" || w.Addr() != s.Addrs()[i] {
			t.Errorf("sentinel %d at %s: down-after-milliseconds = %s", i, w.Addr(), m["down-after-milliseconds"])
		}
	}
	for _, n := range s.Nodes() {
		if got := n.Do(t, "CONFIG", "GET", "maxmemory").Map()["maxmemory"]; got != "52428800" {
			t.Errorf("maxmemory = %s", got)
		}
	}
	const key = "k"
	conn := s.Primary(t).Dial(t)
	do(t, conn, "OK", "SET", key, "v")
	do(t, conn, "1", "WAIT", "1", "0")
	expectError(t, s.Replica(t), "READONLY", "", "SET", key, "v")
	for _, tt := range []struct {
		name     string
		down, up func(*redistest.Server)
	}{
		{
			name: "kill",
			down: (*redistest.Server).Kill,
			up:   func(n *redistest.Server) { n.Restart(t) },
		},
		{
			name: "pause",
			down: func(n *redistest.Server) { n.Pause(t) },
			up:   func(n *redistest.Server) { n.Resume(t) },
		},
	} {
		old, replica := s.Primary(t), s.Replica(t)
		tt.down(old)
		s.AwaitOK(t)
		if got := replica.Do(t, "INCR", "n"+tt.name).String(); got != "1" {
			t.Errorf("%s: INCR = %q, want 1", tt.name, got)
		}
		if got := s.Primary(t); got != replica {
			t.Fatalf("%s: Primary = %s, want %s", tt.name, got.Addr(), replica.Addr())
		}
		for _, w := range s.Sentinels() {
			addr := w.Do(t, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.MasterName()).Strings()
			if got := strings.Join(addr, ":"); got != replica.Addr() {
				t.Errorf("%s: a sentinel names %s, want %s", tt.name, got, replica.Addr())
			}
		}
		tt.up(old)
		s.AwaitOK(t)
		expectError(t, old, "READONLY", "", "SET", key, "v")
		if got := old.Do(t, "GET", key).String(); got != "v" {
			t.Errorf("%s: GET on the old primary = %q, want v", tt.name, got)
		}
		if got := s.Replica(t); got != old {
			t.Errorf("%s: Replica = %s, want %s", tt.name, got.Addr(), old.Addr())
		}
	}
}
