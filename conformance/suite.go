package conformance

import (
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A testCase checks one rule.
type testCase struct {
	name string

	// rule is the rule in the words of the documentation of package backend, or of package session where the
	// case is about a Manager.
	rule string

	// waits says that the case lets time pass. Such a case is written so that nothing that it expects to be
	// alive is within slack of its deadline.
	waits bool

	run func(*trial)
}

// cases returns all cases about a backend, in the order in which they are best read and run.
func cases() []testCase {
	return slices.Concat(
		createCases,
		loadCases,
		applyCases,
		conditionCases,
		counterCases,
		replyCases,
		removeCases,
		deleteCases,
		bytesCases,
		ownershipCases,
		contextCases,
		raceCases,
		raceRecordCases,
		wideCases,
		secondCases,
		modelCases,
		scanCases,
		optionalCases,
		unreadableCases,
		cacheCases,
		expiryCases,
		ttlCases,
	)
}

// sessionCases returns all cases about a session.Manager over a backend.
func sessionCases() []testCase {
	return slices.Concat(
		lifeCases,
		strangeCases,
		loginCases,
		rotationCases,
		parallelCases,
		ownerCases,
		ownerRaceCases,
		timeoutCases,
	)
}

// stallLimit is how long a case may go without a call coming back from the backend.
const stallLimit = 7 * time.Second

// maxStuck is how many cases may come to no end before the others are not run: each takes stallLimit.
const maxStuck = 5

// reserve is the part of the time left until go test's limit, of so many, in which no case runs any more, but what has
// failed is printed.
const reserve = 10

// attempts is how often a case is tried that fails while the machine is too busy to judge it.
const attempts = 4

// suite runs cases.
type suite struct {
	newTarget func(*testing.T) Target
	stall     time.Duration
	bubble    bool

	// mu is held while newTarget runs, and to the end of the case where that case moves a clock which
	// others may share.
	mu sync.Mutex

	limit time.Time // when the suite stops, so that go test does not stop it unheard; zero for never

	stuck   atomic.Int64 // cases that came to no end
	skipped atomic.Int64 // cases that were not run because of them, or after limit
}

// all runs cases as subtests of t.
func (s *suite) all(t *testing.T, cases []testCase) {
	t.Helper()
	if deadline, ok := t.Deadline(); ok {
		left := time.Until(deadline)
		s.limit = deadline.Add(-left / reserve)
	}
	var wg sync.WaitGroup
	for _, tc := range cases {
		if !tc.waits || s.bubble {
			t.Run(tc.name, func(t *testing.T) { s.run(t, tc) })
		}
	}
	// These spend their time asleep, so they need no processor each, as t.Parallel would have it.
	for _, tc := range cases {
		if tc.waits && !s.bubble {
			wg.Go(func() { t.Run(tc.name, func(t *testing.T) { s.run(t, tc) }) })
		}
	}
	wg.Wait()
	if why := s.stopped(); why != "" && s.skipped.Load() > 0 {
		t.Errorf("stopped %s; %d of %d cases were not run", why, s.skipped.Load(), len(cases))
	}
}

// stopped returns why no more cases are run, or nothing.
func (s *suite) stopped() string {
	switch {
	case s.stuck.Load() >= maxStuck:
		return fmt.Sprintf("after %d cases that came to no end", s.stuck.Load())
	case !s.limit.IsZero() && !time.Now().Before(s.limit):
		return "because go test's limit is near (-timeout)"
	}
	return ""
}

// run runs one case and reports to t.
func (s *suite) run(t *testing.T, tc testCase) {
	t.Helper()
	if why := s.stopped(); why != "" {
		s.skipped.Add(1)
		t.Skipf("not run: the suite has stopped %s", why)
	}
	v, ok := s.settle(t, tc)
	if v.stuck {
		s.stuck.Add(1)
	}
	switch {
	case !ok: // newTarget has failed the test
	case v.failure != "":
		t.Error(report(t.Name(), tc, v))
	case v.skip != "":
		t.Skip(v.skip)
	}
}

// settle runs a case until its verdict counts. It reports false if there is none, because newTarget did not
// return.
func (s *suite) settle(t *testing.T, tc testCase) (verdict, bool) {
	t.Helper()
	unit := time.Second
	for left := attempts - 1; ; left-- {
		v, ok := s.try(t, tc, unit)
		v.late = v.failure != "" && !v.stuck && tc.waits && v.overrun > slack(unit)
		if !v.late || left == 0 {
			return v, ok
		}
		unit *= 2
		t.Logf("the case has failed, but %v went by unasked for: again, with %v for a second", v.overrun, unit)
	}
}

// try runs a case once, under the watchdog. It reports false if newTarget did not return.
func (s *suite) try(t *testing.T, tc testCase, unit time.Duration) (verdict, bool) {
	t.Helper()
	tr := &trial{unit: unit, leaps: s.bubble, bubble: s.bubble}
	if s.bubble {
		s.watch(tr, func() { s.inBubble(t, tc, tr) })
	} else {
		unlock := s.target(t, tr)
		defer unlock()
		s.watch(tr, func() { tr.do(tc) })
	}
	return tr.verdict()
}

// target makes the target of tr. The caller calls what it returns at the end of the case.
func (s *suite) target(t *testing.T, tr *trial) func() {
	t.Helper()
	s.mu.Lock()
	keep := false
	defer func() {
		if !keep {
			s.mu.Unlock()
		}
	}()
	tr.start(t, s.newTarget(t))
	keep = tr.target.Advance != nil
	if keep {
		return s.mu.Unlock
	}
	return func() {}
}

// inBubble makes the target and runs the case inside a bubble. The goroutine that calls it is not t's own.
func (s *suite) inBubble(t *testing.T, tc testCase, tr *trial) {
	synctest.Test(t, func(t *testing.T) {
		defer func() {
			if t.Skipped() {
				tr.end(verdict{skip: "there is no target"})
			}
		}()
		tr.start(t, s.newTarget(t))
		tr.do(tc)
	})
}

// watch calls f in a goroutine of its own, and waits until it has returned or the case hangs. In the second
// case it leaves the goroutine behind.
func (s *suite) watch(tr *trial, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil { // a bubble has found that it cannot end
				tr.stuck("the case does not end, or leaves goroutines behind: %v", r)
			}
		}()
		f()
	}()
	const ticks = 8 // in the time that one call may take; a case may take as often as long
	tick := time.NewTicker(s.stall / ticks)
	defer tick.Stop()
	var limit <-chan time.Time
	if !s.limit.IsZero() {
		limit = time.After(time.Until(s.limit))
	}
	last, idle, busy := int64(0), 0, 0
	for {
		select {
		case <-done:
			return
		case <-limit:
			tr.stuck("the case has not ended, and go test's limit is near (-timeout)")
			return
		case <-tick.C:
		}
		if !tr.armed.Load() {
			idle = 0
			continue
		}
		busy++
		idle++
		if n := tr.progress.Load(); n != last {
			last, idle = n, 0
		}
		switch {
		case idle > ticks:
			tr.stuck("the case hangs: no call has come back for %v", s.stall)
			return
		case busy > ticks*ticks:
			tr.stuck("the case does not end: it has run for %v", ticks*s.stall)
			return
		}
	}
}

// stacks returns what all goroutines are doing, or the first that fit.
func stacks() string {
	buf := make([]byte, 64<<10)
	return string(buf[:runtime.Stack(buf, true)])
}

// report returns the text of a failure.
func report(test string, tc testCase, v verdict) string {
	var b strings.Builder
	failure := v.failure
	switch {
	case v.late: // the rule may be kept
		fmt.Fprintf(&b, "the case could not be judged: calls took so long that %v went by unasked for, "+
			"and too much in each of %d tries. The backend is slow, or the machine is busy.\n\n"+
			"rule that was to be checked:\n    %s\n\nsteps:\n", v.overrun, attempts, tc.rule)
		failure = "what was seen, which may come of the time that went by:\n" + v.failure
	case v.stuck: // the rule may be kept, and the backend be slow
		var why string
		why, failure, _ = strings.Cut(v.failure, "\n\n")
		fmt.Fprintf(&b, "%s\n\nbroken rule, unless the backend is right and slow:\n    %s\n\nsteps:\n", why, tc.rule)
	default:
		fmt.Fprintf(&b, "broken rule:\n    %s\n\nsteps:\n", tc.rule)
	}
	from := max(0, len(v.steps)-maxSteps)
	if from > 0 {
		fmt.Fprintf(&b, "    … %d before these\n", from)
	}
	for i, step := range v.steps[from:] {
		fmt.Fprintf(&b, "%4d. %s\n", from+i+1, step)
	}
	fmt.Fprintf(&b, "\n%s\n\nto run this case alone:\n    %s\n", failure, command(test))
	return b.String()
}

// maxSteps is how many steps a report shows: the last ones.
const maxSteps = 40

// command returns the command that runs a test alone.
func command(test string) string {
	elems := strings.Split(test, "/")
	for i, e := range elems {
		elems[i] = "^" + regexp.QuoteMeta(e) + "$"
	}
	pkg := "."
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasSuffix(info.Path, ".test") {
		pkg = strings.TrimSuffix(info.Path, ".test")
	}
	return fmt.Sprintf("go test %s -run '%s' -count=1", pkg, strings.Join(elems, "/"))
}
