package conformance_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

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
}

// hangsIn names, in the environment of another process of this test, a target of hanging.
const hangsIn = "CONFORMANCE_TEST_HANGS"

// TestSuiteOnHanging is what TestHangs runs in another process. It fails there, as it should.
func TestSuiteOnHanging(t *testing.T) {
	target, ok := hanging[os.Getenv(hangsIn)]
	if !ok {
		t.Skip("it is run by TestHangs")
	}
	newTarget := func(*testing.T) conformance.Target { return target(newComplete()) }
	t.Run("RealTime", func(t *testing.T) { conformance.RunStalled(t, mutantStall, false, newTarget) })
	t.Run("Bubble", func(t *testing.T) { conformance.RunStalled(t, mutantStall, true, newTarget) })
}

// Where no call comes back, a few cases say which, and no other takes time that go test will not give.
func TestHangs(t *testing.T) {
	for _, tt := range []struct{ name, pending string }{
		{name: "Everything", pending: `calls that have not come back:\n +Create\("c-\w+", \{"user": "ann"\} for 1h0m0s\)\n`},
		{name: "Delete", pending: `calls that have not come back:\n +Delete\("c-\w+"\)\n`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSuiteOnHanging$", "-test.v")
			cmd.Env = append(os.Environ(), hangsIn+"="+tt.name)
			out, err := cmd.CombinedOutput()
			text := string(out)
			for _, run := range []string{"RealTime", "Bubble"} {
				name := "TestSuiteOnHanging/" + run
				if got := strings.Count(text, "--- FAIL: "+name+"/"); got != conformance.MaxStuck {
					t.Errorf("%s: %d cases failed, want %d", run, got, conformance.MaxStuck)
				}
				rest := len(allCases()) - conformance.MaxStuck
				if got := strings.Count(text, "--- SKIP: "+name+"/"); got < rest-30 || got > rest {
					t.Errorf("%s: %d cases were skipped, want about %d", run, got, rest)
				}
			}
			end := regexp.MustCompile(fmt.Sprintf(`stopped after %d cases that came to no end; \d+ of %d cases were not run`,
				conformance.MaxStuck, len(allCases())))
			if got := len(end.FindAll(out, -1)); got != 2 {
				t.Errorf("the end of the run is told %d times, want 2", got)
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
