package conformance

import (
	"slices"
	"testing"
	"time"
)

// Case is a case as the suite's own tests see it.
type Case struct {
	Name, Rule string
	Waits      bool
}

// Cases returns the names and rules of all cases about a backend.
func Cases() []Case { return exported(cases()) }

// SessionCases returns those of all cases about a session.Manager.
func SessionCases() []Case { return exported(sessionCases()) }

func exported(cases []testCase) []Case {
	var all []Case
	for _, tc := range cases {
		all = append(all, Case{Name: tc.name, Rule: tc.rule, Waits: tc.waits})
	}
	return all
}

// find returns the case of that name.
func find(name string) (testCase, bool) {
	all := slices.Concat(cases(), sessionCases())
	i := slices.IndexFunc(all, func(tc testCase) bool { return tc.name == name })
	if i < 0 {
		return testCase{}, false
	}
	return all[i], true
}

// Outcome is how a case ended.
type Outcome struct {
	Failure string // "" if it did not fail
	Skip    string
	Report  string // what would be printed
	Tries   int
}

// Check runs the case of that name once, in a bubble, without failing t.
func Check(t *testing.T, name string, stall time.Duration, newTarget func(*testing.T) Target) Outcome {
	t.Helper()
	return check(t, name, &suite{newTarget: newTarget, stall: stall, bubble: true})
}

// CheckRealTime is Check without a bubble.
func CheckRealTime(t *testing.T, name string, stall time.Duration, newTarget func(*testing.T) Target) Outcome {
	t.Helper()
	return check(t, name, &suite{newTarget: newTarget, stall: stall})
}

func check(t *testing.T, name string, s *suite) Outcome {
	t.Helper()
	tc, ok := find(name)
	if !ok {
		t.Fatalf("there is no case %q", name)
	}
	v, _ := s.try(t, tc, time.Second)
	return Outcome{Failure: v.failure, Skip: v.skip, Report: report(t.Name(), tc, v)}
}

// Judge runs a case that waits, and does what f says: it loses some time, and fails if f says so.
func Judge(t *testing.T, newTarget func(*testing.T) Target, f func(try int) (lost time.Duration, fails bool)) Outcome {
	t.Helper()
	s := suite{newTarget: newTarget, stall: time.Minute, bubble: true}
	var o Outcome
	tc := testCase{name: "Judged", rule: "none", waits: true, run: func(tr *trial) {
		o.Tries++
		lost, fails := f(o.Tries)
		tr.wait(1)
		time.Sleep(lost)
		if fails {
			tr.failf("as told")
		}
	}}
	v, _ := s.settle(t, tc)
	o.Failure, o.Report = v.failure, report(t.Name(), tc, v)
	return o
}

// MaxStuck is how many cases may come to no end in a run.
const MaxStuck = maxStuck

// RunStalled runs all cases, in bubbles or not, each of which is watched for stall.
func RunStalled(t *testing.T, stall time.Duration, bubble bool, newTarget func(*testing.T) Target) {
	t.Helper()
	s := suite{newTarget: newTarget, stall: stall, bubble: bubble}
	s.all(t, slices.Concat(cases(), sessionCases()))
}

// Command is what a report says to run.
func Command(test string) string { return command(test) }

// RunCase is RunSynctest for one case alone, as t.
func RunCase(t *testing.T, name string, newTarget func(*testing.T) Target) {
	s := suite{newTarget: newTarget, stall: stallLimit, bubble: true}
	if tc, ok := find(name); ok {
		s.run(t, tc)
	}
}

// CheckSequence runs the sequence of calls that data spells, in a bubble, and compares it with the model.
func CheckSequence(t *testing.T, data []byte, newTarget func(*testing.T) Target) Outcome {
	t.Helper()
	s := suite{newTarget: newTarget, stall: time.Minute, bubble: true}
	tc := testCase{name: "Sequence", rule: ruleAtomic, run: func(tr *trial) {
		tr.follow(tr.maker(func(n int) int {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return int(b) % n
		}).sequence(func() bool { return len(data) > 0 }), modelTime)
	}}
	v, _ := s.try(t, tc, time.Second)
	return Outcome{Failure: v.failure, Skip: v.skip, Report: report(t.Name(), tc, v)}
}

// CheckModel runs the case Model without a bubble, with another limit of time for the sequences, and for making one that
// fails shorter.
func CheckModel(t *testing.T, limit time.Duration, newTarget func(*testing.T) Target) Outcome {
	t.Helper()
	s := suite{newTarget: newTarget, stall: time.Minute}
	tc := testCase{name: "Model", rule: ruleAtomic, run: func(tr *trial) { tr.sequences(limit) }}
	v, _ := s.try(t, tc, time.Second)
	return Outcome{Failure: v.failure, Skip: v.skip, Report: report(t.Name(), tc, v)}
}
