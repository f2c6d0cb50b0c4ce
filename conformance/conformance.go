// Package conformance checks a [backend.Backend]: against the rules of package backend's documentation, and by
// what a session.Manager over it has promised.
//
// A backend's whole test is a function that makes one:
//
//	func TestConformance(t *testing.T) {
//		newTarget := func(t *testing.T) conformance.Target {
//			return conformance.Target{Backend: mystore.New(address, nil)}
//		}
//		conformance.Run(t, newTarget)
//		conformance.RunSessions(t, newTarget)
//	}
//
// Every case is a subtest of its own, and checks one rule. One that fails prints the rule that is broken in the
// words of package backend or session, which is where to look for its context, the steps that were taken, what
// was expected and seen, and the command that runs the case alone. A case in which no call comes back for seven
// seconds, also because the call takes longer, or that takes eight times as long in all, fails with the calls that it
// waits for and a dump of what all goroutines do. Its report says that first: the backend may be right, and slow. The
// next case runs all the same; after five such cases the suite stops, and skips the others. On a store that cases
// share, one that hangs may be why the next does. A panic fails its case only.
//
// Run the suite with the race detector too (go test -race): it finds what no case can, a backend that
// uses the caller's maps after a call, or guards its own too little.
//
// # Sessions
//
// [RunSessions] looks at a backend from above: no change of a parallel request is lost, a logout stays one, the
// token from before a login is dead, all of a user's sessions can be ended. Its steps are what was asked of a
// Manager and, set in, the calls of the backend that it made of it. The names of its cases begin with Session.
// Where both parts fail, look at the cases of [Run] first.
//
// # Sequences
//
// The case Model makes sequences of calls, the same ones each time, and compares what comes back with a model of
// the contract that is as simple as can be. It prints the shortest sequence that it finds to go wrong.
//
// # Time
//
// Times to live are whole seconds, and many rules are about them. There are three ways to let time pass:
//
//   - On a real server, leave [Target.Advance] nil. The suite waits; the cases that do run beside each other,
//     after all others, and take about four seconds together, with times to live of 1 to 4 seconds. One that
//     failed because a busy machine let too much time pass is run again with twice the time, up to three times.
//     If too much passes each time, it fails and says that it could not be judged.
//   - On a server or fake whose time the test moves, set Advance, to FastForward of miniredis for example.
//     Such cases run one after the other, since they may share that server, and wait for nothing. The clocks of
//     Managers move with it.
//   - A backend that lives in the process, and reads the time from package time alone, is best run with
//     [RunSynctest] and [RunSessionsSynctest]: every case in a bubble of testing/synctest, where days pass at once.
//
// All in all the suite takes about ten seconds on a Redis server next door, and one or two in a bubble. It makes some
// thousands of calls one after the other, and so takes longer where each does: with 20 milliseconds for a call, Run
// takes two minutes and RunSessions one and a half; with 50, about five and four. Where go test's own limit of ten
// minutes is too short, -timeout 30m gives the time. The case Model alone tries less where calls are slow.
//
// # What the suite needs
//
// A store that holds nothing that matters: the suite makes records under random IDs, and under some of one and
// two characters, and deletes them at the end of each case, unless the case hangs. Cases leave one another
// alone, so all targets may be clients of one server, with one key prefix; but two runs of the suite may not use
// the same at the same time. There are up to 64 calls at once, records of 10 000 fields, and values of 64 KiB.
//
// [Target.Second] is a second client of the same data, as another process would have: one made with other
// options, or a backend of another package that shares the layout. With it, the suite checks that each sees at
// once what the other has written, asks both about contexts, expiry and what is unreadable, and lets both take part in
// every case about calls at the same time. A backend for more than one process should give it; one for a single process
// may give the same backend twice.
//
// # Optional parts
//
// The cases for [backend.Scanner], [backend.Pinger] and [backend.Cacher], named Scan, Ping, and Fresh and Cache, run if
// [backend.As] finds these in Target.Backend, and are skipped otherwise. So are the cases UnreadableStays,
// UnreadableDelete and SessionUnreadable, unless [Target.Plant] says how to store what is no record. A skipped case
// prints why.
//
// What is not checked: what a backend does when its server fails, replies late or loses a reply, or when a context ends
// during a call, and whether a durable change outlives a failover, since that takes the server's own tools. A backend
// with a local cache that may be behind, as its documentation then says, passes with the cache off. With it on, the
// cases named Fresh and Cache are for it; give them a Second, whose writes the cache does not know of, and whose
// records those named CacheHits load more than once. FreshKeepsTheRules and FreshCounts run other cases with what Fresh
// returns, and their steps name these.
package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
)

// Target is what [Run] and [RunSessions] check.
type Target struct {
	// Backend is the backend. It must be there.
	Backend backend.Backend

	// Second, if not nil, is a second client of the same data. It may be Backend again.
	Second backend.Backend

	// Advance, if not nil, moves the time by which records expire. If nil, the suite lets d pass with
	// time.Sleep, which moves the time at once in [RunSynctest] and [RunSessionsSynctest].
	Advance func(d time.Duration)

	// Plant holds ways, under any name, to store something under an ID that is there and is no record: another
	// type of value, a time to live that is no number. What is planted may live for an hour. Leave it empty where a
	// store can hold nothing but records, as one in the process does.
	Plant map[string]func(ctx context.Context, id string) error
}

// Run checks the backends that newTarget makes. It calls newTarget once for each case, and once more for each
// time that a case is repeated, never twice at the same time. newTarget may share a server between targets,
// skip or fail the test, and register with t.Cleanup what is to be closed. It must not call t.Parallel, nor may what it
// calls: the suite decides which cases run at the same time.
//
// Run can judge backends whose calls take up to about 100 milliseconds each. Where they take longer, cases about time
// fail that could not be judged, and say so.
func Run(t *testing.T, newTarget func(t *testing.T) Target) {
	t.Helper()
	s := suite{newTarget: newTarget, stall: stallLimit}
	s.all(t, cases())
}

// RunSynctest is [Run] for a backend that lives in the process: it runs every case in a bubble of
// testing/synctest of its own, and calls newTarget inside it, with the bubble's t. All goroutines that the
// backend starts must have ended when the cleanups registered with that t have run.
//
// Calls must take next to no time by the bubble's clock, a few milliseconds at most: where they sleep for longer, a
// case may find a right backend wrong. Use Run for these.
func RunSynctest(t *testing.T, newTarget func(t *testing.T) Target) {
	t.Helper()
	s := suite{newTarget: newTarget, stall: stallLimit, bubble: true}
	s.all(t, cases())
}

// RunSessions checks that a session.Manager keeps its promises over the backends that newTarget makes, which it
// calls as [Run] does. The promises are in the words of package session; a Manager keeps them over every backend that
// passes Run, and a case that fails says what users would see of a rule that is broken.
func RunSessions(t *testing.T, newTarget func(t *testing.T) Target) {
	t.Helper()
	s := suite{newTarget: newTarget, stall: stallLimit}
	s.all(t, sessionCases())
}

// RunSessionsSynctest is [RunSessions] in bubbles, as [RunSynctest] is Run.
func RunSessionsSynctest(t *testing.T, newTarget func(t *testing.T) Target) {
	t.Helper()
	s := suite{newTarget: newTarget, stall: stallLimit, bubble: true}
	s.all(t, sessionCases())
}
