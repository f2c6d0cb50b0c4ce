package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/faeeb396/session/backend"
)

// An op is one step of a sequence: a call, or time that passes.
type op struct {
	kind   opKind
	second bool // it is the second client's call
	id     int
	record backend.Record // of a Create
	patch  backend.Patch  // of an Apply
	pass   time.Duration
}

type opKind int

const (
	opLoad opKind = iota
	opCreate
	opApply
	opDelete
	opPass
)

// A chooser returns a number from 0 to n-1, for n up to 256: at random, or as a fuzzer has it.
type chooser func(n int) int

// A maker makes sequences that keep what the caller of a backend guarantees.
type maker struct {
	choose chooser
	model  *model
	second bool // there is a second client
	passes bool // time can pass
}

const (
	modelIDs   = 2  // records in a sequence: few, so that calls meet
	modelSteps = 40 // calls in a sequence
	modelWide  = 40 // fields that are set at once now and then
)

var (
	modelNames  = []string{"a", "b", "\xff", "n", "m"}
	modelValues = []string{
		"", "0", "1", "7", "-3", "x", "01", "-0", "\x00\xff", " x\r\n", "9007199254740991", "-9007199254740991", "9007199254740992",
		strings.Repeat("v", 80), strings.Repeat("V", 3000),
	}
	modelCounts = []string{"0", "1", "7", "-3", "41", "9007199254740990", "-9007199254740991"}
	modelDeltas = []int64{0, 1, 1, 1, -1, 5, 12, -7, most, most + 1}
)

// sequence returns so many steps as more allows, and what looks at all records at the end.
func (g *maker) sequence(more func() bool) []op {
	var ops []op
	g.passes = g.passes && g.choose(3) > 0 // where nothing expires, more happens to each record
	for more() {
		o := g.op()
		_, _ = g.model.do(o)
		ops = append(ops, o)
	}
	for id := range modelIDs {
		ops = append(ops, op{kind: opLoad, id: id})
	}
	return ops
}

func (g *maker) op() op {
	o := op{id: g.choose(modelIDs), second: g.second && g.choose(3) == 0}
	k := g.choose(24)
	_, live := g.model.live(o.id)
	switch {
	case g.passes && k < 4:
		return op{kind: opPass, pass: g.pass()}
	case k == 4, !live && k < 16: // it is seldom that nothing is there, since there is little to find then
		o.kind, o.record = opCreate, g.record()
	case k < 8:
		o.kind = opLoad
	case k == 8:
		o.kind = opDelete
	default:
		o.kind, o.patch = opApply, g.patch(o.id)
	}
	return o
}

// pass returns a time after which it is clear which records live.
func (g *maker) pass() time.Duration {
	n := time.Duration(1 + g.choose(8))
	if g.choose(8) == 0 {
		return g.model.clearly(n * time.Hour)
	}
	return g.model.clearly(n * 250 * time.Millisecond)
}

// clearly returns d, or as much more as it takes for it to be clear which records live then.
func (m *model) clearly(d time.Duration) time.Duration {
	for then := (&model{m.now + d, m.records}); then.unclear(100 * time.Millisecond); then.now += 125 * time.Millisecond {
		d += 125 * time.Millisecond
	}
	return d
}

// ttl returns a time to live: seconds, most often, if time can pass, and no less than hours otherwise.
func (g *maker) ttl() time.Duration {
	n := time.Duration(1 + g.choose(4))
	switch k := g.choose(8); {
	case g.passes && k > 1:
		return n * time.Second
	case k == 0:
		return n * 30 * 24 * time.Hour
	}
	return n*time.Hour + time.Second
}

func (g *maker) of(texts []string) string { return texts[g.choose(len(texts))] }

func (g *maker) record() backend.Record {
	var f fields
	for range g.choose(4) {
		name := g.of(modelNames)
		set(&f, name, g.value(name))
	}
	return backend.Record{Fields: f, TTL: g.ttl()}
}

// patch returns a change of a record whose conditions hold more often than not.
func (g *maker) patch(id int) backend.Patch {
	r, _ := g.model.live(id)
	there := slices.Sorted(maps.Keys(r.fields))
	p := backend.Patch{Load: g.choose(3) == 0, Durable: g.choose(8) == 0}
	for range max(0, g.choose(6)-3) {
		name := g.of(modelNames)
		value := r.fields[name]
		if g.choose(4) == 0 {
			value = g.value(name)
		}
		set(&p.If, name, value)
	}
	for range max(0, g.choose(6)-3) {
		name := g.of(modelNames)
		if len(there) > 0 && g.choose(4) > 0 {
			name = there[g.choose(len(there))]
		}
		p.Has = append(p.Has, name)
	}
	switch g.choose(16) {
	case 0:
		p.Remove = true
		return p
	case 1: // changes no field
	default:
		g.changes(&p)
	}
	switch g.choose(8) {
	case 0:
		p.TTL = g.ttl()
	case 1:
		p.TTL = r.ttl // the same again
	}
	p.Touch = g.choose(4) == 0
	return p
}

// changes fills Set, Delete and Add, with no field in more than one of them.
func (g *maker) changes(p *backend.Patch) {
	for _, name := range modelNames {
		k := g.choose(8)
		switch {
		case k == 0, k < 3 && !counts(name):
			set(&p.Set, name, g.value(name))
		case k < 4 && counts(name), k == 3 && g.choose(4) == 0:
			set(&p.Add, name, modelDeltas[g.choose(len(modelDeltas))])
		case k == 4:
			p.Delete = append(p.Delete, name)
		}
	}
	switch g.choose(12) {
	case 0:
		for i := range modelWide {
			set(&p.Set, "wide"+itoa(i), itoa(i))
		}
	case 1:
		for i := range modelWide {
			p.Delete = append(p.Delete, "wide"+itoa(i))
		}
	}
}

// counts reports whether a field is used as a counter, most often.
func counts(name string) bool { return name == "n" || name == "m" }

// value returns a value for a field.
func (g *maker) value(name string) string {
	if counts(name) && g.choose(6) > 0 {
		return g.of(modelCounts)
	}
	return g.of(modelValues)
}

// set sets a key in a map that may not be there yet.
func set[V any](m *map[string]V, name string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[name] = value
}

// show returns an op as a step, with what came of it.
func (o op) show(id string, rec backend.Record, err error) string {
	who := ""
	if o.second {
		who = "second."
	}
	switch o.kind {
	case opCreate:
		return fmt.Sprintf("%sCreate(%s, %s) = %s", who, showID(id), showRecord(o.record), showError(err))
	case opLoad:
		return fmt.Sprintf("%sLoad(%s) = %s", who, showID(id), showResult(rec, err))
	case opApply:
		return fmt.Sprintf("%sApply(%s, %s) = %s", who, showID(id), showPatch(o.patch), showResult(rec, err))
	case opDelete:
		return fmt.Sprintf("%sDelete(%s) = %s", who, showID(id), showError(err))
	}
	return fmt.Sprintf("%v pass", o.pass)
}
