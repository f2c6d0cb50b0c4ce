package conformance_test

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

// names returns how many names a patch holds.
func names(p backend.Patch) int {
	return len(p.If) + len(p.Has) + len(p.Set) + len(p.Delete) + len(p.Add)
}

// isWide reports whether a patch takes the path for many names.
func isWide(p backend.Patch) bool { return names(p) > 64 }

// pathMutants keep a rule on the path for what is small alone.
var pathMutants = []mutant{
	{
		name:   "an Apply of more than 64 names clears the expiry",
		kills:  []string{"WideEnds", "WideDoesNotTouch", "WideTouchCountsAgain", "WideTTLCountsFromNow"},
		target: forEver(isWide),
	},
	{
		name:   "an Apply of more than 4000 names clears the expiry",
		kills:  []string{"WideEnds", "WideDoesNotTouch"},
		target: forEver(func(p backend.Patch) bool { return names(p) > 4000 }),
	},
	{
		name:  "a value of more than 4 KiB clears the expiry",
		kills: []string{"WideEnds", "WideDoesNotTouch"},
		target: forEver(func(p backend.Patch) bool {
			for _, v := range p.Set {
				if len(v) > 4<<10 {
					return true
				}
			}
			return false
		}),
	},
	{
		name:  "a Create of more than 64 fields sets no expiry",
		kills: []string{"WideEnds"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			err := c.Create(ctx, id, rec)
			if err == nil && len(rec.Fields) > 64 {
				c.edit(id, func(e *entry) { e.deadline = e.deadline.AddDate(100, 0, 0) })
			}
			return err
		}),
	},
	{
		name:   "an Apply of more than 64 names touches",
		kills:  []string{"WideDoesNotTouch"},
		target: patching(func(p *backend.Patch) { p.Touch = p.Touch || isWide(*p) }),
	},
	{
		name:   "Touch is forgotten beside more than 64 names",
		kills:  []string{"WideTouchCountsAgain"},
		target: patching(func(p *backend.Patch) { p.Touch = p.Touch && !isWide(*p) }),
	},
	{
		name:  "beside more than 64 names, a new TTL counts from the next touch",
		kills: []string{"WideTTLCountsFromNow"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			var deadline time.Time
			c.edit(id, func(e *entry) { deadline = e.deadline })
			rec, err := c.Apply(ctx, id, p)
			if err == nil && p.TTL > 0 && isWide(p) {
				c.edit(id, func(e *entry) { e.deadline = deadline })
			}
			return rec, err
		}),
	},
	{
		name:  "with more than 64 names, Touch comes before the checks",
		kills: []string{"WideErrorsKeepTTL"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if p.Touch && isWide(p) {
				c.edit(id, func(e *entry) { e.deadline = c.now().Add(e.TTL) })
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:   "more than 1000 counters are checked and added 1000 at a time",
		kills:  []string{"CountersFailTogether"},
		target: addingInPieces,
	},
	{
		name:  "more than 1000 fields are set by two statements",
		kills: []string{"RaceWideApplies"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if len(p.Set) > 1000 {
				var some map[string]string
				some, p.Set = halves(p.Set)
				if _, err := c.Apply(ctx, id, backend.Patch{If: p.If, Has: p.Has, Set: some}); err != nil {
					return none, err
				}
				p.If, p.Has = nil, nil
				pause()
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "a record of more than 1000 fields is created by two statements",
		kills: []string{"RaceWideCreate"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			if len(rec.Fields) <= 1000 {
				return c.Create(ctx, id, rec)
			}
			some, others := halves(rec.Fields)
			if err := c.Create(ctx, id, backend.Record{Fields: some, TTL: rec.TTL}); err != nil {
				return err
			}
			pause()
			_, err := c.Apply(ctx, id, backend.Patch{Set: others})
			return err
		}),
	},
}

// forEver returns a target where a record that an Apply of this kind has changed has no end.
func forEver(kind func(backend.Patch) bool) func(*complete) conformance.Target {
	return applied(func(_ *complete, p backend.Patch, e *entry) {
		if kind(p) {
			e.deadline = e.deadline.AddDate(100, 0, 0)
		}
	})
}

// addingInPieces makes a target whose Apply adds counters in pieces, in the order of their names.
func addingInPieces(c *complete) conformance.Target {
	return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		const piece = 1000
		if len(p.Add) <= piece {
			return c.Apply(ctx, id, p)
		}
		sums := map[string]string{}
		for some := range slices.Chunk(slices.Sorted(maps.Keys(p.Add)), piece) {
			q := backend.Patch{If: p.If, Has: p.Has, Add: map[string]int64{}}
			for _, name := range some {
				q.Add[name] = p.Add[name]
			}
			p.If, p.Has = nil, nil
			rec, err := c.Apply(ctx, id, q)
			if err != nil {
				return none, err
			}
			maps.Copy(sums, rec.Fields)
		}
		p.Add = nil
		rec, err := c.Apply(ctx, id, p)
		if !p.Load {
			rec.Fields = sums
		}
		return rec, err
	})(c)
}

// halves divides a map.
func halves(m map[string]string) (some, others map[string]string) {
	some, others = map[string]string{}, map[string]string{}
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i < len(m)/2 {
			some[name] = m[name]
		} else {
			others[name] = m[name]
		}
	}
	return some, others
}
