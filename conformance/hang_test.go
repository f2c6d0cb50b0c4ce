package conformance_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

// hanging are targets some of whose calls never come back, whatever becomes of their context.
var hanging = map[string]func(*complete) conformance.Target{
	"Everything": alter(func(*complete) altered {
		return altered{
			create: func(context.Context, string, backend.Record) error { select {} },
			load:   func(context.Context, string) (backend.Record, error) { select {} },
			apply:  func(context.Context, string, backend.Patch) (backend.Record, error) { select {} },
			del:    func(context.Context, string) error { select {} },
		}
	}),
	"Delete": alter(func(*complete) altered {
		return altered{del: func(context.Context, string) error { select {} }}
	}),
	"Slow": alter(func(c *complete) altered {
		return altered{load: func(ctx context.Context, id string) (backend.Record, error) {
			time.Sleep(slowCall)
			return c.Load(ctx, id)
		}}
	}),
}

// slowCall is how long a call of the slow target takes: much less than what a case is stopped for.
const slowCall = 100 * time.Millisecond

// hangsIn names a target of hanging, in the environment of the process that TestHangs starts.
const hangsIn = "CONFORMANCE_TEST_HANGS"

// Where no call comes back, a few cases say which, and no other takes time that go test will not give. The suite runs
// in another process, where this test fails, as it should.
func TestHangs(t *testing.T) {
	if target, ok := hanging[os.Getenv(hangsIn)]; ok {
		newTarget := func(*testing.T) conformance.Target { return target(newComplete()) }
		if os.Getenv(hangsIn) == "Slow" {
			t.Run("RealTime", func(t *testing.T) { conformance.RunStalled(t, time.Minute, false, newTarget) })
			return
		}
		t.Run("RealTime", func(t *testing.T) { conformance.RunStalled(t, mutantStall, false, newTarget) })
		t.Run("Bubble", func(t *testing.T) { conformance.RunStalled(t, mutantStall, true, newTarget) })
		return
	}
	for _, tt := range []struct{ name, pending string }{
		{name: "Everything", pending: `calls that have not come back:\n +Create\("c-\w+", \{"user": "ann"\} for 1h0m0s\)\n`},
		{name: "Delete", pending: `calls that have not come back:\n +Delete\("c-\w+"\)\n`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHangs$", "-test.v")
			cmd.Env = append(os.Environ(), hangsIn+"="+tt.name)
			out, err := cmd.CombinedOutput()
			text := string(out)
			for _, run := range []string{"RealTime", "Bubble"} {
				name := "TestHangs/" + run
				if got := strings.Count(text, "--- FAIL: "+name+"/"); got != conformance.MaxStuck {
					t.Errorf("%s: %d cases failed, want %d", run, got, conformance.MaxStuck)
				}
				rest := len(allCases()) - conformance.MaxStuck
				skipped := strings.Count(text, "--- SKIP: "+name+"/")
				if skipped < rest-30 || skipped > rest { // some pass before, which call little
					t.Errorf("%s: %d cases were skipped, want about %d", run, skipped, rest)
				}
				end := fmt.Sprintf("stopped after %d cases that came to no end; %d of %d cases were not run",
					conformance.MaxStuck, skipped, len(allCases()))
				if !strings.Contains(text, end) {
					t.Errorf("%s does not tell %q", run, end)
				}
			}
			if !regexp.MustCompile(tt.pending).Match(out) {
				t.Errorf("no report matches %s", tt.pending)
			}
			if err == nil {
				t.Error("the test of a backend that hangs is green")
			}
			if t.Failed() {
				t.Logf("the output:\n%.20000s", text)
			}
		})
	}
}

// Where calls come back, each after some time, the suite ends before go test ends it: what has failed is told.
func TestEndsBeforeTheLimit(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHangs$", "-test.v", "-test.timeout=10s")
	cmd.Env = append(os.Environ(), hangsIn+"=Slow")
	out, err := cmd.CombinedOutput()
	text := string(out)
	skipped := strings.Count(text, "--- SKIP: TestHangs/RealTime/")
	if skipped == 0 {
		t.Error("all cases were run")
	}
	for _, want := range []string{
		"the case has not ended, and go test's limit is near (-timeout)",
		"not run: the suite has stopped because go test's limit is near (-timeout)",
		fmt.Sprintf("stopped because go test's limit is near (-timeout); %d of %d cases were not run", skipped, len(allCases())),
		"--- FAIL: TestHangs/RealTime",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the output does not tell %q", want)
		}
	}
	if err == nil || strings.Contains(text, "panic: test timed out") {
		t.Errorf("the test ended with %v, want a failure that is no panic", err)
	}
	if t.Failed() {
		t.Logf("the output:\n%.20000s", text)
	}
}

// A call of an optional part that does not come back is named, too.
func TestReportNamesWhatHangs(t *testing.T) {
	for _, tt := range []struct {
		name, pending string
		target        func(*complete) conformance.Target
	}{
		{name: "ScanNamesLive", pending: "Scan()", target: hangingScan},
		{name: "SessionIDs", pending: "Scan(), of IDs()", target: hangingScan},
		{name: "PingWell", pending: "Ping()", target: func(c *complete) conformance.Target {
			return conformance.Target{Backend: hangingPing{c}}
		}},
		{name: "FreshReadsPast", pending: "Fresh()", target: hangingFresh},
		{name: "SessionIDs", pending: "Fresh()", target: hangingFresh},
	} {
		t.Run(tt.name+" "+tt.pending, func(t *testing.T) {
			o := conformance.CheckRealTime(t, tt.name, mutantStall, func(*testing.T) conformance.Target {
				return tt.target(newComplete())
			})
			if want := "calls that have not come back:\n    " + tt.pending + "\n\n"; !strings.Contains(o.Failure, want) {
				t.Errorf("failure = %.2000s\nwant it to hold %q", o.Failure, want)
			}
		})
	}
}

var hangingScan = scanning(func(*complete, context.Context) iter.Seq2[string, error] {
	return func(func(string, error) bool) { select {} }
})

type hangingPing struct{ *complete }

func (hangingPing) Ping(context.Context) error { select {} }

func hangingFresh(c *complete) conformance.Target {
	return conformance.Target{Backend: freshHangs{c}}
}

type freshHangs struct{ *complete }

func (freshHangs) Fresh() backend.Backend { select {} }
