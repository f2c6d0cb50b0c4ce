package conformance

import (
	"github.com/faeeb396/session/backend"
)

// Cases about what an Apply changes, what it depends on and what it replies.

var applyCases = []testCase{
	{
		name: "ApplyNeverCreates",
		rule: ruleOnlyCreate,
		run: func(t *trial) {
			id := t.id()
			for _, p := range everyPatch() {
				t.applyFails(id, p, backend.ErrNotFound)
				t.wantGone(id)
			}
			t.create(id, record(fields{"a": "1"}))
			t.wantFields(id, fields{"a": "1"})
		},
	},
	{
		name: "ApplyNeverRevives",
		rule: ruleNoRevival,
		run: func(t *trial) {
			for _, p := range everyPatch() {
				id := t.made(fields{"a": "1", "n": "1"})
				t.delete(id)
				t.applyFails(id, p, backend.ErrNotFound)
				t.wantGone(id)
			}
		},
	},
	{
		name: "ApplyZeroPatch",
		rule: "The zero Patch changes nothing and tells whether the record is there.",
		run: func(t *trial) {
			id := t.id()
			t.applyFails(id, backend.Patch{}, backend.ErrNotFound)
			t.create(id, record(fields{"a": "1"}))
			t.wantApply(id, backend.Patch{}, backend.Record{})
			t.wantFields(id, fields{"a": "1"})
		},
	},
	{
		name: "ApplySets",
		rule: "Set gives fields a new value, whether or not they are there.",
		run: func(t *trial) {
			id := t.made(fields{"a": "1", "b": "2"})
			t.apply(id, backend.Patch{Set: fields{"b": "3", "c": "4"}})
			t.wantFields(id, fields{"a": "1", "b": "3", "c": "4"})
		},
	},
	{
		name: "ApplyDeletes",
		rule: "Delete takes fields away. One that is not there is no error.",
		run: func(t *trial) {
			id := t.made(fields{"a": "1", "b": "", "c": "3"})
			t.apply(id, backend.Patch{Delete: []string{"b", "none", "c"}})
			t.wantFields(id, fields{"a": "1"})
			t.apply(id, backend.Patch{Delete: []string{"none"}})
			t.apply(id, backend.Patch{Delete: []string{"a"}})
			t.wantFields(id, nil) // a record without fields is still a record
		},
	},
	{
		name: "ApplyAllAtOnce",
		rule: "Apply changes the record under id, all of p or nothing.",
		run: func(t *trial) {
			id := t.made(fields{"keep": "k", "set": "old", "gone": "g", "n": "41"})
			p := backend.Patch{
				If: fields{"set": "old", "n": "41", "gone": "g"}, Has: []string{"keep", "gone"},
				Set: fields{"set": "new", "made": "m"}, Delete: []string{"gone"}, Add: map[string]int64{"n": 1, "m": -1},
			}
			t.wantApply(id, p, backend.Record{Fields: fields{"n": "42", "m": "-1"}})
			t.wantFields(id, fields{"keep": "k", "set": "new", "made": "m", "n": "42", "m": "-1"})
		},
	},
	{
		name: "ApplyPrecedence",
		rule: rulePrecedence,
		run: func(t *trial) {
			none := t.id()
			conflict := backend.Patch{If: fields{"a": "x"}}
			counter := backend.Patch{Add: map[string]int64{"text": 1}}
			both := backend.Patch{If: fields{"a": "x"}, Add: map[string]int64{"text": 1}}
			missing := backend.Patch{Has: []string{"none"}, Add: map[string]int64{"text": 1}}
			for _, p := range []backend.Patch{conflict, counter, both, missing} {
				t.applyFails(none, p, backend.ErrNotFound)
			}
			id := t.made(fields{"a": "1", "text": "one"})
			t.applyFails(id, conflict, backend.ErrConflict)
			t.applyFails(id, counter, backend.ErrCounter)
			t.applyFails(id, both, backend.ErrConflict)
			t.applyFails(id, missing, backend.ErrConflict)
		},
	},
	{
		name: "ApplyErrorsChangeNothing",
		rule: ruleChecks,
		run: func(t *trial) {
			before := fields{"a": "1", "b": "2", "n": "5", "text": "one"}
			id := t.made(before)
			for _, p := range failingPatches() {
				p.Patch.TTL = 2 * hour
				t.applyFails(id, p.Patch, p.err)
				t.wantFields(id, before)
			}
		},
	},
	{
		name: "ApplyDurable",
		rule: "It changes neither what the patch does nor its reply.",
		run: func(t *trial) {
			before := fields{"a": "1", "b": "2", "n": "5", "text": "one"}
			for _, p := range everyPatch() {
				durable := p
				durable.Durable = true
				t.applyFails(t.id(), durable, backend.ErrNotFound)
				id := t.made(before)
				want := t.apply(id, p)
				like := t.made(before)
				t.wantApply(like, durable, want)
				if p.Remove {
					t.wantGone(like)
					continue
				}
				t.wantLoad(like, t.load(id))
			}
			id := t.made(before)
			for _, p := range failingPatches() {
				p.Durable = true
				t.applyFails(id, p.Patch, p.err)
				t.wantFields(id, before)
			}
		},
	},
}

// everyPatch returns patches of every kind, all of which would succeed on a record with a=1 and n=1.
func everyPatch() []backend.Patch {
	return []backend.Patch{
		{},
		{Load: true},
		{Touch: true},
		{TTL: hour},
		{TTL: hour, Touch: true, Load: true},
		{Set: fields{"a": "2"}},
		{Set: fields{"a": "2"}, Load: true},
		{Delete: []string{"a"}},
		{Delete: []string{"none"}, Touch: true},
		{Add: map[string]int64{"n": 1}},
		{Add: map[string]int64{"new": 1}, TTL: hour},
		{If: fields{"none": ""}},
		{If: fields{"none": ""}, Set: fields{"a": "2"}, Touch: true},
		{If: fields{"a": "1"}, Set: fields{"a": "2"}},
		{Has: []string{"a"}, Touch: true},
		{Remove: true},
		{Remove: true, Load: true},
	}
}

// failingPatch is a patch that fails.
type failingPatch struct {
	backend.Patch
	err error
}

// failingPatches returns patches that would change a record with a=1, b=2, n=5 and text=one, each for one
// reason not to.
func failingPatches() []failingPatch {
	change := func(p backend.Patch, err error) failingPatch {
		p.Set, p.Delete, p.Touch = fields{"a": "x", "c": "x"}, []string{"b"}, true
		if p.Add == nil {
			p.Add = map[string]int64{"n": 1}
		}
		return failingPatch{p, err}
	}
	return []failingPatch{
		change(backend.Patch{If: fields{"a": "2"}}, backend.ErrConflict),
		change(backend.Patch{If: fields{"a": "1", "b": "x"}}, backend.ErrConflict),
		change(backend.Patch{If: fields{"none": "x"}}, backend.ErrConflict),
		change(backend.Patch{Has: []string{"none"}}, backend.ErrConflict),
		change(backend.Patch{Has: []string{"a", "b", "none"}}, backend.ErrConflict),
		change(backend.Patch{If: fields{"a": "1"}, Has: []string{"none"}}, backend.ErrConflict),
		change(backend.Patch{Add: map[string]int64{"text": 1}}, backend.ErrCounter),
		change(backend.Patch{Add: map[string]int64{"n": 1, "text": 1, "m": 1}}, backend.ErrCounter),
		change(backend.Patch{Add: map[string]int64{"n": backend.MaxCounter}}, backend.ErrCounter),
		change(backend.Patch{Add: map[string]int64{"n": 1, "m": backend.MaxCounter + 1}}, backend.ErrCounter),
	}
}

// refusedPatches returns patches that would change no field of a record with a=1, each with a condition that does not
// hold.
func refusedPatches() []failingPatch {
	wrong, none := fields{"a": "2"}, []string{"none"}
	return []failingPatch{
		{backend.Patch{If: wrong}, backend.ErrConflict},
		{backend.Patch{If: wrong, Load: true}, backend.ErrConflict},
		{backend.Patch{If: wrong, Remove: true}, backend.ErrConflict},
		{backend.Patch{Has: none}, backend.ErrConflict},
		{backend.Patch{Has: none, Load: true}, backend.ErrConflict},
		{backend.Patch{Has: none, Remove: true, Load: true}, backend.ErrConflict},
	}
}

var conditionCases = []testCase{
	{
		name: "IfHoldsValue",
		rule: ruleIf,
		run: func(t *trial) {
			id := t.made(fields{"a": "1", "b": "2"})
			t.apply(id, backend.Patch{If: fields{"a": "1", "b": "2"}})
			t.apply(id, backend.Patch{If: fields{"a": "1"}, Set: fields{"a": "2"}}) // judged by the old value
			t.wantFields(id, fields{"a": "2", "b": "2"})
			for _, wrong := range []string{"1", "", "22", "2 ", "02"} {
				t.applyFails(id, backend.Patch{If: fields{"a": wrong}, Set: fields{"a": "3"}}, backend.ErrConflict)
			}
			t.applyFails(id, backend.Patch{If: fields{"a": "2", "b": "1"}, Set: fields{"a": "3"}}, backend.ErrConflict)
			t.applyFails(id, backend.Patch{If: fields{"b": "1"}}, backend.ErrConflict) // even with nothing to change
			t.applyFails(id, backend.Patch{If: fields{"b": "1"}, Load: true}, backend.ErrConflict)
			t.wantFields(id, fields{"a": "2", "b": "2"})
		},
	},
	{
		name: "IfAbsentIsEmpty",
		rule: ruleIf,
		run: func(t *trial) {
			id := t.made(fields{"a": "1"})
			t.apply(id, backend.Patch{If: fields{"none": ""}, Set: fields{"a": "2"}})
			t.apply(id, backend.Patch{If: fields{"none": "", "a": "2"}})
			t.applyFails(id, backend.Patch{If: fields{"none": "x"}, Set: fields{"a": "3"}}, backend.ErrConflict)
			t.applyFails(id, backend.Patch{If: fields{"none": "", "a": ""}, Set: fields{"a": "3"}}, backend.ErrConflict)
			t.wantFields(id, fields{"a": "2"})
		},
	},
	{
		name: "IfEmptyValue",
		rule: ruleIf,
		run: func(t *trial) {
			id := t.made(fields{"a": "", "b": "1"})
			t.apply(id, backend.Patch{If: fields{"a": ""}, Set: fields{"b": "2"}})
			t.applyFails(id, backend.Patch{If: fields{"a": "1"}, Set: fields{"b": "3"}}, backend.ErrConflict)
			t.wantFields(id, fields{"a": "", "b": "2"})
			t.apply(id, backend.Patch{Delete: []string{"a"}})
			t.apply(id, backend.Patch{If: fields{"a": ""}, Set: fields{"b": "3"}})
			t.wantFields(id, fields{"b": "3"})
		},
	},
	{
		name: "HasField",
		rule: ruleHas,
		run: func(t *trial) {
			id := t.made(fields{"a": "1", "empty": ""})
			t.apply(id, backend.Patch{Has: []string{"a"}})
			t.apply(id, backend.Patch{Has: []string{"empty"}, Set: fields{"b": "1"}})
			t.apply(id, backend.Patch{Has: []string{"a", "empty", "b", "a"}, Delete: []string{"b"}}) // twice is fine
			for _, names := range [][]string{{"none"}, {"a", "none"}, {"none", "a"}, {"b"}, {"A"}} {
				t.applyFails(id, backend.Patch{Has: names, Set: fields{"a": "2"}}, backend.ErrConflict)
			}
			t.applyFails(id, backend.Patch{Has: []string{"new"}, Set: fields{"new": "1"}}, backend.ErrConflict)
			t.applyFails(id, backend.Patch{Has: []string{"new"}, Add: map[string]int64{"new": 1}}, backend.ErrConflict)
			t.applyFails(id, backend.Patch{Has: []string{"none"}, Load: true}, backend.ErrConflict)
			t.wantFields(id, fields{"a": "1", "empty": ""})
		},
	},
	{
		name: "ConditionsOnOneField",
		rule: ruleHas,
		run: func(t *trial) {
			// If and Has on the same field together tell an empty value from an absent one.
			id := t.made(fields{"empty": ""})
			t.apply(id, backend.Patch{If: fields{"empty": ""}, Has: []string{"empty"}, Touch: true})
			t.applyFails(id, backend.Patch{If: fields{"none": ""}, Has: []string{"none"}, Touch: true}, backend.ErrConflict)
			t.apply(id, backend.Patch{If: fields{"none": ""}, Has: []string{"empty"}, Add: map[string]int64{"none": 2}})
			t.wantFields(id, fields{"empty": "", "none": "2"})
		},
	},
}
