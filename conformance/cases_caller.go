package conformance

import (
	"context"
	"errors"
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
			id, given := t.id(), fields{"a": "1", "b": "2"}
			t.create(id, record(given))
			scribble(t, given)
			t.wantFields(id, fields{"a": "1", "b": "2"})
		},
	},
	{
		name: "KeepsNoMapOfApply",
		rule: ruleOwnership,
		run: func(t *trial) {
			id := t.made(nil)
			p := backend.Patch{Set: fields{"a": "1", "b": "2"}}
			t.apply(id, p)
			scribble(t, p.Set)
			t.wantFields(id, fields{"a": "1", "b": "2"})
		},
	},
	{
		name: "ReturnsMapsOfLoad",
		rule: ruleOwnership,
		run: func(t *trial) {
			id := t.made(fields{"a": "1", "b": "2"})
			first, other := t.load(id), t.load(id)
			scribble(t, first.Fields)
			t.same("the Load before", other, record(fields{"a": "1", "b": "2"}))
			t.wantFields(id, fields{"a": "1", "b": "2"})
		},
	},
	{
		name: "ReturnsMapsOfApply",
		rule: ruleOwnership,
		run: func(t *trial) {
			id := t.made(fields{"a": "1", "n": "1"})
			for _, p := range []backend.Patch{
				{Load: true},
				{Load: true, Touch: true},
				{Load: true, Set: fields{"a": "1"}},
				{Add: map[string]int64{"n": 0}},
				{Load: true, Add: map[string]int64{"n": 0}},
			} {
				scribble(t, t.apply(id, p).Fields)
				t.wantFields(id, fields{"a": "1", "n": "1"})
				scribble(t, p.Set)
				t.wantFields(id, fields{"a": "1", "n": "1"})
			}
		},
	},
	{
		name: "ChangesNoMapItReturned",
		rule: ruleOwnership,
		run: func(t *trial) {
			id, given := t.id(), fields{"a": "1", "n": "1"}
			t.create(id, record(given))
			loaded := t.load(id)
			applied := t.apply(id, backend.Patch{Load: true})
			sums := t.apply(id, backend.Patch{Add: map[string]int64{"n": 1}})
			t.apply(id, backend.Patch{Set: fields{"a": "2", "c": "3"}, Add: map[string]int64{"n": 1}})
			t.delete(id)
			t.same("the Load before", loaded, record(fields{"a": "1", "n": "1"}))
			t.same("the Apply before", applied, record(fields{"a": "1", "n": "1"}))
			t.same("the counter before", sums, backend.Record{Fields: fields{"n": "2"}})
			t.same("Create's argument", record(given), record(fields{"a": "1", "n": "1"}))
		},
	},
	{
		name: "ChangesNoArgument",
		rule: ruleOwnership,
		run: func(t *trial) {
			id, rec := t.id(), record(fields{"a": "1", "n": "1"})
			want := clone(rec)
			t.create(id, rec)
			t.same("Create's argument", rec, want)
			t.createFails(id, rec, backend.ErrExists)
			t.same("Create's argument", rec, want)
			p := backend.Patch{
				If: fields{"a": "1", "z": ""}, Has: slices.Clip([]string{"n", "a"}), Set: fields{"z": "1"},
				Delete: slices.Clip([]string{"y", "x", "a"}), Add: map[string]int64{"n": 1}, TTL: 2 * hour, Touch: true,
			}
			wantPatch := clonePatch(p)
			for _, err := range []error{nil, backend.ErrConflict} {
				t.applyFails(id, p, err)
				if d := cmp.Diff(wantPatch, p); d != "" {
					t.failf("Apply has changed its argument, mismatch (-want +got):\n%s", d)
				}
			}
		},
	},
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

var contextCases = []testCase{
	{
		name: "ContextEnded",
		rule: ruleContext,
		run: func(t *trial) {
			id, none := t.made(fields{"a": "1", "n": "1"}), t.id()
			for _, ended := range t.endedContexts() {
				c := t.with(ended)
				t.stepf("with a context that has ended: %v", ended.Err())
				c.createFails(none, record(fields{"a": "1"}), ended.Err())
				c.createFails(id, record(fields{"a": "2"}), ended.Err())
				c.loadFails(id, ended.Err())
				c.loadFails(none, ended.Err())
				for _, p := range everyPatch() {
					c.applyFails(id, p, ended.Err())
					p.Durable = true
					c.applyFails(id, p, ended.Err())
				}
				c.applyFails(none, backend.Patch{}, ended.Err())
				c.deleteFails(id, ended.Err())
				c.deleteFails(none, ended.Err())
				t.stepf("with one that has not")
				t.wantFields(id, fields{"a": "1", "n": "1"})
				t.wantGone(none)
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
			t.with(ended).applyFails(id, backend.Patch{Touch: true}, context.Canceled)
			t.with(ended).applyFails(id, backend.Patch{TTL: hour}, context.Canceled)
			t.wait(1.4)
			t.wantGone(id)
		},
	},
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
