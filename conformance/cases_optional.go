package conformance

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/faeeb396/session/backend"
)

// Cases about what a backend may have beside the four methods and a scan, and about what is no record.

var optionalCases = []testCase{
	{
		name: "PingWell",
		rule: "Ping returns nil if the store answers and lets the backend do all that it needs to, and else an error that says what is wrong.",
		run:  func(t *trial) { t.wantPing(t.ctx, nil) },
	},
	{
		name: "PingContextEnded",
		rule: "The rules about contexts hold for it too.",
		run: func(t *trial) {
			for _, ended := range t.endedContexts() {
				t.wantPing(ended, ended.Err())
			}
			t.wantPing(t.ctx, nil)
		},
	},
}

// unreadableCases are skipped where the target can plant nothing.
var unreadableCases = []testCase{
	{
		name: "UnreadableStays",
		rule: "It is never taken for \"not found\", and never overwritten.",
		run: func(t *trial) {
			for _, id := range t.planted() {
				for _, c := range []client{t.client, t.second, t.client} {
					c.loadFails(id, backend.ErrUnreadable)
					for _, p := range everyPatch() {
						c.applyFails(id, p, backend.ErrUnreadable)
					}
					err := c.tryCreate(id, record(nil))
					t.stepf("%sCreate(%s) = %s", c.name, showID(id), showError(err))
					if !errors.Is(err, backend.ErrExists) && !errors.Is(err, backend.ErrUnreadable) {
						t.failf("Create returned another error, mismatch (-want +got):\n  - ErrExists or ErrUnreadable\n  + %s", showError(err))
					}
				}
			}
		},
	},
	{
		name: "UnreadableDelete",
		rule: "What is no record it deletes, too, or fails with ErrUnreadable: after a Delete that succeeded, nothing is left that a session could come back from.",
		run: func(t *trial) {
			for _, c := range t.clients() {
				for _, id := range t.planted() {
					err := c.tryDelete(id)
					t.stepf("%sDelete(%s) = %s", c.name, showID(id), showError(err))
					switch {
					case err == nil:
						c.wantGone(id)
						c.create(id, record(fields{"a": "1"}))
						c.wantFields(id, fields{"a": "1"})
					case errors.Is(err, backend.ErrUnreadable):
						c.loadFails(id, backend.ErrUnreadable)
					default:
						t.failf("Delete returned another error, mismatch (-want +got):\n  - none or ErrUnreadable\n  + %s", showError(err))
					}
				}
			}
		},
	},
}

// planted plants one of each kind of what is no record, and returns the IDs. It skips the case where it cannot.
func (tr *trial) planted() []string {
	if len(tr.target.Plant) == 0 {
		tr.skip("the target cannot plant anything")
	}
	var ids []string
	for _, kind := range slices.Sorted(maps.Keys(tr.target.Plant)) {
		id := tr.id()
		if err := tr.target.Plant[kind](tr.ctx, id); err != nil {
			tr.failf("planting %s failed: %v", kind, err)
		}
		tr.stepf("%s is planted under %s", kind, showID(id))
		ids = append(ids, id)
	}
	return ids
}

// wantPing expects Ping to return want, or skips the case if the target has no Pinger.
func (tr *trial) wantPing(ctx context.Context, want error) {
	p, ok := backend.As[backend.Pinger](tr.target.Backend)
	if !ok {
		tr.skip("the backend is no backend.Pinger")
	}
	back := tr.calling(func() string { return "Ping()" })
	err := p.Ping(ctx)
	back()
	if ctx.Err() != nil {
		tr.stepf("Ping() with a context that has ended: %v = %s", ctx.Err(), showError(err))
	} else {
		tr.stepf("Ping() = %s", showError(err))
	}
	tr.check("Ping", err, want)
}
