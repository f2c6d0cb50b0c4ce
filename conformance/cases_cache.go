package conformance

import (
	"errors"
	"slices"
	"time"

	"github.com/faeeb396/session/backend"
)

// Cases about a local cache.

var cacheCases = []testCase{
	{
		name: "FreshReadsPast",
		rule: ruleFresh,
		run: func(t *trial) {
			past := []client{t.fresh(t.cacher())}
			if again, ok := backend.As[backend.Cacher](past[0].b); ok {
				past = append(past, past[0].fresh(again))
			}
			other := t.other(past[0])
			wantLoads := func(id string, want backend.Record) {
				for _, c := range past {
					c.wantLoad(id, want)
				}
				t.lookAt(id) // it may be in the cache from now on
			}
			id := t.id()
			for range 2 {
				other.create(id, record(fields{"n": "1"}))
				wantLoads(id, record(fields{"n": "1"}))
				other.apply(id, backend.Patch{Set: fields{"a": "1"}, Add: map[string]int64{"n": 1}, TTL: 2 * hour})
				wantLoads(id, backend.Record{Fields: fields{"a": "1", "n": "2"}, TTL: 2 * hour})
				other.apply(id, backend.Patch{Delete: []string{"a"}})
				wantLoads(id, backend.Record{Fields: fields{"n": "2"}, TTL: 2 * hour})
				other.delete(id)
				for _, c := range past {
					c.wantGone(id)
				}
			}
		},
	},
	{
		name: "FreshKeepsTheRules",
		rule: ruleFresh,
		run: func(t *trial) {
			cases := slices.Concat(
				createCases, loadCases, applyCases, conditionCases, replyCases, removeCases, deleteCases, ownershipCases, contextCases,
			)
			if len(t.target.Plant) > 0 {
				cases = append(cases, unreadableCases...)
			}
			t.pastCache(cases)
		},
	},
	{
		name: "FreshCounts",
		rule: ruleFresh,
		run:  func(t *trial) { t.pastCache(counterCases) }, // a case of its own, since calls may take their time
	},
	{
		name:  "FreshKeepsTime",
		rule:  ruleFresh,
		waits: true,
		run: func(t *trial) {
			if !t.past() {
				return
			}
			created, loaded, kept, touched := t.expiring(1), t.expiring(2), t.expiring(2), t.expiring(2)
			t.wait(1.2)
			t.wantGone(created)
			t.wantAlive(loaded, 2, fields{"a": "1", "n": "1"})
			t.apply(kept, backend.Patch{Set: fields{"a": "1"}, Load: true})
			t.applyFails(kept, backend.Patch{If: fields{"a": "2"}, Touch: true}, backend.ErrConflict)
			t.createFails(kept, record(nil), backend.ErrExists)
			t.apply(touched, backend.Patch{Touch: true})
			t.wait(1.4)
			t.wantGone(loaded)
			t.wantGone(kept)
			t.wantAlive(touched, 2, fields{"a": "1", "n": "1"})
			t.wait(1)
			t.wantGone(touched)
		},
	},
	{
		name: "CacheReadsOwnWrites",
		rule: "The backend sees to it that a process reads its own writes, those included that it makes through the backend that " +
			"Fresh returns, that an absent record is never cached, and that no record is older than its documentation states.",
		run: func(t *trial) {
			fresh := t.fresh(t.cacher())
			id := t.id()
			t.wantGone(id)
			t.other(fresh).create(id, record(fields{"v": "0"}))
			t.wantFields(id, fields{"v": "0"})
			for i, c := range []client{fresh, t.client, fresh} {
				v := fields{"v": itoa(i + 1)}
				c.apply(id, backend.Patch{Set: v})
				t.wantFields(id, v)
				fresh.wantFields(id, v)
			}
			for _, c := range []client{fresh, t.client} {
				c.delete(id)
				t.wantGone(id)
				fresh.wantGone(id)
				c.create(id, record(fields{"v": c.name}))
				t.wantFields(id, fields{"v": c.name})
				fresh.wantFields(id, fields{"v": c.name})
			}
		},
	},
	{
		name: "CacheRacesOwnWrites",
		rule: "The backend sees to it that a process reads its own writes, those included that it makes through the backend that " +
			"Fresh returns, that an absent record is never cached, and that no record is older than its documentation states.",
		run: func(t *trial) {
			fresh := t.fresh(t.cacher())
			for _, writer := range []client{t.client, fresh} {
				seesAcked(t, writer, 4, func(_ int, _ client, id string) (backend.Record, error) {
					return t.tryLoad(id) // all of them are of one process
				})
			}
		},
	},
	{
		name: "CacheHits",
		rule: ruleLoad,
		run: func(t *trial) {
			for _, all := range append(fewAndMany(fields{"a": "1", "empty": "", "\xff": "\x00"}), nil) {
				for _, ttl := range []time.Duration{hour, 2 * hour} {
					want := backend.Record{Fields: all, TTL: ttl}
					id := t.cached(want)
					t.wantLoad(id, want)
					t.wantLoad(id, want)
				}
			}
		},
	},
	{
		name: "CacheHitsOwnMaps",
		rule: ruleOwnership,
		run: func(t *trial) {
			for _, all := range fewAndMany(fields{"a": "1", "b": "2"}) {
				id := t.cached(record(all))
				for range 3 {
					scribble(t, t.load(id).Fields)
					t.wantFields(id, all)
				}
			}
		},
	},
	{
		name: "CacheHitsContextEnded",
		rule: ruleContext,
		run: func(t *trial) {
			id := t.cached(record(fields{"a": "1"}))
			for _, ended := range t.endedContexts() {
				t.stepf("with a context that has ended: %v", ended.Err())
				t.with(ended).loadFails(id, ended.Err())
			}
			t.wantFields(id, fields{"a": "1"})
		},
	},
}

// cached returns the ID of a new record that is in the cache, if there is one. A backend may cache nothing that it has
// written itself, so another client creates it where there is one.
func (tr *trial) cached(rec backend.Record) string {
	id := tr.id()
	tr.other(tr.fresh(tr.cacher())).create(id, clone(rec))
	tr.wantLoad(id, rec)
	return id
}

// cacher returns the target's Cacher, or skips the case.
func (tr *trial) cacher() backend.Cacher {
	c, ok := backend.As[backend.Cacher](tr.target.Backend)
	if !ok {
		tr.skip("the backend is no backend.Cacher")
	}
	return c
}

// fresh returns what reads past the cache of c, whose Cacher is given: c itself where that says that there is none.
func (c client) fresh(cacher backend.Cacher) client {
	b := c.tryFresh(cacher)
	if b == nil {
		c.tr.stepf("%sFresh() = nil: there is no cache", c.name)
		return c
	}
	c.b, c.name = b, c.name+"Fresh()."
	return c
}

// pastCache runs cases, those that wait for nothing, with the backend that Fresh returns.
func (tr *trial) pastCache(cases []testCase) {
	if !tr.past() {
		return
	}
	for _, tc := range cases {
		if !tc.waits {
			tr.stepf("the case %s, with what Fresh returned: %s", tc.name, tc.rule)
			tc.run(tr)
		}
	}
}

// past has what follows in the case go through the backend that Fresh returns. It reports false if there is no cache to
// read past: all other cases are about that backend then.
func (tr *trial) past() bool {
	b := tr.tryFresh(tr.cacher())
	if b == nil {
		tr.stepf("Fresh() = nil: there is no cache")
		return false
	}
	tr.client.b, tr.client.name = b, "Fresh()."
	if tr.target.Second == nil {
		tr.second = tr.client
	}
	return true
}

// other returns the client of whose writes the cache knows least: the second one, or fresh where there is none.
func (tr *trial) other(fresh client) client {
	if tr.target.Second == nil {
		return fresh
	}
	return tr.second
}

// lookAt loads what is or was under id, to have it in a cache. What comes back may be old.
func (c client) lookAt(id string) {
	rec, err := c.tryLoad(id)
	c.tr.stepf("%s%s = %s", c.name, callLoad(id), showResult(rec, err))
	if !errors.Is(err, backend.ErrNotFound) {
		c.check("Load", err, nil)
	}
}
