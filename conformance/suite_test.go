package conformance_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

func mapTarget(*testing.T) conformance.Target {
	return conformance.Target{Backend: newMapBackend()}
}

// A report says what is wrong and how to see it.
func TestReport(t *testing.T) {
	o := conformance.Check(t, "CreateKeepsOldRecord", time.Minute, func(*testing.T) conformance.Target {
		return creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			err := c.Create(ctx, id, rec)
			if errors.Is(err, backend.ErrExists) {
				c.edit(id, func(e *entry) { e.Fields["user"] = "bob" })
			}
			return err
		})(newComplete())
	})
	// cmp uses no-break spaces at its own will.
	got := strings.ReplaceAll(o.Report, "\u00a0", " ")
	for _, want := range []string{
		`^broken rule:\n    If one is there already, it fails with ErrExists and leaves that one, and its remaining time to live, as they were\.\n`,
		`\nsteps:\n   1\. Create\("c-[A-Z2-7]{16}", \{"user": "ann"\} for 1h0m0s\) = ok\n`,
		`\n   2\. Create\("c-[A-Z2-7]{16}", \{"new": "1", "user": "bob"\} for 1m0s\) = ErrExists\n`,
		`\n   3\. Load\("c-[A-Z2-7]{16}"\) = \{"user": "bob"\} for 1h0m0s\n`,
		`\nLoad returned another record, mismatch \(-want \+got\):\n`,
		`\n-\s+Fields: +map\[string\]string\{"user": "ann"\},\n\+\s+Fields: +map\[string\]string\{"user": "bob"\},\n`,
		`\nto run this case alone:\n    go test \S*conformance -run '\^TestReport\$' -count=1\n$`,
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("the report does not match %s", want)
		}
	}
	if t.Failed() {
		t.Logf("the report:\n%s", got)
	}
}

func TestReportOfWrongError(t *testing.T) {
	o := conformance.Check(t, "LoadNotFound", time.Minute, func(*testing.T) conformance.Target {
		return loading(func(*complete, context.Context, string) (backend.Record, error) {
			return none, errors.New("connection refused")
		})(newComplete())
	})
	want := "Load returned another error, mismatch (-want +got):\n  - ErrNotFound\n  + error \"connection refused\""
	if o.Failure != want {
		t.Errorf("failure = %s\nwant %s", o.Failure, want)
	}
}

// What a case was busy with is seen in the dump.
func TestReportOfStuckCase(t *testing.T) {
	for _, m := range stuckMutants {
		t.Run(m.name, func(t *testing.T) {
			want := map[string]string{
				"a conflict leaves a mutex locked":         `(?s)^the case hangs: no call has come back for 250ms\n\ncalls that have not come back:\n    Apply\("c-\w+", \{.*\}\)\n\ngoroutine .*sync\.\(\*Mutex\)\.Lock`,
				"a conflict never gives its place back":    `(?s)^the case does not end, or leaves goroutines behind: deadlock: .*\n\ncalls that have not come back:\n    Apply\("c-\w+", \{.*\}\)\n\n.*\[chan send \(durable\)`,
				"Create panics on a record without fields": `(?s)^panic: assignment to entry in nil map\n\ngoroutine .*mutants_caller_test\.go`,
				"a lost race panics":                       `(?s)^goroutine \d+: panic: record already exists\n\ngoroutine .*mutants_caller_test\.go`,
				"a goroutine of the backend never ends":    `(?s)^the case does not end, or leaves goroutines behind: deadlock: .*\n\nall calls of the backend have come back\n\n.*\[sleep \(durable\)`,
				"Scan never ends":                          `^Scan failed: a Scan has yielded 262144 times and goes on$`,
			}[m.name]
			stall := mutantStall
			if m.name == "Scan never ends" {
				stall = time.Minute // it is found to have no end before that
			}
			o := conformance.Check(t, m.kills[0], stall, func(*testing.T) conformance.Target { return m.target(newComplete()) })
			if want == "" || !regexp.MustCompile(want).MatchString(o.Failure) {
				t.Errorf("failure = %s\nwant a match of %s", o.Failure, want)
			}
			if why, _, _ := strings.Cut(o.Failure, "\n\n"); strings.HasPrefix(why, "the case ") &&
				!strings.HasPrefix(o.Report, why+"\n\nbroken rule, unless the backend is right and slow:\n    ") {
				t.Errorf("report = %.400s\nwant it to begin with why the case has ended: %s", o.Report, why)
			}
		})
	}
}

// Without a bubble it is the watchdog alone that finds a case which hangs.
func TestStuckInRealTime(t *testing.T) {
	for _, m := range stuckMutants {
		if !strings.HasPrefix(m.name, "a conflict") {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			o := conformance.CheckRealTime(t, m.kills[0], mutantStall, func(*testing.T) conformance.Target {
				return m.target(newComplete())
			})
			want := regexp.MustCompile(`(?s)^the case hangs: no call has come back for 250ms\n\ncalls that have not come back:\n    Apply\("c-\w+", \{.*\}\)\n\ngoroutine .*` + `conformance_test\..*\.Apply\(`)
			if !want.MatchString(o.Failure) {
				t.Errorf("failure = %s\nwant a match of %s", o.Failure, want)
			}
		})
	}
}

// Time that was lost, on a busy machine, is no fault of the backend.
func TestWaitingCaseIsJudgedAgain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		f     func(try int) (lost time.Duration, fails bool)
		tries int
		fails bool
		late  bool // so late that the report accuses nobody
	}{
		{
			name:  "well",
			f:     func(int) (time.Duration, bool) { return 0, false },
			tries: 1,
		},
		{
			name:  "well though time was lost",
			f:     func(int) (time.Duration, bool) { return time.Hour, false },
			tries: 1,
		},
		{
			name:  "broken",
			f:     func(int) (time.Duration, bool) { return 400 * time.Millisecond, true },
			tries: 1,
			fails: true,
		},
		{
			name:  "slow twice",
			f:     func(try int) (time.Duration, bool) { return 801 * time.Millisecond, try < 3 },
			tries: 3,
		},
		{
			name:  "slow, then broken with more time",
			f:     func(int) (time.Duration, bool) { return 801 * time.Millisecond, true },
			tries: 3,
			fails: true,
		},
		{
			name:  "always slow",
			f:     func(int) (time.Duration, bool) { return time.Hour, true },
			tries: 4,
			fails: true,
			late:  true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := conformance.Judge(t, mapTarget, tt.f)
			if o.Tries != tt.tries || (o.Failure != "") != tt.fails {
				t.Errorf("%d tries, failure %q; want %d tries, failure %v", o.Tries, o.Failure, tt.tries, tt.fails)
			}
			want := "broken rule:"
			if tt.late {
				want = "the case could not be judged: calls took so long that 1h0m0s went by"
			}
			if tt.fails && !strings.HasPrefix(o.Report, want) {
				t.Errorf("the report does not begin with %q:\n%s", want, o.Report)
			}
			if tt.late && strings.Contains(o.Report, "broken") {
				t.Errorf("the report accuses the backend:\n%s", o.Report)
			}
		})
	}
}

// A target may skip the case, or not be made.
func TestTargetSkips(t *testing.T) {
	ran := false
	t.Run("Skipped", func(t *testing.T) {
		t.Cleanup(func() {
			if !t.Skipped() {
				t.Error("a case whose target was skipped is not skipped itself")
			}
		})
		conformance.RunCase(t, "LoadNotFound", func(t *testing.T) conformance.Target {
			ran = true
			t.Skip("no server")
			panic("unreachable")
		})
	})
	if !ran {
		t.Error("the target was not asked for")
	}
}

func TestCommand(t *testing.T) {
	got := conformance.Command("TestStore/Redis_7.0/LoadNotFound")
	want := `go test github.com/faeeb396/session/conformance -run '^TestStore$/^Redis_7\.0$/^LoadNotFound$' -count=1`
	if got != want {
		t.Errorf("command = %s\nwant      %s", got, want)
	}
}
