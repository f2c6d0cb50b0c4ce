package conformance_test

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

var conditionMutants = []mutant{
	{
		name:   "If is ignored",
		kills:  []string{"IfHoldsValue"},
		target: patching(func(p *backend.Patch) { p.If = nil }),
	},
	{
		name:  "If is ignored where there is nothing to change",
		kills: []string{"IfHoldsValue"},
		target: patching(func(p *backend.Patch) {
			if len(p.Set)+len(p.Delete)+len(p.Add) == 0 && !p.Touch && p.TTL == 0 && !p.Remove {
				p.If = nil
			}
		}),
	},
	{
		name:  "If is judged after Set",
		kills: []string{"IfHoldsValue"},
		target: patching(func(p *backend.Patch) {
			for name := range p.If {
				if v, ok := p.Set[name]; ok {
					p.If[name] = v
				}
			}
		}),
	},
	{
		name:  "If is ignored for absent fields",
		kills: []string{"IfAbsentIsEmpty"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			p = copyOfPatch(p)
			rec, _ := c.Load(ctx, id)
			maps.DeleteFunc(p.If, func(name, _ string) bool { _, ok := rec.Fields[name]; return !ok })
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "If needs the field to be there",
		kills: []string{"IfAbsentIsEmpty", "IfEmptyValue"},
		target: patching(func(p *backend.Patch) {
			for name := range p.If {
				p.Has = append(p.Has, name)
			}
		}),
	},
	{
		name:  "an empty If value is no condition",
		kills: []string{"IfAbsentIsEmpty"},
		target: patching(func(p *backend.Patch) {
			maps.DeleteFunc(p.If, func(_, v string) bool { return v == "" })
		}),
	},
	{
		name:  "If takes a field with an empty value for one that has any",
		kills: []string{"IfEmptyValue"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			p = copyOfPatch(p)
			rec, _ := c.Load(ctx, id)
			maps.DeleteFunc(p.If, func(name, _ string) bool { v, ok := rec.Fields[name]; return ok && v == "" })
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "Has is ignored where there is nothing to change",
		kills: []string{"HasField"},
		target: patching(func(p *backend.Patch) {
			if len(p.Set)+len(p.Delete)+len(p.Add) == 0 && !p.Touch && p.TTL == 0 && !p.Remove {
				p.Has = nil
			}
		}),
	},
	{
		name:   "Has is ignored",
		kills:  []string{"HasField", "ConditionsOnOneField"},
		target: patching(func(p *backend.Patch) { p.Has = nil }),
	},
	{
		name:  "only the first of Has counts",
		kills: []string{"HasField"},
		target: patching(func(p *backend.Patch) {
			p.Has = p.Has[:min(1, len(p.Has))]
		}),
	},
	{
		name:  "Has takes an empty value for none",
		kills: []string{"HasField", "ConditionsOnOneField"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			for _, name := range p.Has {
				if err == nil && rec.Fields[name] == "" {
					return none, backend.ErrConflict
				}
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "one condition a field: If hides Has",
		kills: []string{"ConditionsOnOneField"},
		target: patching(func(p *backend.Patch) {
			var has []string
			for _, name := range p.Has {
				if _, ok := p.If[name]; !ok {
					has = append(has, name)
				}
			}
			p.Has = has
		}),
	},
}

var counterMutants = []mutant{
	{
		name:  "an absent counter is an error",
		kills: []string{"CounterAdds"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			for name := range p.Add {
				if _, ok := rec.Fields[name]; !ok && err == nil {
					return none, backend.ErrCounter
				}
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "adding 0 writes nothing",
		kills: []string{"CounterAddsNothing", "CounterCanonical"},
		target: patching(func(p *backend.Patch) {
			maps.DeleteFunc(p.Add, func(_ string, delta int64) bool { return delta == 0 })
		}),
	},
	{
		name:  "adding 0 to an absent counter is replied and not written",
		kills: []string{"CounterAddsNothing"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			old, _ := c.Load(ctx, id)
			rec, err := c.Apply(ctx, id, p)
			for name, delta := range p.Add {
				if _, ok := old.Fields[name]; err == nil && !ok && delta == 0 {
					c.edit(id, func(e *entry) { delete(e.Fields, name) })
				}
			}
			return rec, err
		}),
	},
	{name: "counters are read as strconv reads them", kills: []string{"CounterCanonical"}, target: reading(strconvInt)},
	{name: "counters are read with spaces around them", kills: []string{"CounterCanonical"}, target: reading(trimmedInt)},
	{name: "an empty counter is 0", kills: []string{"CounterCanonical"}, target: reading(emptyInt)},
	{name: "counters are read as floats", kills: []string{"CounterCanonical"}, target: reading(floatInt)},
	{name: "counters have 64 bits", kills: []string{"CounterRange", "CounterRangeOfAbsent"}, target: bounded(false, false, false)},
	{name: "a counter's old value may be out of range", kills: []string{"CounterRange"}, target: bounded(false, true, true)},
	{name: "a delta may be out of range", kills: []string{"CounterRange"}, target: bounded(true, false, true)},
	{name: "a sum may be out of range", kills: []string{"CounterRange"}, target: bounded(true, true, false)},
	{
		name:  "an absent counter's range is not checked",
		kills: []string{"CounterRangeOfAbsent"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			p = copyOfPatch(p)
			for name, delta := range p.Add {
				if _, ok := rec.Fields[name]; err == nil && !ok && !inRange(delta) {
					delete(p.Add, name)
					p.Set = map[string]string{name: strconv.FormatInt(delta, 10)}
				}
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "counters are added one after the other",
		kills: []string{"CountersFailTogether"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			for name, delta := range p.Add {
				one := backend.Patch{If: p.If, Has: p.Has, Add: map[string]int64{name: delta}}
				if _, err := c.Apply(ctx, id, one); err != nil {
					return none, err
				}
			}
			p = copyOfPatch(p)
			for name := range p.Add {
				p.Add[name] = 0
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "a record in the reply has large counters as a float has them",
		kills: []string{"ReplyWithLoad"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			for name := range p.Add {
				if n, err := strconv.Atoi(rec.Fields[name]); err == nil && p.Load {
					rec.Fields[name] = strconv.FormatFloat(float64(n), 'g', 14, 64)
				}
			}
			return rec, err
		}),
	},
	{
		name:  "a record in the reply lacks what is new",
		kills: []string{"ReplyWithLoad"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			before, _ := c.Load(ctx, id)
			rec, err := c.Apply(ctx, id, p)
			if p.Load && len(p.Delete) == 0 {
				for name := range p.Set {
					if _, ok := before.Fields[name]; !ok {
						delete(rec.Fields, name)
					}
				}
			}
			return rec, err
		}),
	},
}

func strconvInt(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }
func trimmedInt(s string) (int64, error) { return strconv.ParseInt(strings.TrimSpace(s), 10, 64) }

func emptyInt(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	return strconvInt(s)
}

func floatInt(s string) (int64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if f != f || f > backend.MaxCounter || f < -backend.MaxCounter {
		return 0, strconv.ErrRange
	}
	return int64(f), err
}

// reading makes a target that reads the counters it holds with parse.
func reading(parse func(string) (int64, error)) func(*complete) conformance.Target {
	return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		c.edit(id, func(e *entry) {
			for name := range p.Add {
				if v, ok := e.Fields[name]; ok {
					if n, err := parse(v); err == nil && inRange(n) {
						e.Fields[name] = strconv.FormatInt(n, 10)
					}
				}
			}
		})
		return c.Apply(ctx, id, p)
	})
}

// bounded makes a target that checks the range of a counter's old value, of the delta and of the sum only if
// it is told to.
func bounded(old, delta, sum bool) func(*complete) conformance.Target {
	return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		rec, err := c.Apply(ctx, id, p)
		if !errors.Is(err, backend.ErrCounter) || len(p.Add) != 1 {
			return rec, err
		}
		for name, d := range p.Add {
			c.edit(id, func(e *entry) {
				v, ok := e.Fields[name]
				if !ok {
					v = "0"
				}
				n, bad := strconv.ParseInt(v, 10, 64)
				if bad != nil || old && !inRange(n) || delta && !inRange(d) || sum && !inRange(n+d) {
					return
				}
				e.Fields[name] = strconv.FormatInt(n+d, 10)
				rec, err = backend.Record{Fields: map[string]string{name: e.Fields[name]}}, nil
			})
		}
		return rec, err
	})
}

var replyMutants = []mutant{
	{
		name:   "the reply is always the whole record",
		kills:  []string{"ReplyWithoutLoad"},
		target: patching(func(p *backend.Patch) { p.Load = true }),
	},
	{
		name:  "a reply with counters holds the TTL too",
		kills: []string{"ReplyWithoutLoad"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if err == nil && len(p.Add) > 0 {
				c.edit(id, func(e *entry) { rec.TTL = e.TTL })
			}
			return rec, err
		}),
	},
	{
		name:  "with Load the reply is the record as it was",
		kills: []string{"ReplyWithLoad"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			old, err := c.Load(ctx, id)
			rec, err2 := c.Apply(ctx, id, p)
			if err == nil && err2 == nil && p.Load {
				return old, nil
			}
			return rec, err2
		}),
	},
	{
		name:  "with Load the reply holds the old TTL",
		kills: []string{"ReplyWithLoad"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			old, err := c.Load(ctx, id)
			rec, err2 := c.Apply(ctx, id, p)
			if err == nil && err2 == nil && p.Load {
				rec.TTL = old.TTL
			}
			return rec, err2
		}),
	},
	{
		name:  "Remove replies nothing",
		kills: []string{"RemoveWithLoad", "RaceRemoveSeesAll"},
		target: patching(func(p *backend.Patch) {
			p.Load = p.Load && !p.Remove
		}),
	},
	{
		name:  "Remove always replies the record",
		kills: []string{"RemoveDeletes"},
		target: patching(func(p *backend.Patch) {
			p.Load = p.Load || p.Remove
		}),
	},
}
