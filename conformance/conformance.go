// Package conformance checks a [backend.Backend] against every rule of package backend's documentation.
//
// A backend's whole test is a function that makes one:
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, func(t *testing.T) conformance.Target {
//			return conformance.Target{Backend: mystore.New(address, nil)}
//		})
//	}
//
// Every case is a subtest of its own. One that fails prints the rule that was broken in the words of package
// backend, the steps that were taken, what was expected and seen, and the command that runs it alone. A case
// that hangs fails with a dump of all goroutines, and those that come after it run all the same. Run the
// suite with the race detector: a backend that keeps a map of the caller's is often found by nothing else.
//
// # Time
//
// Times to live are whole seconds, and many rules are about them. There are three ways to let them pass:
//
//   - On a real server, leave [Target.Advance] nil. The suite waits; the cases that do run beside each other,
//     and all of them take about five seconds. A case that failed on a machine so busy that time passed it by
//     is run again, more slowly, before it counts.
//   - On a server or fake whose time the test moves, set Advance, to FastForward of miniredis for example.
//     Such cases run one after the other, since they may share that server, and wait for nothing.
//   - A backend that lives in the process, and reads the time from package time alone, is best run with
//     [RunSynctest]: every case in a bubble of testing/synctest, where days pass at once.
//
// # What the suite needs
//
// A store that holds nothing that matters: the suite makes records under random IDs, and under some of one and
// two characters, and deletes them at the end of each case, except where a case hangs. Cases leave one another
// alone, so that all targets may use one server and one key prefix; but two runs of the suite may not do so at
// the same time.
//
// [Target.Second] is a second client of the same data, as another process would have: one made with other
// options, or a backend of another package that shares the layout. With it, the suite checks that each sees at
// once what the other has written, and lets both take part in every case about concurrency. Without it, those
// rules go unchecked between processes, so a backend that is for more than one process should give it.
//
// # Optional parts
//
// The cases for [backend.Scanner] and [backend.Pinger] run if [backend.As] finds them in Target.Backend, and
// are skipped otherwise. The case about what is stored but is no record runs if [Target.Plant] says how to
// make such things. What a backend does when its server fails or replies late is not checked here: it takes
// that server's own tools.
package conformance

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
)

// Target is what [Run] checks.
type Target struct {
	// Backend is the backend. It must be there.
	Backend backend.Backend

	// Second, if not nil, is a second client of the same data.
	Second backend.Backend

	// Advance, if not nil, moves the time by which records expire. If nil, the suite lets d pass with
	// time.Sleep, which moves the time at once in [RunSynctest].
	Advance func(d time.Duration)

	// Plant holds ways, under any name, to store something under an ID that is there and is no record: another
	// type of value, a time to live that is no number. It may be empty.
	Plant map[string]func(ctx context.Context, id string) error
}

// Run checks the backends that newTarget makes. It calls newTarget once for each case, and once more for each
// time that a case is repeated, never twice at the same time. newTarget may share a server between targets,
// skip or fail the test, and register with t.Cleanup what is to be closed.
func Run(t *testing.T, newTarget func(t *testing.T) Target) {
	t.Helper()
	s := suite{newTarget: newTarget, stall: stallLimit}
	var wg sync.WaitGroup
	for _, tc := range cases() {
		if !tc.waits {
			t.Run(tc.name, func(t *testing.T) { s.run(t, tc) })
		}
	}
	// These spend their time asleep, so they need no processor each, as t.Parallel would have it.
	for _, tc := range cases() {
		if tc.waits {
			wg.Go(func() { t.Run(tc.name, func(t *testing.T) { s.run(t, tc) }) })
		}
	}
	wg.Wait()
}

// RunSynctest is [Run] for a backend that lives in the process: it runs every case in a bubble of
// testing/synctest of its own, and calls newTarget inside it, with the bubble's t. All goroutines that the
// backend starts must have ended when the cleanups registered with that t have run.
func RunSynctest(t *testing.T, newTarget func(t *testing.T) Target) {
	t.Helper()
	s := suite{newTarget: newTarget, stall: stallLimit, bubble: true}
	for _, tc := range cases() {
		t.Run(tc.name, func(t *testing.T) { s.run(t, tc) })
	}
}
