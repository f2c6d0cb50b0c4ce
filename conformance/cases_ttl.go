package conformance

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/faeeb396/session/backend"
)

// Cases about time. What they expect to be alive is never within [slack] of its deadline, and what they expect
// to be gone is long past it. All take less than five of what they take for a second.

// expiring returns the ID of a new record with a=1 and n=1 that lives for so many of what the case takes for a
// second.
func (tr *trial) expiring(seconds int) string { return tr.living(seconds, fields{"a": "1", "n": "1"}) }

// living is expiring with other fields.
func (tr *trial) living(seconds int, f fields) string {
	id := tr.id()
	tr.create(id, backend.Record{Fields: f, TTL: tr.ttl(seconds)})
	return id
}

// allLiving is living for n records, created at the same time: one after the other, the first would be the older the
// longer a call takes.
func (tr *trial) allLiving(n, seconds int, f fields) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = tr.id()
		tr.stepf("with the others: %s", callCreate(ids[i], backend.Record{Fields: f, TTL: tr.ttl(seconds)}))
	}
	tr.parallel(n, func(i int, _ client) error {
		return tr.tryCreate(ids[i], clone(backend.Record{Fields: f, TTL: tr.ttl(seconds)}))
	})
	return ids
}

// wantAlive expects Load to return a record with this time to live.
func (c client) wantAlive(id string, seconds int, f fields) {
	c.wantLoad(id, backend.Record{Fields: f, TTL: c.tr.ttl(seconds)})
}

var expiryCases = []testCase{
	{
		name:  "ExpiredIsGone",
		rule:  ruleExpiry,
		waits: true,
		run: func(t *trial) {
			// Each client has records of its own: what one has found expired, it may have taken away.
			var ids [][]string
			for _, c := range t.clients() {
				var own []string
				for range len(everyPatch()) + 3 {
					own = append(own, t.expiring(1))
				}
				c.wantAlive(own[0], 1, fields{"a": "1", "n": "1"})
				ids = append(ids, own)
			}
			t.wait(1.5)
			for k, c := range t.clients() {
				loaded, created, deleted, applied := ids[k][0], ids[k][1], ids[k][2], ids[k][3:]
				c.wantGone(loaded)
				for i, p := range everyPatch() {
					c.applyFails(applied[i], p, backend.ErrNotFound)
					c.wantGone(applied[i])
				}
				c.create(created, record(fields{"b": "1"}))
				c.wantFields(created, fields{"b": "1"})
				c.delete(deleted)
				c.wantGone(deleted)
			}
		},
	},
	{
		name:  "CreateAfterExpiry",
		rule:  "Create stores a new record under id, to live for rec.TTL from now.",
		waits: true,
		run: func(t *trial) {
			id := t.expiring(1)
			t.wait(1.5)
			t.create(id, backend.Record{Fields: fields{"new": "1"}, TTL: t.ttl(2)})
			t.wantAlive(id, 2, fields{"new": "1"})
			t.wait(1.5)
			t.wantAlive(id, 2, fields{"new": "1"})
			t.wait(1)
			t.wantGone(id)
		},
	},
	{
		name:  "CreateForgetsOldTTL",
		rule:  "Create stores a new record under id, to live for rec.TTL from now.",
		waits: true,
		run: func(t *trial) {
			longer, shorter := t.expiring(1), t.made(nil)
			t.delete(longer)
			t.create(longer, backend.Record{TTL: t.ttl(3)})
			t.apply(shorter, backend.Patch{Remove: true})
			t.create(shorter, backend.Record{TTL: t.ttl(1)})
			t.wait(1.5)
			t.wantAlive(longer, 3, nil)
			t.wantGone(shorter)
			t.wait(2)
			t.wantGone(longer)
		},
	},
	{
		name:  "CreateExistsKeepsTTL",
		rule:  ruleExists,
		waits: true,
		run: func(t *trial) {
			short, long := t.expiring(2), t.expiring(3)
			t.wait(1)
			t.createFails(short, record(nil), backend.ErrExists)
			t.createFails(long, backend.Record{TTL: t.ttl(1)}, backend.ErrExists)
			t.wait(1.5)
			t.wantGone(short)
			t.wantAlive(long, 3, fields{"a": "1", "n": "1"})
			t.wait(1)
			t.wantGone(long)
		},
	},
	{
		name:  "NothingLivesForEver",
		rule:  ruleForEver,
		waits: true,
		run: func(t *trial) {
			var ids []string
			for _, p := range append(everyPatch(), backend.Patch{Delete: []string{"a", "n"}}) {
				if p.TTL != 0 {
					p.TTL = t.ttl(1)
				}
				id := t.expiring(1)
				t.apply(id, p)
				ids = append(ids, id)
			}
			t.wantAllGone(1.6, ids)
		},
	},
	{
		name:  "ExpiryBeatsApply",
		rule:  ruleNoRevival,
		waits: true,
		run: func(t *trial) {
			ids := []string{t.expiring(1), t.expiring(1), t.expiring(1), t.expiring(1)}
			t.wait(0.9)
			t.stepf("3 goroutines apply to them without touching, past their deadline")
			var over atomic.Bool
			gone := make([]atomic.Bool, len(ids))
			t.parallel(4, func(i int, c client) error {
				if i == 0 {
					defer over.Store(true)
					t.wait(0.3)
					return nil
				}
				for !over.Load() {
					for k, id := range ids {
						if err := applyUnlessGone(c, id, untouching[i%len(untouching)], &gone[k]); err != nil {
							return err
						}
					}
					time.Sleep(time.Millisecond)
				}
				return nil
			})
			t.wait(0.5)
			for _, id := range ids {
				t.wantGone(id)
			}
		},
	},
	{
		name:  "DeletedStaysGone",
		rule:  ruleNoRevival,
		waits: true,
		run: func(t *trial) {
			// A write that is put off, or done again, comes back later.
			var ids []string
			for _, p := range racingPatches() {
				id := t.made(fields{"a": "1"})
				t.apply(id, p)
				t.delete(id)
				ids = append(ids, id)
			}
			t.wait(1)
			for _, id := range ids {
				t.wantGone(id)
			}
		},
	},
}

// untouching are changes that do not touch.
var untouching = []backend.Patch{
	{Set: fields{"a": "2"}},
	{Add: map[string]int64{"n": 1}, Load: true},
	{Has: []string{"a"}, Delete: []string{"n"}, Set: fields{"c": "1"}},
}

var ttlCases = []testCase{
	{
		name:  "LoadDoesNotTouch",
		rule:  "It does not touch.",
		waits: true,
		run: func(t *trial) {
			id := t.expiring(2)
			t.wait(1.2)
			t.wantAlive(id, 2, fields{"a": "1", "n": "1"})
			t.wait(1.4)
			t.wantGone(id)
		},
	},
	{
		name:  "ApplyDoesNotTouch",
		rule:  ruleNoTouch,
		waits: true,
		run: func(t *trial) {
			leavesTTL(t, fields{"a": "1", "n": "1"}, []backend.Patch{
				{}, {Load: true}, {If: fields{"a": "1"}}, {Has: []string{"a"}}, {Set: fields{"a": "1"}}, {Set: fields{"a": "1"}, Load: true},
				{Delete: []string{"none"}}, {Add: map[string]int64{"n": 0}}, {Set: fields{"a": "1"}, Durable: true},
				{If: fields{"a": "1"}, Has: []string{"a", "n"}, Load: true},
			})
		},
	},
	{
		name:  "ErrorsKeepTTL",
		rule:  ruleChecks,
		waits: true,
		run: func(t *trial) {
			keepsTTL(t, fields{"a": "1", "b": "2", "n": "5", "text": "one"}, append(failingPatches(), refusedPatches()...))
		},
	},
	{
		name:  "TTLIsNotTheRest",
		rule:  ruleTTLField,
		waits: true,
		run: func(t *trial) {
			id := t.expiring(2)
			t.wait(1.2)
			want := backend.Record{Fields: fields{"a": "1", "n": "1"}, TTL: t.ttl(2)}
			t.wantLoad(id, want)
			t.wantApply(id, backend.Patch{Load: true}, want)
			t.wantApply(id, backend.Patch{Load: true, Touch: true}, want)
			t.wantApply(id, backend.Patch{Load: true, Remove: true}, want)
		},
	},
	{
		name:  "TTLAppliesAtOnce",
		rule:  ruleTTL,
		waits: true,
		run: func(t *trial) {
			shortened, lengthened := t.made(fields{"a": "1"}), t.expiring(1)
			t.apply(shortened, backend.Patch{TTL: t.ttl(1)})
			t.wantAlive(shortened, 1, fields{"a": "1"})
			t.apply(lengthened, backend.Patch{TTL: t.ttl(3)})
			t.wantAlive(lengthened, 3, fields{"a": "1", "n": "1"})
			t.wait(1.5)
			t.wantGone(shortened)
			t.wantAlive(lengthened, 3, fields{"a": "1", "n": "1"})
			t.wait(2)
			t.wantGone(lengthened)
		},
	},
	{
		name:  "TTLCountsFromNow",
		rule:  ruleTTL,
		waits: true,
		run: func(t *trial) {
			extends(t, 3, fields{"a": "1", "n": "1"}, []backend.Patch{
				{TTL: t.ttl(3)},
				{TTL: t.ttl(3), Touch: true},
				{TTL: t.ttl(3), Set: fields{"a": "1"}},
				{TTL: t.ttl(3), Load: true, If: fields{"a": "1"}, Add: map[string]int64{"n": 0}},
			})
		},
	},
	{
		name:  "TTLTouches",
		rule:  ruleTouch,
		waits: true,
		run: func(t *trial) {
			// The same time to live again is a touch too.
			extends(t, 2, fields{"a": "1", "n": "1"}, []backend.Patch{
				{TTL: t.ttl(2)}, {TTL: t.ttl(2), Set: fields{"a": "1"}}, {TTL: t.ttl(2), Load: true}, {TTL: t.ttl(2), Durable: true},
			})
		},
	},
	{
		name:  "TouchCountsAgain",
		rule:  ruleTouch,
		waits: true,
		run: func(t *trial) {
			extends(t, 2, fields{"a": "1", "n": "1"}, []backend.Patch{
				{Touch: true}, {Touch: true, Load: true}, {Touch: true, Set: fields{"a": "1"}}, {Touch: true, Delete: []string{"none"}},
				{Touch: true, Add: map[string]int64{"n": 0}}, {Touch: true, If: fields{"a": "1"}, Has: []string{"n"}},
				{Touch: true, Durable: true},
			})
		},
	},
	{
		name:  "TouchAtOnce",
		rule:  ruleTouch,
		waits: true,
		run: func(t *trial) {
			id := t.expiring(3)
			t.wait(0.9) // less than a third, and than a second
			t.apply(id, backend.Patch{Touch: true})
			t.wait(2.5)
			t.wantAlive(id, 3, fields{"a": "1", "n": "1"})
			t.wait(1)
			t.wantGone(id)
		},
	},
	{
		name:  "TouchUsesStoredTTL",
		rule:  ruleTouch,
		waits: true,
		run: func(t *trial) {
			touch := backend.Patch{Touch: true}
			short, long, again := t.made(nil), t.expiring(1), t.made(nil)
			for _, c := range []client{t.client, t.second} {
				c.apply(short, touch) // a client that remembers the time to live now remembers an old one
				c.apply(long, touch)
				c.apply(again, touch)
			}
			t.apply(short, backend.Patch{TTL: t.ttl(1)})
			t.second.apply(short, touch)
			t.apply(long, backend.Patch{TTL: t.ttl(3)})
			t.second.apply(long, touch)
			t.apply(long, touch)
			t.second.delete(again)
			t.second.create(again, backend.Record{TTL: t.ttl(1)})
			t.apply(again, touch)
			t.wait(1.5)
			t.wantGone(short)
			t.wantGone(again)
			t.wantAlive(long, 3, fields{"a": "1", "n": "1"})
			t.wait(2)
			t.wantGone(long)
		},
	},
	{
		name:  "TouchLongTTL",
		rule:  ruleTouch,
		waits: true,
		run: func(t *trial) {
			const day = 24 * time.Hour
			const longest = math.MaxInt64 / time.Second * time.Second
			ids := map[time.Duration]string{}
			for _, ttl := range []time.Duration{25 * day, 50 * day, 400 * day, 36500 * day, longest} {
				ids[ttl] = t.id()
				t.create(ids[ttl], backend.Record{TTL: ttl})
				t.apply(ids[ttl], backend.Patch{Touch: true})
				t.apply(ids[ttl], backend.Patch{Touch: true, Set: fields{"a": "1"}})
			}
			check := func() {
				for ttl, id := range ids {
					t.wantLoad(id, backend.Record{Fields: fields{"a": "1"}, TTL: ttl})
				}
			}
			t.wait(1)
			check()
			if t.leaps {
				t.leap(24 * day)
				check()
			}
		},
	},
	{
		name:  "TouchLongTTLAgain",
		rule:  ruleTouch,
		waits: true,
		run: func(t *trial) {
			if !t.leaps {
				t.skip("days do not pass at once")
			}
			const day = 24 * time.Hour
			id := t.id()
			t.create(id, backend.Record{TTL: 30 * day})
			t.leap(day)
			t.apply(id, backend.Patch{Touch: true})
			t.leap(29*day + day/2)
			t.wantLoad(id, backend.Record{TTL: 30 * day})
			t.leap(day)
			t.wantGone(id)
		},
	},
	{
		name:  "LongTTL",
		rule:  ruleTTL,
		waits: true,
		run: func(t *trial) {
			const day = 24 * time.Hour
			const longest = math.MaxInt64 / time.Second * time.Second
			ids := map[time.Duration][]string{}
			for _, ttl := range []time.Duration{25 * day, 50 * day, 400 * day, 3650 * day, 36500 * day, longest} {
				created, changed := t.id(), t.expiring(1)
				t.create(created, backend.Record{Fields: fields{"a": "1", "n": "1"}, TTL: ttl})
				t.apply(changed, backend.Patch{TTL: ttl})
				ids[ttl] = []string{created, changed}
			}
			check := func(passed time.Duration) {
				for ttl, pair := range ids {
					for _, id := range pair {
						if ttl < passed {
							t.wantGone(id)
						} else {
							t.wantLoad(id, backend.Record{Fields: fields{"a": "1", "n": "1"}, TTL: ttl})
						}
					}
				}
			}
			t.wait(1.5)
			check(0)
			if !t.leaps {
				return
			}
			t.leap(399 * day)
			check(399 * day)
			t.leap(2 * day)
			check(401 * day)
		},
	},
}

// after returns the fields of a record that p has changed.
func after(before fields, p backend.Patch) fields {
	m := newModel()
	_ = m.create(0, record(before))
	p.Load = true
	rec, _ := m.apply(0, p)
	return rec.Fields
}

// extends checks that each of patches, applied to a record with these fields that lives for 2, makes it live for ttl
// from then.
func extends(t *trial, ttl int, before fields, patches []backend.Patch) {
	ids := t.allLiving(len(patches), 2, before)
	t.wait(1.2)
	for i, p := range patches {
		t.apply(ids[i], p)
	}
	t.wait(float64(ttl) - 0.6)
	for i, p := range patches {
		t.wantAlive(ids[i], ttl, after(before, p))
	}
	t.wait(1.1)
	for _, id := range ids {
		t.wantGone(id)
	}
}

// leavesTTL checks that patches, each applied to records with these fields, leave their remaining time to live alone.
func leavesTTL(t *trial, before fields, patches []backend.Patch) {
	short, long := t.allLiving(len(patches), 2, before), t.allLiving(len(patches), 3, before)
	t.wait(1.2)
	for i, p := range patches {
		t.apply(short[i], p)
		t.apply(long[i], p)
	}
	t.wait(1.3)
	for i, p := range patches {
		t.wantAlive(long[i], 3, after(before, p))
		t.wantGone(short[i])
	}
	t.wait(1)
	for i := range patches {
		t.wantGone(long[i])
	}
}

// keepsTTL checks that patches, which fail on a record with these fields, leave its remaining time to live alone.
func keepsTTL(t *trial, before fields, patches []failingPatch) {
	short, long := t.living(2, before), t.living(4, before)
	t.wait(1.2)
	for _, p := range patches {
		t.applyFails(short, p.Patch, p.err)
		if !p.Touch {
			continue // it is to change nothing, or to remove
		}
		p.Patch.TTL = hour
		t.applyFails(short, p.Patch, p.err)
		p.Patch.TTL = t.ttl(1)
		t.applyFails(long, p.Patch, p.err)
	}
	t.wait(1.4)
	t.wantGone(short)
	t.wantAlive(long, 4, before)
}
