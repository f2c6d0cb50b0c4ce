package conformance

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/faeeb396/session/backend"
)

// Cases about Create, Load and Delete, and about what a record may hold.

var createCases = []testCase{
	{
		name: "CreateStoresRecord",
		rule: "Create stores a new record under id, to live for rec.TTL from now.",
		run: func(t *trial) {
			id := t.id()
			t.create(id, backend.Record{Fields: fields{"user": "ann", "n": "1"}, TTL: 90 * time.Second})
			t.wantLoad(id, backend.Record{Fields: fields{"user": "ann", "n": "1"}, TTL: 90 * time.Second})
		},
	},
	{
		name: "CreateKeepsOldRecord",
		rule: ruleExists,
		run: func(t *trial) {
			id := t.made(fields{"user": "ann"})
			t.createFails(id, backend.Record{Fields: fields{"user": "bob", "new": "1"}, TTL: time.Minute}, backend.ErrExists)
			t.wantFields(id, fields{"user": "ann"})
			t.second.createFails(id, record(nil), backend.ErrExists)
			t.wantFields(id, fields{"user": "ann"})
		},
	},
	{
		name: "CreateAfterDelete",
		rule: "Create stores a new record under id, to live for rec.TTL from now.",
		run: func(t *trial) {
			id := t.made(fields{"user": "ann", "old": "1"})
			t.delete(id)
			t.create(id, backend.Record{Fields: fields{"user": "bob"}, TTL: time.Minute})
			t.wantLoad(id, backend.Record{Fields: fields{"user": "bob"}, TTL: time.Minute})
		},
	},
	{
		name: "CreateWithoutFields",
		rule: "A record is a set of named fields and a time to live",
		run: func(t *trial) {
			id := t.made(nil)
			t.wantFields(id, nil)
			t.createFails(id, record(fields{"a": "1"}), backend.ErrExists)
			t.apply(id, backend.Patch{Set: fields{"a": "1"}})
			t.wantFields(id, fields{"a": "1"})
			t.apply(id, backend.Patch{Delete: []string{"a"}})
			t.wantFields(id, nil)
		},
	},
}

var loadCases = []testCase{
	{
		name: "LoadNotFound",
		rule: ruleLoad,
		run: func(t *trial) {
			t.wantGone(t.id())
			t.second.wantGone(t.id())
		},
	},
	{
		name: "LoadSeesAcknowledgedWrites",
		rule: ruleAcked,
		run: func(t *trial) {
			id := t.id()
			t.wantGone(id)
			t.create(id, record(fields{"v": "0"}))
			t.wantFields(id, fields{"v": "0"})
			for _, v := range []string{"1", "2", "3"} {
				t.apply(id, backend.Patch{Set: fields{"v": v}})
				t.wantFields(id, fields{"v": v})
			}
			t.apply(id, backend.Patch{Add: map[string]int64{"v": 1}})
			t.wantFields(id, fields{"v": "4"})
			t.delete(id)
			t.wantGone(id)
		},
	},
}

var deleteCases = []testCase{
	{
		name: "DeleteRemoves",
		rule: "Delete removes the record under id.",
		run: func(t *trial) {
			id, other := t.made(fields{"a": "1"}), t.made(fields{"b": "1"})
			t.delete(id)
			t.wantGone(id)
			t.applyFails(id, backend.Patch{}, backend.ErrNotFound)
			t.wantFields(other, fields{"b": "1"})
		},
	},
	{
		name: "DeleteOfAbsent",
		rule: "Deleting what is not there is no error.",
		run: func(t *trial) {
			t.delete(t.id())
			id := t.made(fields{"a": "1"})
			t.delete(id)
			t.delete(id)
			t.second.delete(id)
			t.wantGone(id)
		},
	},
}

var bytesCases = []testCase{
	{
		name: "ValuesAreBytes",
		rule: ruleBytes,
		run:  func(t *trial) { roundTrip(t, func(b string) (string, string) { return "v", b }) },
	},
	{
		name: "NamesAreBytes",
		rule: ruleBytes,
		run: func(t *trial) {
			roundTrip(t, func(b string) (string, string) { return b, "v" })
		},
	},
	{
		name: "NamesSideBySide",
		rule: ruleBytes,
		run: func(t *trial) {
			all := fields{} // a collation, a normal form, a trim or a number takes one of these for another
			for i, name := range []string{
				"a", "a ", " a", "A", "a\x00", "\x00a", "a\n", "e", "\u00e9", "e\u0301", "\u00c9", "ss", "\u00df",
				"7", "07", "+7", "7.0",
			} {
				all[name] = itoa(i)
			}
			t.wantFields(t.made(all), all)
			id := t.made(fields{"a": "1"})
			for _, name := range sorted(all) {
				if name != "a" {
					t.applyFails(id, backend.Patch{Has: []string{name}}, backend.ErrConflict)
					t.apply(id, backend.Patch{If: fields{name: ""}, Delete: []string{name}})
				}
			}
			t.wantFields(id, fields{"a": "1"})
		},
	},
	{
		name: "NamesAreNoPaths",
		rule: ruleBytes,
		run: func(t *trial) {
			all := fields{} // a document store may take some of these for a path, an operator or a pattern
			for i, name := range []string{
				"a", "a.b", "a.b.c", "a.", ".a", "a/b", "a:b", "a[0]", "$a", "$.a", "a*", "a%", "#", "@",
			} {
				all[name] = itoa(i)
			}
			id, names := t.made(all), sorted(all)
			t.wantFields(id, all)
			for _, name := range names {
				t.apply(id, backend.Patch{Set: fields{name: "new"}})
				all[name] = "new"
				t.wantFields(id, all)
			}
			for _, name := range names {
				t.apply(id, backend.Patch{Delete: []string{name}})
				delete(all, name)
				t.wantFields(id, all)
			}
		},
	},
	{
		name: "EmptyValues",
		rule: ruleBytes,
		run: func(t *trial) {
			id := t.made(fields{"a": "", "b": "1"})
			t.wantFields(id, fields{"a": "", "b": "1"})
			t.wantApply(id, backend.Patch{Set: fields{"b": "", "c": ""}, Load: true}, record(fields{"a": "", "b": "", "c": ""}))
			t.wantFields(id, fields{"a": "", "b": "", "c": ""})
		},
	},
	{
		name: "LargeValues",
		rule: ruleBytes,
		run: func(t *trial) {
			big := strings.Repeat("0123456789abcdef", 4<<10) // 64 KiB
			id := t.made(fields{"a": big})
			t.wantFields(id, fields{"a": big})
			t.apply(id, backend.Patch{Set: fields{"b": big + "b"}, If: fields{"a": big}})
			t.wantFields(id, fields{"a": big, "b": big + "b"})
			t.applyFails(id, backend.Patch{If: fields{"b": big}, Set: fields{"a": ""}}, backend.ErrConflict)
			long := big[:16<<10]
			t.apply(id, backend.Patch{Delete: []string{"a", "b"}, Set: fields{long: "1"}})
			t.wantFields(id, fields{long: "1"})
		},
	},
	{
		name: "ManyFields",
		rule: ruleSize,
		run: func(t *trial) {
			const n = 10_000 // Lua's unpack, and the variables of an SQL statement, have their limits below that
			all, names, adds := numbered(n)
			id := t.made(all)
			t.wantFields(id, all)
			last := fields{names[n-1]: "another"} // of those that are looked at in order, by name
			for i := range 10 {                   // and more of them, because a map has no order
				wrong := fields{names[n-1-i]: "another"}
				t.stepf("of %d conditions, that on %s does not hold", n, showFields(wrong))
				t.applyFails(id, backend.Patch{If: with(all, wrong), Set: last}, backend.ErrConflict)
			}
			t.stepf("of %d names that are to be there, the last is not", n+1)
			t.applyFails(id, backend.Patch{Has: append(slices.Clip(names), "none"), Set: last}, backend.ErrConflict)
			sums := make(fields, n)
			for name, v := range all {
				sums[name] = v + "0"
			}
			reply := t.apply(id, backend.Patch{If: all, Has: names, Add: adds})
			t.same("Apply", reply, backend.Record{Fields: sums})
			t.wantFields(id, sums)
			t.apply(id, backend.Patch{Set: all})
			t.wantFields(id, all)
			t.apply(id, backend.Patch{Delete: names, Set: fields{"last": "1"}})
			t.wantFields(id, fields{"last": "1"})
		},
	},
	{
		name: "ManyFieldsReply",
		rule: ruleSize,
		run: func(t *trial) {
			const n = 10_000
			all, names, adds := numbered(n)
			id := t.made(all)
			t.createFails(id, record(fields{"x": "1"}), backend.ErrExists)
			wrong := fields{names[n-1]: "another"}
			for range 4 { // a map has no order
				t.stepf("of %d conditions, that on %s does not hold", n, showFields(wrong))
				t.applyFails(id, backend.Patch{If: with(all, wrong), Touch: true, Load: true}, backend.ErrConflict)
			}
			t.applyFails(id, backend.Patch{Has: append(slices.Clip(names), "none"), Load: true}, backend.ErrConflict)
			t.wantApply(id, backend.Patch{If: all, Has: names, Load: true}, record(all))
			sums, dashes := make(fields, n), make(fields, n)
			for name, v := range all {
				sums[name], dashes[name] = v+"0", "-"
			}
			t.wantApply(id, backend.Patch{Add: adds, Load: true}, record(sums))
			t.wantApply(id, backend.Patch{Set: dashes, Load: true}, record(dashes))
			few := fields{"big": strings.Repeat("0123456789abcdef", 4<<10), "more": "1"}
			t.wantApply(id, backend.Patch{Delete: names, Set: few, Load: true}, record(few))
			t.createFails(id, record(all), backend.ErrExists)
			t.wantFields(id, few)
			t.apply(id, backend.Patch{Set: all})
			t.wantApply(id, backend.Patch{Remove: true, Load: true}, record(with(all, few)))
			t.wantGone(id)
		},
	},
	{
		name: "IDsAreBytes",
		rule: ruleIDs,
		run: func(t *trial) {
			base := t.id()
			ids := []string{base}
			for _, id := range []string{
				strings.ToLower(base), strings.ToUpper(base[:5]) + strings.ToLower(base[5:]),
				base + ":", base + ":x", base + ":y", ":" + base, base + ".", "." + base, base + "-", "-" + base,
				base + "_", "_" + base, base + "..", base[:len(base)-1], base[:1] + ":" + base[2:], base[:1] + "." + base[2:],
			} {
				ids = append(ids, t.own(id))
			}
			distinct(t, ids)
		},
	},
	{
		name: "IDsAndNames",
		rule: ruleIDs,
		run: func(t *trial) {
			for _, sep := range idEnds { // ID, sep and name are the same together
				base, name := t.id(), "x"+sep+"f"
				other := t.own(base + sep + "x")
				t.create(base, record(fields{name: "1", "n": "1"}))
				t.create(other, record(fields{"f": "2"}))
				t.wantFields(base, fields{name: "1", "n": "1"})
				t.apply(other, backend.Patch{Set: fields{"f": "3"}})
				t.wantFields(base, fields{name: "1", "n": "1"})
				t.apply(base, backend.Patch{Delete: []string{name}})
				t.wantFields(other, fields{"f": "3"})
			}
		},
	},
	{
		name: "IDsFromOneTo64Characters",
		rule: "The caller guarantees that an ID is 1 to 64 characters of [A-Za-z0-9_.:-].",
		run: func(t *trial) {
			long := (t.id() + strings.Repeat("x", 64))[:63]
			ids := []string{long + "a", long + "b", long, long + "A", "a", "Z", "0", "_", ".", ":", "-", "..", "::", ".:"}
			for _, id := range ids {
				t.own(id)
				t.delete(id) // should an earlier run have been interrupted
			}
			distinct(t, ids)
		},
	},
}

// idEnds are what may stand between parts of an ID, or between an ID and a field's name.
var idEnds = []string{"", ":", ".", "-", "_"}

// roundTrip checks that fields come back as they were given, for many a string of bytes that place makes a
// field of.
func roundTrip(t *trial, place func(b string) (name, value string)) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, b := range []string{
		" ", " lead", "trail ", "\x00", "a\x00b", "\xff\xfe", "a\xc3", "\xed\xa0\x80", "line\r\nline\n", "é\u0301漢🙂",
		`"quoted" 'and' \back`, "a:b;c,d=e&f", "%s%d", "{json:1}", "$ARGV[1]", "*3\r\n$3\r\n", "id", "ttl", "TTL", "Ttl",
		"session_", "session_TTL", "expires_at", "If", "__proto__", "0", "-1", "nil", "null", "true", string(all),
	} {
		name, value := place(b)
		id := t.made(fields{name: value, "other": "1"})
		t.wantFields(id, fields{name: value, "other": "1"})
		p := backend.Patch{If: fields{name: value}, Has: []string{name}, Set: fields{name: value + "+"}, Load: true}
		t.wantApply(id, p, record(fields{name: value + "+", "other": "1"}))
		t.apply(id, backend.Patch{Delete: []string{name}})
		t.wantFields(id, fields{"other": "1"})
		t.apply(id, backend.Patch{Set: fields{name: value}})
		t.wantFields(id, fields{name: value, "other": "1"})
	}
}

// numbered returns n fields with different values, their names, and for each what to add so that its value
// becomes ten times as large.
func numbered(n int) (all fields, names []string, adds map[string]int64) {
	all, adds = make(fields, n), make(map[string]int64, n)
	for i := range n {
		name := "field-" + itoa(i)
		all[name] = itoa(i + 1)
		adds[name] = 9 * int64(i+1)
		names = append(names, name)
	}
	return all, names, adds
}

// with returns f with other values in the place of some.
func with(f, others fields) fields {
	both := make(fields, len(f))
	maps.Copy(both, f)
	maps.Copy(both, others)
	return both
}

// distinct checks that each of ids, none of which is there yet, names a record of its own.
func distinct(t *trial, ids []string) {
	for i, id := range ids {
		t.create(id, record(fields{"is": id, "i": itoa(i)}))
	}
	for i, id := range ids {
		t.wantFields(id, fields{"is": id, "i": itoa(i)})
		t.apply(id, backend.Patch{If: fields{"i": itoa(i)}, Set: fields{"i": "changed " + itoa(i)}})
	}
	for i, id := range ids {
		t.wantFields(id, fields{"is": id, "i": "changed " + itoa(i)})
		t.delete(id)
		t.wantGone(id)
	}
}
