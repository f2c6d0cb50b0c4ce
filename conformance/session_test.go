package conformance_test

import (
	"context"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

// checkMutant runs a case on the mutant of that name.
func checkMutant(t *testing.T, mutant, name string) conformance.Outcome {
	t.Helper()
	for _, m := range mutants() {
		if m.name == mutant {
			return conformance.Check(t, name, time.Minute, func(*testing.T) conformance.Target { return m.target(newComplete()) })
		}
	}
	t.Fatalf("there is no mutant %q", mutant)
	panic("unreachable")
}

// A report shows what was asked of the Manager, and what the Manager asked of the backend.
func TestSessionReport(t *testing.T) {
	o := checkMutant(t, "an empty If value is no condition", "SessionLoginShutsOutOlder")
	got := strings.ReplaceAll(o.Report, "\u00a0", " ")
	for _, want := range []string{
		`^broken rule:\n    Requests that began before the login cannot write after it: they fail with ErrConflict\.\n`,
		`\n   1\. Create\(\{"a": "1", "n": "1"\}, 0s\)\n   2\.     Create\("[\w-]{16}", \{"a": "1", "created_at": .*\} for 30m0s\) = ok\n`,
		`\n   3\. second\.Load\(token of "[\w-]{16}"\)\n   4\.     second\.Load\("[\w-]{16}"\) = \{`,
		`\n   5\. Login\(owner\), Commit\(\)\n   6\.     Apply\("owner:`,
		`\n +\d+\. by a request from before: second\.Set\("a", "late"\), Commit\(\), to fail with ErrConflict\n +\d+\.     second\.Apply\(.*\) = \{\}\n\n`,
		`\n\S.* returned another error, mismatch \(-want \+got\):\n  - ErrConflict\n  \+ ok\n`,
		`\nto run this case alone:\n    go test \S*conformance -run '\^TestSessionReport\$' -count=1\n$`,
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("the report does not match %s", want)
		}
	}
	if t.Failed() {
		t.Logf("the report:\n%s", got)
	}
}

// A Manager that is told again and again that somebody else was faster comes to an end.
func TestSessionCaseEnds(t *testing.T) {
	o := checkMutant(t, "Set replaces the whole record", "SessionLoginKeepsID")
	if want := "a Manager has called the backend 16384 times and goes on"; !strings.HasPrefix(o.Failure, want) {
		t.Errorf("failure = %s\nwant %s…", o.Failure, want)
	}
}

// A backend that panics in a goroutine of the Manager's fails the case and does not end the test.
func TestSessionCasePanics(t *testing.T) {
	var calls atomic.Int64
	o := conformance.Check(t, "SessionOwnerListed", time.Minute, func(*testing.T) conformance.Target {
		return loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			if calls.Add(1) == 3 { // of a session, as an owner's are listed
				panic("as told")
			}
			return c.Load(ctx, id)
		})(newComplete())
	})
	if !strings.HasPrefix(o.Failure, "panic: as told\n\ngoroutine ") || !strings.Contains(o.Failure, "inspect") {
		t.Errorf("failure = %s\nwant a panic below Manager.Sessions", o.Failure)
	}
}
