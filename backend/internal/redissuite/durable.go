package redissuite

import (
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/redistest"
)

// Durable checks that what must not be undone by a failover waits for replicas where the backend is told to.
func Durable(t *testing.T, open Open) {
	t.Run("writes", func(t *testing.T) {
		master := redistest.Start(t, nil)
		replica := redistest.StartReplica(t, master, nil)
		c := Config{Addrs: []string{master.Addr()}, WaitReplicas: 1, WaitTimeout: waitTimeout}
		patient := open(t, c)
		c.WaitTimeout = 50 * time.Millisecond
		durableWrites(t, patient, open(t, c), replica)
		againWrites(t, open(t, c), master, replica)
	})
	t.Run("cluster", func(t *testing.T) {
		cluster := redistest.SharedCluster(t)
		c := Config{Addrs: cluster.Addrs(), Cluster: true, Prefix: cluster.Prefix(t), WaitReplicas: 1, WaitTimeout: waitTimeout}
		durableLives(t, open(t, c))
	})
	t.Run("failover", func(t *testing.T) {
		undone := 0
		for range rounds() {
			if endUndone(t, open, 1) {
				undone++
			}
		}
		if undone > 0 {
			t.Errorf("%d acknowledged ends were undone", undone)
		}
	})
	// Without waiting, it is luck.
	t.Run("failover without waiting", func(t *testing.T) {
		if os.Getenv("SESSION_TEST_ROUNDS") == "" {
			t.Skip("a measurement: set SESSION_TEST_ROUNDS to how many times to try")
		}
		undone := 0
		for range rounds() {
			if endUndone(t, open, 0) {
				undone++
			}
		}
		t.Logf("%d of %d acknowledged ends were undone", undone, rounds())
	})
}

// durableWrites checks a backend that waits for the replica, and one that does not wait long.
func durableWrites(t *testing.T, b, impatient backend.Backend, replica *redistest.Server) {
	ctx := t.Context()
	exists := func(id string) bool { return replica.Do(t, "EXISTS", "session:"+id).Int() == 1 }
	rec := backend.Record{Fields: map[string]string{"n": "0"}, TTL: time.Hour}
	for i := range 50 {
		id := strconv.Itoa(i)
		if err := b.Create(ctx, id, rec); err != nil || !exists(id) {
			t.Fatalf("Create = %v, on the replica: %v", err, exists(id))
		}
		got, err := b.Apply(ctx, id, backend.Patch{Add: map[string]int64{"n": 1}, Durable: true, Load: i%2 == 0})
		if err != nil || got.Fields["n"] != "1" || replica.Do(t, "HGET", "session:"+id, "n").String() != "1" {
			t.Fatalf("Apply = %v, %v, or it is not on the replica", got, err)
		}
		if i%2 == 0 {
			err = b.Delete(ctx, id)
		} else {
			_, err = b.Apply(ctx, id, backend.Patch{Remove: true, Durable: true})
		}
		if err != nil || exists(id) {
			t.Fatalf("the end = %v, still on the replica: %v", err, exists(id))
		}
	}
	// Refusals are what they are.
	if _, err := b.Apply(ctx, "absent", backend.Patch{Set: map[string]string{"a": "1"}, Durable: true}); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Apply of an absent record = %v, want ErrNotFound", err)
	}
	if err := b.Create(ctx, "kept", rec); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(ctx, "kept", rec); !errors.Is(err, backend.ErrExists) {
		t.Errorf("Create of a record that is there = %v, want ErrExists", err)
	}

	replica.Pause(t)
	defer replica.Resume(t)
	for name, write := range map[string]func() error{
		"Create": func() error { return impatient.Create(ctx, "new", rec) },
		"Apply": func() error {
			_, err := impatient.Apply(ctx, "kept", backend.Patch{Add: map[string]int64{"n": 1}, Durable: true})
			return err
		},
		"Delete": func() error { return impatient.Delete(ctx, "gone") },
	} {
		if err := write(); !errors.Is(err, backend.ErrNotReplicated) {
			t.Errorf("%s with the replica away = %v, want ErrNotReplicated", name, err)
		}
	}
	if got, err := impatient.Load(ctx, "kept"); err != nil || got.Fields["n"] != "1" {
		t.Errorf("n = %v, %v: the change was made, once", got.Fields["n"], err)
	}
	if _, err := impatient.Apply(ctx, "kept", backend.Patch{Touch: true}); err != nil {
		t.Errorf("an Apply that is not durable = %v, it waits for nobody", err)
	}
	if _, err := impatient.Apply(ctx, "absent", backend.Patch{Remove: true, Durable: true}); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Apply of an absent record = %v, want ErrNotFound", err)
	}
}

// againWrites ends what has ended already, as a user does whose logout has failed: that waits for the replicas, too,
// and so it has to write something, since Redis 7.2. b has written nothing before.
func againWrites(t *testing.T, b backend.Backend, master, replica *redistest.Server) {
	t.Helper()
	calls := master.CallsDuring(t, func() {
		if err := b.Delete(t.Context(), "gone"); err != nil {
			t.Errorf("Delete of what is not there = %v", err)
		}
	})
	if calls["HSET"] != 1 || master.Do(t, "EXISTS", "session:gone").Int() != 0 {
		t.Errorf("Delete of what is not there sent %v, want a write that leaves nothing", calls)
	}
	replica.Pause(t)
	defer replica.Resume(t)
	if err := b.Delete(t.Context(), "gone"); !errors.Is(err, backend.ErrNotReplicated) {
		t.Errorf("Delete of what is not there, with the replica away = %v, want ErrNotReplicated", err)
	}
}

// durableLives has a record live on each of the masters.
func durableLives(t *testing.T, b backend.Backend) {
	ctx := t.Context()
	for i := range 60 {
		id := strconv.Itoa(i)
		if err := b.Create(ctx, id, backend.Record{Fields: map[string]string{"n": "0"}, TTL: time.Minute}); err != nil {
			t.Fatalf("Create = %v", err)
		}
		if _, err := b.Apply(ctx, id, backend.Patch{Add: map[string]int64{"n": 1}, Durable: true}); err != nil {
			t.Fatalf("Apply = %v", err)
		}
		if err := b.Delete(ctx, id); err != nil {
			t.Fatalf("Delete = %v", err)
		}
	}
}

// rounds returns how often a master is killed: SESSION_TEST_ROUNDS, or a few times.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("SESSION_TEST_ROUNDS")); err == nil {
		return n
	}
	return 3
}

// endUndone kills a master right after it has acknowledged the end of a session, and reports whether that is
// back on the replica that takes over.
func endUndone(t *testing.T, open Open, replicas int) bool {
	t.Helper()
	master := redistest.Start(t, nil)
	replica := redistest.StartReplica(t, master, nil)
	b := open(t, Config{Addrs: []string{master.Addr()}, WaitReplicas: replicas, WaitTimeout: waitTimeout})
	if err := b.Create(t.Context(), "a", backend.Record{Fields: map[string]string{"n": "0"}, TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	master.AwaitReplicas(t)
	if err := b.Delete(t.Context(), "a"); err != nil {
		t.Fatalf("Delete = %v", err)
	}
	master.Kill()
	replica.Promote(t)
	undone := replica.Do(t, "EXISTS", "session:a").Int() == 1
	replica.Stop()
	return undone
}
