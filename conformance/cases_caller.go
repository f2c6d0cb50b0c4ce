package conformance

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
)

// Cases about what lies between a backend and its caller: maps, contexts, and a second client.

var ownershipCases = []testCase{
	{
		name: "KeepsNoMapOfCreate",
		rule: ruleOwnership,
		run: func(t *trial) {
			for _, given := range fewAndMany(fields{"a": "1", "b": "2"}) {
				id, want := t.id(), maps.Clone(given)
				t.create(id, record(given))
				scribble(t, given)
				t.wantFields(id, want)
			}
		},
	},
	{
		name: "KeepsNoMapOfApply",
		rule: ruleOwnership,
		run: func(t *trial) {
			for _, given := range fewAndMany(fields{"a": "1", "b": "2"}) {
				bare, set := t.made(nil), maps.Clone(given)
				t.apply(bare, backend.Patch{Set: set})
				scribble(t, set)
				t.wantFields(bare, given)
				id, want := t.made(fields{"c": "3", "d": "4"}), with(given, fields{"c": "3", "n": "1"})
				p := backend.Patch{
					If: fields{"c": "3", "d": "4"}, Has: []string{"c", "d"}, Set: given,
					Delete: []string{"d", "e"}, Add: map[string]int64{"n": 1},
				}
				t.apply(id, p)
				scribblePatch(t, p)
				t.wantFields(id, want)
			}
		},
	},
	{
		name: "ReturnsMapsOfLoad",
		rule: ruleOwnership,
		run: func(t *trial) {
			for _, all := range fewAndMany(fields{"a": "1", "b": "2"}) {
				id := t.made(all)
				first, other := t.load(id), t.load(id)
				scribble(t, first.Fields)
				t.same("the Load before", other, record(all))
				t.wantFields(id, all)
			}
		},
	},
	{
		name: "ReturnsMapsOfApply",
		rule: ruleOwnership,
		run: func(t *trial) {
			for _, all := range fewAndMany(fields{"a": "1", "n": "1"}) {
				id := t.made(all)
				for _, p := range []backend.Patch{
					{Load: true},
					{Load: true, Touch: true},
					{Load: true, Set: fields{"a": "1"}},
					{Load: true, Set: maps.Clone(all)},
					{Add: map[string]int64{"n": 0}},
					{Load: true, Add: map[string]int64{"n": 0}},
				} {
					scribble(t, t.apply(id, p).Fields)
					t.wantFields(id, all)
					scribble(t, p.Set)
					t.wantFields(id, all)
				}
			}
		},
	},
	{
		name: "ChangesNoMapItReturned",
		rule: ruleOwnership,
		run: func(t *trial) {
			for _, given := range fewAndMany(fields{"a": "1", "n": "1"}) {
				id, want := t.id(), record(maps.Clone(given))
				t.create(id, record(given))
				loaded := t.load(id)
				applied := t.apply(id, backend.Patch{Load: true})
				sums := t.apply(id, backend.Patch{Add: map[string]int64{"n": 1}})
				t.apply(id, backend.Patch{Set: fields{"a": "2", "c": "3"}, Add: map[string]int64{"n": 1}})
				t.delete(id)
				t.same("the Load before", loaded, want)
				t.same("the Apply before", applied, want)
				t.same("the counter before", sums, backend.Record{Fields: fields{"n": "2"}})
				t.same("Create's argument", record(given), want)
			}
		},
	},
	{
		name: "ChangesNoArgument",
		rule: ruleOwnership,
		run: func(t *trial) {
			for _, given := range fewAndMany(fields{"a": "1", "n": "1"}) {
				id, rec := t.id(), record(given)
				want := clone(rec)
				t.create(id, rec)
				t.same("Create's argument", rec, want)
				t.createFails(id, rec, backend.ErrExists)
				t.same("Create's argument", rec, want)
				changesNoPatch(t, id, given)
			}
		},
	},
}

// fewAndMany returns few, and many fields with few among them: what is large may be kept in another way.
func fewAndMany(few fields) []fields {
	many, _, _ := numbered(100)
	return []fields{few, with(many, few)}
}

// changesNoPatch checks that an Apply leaves its patch alone, whether it succeeds or not. The record has these fields,
// a and n among them.
func changesNoPatch(t *trial, id string, all fields) {
	has, gone := []string{"n"}, []string{"y", "x", "a"} // in no order, with room behind them
	for _, name := range slices.Backward(sorted(all)) {
		if name != "n" && name != "a" {
			has, gone = append(has, name), append(gone, "no "+name)
		}
	}
	has, gone = append(has, "a", "room"), append(gone, "room")
	whole := [][]string{has, gone}
	want := clonePatch(backend.Patch{Has: has, Delete: gone})
	p := backend.Patch{
		If: with(all, fields{"z": ""}), Has: has[:len(has)-1], Set: fields{"z": "1"},
		Delete: gone[:len(gone)-1], Add: map[string]int64{"n": 1}, TTL: 2 * hour, Touch: true,
	}
	wantPatch := clonePatch(p)
	for _, err := range []error{nil, backend.ErrConflict} {
		t.applyFails(id, p, err)
		if d := cmp.Diff(wantPatch, p); d != "" {
			t.failf("Apply has changed its argument, mismatch (-want +got):\n%s", d)
		}
		if d := cmp.Diff([][]string{want.Has, want.Delete}, whole); d != "" {
			t.failf("Apply has written behind its argument's Has or Delete, mismatch (-want +got):\n%s", d)
		}
	}
}

// scribble changes all that is in a map.
func scribble(t *trial, m fields) {
	t.stepf("the caller changes %s", showFields(m))
	if m == nil {
		return
	}
	for name := range m {
		m[name] = "scribbled"
	}
	m["more"] = "scribbled"
	delete(m, "b")
}

// scribblePatch changes all that is in a patch.
func scribblePatch(t *trial, p backend.Patch) {
	scribble(t, p.If)
	scribble(t, p.Set)
	t.stepf("the caller changes %s, %s and the counters", showNames(p.Has), showNames(p.Delete))
	for _, names := range [][]string{p.Has, p.Delete} {
		for i := range names {
			names[i] = "c"
		}
	}
	for name := range p.Add {
		p.Add[name] = 1000
	}
}

var contextCases = []testCase{
	{
		name: "ContextEnded",
		rule: ruleContext,
		run: func(t *trial) {
			id, none := t.made(fields{"a": "1", "n": "1"}), t.id()
			for _, c := range t.clients() {
				for _, ended := range t.endedContexts() {
					endedFails(c.with(ended), ended.Err(), id, none)
					t.stepf("with one that has not")
					t.wantFields(id, fields{"a": "1", "n": "1"})
					t.wantGone(none)
				}
			}
		},
	},
	{
		name: "ContextOfOneCall",
		rule: ruleContext,
		run: func(t *trial) {
			// A context ends with the request that it belongs to; what was written with it stays.
			ctx, cancel := context.WithTimeout(t.ctx, hour)
			defer cancel()
			id, c := t.id(), t.with(ctx)
			c.create(id, record(fields{"a": "1"}))
			c.apply(id, backend.Patch{Set: fields{"b": "2"}})
			c.load(id)
			cancel()
			t.stepf("the context of the calls so far ends")
			t.wantFields(id, fields{"a": "1", "b": "2"})
			t.apply(id, backend.Patch{Touch: true})
			t.delete(id)
			t.wantGone(id)
		},
	},
	{
		name:  "ContextEndedDoesNotTouch",
		rule:  ruleContext,
		waits: true,
		run: func(t *trial) {
			id := t.expiring(2)
			ended, cancel := context.WithCancel(t.ctx)
			cancel()
			t.wait(1.2)
			t.stepf("with a context that has ended:")
			for _, c := range t.clients() {
				c.with(ended).applyFails(id, backend.Patch{Touch: true}, context.Canceled)
				c.with(ended).applyFails(id, backend.Patch{TTL: hour}, context.Canceled)
			}
			t.wait(1.4)
			t.wantGone(id)
		},
	},
}

// endedFails checks that no call of c, whose context has ended with err, does anything. Under id is a record with a=1
// and n=1, and under none is none.
func endedFails(c client, err error, id, none string) {
	c.tr.stepf("with a context that has ended: %v", err)
	c.createFails(none, record(fields{"a": "1"}), err)
	c.createFails(id, record(fields{"a": "2"}), err)
	c.loadFails(id, err)
	c.loadFails(none, err)
	for _, p := range everyPatch() {
		c.applyFails(id, p, err)
		p.Durable = true
		c.applyFails(id, p, err)
	}
	c.applyFails(none, backend.Patch{}, err)
	c.deleteFails(id, err)
	c.deleteFails(none, err)
}

// endedContexts returns a context that was canceled, with a cause, and one whose deadline has passed.
func (tr *trial) endedContexts() []context.Context {
	canceled, cancel := context.WithCancelCause(tr.ctx)
	cancel(errors.New("a cause, which is not the context's error"))
	late, stop := context.WithDeadline(tr.ctx, time.Now().Add(-time.Second))
	stop()
	return []context.Context{canceled, late}
}

var secondCases = []testCase{
	{
		name: "SecondClientSees",
		rule: ruleAcked,
		run: func(t *trial) {
			if t.target.Second == nil {
				t.skip("the target has no second client")
			}
			for _, ends := range [][2]client{{t.client, t.second}, {t.second, t.client}} {
				writer, reader := ends[0], ends[1]
				id := t.id()
				reader.wantGone(id)
				writer.create(id, record(fields{"a": "1", "n": "1"}))
				reader.wantFields(id, fields{"a": "1", "n": "1"})
				writer.apply(id, backend.Patch{Set: fields{"a": "2", "\xff": "\x00"}, Add: map[string]int64{"n": 1}})
				reader.wantFields(id, fields{"a": "2", "\xff": "\x00", "n": "2"})
				writer.apply(id, backend.Patch{Delete: []string{"\xff"}, TTL: 2 * hour})
				want := backend.Record{Fields: fields{"a": "2", "n": "2"}, TTL: 2 * hour}
				reader.wantLoad(id, want)
				reader.wantApply(id, backend.Patch{Load: true}, want)
				writer.delete(id)
				reader.wantGone(id)
				reader.applyFails(id, backend.Patch{Touch: true}, backend.ErrNotFound)
			}
		},
	},
	{
		name: "SecondClientChanges",
		rule: ruleAtomic,
		run: func(t *trial) {
			if t.target.Second == nil {
				t.skip("the target has no second client")
			}
			id := t.made(fields{"a": "1"})
			for i, c := range []client{t.second, t.client, t.second} {
				c.createFails(id, record(nil), backend.ErrExists)
				c.wantApply(id, backend.Patch{Add: map[string]int64{"n": 1}}, backend.Record{Fields: fields{"n": itoa(i + 1)}})
			}
			t.apply(id, backend.Patch{If: fields{"a": "1"}, Set: fields{"a": "2"}})
			t.second.applyFails(id, backend.Patch{If: fields{"a": "1"}, Set: fields{"a": "3"}}, backend.ErrConflict)
			t.second.wantApply(id, backend.Patch{Remove: true, Load: true}, record(fields{"a": "2", "n": "3"}))
			t.wantGone(id)
			t.applyFails(id, backend.Patch{Set: fields{"a": "4"}}, backend.ErrNotFound)
			t.second.create(id, record(fields{"b": "1"}))
			t.wantFields(id, fields{"b": "1"})
			t.delete(id)
		},
	},
}
