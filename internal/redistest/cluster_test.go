package redistest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session/internal/redistest"
)

func TestSlot(t *testing.T) {
	for _, tt := range []struct {
		key  string
		want int
	}{
		{key: "", want: 0},
		{key: "foo", want: 12182},
		{key: "123456789", want: 0x31C3},
		{key: "{foo}.following", want: 12182},
		{key: "a{foo}b{bar}", want: 12182},
	} {
		if got := redistest.Slot(tt.key); got != tt.want {
			t.Errorf("Slot(%q) = %d, want %d", tt.key, got, tt.want)
		}
	}
	node := redistest.SharedCluster(t).Nodes()[0]
	for _, key := range []string{"session:abc", "foo{}{bar}", "foo{{bar}}zap", "{", "a}b{c}", "{x", "\xff\x00é"} {
		want := node.Do(t, "CLUSTER", "KEYSLOT", key).Int()
		if got := redistest.Slot(key); got != want {
			t.Errorf("Slot(%q) = %d, want %d", key, got, want)
		}
	}
}

func TestClusterServes(t *testing.T) {
	c := redistest.SharedCluster(t)
	prefix := c.Prefix(t)
	c.AwaitOK(t)
	masters := c.Masters(t)
	if len(masters) != 3 || len(c.Addrs()) != 6 || len(c.Nodes()) != 6 {
		t.Errorf("%d masters of %d nodes, want 3 of 6", len(masters), len(c.Nodes()))
	}
	used := make(map[*redistest.Server]bool)
	for i := range 50 {
		key := fmt.Sprint(prefix, i)
		master := c.MasterOf(t, key)
		master.Do(t, "SET", key, "v", "EX", "100")
		if !slices.Contains(masters, master) {
			t.Errorf("MasterOf(%q) is no master", key)
		}
		used[master] = true
	}
	if len(used) != 3 {
		t.Errorf("50 keys are on %d masters, want 3", len(used))
	}
	key := prefix + "0"
	replica := c.ReplicaOf(t, key)
	if slices.Contains(masters, replica) {
		t.Errorf("ReplicaOf(%q) is a master", key)
	}
	r := replica.Dial(t)
	do(t, r, "OK", "READONLY")
	await(t, "replicated key", func() bool { v, err := r.Do("GET", key); return err == nil && v.String() == "v" })
}

func TestClusterPrefixDeletesKeysOfTest(t *testing.T) {
	c := redistest.SharedCluster(t)
	var prefix string
	t.Run("test", func(t *testing.T) {
		prefix = c.Prefix(t)
		for i := range 20 {
			key := fmt.Sprint(prefix, i)
			c.MasterOf(t, key).Do(t, "SET", key, "v", "EX", "100")
		}
	})
	for _, s := range c.Masters(t) {
		if keys := s.Do(t, "KEYS", prefix+"*").Strings(); len(keys) > 0 {
			t.Errorf("keys after the test: %q", keys)
		}
	}
}

func TestClusterMigratesSlot(t *testing.T) {
	c := redistest.SharedCluster(t)
	key := c.Prefix(t) + "k"
	from := c.MasterOf(t, key)
	to := slices.DeleteFunc(c.Masters(t), func(s *redistest.Server) bool { return s == from })[0]
	from.Do(t, "SET", key, "v", "EX", "100")

	m := c.BeginMigration(t, redistest.Slot(key), to)
	if got := from.Do(t, "GET", key).String(); got != "v" {
		t.Errorf("GET before the key moves = %q, want v", got)
	}
	m.MoveKeys(t)
	expectError(t, from, "ASK ", to.Addr(), "GET", key)
	expectError(t, to, "MOVED ", from.Addr(), "GET", key)
	asking := to.Dial(t)
	do(t, asking, "OK", "ASKING")
	do(t, asking, "v", "GET", key)
	m.Finish(t)
	for _, s := range c.Nodes() {
		if s != to {
			expectError(t, s, "MOVED ", to.Addr(), "GET", key)
		}
	}
	if got := c.MasterOf(t, key); got != to {
		t.Errorf("MasterOf = %s, want %s", got.Addr(), to.Addr())
	}
	if got := to.Do(t, "TTL", key).Int(); got < 1 || got > 100 {
		t.Errorf("TTL after the migration = %d", got)
	}

	c.MigrateSlot(t, redistest.Slot(key), from)
	if got := from.Do(t, "GET", key).String(); got != "v" {
		t.Errorf("GET after the migration back = %q, want v", got)
	}
}

// expectError fails the test if a command does not fail with an error that begins and ends as given.
func expectError(t *testing.T, s *redistest.Server, begin, end string, args ...string) {
	t.Helper()
	_, err := call(s, args...)
	if err == nil || !strings.HasPrefix(err.Error(), begin) || !strings.HasSuffix(err.Error(), end) {
		t.Errorf("%q on %s: err = %v, want %s…%s", args, s.Addr(), err, begin, end)
	}
}

// call is Server.Try without its words round the error.
func call(s *redistest.Server, args ...string) (redistest.Reply, error) {
	c, err := redistest.Dial(s.Addr())
	if err != nil {
		return redistest.Reply{}, err
	}
	defer c.Close()
	return c.Do(args...)
}

func TestClusterFailsOver(t *testing.T) {
	c := redistest.StartCluster(t, &redistest.ClusterOptions{
		Node: redistest.Options{
			Config: []string{"maxmemory 50mb"},
			Users:  []redistest.User{{Name: "app", Password: "secret", Rules: "~* +get"}},
		},
		NodeTimeout: 1100 * time.Millisecond,
	})
	for name, want := range map[string]string{"maxmemory": "52428800", "cluster-node-timeout": "1100"} {
		if got := c.Nodes()[5].Do(t, "CONFIG", "GET", name).Map()[name]; got != want {
			t.Errorf("CONFIG GET %s = %s, want %s", name, got, want)
		}
	}
	const key = "k"
	old := c.MasterOf(t, key)
	conn := old.Dial(t)
	do(t, conn, "OK", "SET", key, "v")
	do(t, conn, "1", "WAIT", "1", "0")
	do(t, conn, "OK", "AUTH", "app", "secret")
	do(t, conn, "v", "GET", key)
	for _, tt := range []struct {
		name     string
		down, up func(*redistest.Server)
	}{
		{
			name: "kill",
			down: (*redistest.Server).Kill,
			up:   func(s *redistest.Server) { s.Restart(t) },
		},
		{
			name: "pause",
			down: func(s *redistest.Server) { s.Pause(t) },
			up:   func(s *redistest.Server) { s.Resume(t) },
		},
	} {
		old, replica := c.MasterOf(t, key), c.ReplicaOf(t, key)
		tt.down(old)
		c.AwaitOK(t)
		if got := replica.Do(t, "GET", key).String(); got != "v" {
			t.Errorf("%s: GET = %q, want v", tt.name, got)
		}
		for _, s := range c.Nodes() {
			if s != replica && s != old {
				expectError(t, s, "MOVED ", replica.Addr(), "GET", key)
			}
		}
		tt.up(old)
		if got := c.MasterOf(t, key); got != replica {
			t.Fatalf("%s: MasterOf = %s, want %s", tt.name, got.Addr(), replica.Addr())
		}
		c.AwaitOK(t)
		r := old.Dial(t)
		do(t, r, "OK", "READONLY")
		do(t, r, "v", "GET", key)
		if got := c.ReplicaOf(t, key); got != old {
			t.Errorf("%s: ReplicaOf = %s, want %s", tt.name, got.Addr(), old.Addr())
		}
	}
}
