package redissuite

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/redistest"
)

// Faults checks what each call does under each fault, with the client's default settings and with those that the
// package comment gives.
func Faults(t *testing.T, open Open) {
	for _, settings := range []struct {
		name     string
		defaults bool
	}{
		{name: "default settings", defaults: true},
		{name: "advised settings"},
	} {
		t.Run(settings.name, func(t *testing.T) {
			// They spend their time asleep, so they need no processor each, as t.Parallel would have it.
			var wg sync.WaitGroup
			for _, f := range faults() {
				run := func() {
					t.Run(f.name, func(t *testing.T) { tryFault(t, open, settings.defaults, f) })
				}
				if f.alone {
					run()
				} else {
					wg.Go(run)
				}
			}
			wg.Wait()
		})
	}
}

// tryFault makes each call under a fault: one after the other, or, where each waits for its deadline, at once, in
// a lab of its own.
func tryFault(t *testing.T, open Open, defaults bool, f fault) {
	if f.wraps == nil {
		newLab(t, open, defaults).try(f, calls)
		return
	}
	var wg sync.WaitGroup
	for i, c := range calls {
		wg.Go(func() {
			t.Run(c.name, func(t *testing.T) { newLab(t, open, defaults).try(f, calls[i:i+1]) })
		})
	}
	wg.Wait()
}

// An outcome is what a call may come to: its error, and how often the server has run it.
type outcome int

const (
	done    outcome = 1 << iota // no error, once
	gone                        // ErrNotFound, not at all
	refusal                     // another error, not at all
	unknown                     // another error, once

	failed = refusal | unknown
)

func (o outcome) String() string {
	var names []string
	for i, name := range []string{"done", "not found, rightly", "an error, not done", "an error, done once"} {
		if o&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}

// A fault is something that goes wrong with the server, or on the way to it.
type fault struct {
	name   string
	config []string           // lines of redis.conf
	keeps  bool               // the server keeps its data on disk
	alone  bool               // it takes much of the processor
	begin  func(*lab) func()  // returns what ends it
	read   outcome            // what Load may come to
	write  outcome            // what the others may, unless named here:
	but    map[string]outcome // by name of the call
	says   string             // is in the text of every error but ErrNotFound
	wraps  error              // is wrapped by every error but ErrNotFound, with the advised settings
	pings  string             // if not empty, Ping fails, and says this
}

// The limits of a call. They are for a busy machine, and for go-redis, which by default looks at the deadline only
// before it waits. What calls take as a rule is in docs/faults.md.
const (
	advisedLimit = 3 * time.Second
	defaultLimit = 12 * time.Second
)

// timeout returns the deadline of a call: the usual one where the fault has calls wait for it, and an ample one where
// they end by themselves, which a busy machine must not keep them from.
func (f *fault) timeout() time.Duration {
	if f.wraps != nil {
		return callTimeout
	}
	return 20 * callTimeout
}

// A lab is a server, a proxy before it, and a backend that goes through the proxy.
type lab struct {
	t        *testing.T
	open     Open
	defaults bool
	server   *redistest.Server
	proxy    *redistest.Proxy
	backend  backend.Backend
}

func newLab(t *testing.T, open Open, defaults bool) *lab {
	return &lab{t: t, open: open, defaults: defaults}
}

// start starts the server and connects.
func (l *lab) start(opts *redistest.Options) {
	l.server = redistest.Start(l.t, opts)
	l.proxy = redistest.NewProxy(l.t, l.server.Addr())
	l.backend = l.open(l.t, Config{Addrs: []string{l.proxy.Addr()}, Defaults: l.defaults})
	// The scripts are on the server, and the connections are there.
	if err := l.backend.Create(l.t.Context(), "warm", newRecord("1")); err != nil {
		l.t.Fatal(err)
	}
	l.well()
}

// well waits until calls succeed again. Until then they may fail, but not say that the record is not there.
func (l *lab) well() {
	l.t.Helper()
	l.plant("well", "1")
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(l.t.Context(), callTimeout)
		_, err := l.backend.Load(ctx, "well")
		if err == nil {
			_, err = l.backend.Apply(ctx, "well", backend.Patch{Add: map[string]int64{"n": 0}})
		}
		cancel()
		if err == nil {
			return
		}
		if refused(err) {
			l.t.Fatalf("after the fault: %v", err)
		}
		if time.Since(began) > recoveryLimit {
			l.t.Fatalf("%v after the fault: %v", recoveryLimit, err)
		}
	}
}

// plant stores a record, past the backend, that has 1000 of its 3600 seconds left.
func (l *lab) plant(id, n string) {
	l.t.Helper()
	l.server.Do(l.t, "HSET", "session:"+id, "n", n, "session_ttl", "3600")
	l.server.Do(l.t, "EXPIRE", "session:"+id, "1000")
}

// try makes calls under a fault.
func (l *lab) try(f fault, calls []call) {
	l.start(&redistest.Options{Config: f.config, Persist: f.keeps})
	for _, c := range calls {
		want, ok := f.but[c.name]
		if !ok {
			want = f.write
			if c.name == "Load" {
				want = f.read
			}
		}
		if c.name != "Create" {
			l.plant(c.name, "1")
		}
		end := f.begin(l)
		took, err := l.call(c, f.timeout())
		if f.pings != "" {
			l.ping(f.pings)
		}
		end()
		ran := c.ran(l)
		l.check(f, c, want, err, ran, took)
		l.well()
		// What was on its way has arrived by now, or never will.
		if again := c.ran(l); again != ran && (err == nil || again > 1) {
			l.t.Errorf("%s = %v, and it ran %d times, and %d later", c.name, err, ran, again)
		}
	}
}

// call makes a call that has a deadline.
func (l *lab) call(c call, timeout time.Duration) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), timeout)
	defer cancel()
	began := time.Now()
	err = c.make(ctx, l.backend, c.name)
	return time.Since(began), err
}

// check compares what a call came to.
func (l *lab) check(f fault, c call, want outcome, err error, ran int, took time.Duration) {
	l.t.Helper()
	l.t.Logf("%-6s %4d ms, ran %d times: %v", c.name, took.Milliseconds(), ran, err)
	if l.defaults && f.wraps != nil {
		want |= done // without a look at the deadline, it may last until the fault is over
	}
	got := classify(err, ran)
	if c.name == "Load" && got&failed != 0 {
		got = want & failed // reading leaves no trace
	}
	if got == 0 || got&want == 0 {
		l.t.Errorf("%s = %v, and it ran %d times: want %v", c.name, err, ran, want)
	}
	limit := advisedLimit
	if l.defaults {
		limit = defaultLimit
	}
	if took > limit {
		l.t.Errorf("%s took %v, with a deadline of %v", c.name, took, f.timeout())
	}
	if err == nil || refused(err) {
		return
	}
	if !strings.Contains(err.Error(), f.says) {
		l.t.Errorf("%s = %v, want an error that says %q", c.name, err, f.says)
	}
	if f.wraps != nil && !l.defaults && !errors.Is(err, f.wraps) {
		l.t.Errorf("%s = %v, want an error that wraps %v", c.name, err, f.wraps)
	}
}

// classify returns what a call came to, 0 if it is what no call may come to.
func classify(err error, ran int) outcome {
	switch {
	case err == nil && ran == 1:
		return done
	case errors.Is(err, backend.ErrNotFound) && ran == 0:
		return gone
	case err == nil || refused(err) || ran > 1:
		return 0
	case ran == 1:
		return unknown
	}
	return refusal
}

// ping checks that Ping fails and says what is wrong.
func (l *lab) ping(says string) {
	l.t.Helper()
	pinger, _ := backend.As[backend.Pinger](l.backend)
	if err := pinger.Ping(l.t.Context()); err == nil || !strings.Contains(err.Error(), says) {
		l.t.Errorf("Ping = %v, want an error that says %q", err, says)
	}
}

// A call is a call of a method, on a record that has the call's name as its ID.
type call struct {
	name string
	make func(ctx context.Context, b backend.Backend, id string) error
	ran  func(l *lab) int // how often it was run, as the server has it
}

var calls = []call{
	{
		name: "Create",
		make: func(ctx context.Context, b backend.Backend, id string) error {
			return b.Create(ctx, id, newRecord("1"))
		},
		ran: func(l *lab) int { return l.server.Do(l.t, "EXISTS", "session:Create").Int() },
	},
	{
		name: "Load",
		make: func(ctx context.Context, b backend.Backend, id string) error {
			rec, err := b.Load(ctx, id)
			if err == nil && rec.Fields["n"] != "1" {
				return errLie
			}
			return err
		},
		ran: func(l *lab) int { return l.server.Do(l.t, "EXISTS", "session:Load").Int() },
	},
	{
		name: "Apply",
		make: func(ctx context.Context, b backend.Backend, id string) error {
			rec, err := b.Apply(ctx, id, backend.Patch{Add: map[string]int64{"n": 1}, Set: map[string]string{"a": "1"}})
			if err == nil && rec.Fields["n"] != "2" {
				return errLie
			}
			return err
		},
		ran: func(l *lab) int {
			n := l.server.Do(l.t, "HGET", "session:Apply", "n")
			if n.IsNil() {
				return 0
			}
			ran, _ := strconv.Atoi(n.String())
			return ran - 1
		},
	},
	{
		name: "Touch",
		make: func(ctx context.Context, b backend.Backend, id string) error {
			_, err := b.Apply(ctx, id, backend.Patch{Touch: true})
			return err
		},
		ran: func(l *lab) int {
			if l.server.Do(l.t, "TTL", "session:Touch").Int() > 2000 {
				return 1
			}
			return 0
		},
	},
	{
		name: "Delete",
		make: func(ctx context.Context, b backend.Backend, id string) error { return b.Delete(ctx, id) },
		ran:  func(l *lab) int { return 1 - l.server.Do(l.t, "EXISTS", "session:Delete").Int() },
	},
}
