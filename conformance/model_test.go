package conformance_test

import (
	"context"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/conformance"
)

// The case Model prints no more than it takes to see the bug.
func TestModelShrinks(t *testing.T) {
	for _, m := range modelMutants {
		t.Run(m.name, func(t *testing.T) {
			o := conformance.Check(t, "Model", time.Minute, func(*testing.T) conformance.Target { return m.target(newComplete()) })
			if n := len(regexp.MustCompile(`(?m)^ +\d+\. `).FindAllString(o.Report, -1)); n < 3 || n > 6 {
				t.Errorf("the report has %d steps, want 3 to 6:\n%s", n, o.Report)
			}
		})
	}
}

func TestModelReport(t *testing.T) {
	o := conformance.Check(t, "Model", time.Minute, func(*testing.T) conformance.Target { return counting(newComplete()) })
	got := strings.ReplaceAll(o.Report, "\u00a0", " ")
	for _, want := range []string{
		`\nsteps:\n   1\. Create\("c-[A-Z2-7]{16}", \{\} for [0-9hms]+\) = ok\n   2\. (?:second\.)?Apply\("c-[A-Z2-7]{16}", \{Add: \{`,
		`\n   3\. (?:second\.)?Apply\("c-[A-Z2-7]{16}", \{Delete: \[.*\]\}\) = \{\}\n   4\. Apply\(`,
		`\nApply returned another (record|error), mismatch \(-want \+got\):\n`,
		`\nIt is the last step of the shortest sequence that was found, of \d+\. After each call, the caller changes\nall maps that it gave and was given\.\n`,
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("the report does not match %s", want)
		}
	}
	if t.Failed() {
		t.Logf("the report:\n%s", got)
	}
}

// On a slow store the case Model tries fewer sequences, and fewer ways to make one shorter.
func TestModelTakesItsTime(t *testing.T) {
	const limit, call = 100 * time.Millisecond, 2 * time.Millisecond
	for _, tt := range []struct {
		name  string
		alter func(p *backend.Patch)
		fails bool
	}{
		{name: "Correct", alter: func(*backend.Patch) {}},
		{name: "Broken", alter: func(p *backend.Patch) { p.Delete = nil }, fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			o := conformance.CheckModel(t, limit, func(*testing.T) conformance.Target {
				b := newMapBackend()
				return conformance.Target{Backend: altered{Backend: b, apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
					calls++
					time.Sleep(call)
					p = copyOfPatch(p)
					tt.alter(&p)
					return b.Apply(ctx, id, p)
				}}}
			})
			if (o.Failure != "") != tt.fails {
				t.Errorf("failure = %s, want one: %v", o.Failure, tt.fails)
			}
			// The limit may pass twice, and a sequence that has begun goes on to its end.
			if most := int(2*limit/call) + 80; calls > most {
				t.Errorf("%d calls of Apply, of %v each, want at most %d", calls, call, most)
			}
		})
	}
}

// Whatever sequence of calls: memory does what the model says. Fuzz it with -fuzzminimizetime 100x: what a sequence
// covers differs from run to run, so that minimizing it would take all the time.
func FuzzModel(f *testing.F) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		data := make([]byte, 300)
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 2000 {
			return
		}
		o := conformance.CheckSequence(t, data, func(*testing.T) conformance.Target {
			b := memory.New(nil)
			return conformance.Target{Backend: b, Second: b}
		})
		if o.Failure != "" {
			t.Error(o.Report)
		}
	})
}
