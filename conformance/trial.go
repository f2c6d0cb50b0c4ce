package conformance

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A trial is one run of one case against one target. It writes down what is done, and judges what comes back
// without the help of a testing.T, so that the suite can be tried on backends that are broken.
type trial struct {
	client        // the target's first client
	second client // the second one, or the first again where the target has none

	target Target
	unit   time.Duration // what the case takes for a second
	leaps  bool          // days pass at once
	bubble bool          // so they do in a bubble, where calls take next to no time either

	ahead    atomic.Int64 // how far the Managers' clock is ahead of package time's
	hushed   atomic.Bool  // calls that a Manager makes are no steps, since goroutines run at the same time
	progress atomic.Int64 // counts calls that came back
	armed    atomic.Bool  // the case runs, and is not waiting for time to pass

	begun time.Time

	mu     sync.Mutex // guards what follows; a case that stalled may still run when its verdict is read
	ids    []string   // records to delete at the end
	ready  bool
	ended  bool
	final  verdict
	steps  []string
	waited time.Duration

	calls   map[int64]func() string // what they are, of those under way
	callSeq int64
}

// A verdict is how a trial ended: well, if it is neither a failure nor skipped.
type verdict struct {
	failure string
	skip    string
	steps   []string

	// stuck says that the case did not come to its end.
	stuck bool

	// overrun is how much more time has passed than the case has waited for.
	overrun time.Duration

	// late says that this was too much to judge a failure.
	late bool
}

// stop is what a case panics with when its verdict is there.
type stop struct{}

// slack is how much time may be lost before a case that waits cannot be judged any more.
func slack(unit time.Duration) time.Duration { return unit * 4 / 10 }

// start makes tr ready to run a case.
func (tr *trial) start(t *testing.T, target Target) {
	t.Helper()
	if target.Backend == nil {
		t.Fatal("conformance: Target.Backend is nil")
	}
	tr.target = target
	tr.leaps = tr.leaps || target.Advance != nil
	tr.client = client{tr: tr, b: target.Backend, ctx: t.Context()}
	tr.second = tr.client
	if target.Second != nil {
		tr.second = client{tr: tr, b: target.Second, ctx: t.Context(), name: "second."}
	}
	tr.mu.Lock()
	tr.ready = true
	tr.mu.Unlock()
}

// do runs a case to its end.
func (tr *trial) do(tc testCase) {
	tr.begun = time.Now()
	tr.armed.Store(true)
	defer tr.armed.Store(false)
	defer func() {
		switch r := recover(); r {
		case nil, stop{}:
		default:
			tr.end(verdict{failure: fmt.Sprintf("panic: %v\n\n%s", r, debug.Stack())})
		}
		tr.clean()
		tr.end(verdict{})
	}()
	tc.run(tr)
}

// clean deletes the records that the case has made, many of them at the same time.
func (tr *trial) clean() {
	c := tr.with(context.WithoutCancel(tr.ctx))
	var wg sync.WaitGroup
	ids := tr.recordIDs()
	for some := range slices.Chunk(ids, max(16, len(ids)/32+1)) {
		wg.Go(func() {
			defer func() { _ = recover() }() // the case has its verdict already, or the next will say it better
			for _, id := range some {
				_ = c.tryDelete(id)
			}
		})
	}
	wg.Wait()
}

// end sets the verdict, unless there is one. A failure takes the place of a verdict that is none.
func (tr *trial) end(v verdict) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.ended && (v.failure == "" || tr.final.failure != "") {
		return
	}
	tr.ended = true
	v.steps = tr.steps
	if tr.target.Advance == nil {
		v.overrun = time.Since(tr.begun) - tr.waited
	}
	tr.final = v
}

// verdict returns the verdict, and false if the trial never had a target.
func (tr *trial) verdict() (verdict, bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.final, tr.ready || tr.final.skip != ""
}

// over reports whether the case has its verdict.
func (tr *trial) over() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.ended
}

// failf ends the case as failed.
func (tr *trial) failf(format string, args ...any) {
	tr.end(verdict{failure: fmt.Sprintf(format, args...)})
	panic(stop{})
}

// skip ends the case as one that does not apply to the target.
func (tr *trial) skip(why string) {
	tr.end(verdict{skip: why})
	panic(stop{})
}

// stepf writes down what was done, and with what result.
func (tr *trial) stepf(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if !tr.ended {
		tr.steps = append(tr.steps, fmt.Sprintf(format, args...))
	}
}

// calling notes that a call of the backend is under way. The caller calls what it returns when it has come back.
func (tr *trial) calling(what func() string) (back func()) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.callSeq++
	n := tr.callSeq
	if tr.calls == nil {
		tr.calls = map[int64]func() string{}
	}
	tr.calls[n] = what
	return func() {
		tr.progress.Add(1)
		tr.mu.Lock()
		defer tr.mu.Unlock()
		delete(tr.calls, n)
	}
}

// pending says which calls have not come back, in the order in which they were made.
func (tr *trial) pending() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.calls) == 0 {
		return "all calls of the backend have come back"
	}
	var b strings.Builder
	b.WriteString("calls that have not come back:")
	for i, n := range slices.Sorted(maps.Keys(tr.calls)) {
		if i == maxList {
			fmt.Fprintf(&b, "\n    … %d in all", len(tr.calls))
			break
		}
		b.WriteString("\n    " + tr.calls[n]())
	}
	return b.String()
}

// stuck ends the case as one that does not come to its end.
func (tr *trial) stuck(format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	tr.end(verdict{stuck: true, failure: why + "\n\n" + tr.pending() + "\n\n" + stacks()})
}

// wait lets time pass: so many of what the case takes for a second.
func (tr *trial) wait(seconds float64) { tr.leap(time.Duration(seconds * float64(tr.unit))) }

// leap lets d pass. Only where leaps is set may it be longer than a few seconds.
func (tr *trial) leap(d time.Duration) {
	tr.stepf("%v pass", d)
	tr.pass(d)
}

// pass is leap without a step.
func (tr *trial) pass(d time.Duration) {
	tr.armed.Store(false)
	defer tr.armed.Store(true)
	if tr.target.Advance != nil {
		tr.target.Advance(d)
		tr.ahead.Add(int64(d))
		return
	}
	tr.mu.Lock()
	tr.waited += d
	tr.mu.Unlock()
	time.Sleep(d)
}

// ttl returns a time to live of so many of what the case takes for a second.
func (tr *trial) ttl(seconds int) time.Duration { return time.Duration(seconds) * tr.unit }

// id returns an ID that no other case uses.
func (tr *trial) id() string { return tr.own("c-" + rand.Text()[:16]) }

// own has the record under id deleted when the case ends.
func (tr *trial) own(id string) string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.ids = append(tr.ids, id)
	return id
}

// recordIDs returns the IDs of all records that the case has made or may have made.
func (tr *trial) recordIDs() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.ids)
}

// made returns the ID of a new record with these fields, which lives for an hour.
func (tr *trial) made(f fields) string {
	id := tr.id()
	tr.create(id, record(f))
	return id
}

// clients returns the target's clients.
func (tr *trial) clients() []client {
	if tr.target.Second == nil {
		return []client{tr.client}
	}
	return []client{tr.client, tr.second}
}

// parallel calls f in n goroutines at once, with the target's clients in turn, and waits for them. It fails
// the case with the first error in their order.
func (tr *trial) parallel(n int, f func(i int, c client) error) {
	tr.hushed.Store(true)
	defer tr.hushed.Store(false)
	errs := make([]error, n)
	clients := tr.clients()
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					errs[i] = fmt.Errorf("panic: %v\n\n%s", r, debug.Stack())
				}
			}()
			<-start
			errs[i] = f(i, clients[i%len(clients)])
		})
	}
	close(start)
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			tr.failf("goroutine %d: %v", i, err)
		}
	}
}

// wantAllGone checks that records have ended after so many seconds.
func (tr *trial) wantAllGone(seconds float64, ids []string) {
	tr.wait(seconds)
	for _, id := range ids {
		tr.wantGone(id)
	}
}
