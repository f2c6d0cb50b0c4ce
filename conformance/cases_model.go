package conformance

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/faeeb396/session/backend"
)

// The case that compares whatever sequence of calls with a model.

var modelCases = []testCase{
	{
		name: "Model",
		rule: ruleAtomic,
		run:  func(t *trial) { t.sequences(modelTime) },
	},
}

// modelTime is for how long sequences are tried where calls take time, and for how long the shortest that fails is
// looked for: well within what the watchdog grants a case.
const modelTime = 10 * time.Second

// sequences follows one sequence after the other. Outside a bubble it begins none after limit, but for the first.
func (tr *trial) sequences(limit time.Duration) {
	sequences := 60
	if tr.bubble {
		sequences = 300
	}
	late := tr.later(limit)
	for i := range sequences {
		if i > 0 && late() {
			return
		}
		rnd := rand.New(rand.NewPCG(uint64(i), 0)) // the same each time, so that what fails once fails again
		steps := modelSteps
		ops := tr.maker(rnd.IntN).sequence(func() bool { steps--; return steps >= 0 })
		tr.follow(ops, limit)
	}
}

// later returns a function that reports whether limit has passed, which in a bubble it never has: calls take no time
// there.
func (tr *trial) later(limit time.Duration) func() bool {
	begun := time.Now()
	return func() bool { return !tr.bubble && time.Since(begun) >= limit }
}

// maker returns a maker of sequences for the target.
func (tr *trial) maker(choose chooser) *maker {
	return &maker{choose: choose, model: newModel(), second: tr.target.Second != nil, passes: tr.leaps}
}

// shrinkTries is how many sequences are tried to find the shortest that fails.
const shrinkTries = 500

// follow runs a sequence, and fails the case with the shortest that goes otherwise than the model says. Outside a
// bubble it looks for that until limit has passed.
func (tr *trial) follow(ops []op, limit time.Duration) {
	run := tr.replay(ops)
	if run.failure == "" {
		return
	}
	late := tr.later(limit)
	shrink(ops[:len(run.steps)], func(shorter []op) bool {
		if late() {
			return false
		}
		again := tr.replay(shorter)
		if again.failure == "" {
			return false
		}
		run = again
		return true
	}, shrinkTries)
	for _, step := range run.steps {
		tr.stepf("%s", step)
	}
	tr.failf("%s\n\nIt is the last step of the shortest sequence that was found, of %d. After each call, the caller changes\n"+
		"all maps that it gave and was given.", run.failure, len(ops))
}

// A replay is what came of a sequence.
type replay struct {
	steps   []string
	failure string // of the last step
}

// replay runs a sequence on records of its own, up to the first step that goes otherwise than a model says.
func (tr *trial) replay(ops []op) replay {
	m := newModel()
	var ids [modelIDs]string
	for i := range ids {
		ids[i] = tr.id()
	}
	var r replay
	for _, o := range ops {
		if o.kind == opPass {
			o.pass = m.clearly(o.pass)
		}
		want, wantErr := m.do(o)
		got, err := tr.perform(o, ids[o.id])
		r.steps = append(r.steps, o.show(ids[o.id], got, err))
		if r.failure = differ(o, want, got, wantErr, err); r.failure != "" {
			return r
		}
		clear(got.Fields)
		set(&got.Fields, "a", "scribbled")
	}
	return r
}

// perform makes a call, and then changes the maps that it has given.
func (tr *trial) perform(o op, id string) (rec backend.Record, err error) {
	c := tr.client
	if o.second {
		c = tr.second
	}
	switch o.kind {
	case opCreate:
		given := clone(o.record)
		err = c.tryCreate(id, given)
		clear(given.Fields)
	case opLoad:
		rec, err = c.tryLoad(id)
	case opApply:
		given := clonePatch(o.patch)
		rec, err = c.tryApply(id, given)
		clear(given.If)
		clear(given.Set)
		clear(given.Add)
	case opDelete:
		err = c.tryDelete(id)
	case opPass:
		tr.pass(o.pass)
	}
	return rec, err
}

// differ returns how the outcome of a call is another than it has to be, or "".
func differ(o op, want, got backend.Record, wantErr, err error) string {
	method := [...]string{opLoad: "Load", opCreate: "Create", opApply: "Apply", opDelete: "Delete", opPass: "time"}[o.kind]
	if !errors.Is(err, wantErr) {
		return fmt.Sprintf("%s returned another error, mismatch (-want +got):\n  - %s\n  + %s", method, showError(wantErr), showError(err))
	}
	if d := diff(want, got); err == nil && d != "" {
		return fmt.Sprintf("%s returned another record, mismatch (-want +got):\n%s", method, d)
	}
	return ""
}
