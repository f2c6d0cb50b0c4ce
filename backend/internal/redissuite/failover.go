package redissuite

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/redistest"
)

// Failover checks what a backend and a session.Manager over it do when a primary is killed under load, from then
// until it is back as a replica.
func Failover(t *testing.T, open Open) {
	t.Run("cluster", func(t *testing.T) {
		cluster := redistest.StartCluster(t, nil)
		failover(t, open, stage{
			config: Config{Addrs: cluster.Addrs(), Cluster: true},
			server: func(key string) *redistest.Server { return cluster.MasterOf(t, key) },
			others: true,
			well:   func() { cluster.AwaitOK(t) },
		})
	})
	t.Run("sentinel", func(t *testing.T) {
		sentinel := redistest.StartSentinel(t, nil)
		failover(t, open, stage{
			config: Config{Addrs: sentinel.Addrs(), Sentinel: sentinel.MasterName()},
			server: func(string) *redistest.Server { return sentinel.Primary(t) },
			well:   func() { sentinel.AwaitOK(t) },
		})
	})
}

// A stage is servers, one of which is killed.
type stage struct {
	config Config
	server func(key string) *redistest.Server // which serves a key
	others bool                               // there are keys that another one serves
	well   func()                             // waits until all is well
}

const (
	callTimeout = 500 * time.Millisecond // the deadline of each call under load

	// recoveryLimit is for a machine that is very busy. What it takes as a rule is written down in docs/faults.md.
	recoveryLimit = 30 * time.Second
)

func failover(t *testing.T, open Open, st stage) {
	st.config.Prefix = "session:"
	b := open(t, st.config)
	c := st.config
	c.WaitReplicas, c.WaitTimeout = 1, 200*time.Millisecond
	durable := open(t, c)
	site := newSite(t, b)
	victim := st.server("session:0")

	var lost, kept []*worker // those whose server is killed, and those whose server is not
	add := func(key string, w *worker) {
		if st.server(key) == victim {
			lost = append(lost, w)
		} else {
			kept = append(kept, w)
		}
	}
	for i := range 12 {
		id := strconv.Itoa(i)
		if err := b.Create(t.Context(), id, newRecord("0")); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			add("session:"+id, &worker{name: "record " + id, use: counting(b, id)})
		} else {
			add("session:"+id, &worker{name: "durable record " + id, id: id, use: durably(durable, id)})
		}
		v := site.login(t)
		add("session:"+v.id, &worker{name: "session " + v.id, use: v.visit})
	}
	if st.others && len(kept) == 0 || len(lost) == 0 {
		t.Fatalf("%d workers on the server that is killed, %d on others", len(lost), len(kept))
	}
	// Until here all is on the replica.
	victim.AwaitReplicas(t)

	stop := run(t, slices.Concat(lost, kept))
	time.Sleep(200 * time.Millisecond)
	victim.Kill()
	killed := time.Now()
	before := tally(kept)
	awaitRecovery(t, lost, killed)
	checkKept(t, before, tally(kept))
	st.well()
	victim.Restart(t)
	st.well()
	if role := victim.Do(t, "ROLE").Array()[0].String(); role != "slave" {
		t.Errorf("the old primary is a %s, want a replica", role)
	}
	time.Sleep(200 * time.Millisecond)
	stop()
	checkFailover(t, b, lost, kept, killed)
}

// checkFailover looks at what the workers have seen, and at what is stored.
func checkFailover(t *testing.T, b backend.Backend, lost, kept []*worker, killed time.Time) {
	t.Helper()
	var slowest time.Duration
	failures := 0
	for _, w := range lost {
		slowest = max(slowest, w.recovered.Sub(killed))
		failures += w.failed
	}
	t.Logf("the calls that failed were %d; the last record was back %v after the kill", failures,
		slowest.Round(10*time.Millisecond))
	if failures == 0 {
		t.Error("no call failed, though their server was killed")
	}
	for _, w := range slices.Concat(lost, kept) {
		if w.id == "" {
			continue
		}
		rec, err := b.Load(t.Context(), w.id)
		n, _ := strconv.Atoi(rec.Fields["n"])
		if err != nil || n < w.acked || n > w.made {
			t.Errorf("%s holds %d, %v, after %d calls of which %d were acknowledged", w.name, n, err, w.made, w.acked)
		}
	}
}

// A count is how many calls were answered and how many failed.
type count struct{ answered, failed int }

func tally(workers []*worker) (c count) {
	for _, w := range workers {
		w.mu.Lock()
		c.answered += w.answered
		c.failed += w.failed
		w.mu.Unlock()
	}
	return c
}

// checkKept compares what the calls on other servers came to at the kill and at the recovery. On a busy machine a few
// are too late, and nodes of a cluster lose sight of each other for a moment; but most are answered.
func checkKept(t *testing.T, before, after count) {
	t.Helper()
	answered, failed := after.answered-before.answered, after.failed-before.failed
	if before != after {
		t.Logf("on the other servers, %d calls were answered meanwhile, and %d failed", answered, failed)
	}
	if after != (count{}) && answered <= failed {
		t.Errorf("on the other servers, %d calls were answered and %d failed", answered, failed)
	}
}

// awaitRecovery waits until every worker has made a call after the kill that succeeded. It need not have had one that
// failed: a commit goes on when its request has ended, and one that began before the kill may end after the recovery.
func awaitRecovery(t *testing.T, workers []*worker, killed time.Time) {
	t.Helper()
	for _, w := range workers {
		for !w.servedSince(killed) {
			if time.Since(killed) > recoveryLimit {
				t.Fatalf("%s is not back after %v: %v", w.name, recoveryLimit, w.err())
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// A worker makes one call after the other, and remembers what came of them.
type worker struct {
	name string
	id   string // of a record whose counter is to hold what was acknowledged
	use  func(ctx context.Context) error

	mu                  sync.Mutex
	made, acked, failed int
	answered            int       // calls that did not fail
	broken              bool      // the last call failed
	recovered           time.Time // when a call succeeded after one that failed, for the last time
	served              time.Time // when the last call that succeeded began
	lastErr             error
}

// run has workers work until the function that it returns is called.
func run(t *testing.T, workers []*worker) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			for !closed(done) {
				w.call(t)
				time.Sleep(time.Millisecond)
			}
		})
	}
	stop = sync.OnceFunc(func() { close(done); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// call makes one call.
func (w *worker) call(t *testing.T) {
	w.mu.Lock()
	w.made++
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	began := time.Now()
	err := w.use(ctx)
	if took := time.Since(began); took > 20*callTimeout {
		t.Errorf("%s: a call took %v: %v", w.name, took, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case errors.Is(err, backend.ErrNotReplicated): // neither a failure of the server nor an acknowledgement
	case refused(err):
		t.Errorf("%s: %v, though it is there", w.name, err)
	case err != nil:
		w.failed++
		w.lastErr = err
		w.broken = true
		return
	default:
		w.acked++
	}
	w.answered++
	w.served = began
	if w.broken {
		w.recovered = time.Now()
	}
	w.broken = false
}

func (w *worker) servedSince(killed time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.served.After(killed)
}

func (w *worker) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lastErr
}

// counting adds to a record's counter and reads it back.
func counting(b backend.Backend, id string) func(context.Context) error {
	made := 0
	return func(ctx context.Context) error {
		made++
		rec, err := b.Apply(ctx, id, backend.Patch{Add: map[string]int64{"n": 1}})
		if err != nil {
			return err
		}
		added, _ := strconv.Atoi(rec.Fields["n"])
		if rec, err = b.Load(ctx, id); err != nil {
			return err
		}
		if read, _ := strconv.Atoi(rec.Fields["n"]); added < 1 || added > made || read > made {
			return errLie
		}
		return nil
	}
}

// errLie is a success that is none. It counts as a refusal, of which there must be none either.
var errLie = errors.Join(backend.ErrCounter, errors.New("the counter holds more than was added"))

// durably adds to a record's counter for good.
func durably(b backend.Backend, id string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := b.Apply(ctx, id, backend.Patch{Add: map[string]int64{"n": 1}, Durable: true})
		return err
	}
}
