package conformance

import (
	"strings"

	"github.com/faeeb396/session/backend"
)

// Cases about counters, replies and Remove.

const most = backend.MaxCounter

var counterCases = []testCase{
	{
		name: "CounterAdds",
		rule: "Add adds to counters. An absent field counts as 0.",
		run: func(t *trial) {
			id := t.made(fields{"n": "40", "neg": "-3", "zero": "0"})
			adds := map[string]int64{"n": 2, "neg": -4, "zero": -1, "new": 7}
			t.wantApply(id, backend.Patch{Add: adds}, backend.Record{Fields: fields{
				"n": "42", "neg": "-7", "zero": "-1", "new": "7",
			}})
			t.wantFields(id, fields{"n": "42", "neg": "-7", "zero": "-1", "new": "7"})
			t.wantApply(id, backend.Patch{Add: map[string]int64{"neg": 7}}, backend.Record{Fields: fields{"neg": "0"}})
			t.apply(id, backend.Patch{Set: fields{"n": "9"}})
			t.wantApply(id, backend.Patch{Add: map[string]int64{"n": 1}}, backend.Record{Fields: fields{"n": "10"}})
		},
	},
	{
		name: "CounterAddsNothing",
		rule: "An absent field counts as 0. It is there afterwards, whatever is added.",
		run: func(t *trial) {
			id := t.made(fields{"n": "5"})
			t.wantApply(id, backend.Patch{Add: map[string]int64{"new": 0}}, backend.Record{Fields: fields{"new": "0"}})
			t.apply(id, backend.Patch{Has: []string{"new"}})
			t.wantFields(id, fields{"n": "5", "new": "0"})
			p := backend.Patch{Add: map[string]int64{"more": 0, "n": 0}, Load: true}
			t.wantApply(id, p, record(fields{"n": "5", "new": "0", "more": "0"}))
			t.wantFields(id, fields{"n": "5", "new": "0", "more": "0"})
		},
	},
	{
		name: "CounterCanonical",
		rule: ruleAdd,
		run: func(t *trial) {
			for _, v := range []string{
				"", "+1", "01", "-01", "00", " 1", "1 ", "1\n", "1.0", "1e3", "-0", "-", "--1", "0x10", "1_000", "one", "१",
				"1\x00", "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
				strings.Repeat("9", 40), strings.Repeat("0", 30) + "1", "inf", "nan",
			} {
				for _, delta := range []int64{1, 0} {
					id := t.made(fields{"n": v, "a": "1"})
					t.applyFails(id, backend.Patch{Add: map[string]int64{"n": delta}, Set: fields{"a": "2"}}, backend.ErrCounter)
					t.wantFields(id, fields{"n": v, "a": "1"})
				}
			}
		},
	},
	{
		name: "CounterRange",
		rule: ruleAdd,
		run: func(t *trial) {
			for _, tt := range []struct {
				n     string
				delta int64
				sum   string // "" if it is out of range
			}{
				{n: "9007199254740990", delta: 1, sum: "9007199254740991"},
				{n: "9007199254740991", delta: 0, sum: "9007199254740991"},
				{n: "9007199254740991", delta: -1, sum: "9007199254740990"},
				{n: "9007199254740991", delta: -most, sum: "0"},
				{n: "-9007199254740990", delta: -1, sum: "-9007199254740991"},
				{n: "0", delta: most, sum: "9007199254740991"},
				{n: "0", delta: -most, sum: "-9007199254740991"},
				{n: "-9007199254740991", delta: most, sum: "0"},
				{n: "4503599627370496", delta: 4503599627370495, sum: "9007199254740991"},
				{n: "9007199254740991", delta: 1},
				{n: "9007199254740991", delta: most},
				{n: "-9007199254740991", delta: -1},
				{n: "4503599627370496", delta: 4503599627370496},
				{n: "9007199254740992", delta: -1}, // a field out of range, though the sum is not
				{n: "-9007199254740992", delta: 1},
				{n: "9007199254740992", delta: 0},
				{n: "-5", delta: most + 1}, // a delta out of range, though the sum is not
				{n: "5", delta: -most - 1},
				{n: "1", delta: 1<<63 - 1},
				{n: "-1", delta: -1 << 63},
				{n: "0", delta: -1 << 63},
			} {
				id := t.made(fields{"n": tt.n})
				p := backend.Patch{Add: map[string]int64{"n": tt.delta}}
				if tt.sum == "" {
					t.applyFails(id, p, backend.ErrCounter)
					t.wantFields(id, fields{"n": tt.n})
					continue
				}
				t.wantApply(id, p, backend.Record{Fields: fields{"n": tt.sum}})
				t.wantFields(id, fields{"n": tt.sum})
			}
		},
	},
	{
		name: "CounterRangeOfAbsent",
		rule: ruleAdd,
		run: func(t *trial) {
			id := t.made(nil)
			t.applyFails(id, backend.Patch{Add: map[string]int64{"n": most + 1}}, backend.ErrCounter)
			t.applyFails(id, backend.Patch{Add: map[string]int64{"n": -most - 1}}, backend.ErrCounter)
			t.wantFields(id, nil)
			t.wantApply(id, backend.Patch{Add: map[string]int64{"n": -most}}, backend.Record{Fields: fields{"n": "-9007199254740991"}})
		},
	},
	{
		name: "CountersFailTogether",
		rule: ruleAdd,
		run: func(t *trial) {
			// Maps have no order, so a backend that adds as it goes is found by one of a few tries.
			before := fields{"a": "1", "b": "2", "c": "3", "bad": "x", "d": "4", "e": "5"}
			id := t.made(before)
			for range 8 {
				t.applyFails(id, backend.Patch{Add: map[string]int64{"a": 1, "b": 1, "c": 1, "bad": 1, "d": 1, "e": 1}}, backend.ErrCounter)
				t.wantFields(id, before)
				t.applyFails(id, backend.Patch{Add: map[string]int64{"a": 1, "b": 1, "c": most, "new": 1}}, backend.ErrCounter)
				t.wantFields(id, before)
			}
			for _, bad := range []string{"!", "~"} { // the first by name, and the last
				all, _, adds := numbered(veryWide)
				all[bad], adds[bad] = "x", 1
				id := t.made(all)
				for range 3 {
					t.applyFails(id, backend.Patch{Add: adds}, backend.ErrCounter)
					t.wantFields(id, all)
				}
			}
		},
	},
}

var replyCases = []testCase{
	{
		name: "ReplyWithoutLoad",
		rule: ruleReplyBare,
		run: func(t *trial) {
			id := t.made(fields{"a": "1", "n": "1"})
			for _, p := range []backend.Patch{
				{}, {Touch: true}, {TTL: hour}, {Set: fields{"b": "2"}}, {Delete: []string{"b"}}, {If: fields{"a": "1"}}, {Has: []string{"a"}},
			} {
				t.wantApply(id, p, backend.Record{})
			}
			p := backend.Patch{Set: fields{"b": "2"}, Add: map[string]int64{"n": 1, "m": 3}, TTL: hour, If: fields{"a": "1"}}
			t.wantApply(id, p, backend.Record{Fields: fields{"n": "2", "m": "3"}})
		},
	},
	{
		name: "ReplyWithLoad",
		rule: ruleReplyLoad,
		run: func(t *trial) {
			id := t.made(fields{"a": "1", "b": "2", "n": "1"})
			t.wantApply(id, backend.Patch{Load: true}, record(fields{"a": "1", "b": "2", "n": "1"}))
			t.wantApply(id, backend.Patch{Load: true, Touch: true}, record(fields{"a": "1", "b": "2", "n": "1"}))
			p := backend.Patch{
				Set: fields{"a": "x", "c": ""}, Delete: []string{"b"}, Add: map[string]int64{"n": 1},
				TTL: 2 * hour, Touch: true, Load: true,
			}
			want := backend.Record{Fields: fields{"a": "x", "c": "", "n": "2"}, TTL: 2 * hour}
			t.wantApply(id, p, want)
			t.wantLoad(id, want)
			t.wantApply(id, backend.Patch{Load: true, If: fields{"a": "x"}, Has: []string{"c"}}, want)
			p = backend.Patch{ // nothing to delete, so that a reply may be what was there, and what is new
				Set: fields{"a": "y", "e": "5"}, Add: map[string]int64{"n": most - 2, "m": -most, "zero": 0}, Load: true,
			}
			want.Fields = fields{
				"a": "y", "c": "", "e": "5", "n": "9007199254740991", "m": "-9007199254740991", "zero": "0",
			}
			t.wantApply(id, p, want)
			t.wantLoad(id, want)
		},
	},
}

var removeCases = []testCase{
	{
		name: "RemoveDeletes",
		rule: ruleRemove,
		run: func(t *trial) {
			id := t.made(fields{"a": "1"})
			t.wantApply(id, backend.Patch{Remove: true}, backend.Record{})
			t.wantGone(id)
			t.applyFails(id, backend.Patch{Remove: true}, backend.ErrNotFound)
			t.create(id, record(fields{"b": "1"}))
			t.wantFields(id, fields{"b": "1"})
		},
	},
	{
		name: "RemoveWithLoad",
		rule: ruleReplyLoad,
		run: func(t *trial) {
			id := t.made(fields{"a": "1", "empty": ""})
			p := backend.Patch{Remove: true, Load: true, If: fields{"a": "1"}, Has: []string{"empty"}}
			t.wantApply(id, p, record(fields{"a": "1", "empty": ""}))
			t.wantGone(id)
		},
	},
	{
		name: "RemoveOnConditions",
		rule: ruleRemove,
		run: func(t *trial) {
			id := t.made(fields{"a": "1"})
			for _, p := range []backend.Patch{
				{Remove: true, If: fields{"a": "2"}},
				{Remove: true, If: fields{"a": ""}},
				{Remove: true, If: fields{"none": "x"}, Load: true},
				{Remove: true, Has: []string{"none"}},
				{Remove: true, If: fields{"a": "1"}, Has: []string{"a", "none"}},
			} {
				t.applyFails(id, p, backend.ErrConflict)
				p.Durable = true
				t.applyFails(id, p, backend.ErrConflict)
				t.wantFields(id, fields{"a": "1"})
			}
			t.apply(id, backend.Patch{Remove: true, If: fields{"a": "1", "none": ""}, Has: []string{"a"}})
			t.wantGone(id)
		},
	},
	{
		name: "RemoveLeavesNeighbours",
		rule: ruleIDs,
		run: func(t *trial) {
			base := t.id()
			ids := []string{base}
			for _, end := range idEnds {
				ids = append(ids, t.own(base+end+"x"))
			}
			ids = append(ids, t.own(base+":"))
			for _, id := range ids {
				t.create(id, record(fields{"is": id}))
			}
			for i, id := range ids {
				t.apply(id, backend.Patch{Remove: true})
				t.wantGone(id)
				for _, other := range ids[i+1:] {
					t.wantFields(other, fields{"is": other})
				}
			}
		},
	},
}
