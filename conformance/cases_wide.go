package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/faeeb396/session/backend"
)

// Cases about rules that a backend may keep for small records and patches alone: much may be written in pieces, by
// another script or in another format.

const (
	wide     = 100  // fields, or names in a part of a patch
	veryWide = 2000 // the same, where few calls have so many
)

var wideCases = []testCase{
	{
		name: "RaceWideCreate",
		rule: ruleAtomic,
		run: func(t *trial) {
			all, _, _ := numbered(veryWide)
			for range 3 {
				id := t.id()
				t.stepf("one goroutine creates %s with %d fields, 3 others load it meanwhile", showID(id), veryWide)
				var over atomic.Bool
				t.parallel(4, func(i int, c client) error {
					time.Sleep(100 * time.Microsecond) // all begin at the same time
					if i == 0 {
						defer over.Store(true)
						return c.tryCreate(id, record(all))
					}
					for k, left := 0, 4; k < 5000 && left > 0; k++ {
						if over.Load() {
							left--
						}
						got, err := c.tryLoad(id)
						if errors.Is(err, backend.ErrNotFound) {
							continue
						}
						if err != nil {
							return fmt.Errorf("a Load failed: %w", err)
						}
						if d := diff(record(all), got); d != "" {
							return fmt.Errorf("a Load returned a part of the record, mismatch (-want +got):\n%s", d)
						}
					}
					return nil
				})
			}
		},
	},
	{
		name: "RaceWideApplies",
		rule: ruleAtomic,
		run: func(t *trial) {
			id := t.made(uniform("-"))
			t.stepf("2 goroutines set %d fields to the same value each time, 3 others look", veryWide)
			var writers atomic.Int64
			writers.Store(2)
			t.parallel(5, func(i int, c client) error {
				if i < 2 {
					defer writers.Add(-1)
					for k := range 6 {
						p := backend.Patch{Set: uniform(itoa(i) + "/" + itoa(k)), Durable: durable(k), Load: k%2 == 0}
						time.Sleep(100 * time.Microsecond)
						rec, err := c.tryApply(id, p)
						if err == nil && p.Load {
							err = wholeUniform(rec)
						}
						if err != nil {
							return err
						}
					}
					return nil
				}
				for k := 0; k < 200 && writers.Load() > 0; k++ {
					if k%4 == 0 { // all begin again at the same time
						time.Sleep(100 * time.Microsecond)
					}
					rec, err := loadEither(c, id, k%2 == 0, backend.Patch{Load: true})
					if err == nil {
						err = wholeUniform(rec)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		},
	},
	{
		name:  "WideEnds",
		rule:  ruleForEver,
		waits: true,
		run: func(t *trial) {
			var ids []string
			for _, p := range widePatches() {
				again, touched := p, p
				again.TTL, touched.Touch = t.ttl(1), true
				for _, p := range []backend.Patch{p, again, touched} {
					id := t.living(1, wideFields())
					t.apply(id, p)
					ids = append(ids, id)
				}
			}
			t.wantAllGone(1.6, ids)
		},
	},
	{
		name:  "WideDoesNotTouch",
		rule:  ruleNoTouch,
		waits: true,
		run:   func(t *trial) { leavesTTL(t, wideFields(), widePatches()) },
	},
	{
		name:  "WideTouchCountsAgain",
		rule:  ruleTouch,
		waits: true,
		run: func(t *trial) {
			patches := widePatches()
			for i := range patches {
				patches[i].Touch = true
			}
			extends(t, 2, wideFields(), patches)
		},
	},
	{
		name:  "WideTTLCountsFromNow",
		rule:  ruleTTL,
		waits: true,
		run: func(t *trial) {
			patches := widePatches()
			for i := range patches {
				patches[i].TTL = t.ttl(3)
			}
			extends(t, 3, wideFields(), patches)
		},
	},
	{
		name:  "WideErrorsKeepTTL",
		rule:  ruleChecks,
		waits: true,
		run: func(t *trial) {
			all, names, adds := numbered(wide)
			adds["text"] = 1
			before := with(wideFields(), fields{"text": "one"})
			keepsTTL(t, before, []failingPatch{
				{backend.Patch{If: with(all, fields{names[wide-1]: "another"}), Set: all, Touch: true}, backend.ErrConflict},
				{
					backend.Patch{Has: append(slices.Clip(names), "none"), Set: all, Delete: []string{"a"}, Touch: true},
					backend.ErrConflict,
				},
				{backend.Patch{If: all, Has: names, Add: adds, Set: fields{"a": "2"}, Touch: true}, backend.ErrCounter},
			})
		},
	},
}

// uniform returns fields that all have the same value.
func uniform(value string) fields {
	all, _, _ := numbered(veryWide)
	for name := range all {
		all[name] = value
	}
	return all
}

// wholeUniform returns an error if a record has not the fields of uniform.
func wholeUniform(rec backend.Record) error {
	if len(rec.Fields) != veryWide {
		return fmt.Errorf("saw %d fields of %d", len(rec.Fields), veryWide)
	}
	first := rec.Fields["field-0"]
	for name, v := range rec.Fields {
		if v != first {
			return fmt.Errorf("saw a part of a change: field-0 is %s, and %s is %s", showText(first), name, showText(v))
		}
	}
	return nil
}

// wideFields returns the fields of a wide record: a=1, n=1 and those of numbered.
func wideFields() fields {
	all, _, _ := numbered(wide)
	return with(all, fields{"a": "1", "n": "1"})
}

// widePatches returns patches that succeed on a record with wideFields. Each is large in another part, or has a large
// value, or concerns the record alone; none touches.
func widePatches() []backend.Patch {
	all, names, adds := numbered(wide)
	whole := backend.Patch{If: all, Has: names, Set: fields{}, Add: map[string]int64{}}
	for i := range veryWide {
		whole.Set["new-"+itoa(i)] = "x"
		whole.Add["count-"+itoa(i)] = int64(i)
		whole.Delete = append(whole.Delete, "none-"+itoa(i))
	}
	return []backend.Patch{
		{Load: true},
		{If: all, Has: names},
		{Set: all},
		{Delete: names},
		{Add: adds},
		{Set: fields{"a": strings.Repeat("0123456789abcdef", 320)}}, // 5 KiB
		whole,
	}
}
