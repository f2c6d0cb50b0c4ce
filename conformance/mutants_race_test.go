package conformance_test

import (
	"context"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

// pause lets every other goroutine of the bubble go on as far as it can.
func pause() { time.Sleep(time.Millisecond) }

// put stores a record, whatever is there.
func (b *mapBackend) put(id string, rec backend.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records[id] = entry{copyOf(rec), b.now().Add(rec.TTL)}
}

var raceMutants = []mutant{
	{
		name:  "Create checks, then writes",
		kills: []string{"RaceOneCreator"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			if _, err := c.Load(ctx, id); err == nil {
				return backend.ErrExists
			} else if ctx.Err() != nil {
				return err
			}
			pause()
			c.put(id, rec)
			return nil
		}),
	},
	{
		name:  "Create sets the TTL in a second step",
		kills: []string{"RaceCreateWhole"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			ttl := rec.TTL
			rec.TTL = 24 * time.Hour
			if err := c.Create(ctx, id, rec); err != nil {
				return err
			}
			pause()
			_, err := c.Apply(ctx, id, backend.Patch{TTL: ttl})
			return err
		}),
	},
	{
		name:  "Create writes field by field",
		kills: []string{"RaceCreateWhole"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			if err := c.Create(ctx, id, backend.Record{TTL: rec.TTL}); err != nil {
				return err
			}
			for name, value := range rec.Fields {
				pause()
				if _, err := c.Apply(ctx, id, backend.Patch{Set: map[string]string{name: value}}); err != nil {
					return err
				}
			}
			return nil
		}),
	},
	{
		name:   "a counter is read, added and written",
		kills:  []string{"RaceCountersSum"},
		target: addingLate,
	},
	{
		name:   "a record is read, changed and written as a whole",
		kills:  []string{"RaceNoLostField", "RaceDeleteBeatsApply"},
		target: rewritingWhole,
	},
	{
		name:  "conditions are checked, then it is written",
		kills: []string{"RaceConditionalWinner"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			check := backend.Patch{If: p.If, Has: p.Has}
			if _, err := c.Apply(ctx, id, check); err != nil {
				return none, err
			}
			pause()
			p.If, p.Has = nil, nil
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "Set is written field by field",
		kills: []string{"RaceAppliesWhole"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, backend.Patch{If: p.If, Has: p.Has, Load: true})
			if _, ok := add(rec.Fields, p.Add); err == nil && !ok {
				return none, backend.ErrCounter
			}
			for _, name := range slices.Sorted(maps.Keys(p.Set)) {
				if err != nil {
					return none, err
				}
				_, err = c.Apply(ctx, id, backend.Patch{Set: map[string]string{name: p.Set[name]}})
				pause()
			}
			p.If, p.Has, p.Set = nil, nil, nil
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:   "the reply is read after the write",
		kills:  []string{"RaceAppliesWhole", "RaceRemoveSeesAll"},
		target: replyingLate,
	},
	{
		name:   "a counter is read, added and written, if the patch is durable",
		kills:  []string{"RaceCountersSum"},
		target: ifDurable(addingLate),
	},
	{
		name:   "a record is read, changed and written as a whole, if the patch is durable",
		kills:  []string{"RaceNoLostField", "RaceDeleteBeatsApply"},
		target: ifDurable(rewritingWhole),
	},
	{
		name:   "the reply is read after the write, if the patch is durable",
		kills:  []string{"RaceAppliesWhole", "RaceRemoveSeesAll"},
		target: ifDurable(replyingLate),
	},
	{
		name:  "Remove checks, then deletes",
		kills: []string{"RaceRemoveOnce"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if !p.Remove {
				return c.Apply(ctx, id, p)
			}
			p.Remove = false
			rec, err := c.Apply(ctx, id, p)
			if err != nil {
				return none, err
			}
			pause()
			return rec, c.Delete(ctx, id)
		}),
	},
	{
		name:  "conditions of a durable patch are checked, then it is written",
		kills: []string{"RaceConditionalWinner"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if p.Durable {
				if _, err := c.Apply(ctx, id, backend.Patch{If: p.If, Has: p.Has}); err != nil {
					return none, err
				}
				p.If, p.Has = nil, nil
			}
			pause() // the others too, or one of them may have won before a check
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "a durable Remove checks, then deletes",
		kills: []string{"RaceRemoveOnce"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if !p.Durable || !p.Remove {
				pause() // or one of these may have won before a check
				return c.Apply(ctx, id, p)
			}
			p.Remove = false
			rec, err := c.Apply(ctx, id, p)
			if err != nil {
				return none, err
			}
			pause()
			return rec, c.Delete(ctx, id)
		}),
	},
	{
		name:  "Touch writes the record back as it was read",
		kills: []string{"RaceDeleteBeatsApply"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			old, err := c.Load(ctx, id)
			rec, err2 := c.Apply(ctx, id, p)
			if err == nil && err2 == nil && p.Touch && p.TTL == 0 && len(p.Set)+len(p.Add)+len(p.Delete) == 0 {
				pause()
				c.put(id, old)
			}
			return rec, err2
		}),
	},
}

// addingLate makes a target whose Apply reads counters, adds to them, and then writes the sums.
var addingLate = applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	rec, err := c.Load(ctx, id)
	if err != nil || len(p.Add) == 0 {
		return c.Apply(ctx, id, p)
	}
	sums, ok := add(rec.Fields, p.Add)
	if !ok {
		return none, backend.ErrCounter
	}
	pause()
	p = copyOfPatch(p)
	p.Add, p.Set = nil, maps.Clone(p.Set)
	if p.Set == nil {
		p.Set = map[string]string{}
	}
	maps.Copy(p.Set, sums)
	rec, err = c.Apply(ctx, id, p)
	if err == nil && !p.Load {
		rec.Fields = sums
	}
	return rec, err
})

// replyingLate makes a target whose Apply writes, and then reads what it returns.
var replyingLate = applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if !p.Load {
		return c.Apply(ctx, id, p)
	}
	p.Load = false
	before, err := c.Load(ctx, id)
	if err != nil {
		return none, err
	}
	pause()
	if _, err := c.Apply(ctx, id, p); err != nil || p.Remove {
		return before, err
	}
	pause()
	return c.Load(ctx, id)
})

// ifDurable makes a target that is a mutant's for durable patches, and right for all others.
func ifDurable(mutant func(*complete) conformance.Target) func(*complete) conformance.Target {
	return func(c *complete) conformance.Target {
		broken := mutant(c).Backend
		return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if p.Durable {
				return broken.Apply(ctx, id, p)
			}
			pause() // or most of these are done before the first of the others
			return c.Apply(ctx, id, p)
		})(c)
	}
}

// rewritingWhole makes a target whose Apply works on a copy, and then writes that back.
func rewritingWhole(c *complete) conformance.Target {
	return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		work := newComplete()
		c.edit(id, func(e *entry) { work.records[id] = entry{copyOf(e.Record), e.deadline} })
		if c.unreadable(id) {
			return none, backend.ErrUnreadable
		}
		rec, err := work.Apply(ctx, id, p)
		if err != nil {
			return rec, err
		}
		pause()
		c.mu.Lock()
		defer c.mu.Unlock()
		e, ok := work.records[id]
		if !ok {
			delete(c.records, id)
			return rec, nil
		}
		c.records[id] = e
		return rec, nil
	})(c)
}

var scanMutants = []mutant{
	{
		name:  "Scan stops at 100",
		kills: []string{"ScanNamesLive"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return each(ctx, func() []string { ids := c.ids(); return ids[:min(100, len(ids))] })
		}),
	},
	{
		name:  "Scan names what was deleted",
		kills: []string{"ScanNamesLive"},
		target: func(c *complete) conformance.Target {
			index := newComplete()
			target := scanning(func(_ *complete, ctx context.Context) iter.Seq2[string, error] { return index.Scan(ctx) })(c)
			target.Backend = altered{Backend: target.Backend, create: func(ctx context.Context, id string, rec backend.Record) error {
				_ = index.Create(ctx, id, rec)
				return c.Create(ctx, id, rec)
			}}
			return target
		},
	},
	{
		name:  "Scan names keys that are no records",
		kills: []string{"ScanNamesLive"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for id, err := range c.Scan(ctx) {
					if !yield(id, err) || err == nil && !yield("session:"+id+":fields", nil) {
						return
					}
				}
			}
		}),
	},
	{
		name:  "Scan names what has expired",
		kills: []string{"ScanSkipsExpired"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return each(ctx, func() []string {
				c.mu.Lock()
				defer c.mu.Unlock()
				return slices.Collect(maps.Keys(c.records))
			})
		}),
	},
	{
		name:  "Scan counts pages while others create and delete",
		kills: []string{"ScanUnderChurn", "ScanLoopCalls"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for offset := 0; ; offset += 10 {
					ids := slices.Sorted(slices.Values(c.ids()))
					for _, id := range ids[min(offset, len(ids)):min(offset+10, len(ids))] {
						if !yield(id, nil) {
							return
						}
					}
					if offset+10 >= len(ids) {
						return
					}
					pause()
				}
			}
		}),
	},
	{
		name:  "Scan goes on when the loop has ended",
		kills: []string{"ScanStopsEarly"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for _, id := range c.ids() {
					yield(id, nil)
				}
			}
		}),
	},
	{
		name:  "Scan keeps its lock when the loop ends early",
		kills: []string{"ScanStopsEarly"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				ids := c.ids()
				c.mu.Lock()
				for _, id := range ids {
					if !yield(id, nil) {
						return
					}
				}
				c.mu.Unlock()
			}
		}),
	},
	{
		name:   "Scan keeps the only connection while it yields",
		kills:  []string{"ScanLoopCalls"},
		target: oneConnection,
	},
	{
		name:  "Scan ignores its context",
		kills: []string{"ScanContextEnded"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return c.Scan(context.WithoutCancel(ctx))
		}),
	},
	{
		name:  "Scan ends in silence when its context has ended",
		kills: []string{"ScanContextEnded"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for _, id := range c.ids() {
					if ctx.Err() != nil || !yield(id, nil) {
						return
					}
				}
			}
		}),
	},
	{
		name:  "Scan goes on after an error",
		kills: []string{"ScanContextEnded"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for _, id := range c.ids() {
					if err := ctx.Err(); err != nil && !yield("", err) || err == nil && !yield(id, nil) {
						return
					}
				}
			}
		}),
	},
	{
		name:  "Scan touches",
		kills: []string{"ScanDoesNotTouch"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			for _, id := range c.ids() {
				_, _ = c.Apply(ctx, id, backend.Patch{Touch: true})
			}
			return c.Scan(ctx)
		}),
	},
}

// oneConnection makes a target whose calls wait for each other, and for the end of a scan.
func oneConnection(c *complete) conformance.Target {
	connection := make(chan struct{}, 1)
	take := func() func() { connection <- struct{}{}; return func() { <-connection } }
	calls := alter(func(c *complete) altered {
		return altered{
			create: func(ctx context.Context, id string, rec backend.Record) error {
				defer take()()
				return c.Create(ctx, id, rec)
			},
			load: func(ctx context.Context, id string) (backend.Record, error) {
				defer take()()
				return c.Load(ctx, id)
			},
			apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				defer take()()
				return c.Apply(ctx, id, p)
			},
			del: func(ctx context.Context, id string) error {
				defer take()()
				return c.Delete(ctx, id)
			},
		}
	})(c)
	return conformance.Target{Backend: scanner{calls.Backend, func(ctx context.Context) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			defer take()()
			c.Scan(ctx)(yield)
		}
	}}}
}

// scanning returns a target with another Scan.
func scanning(f func(c *complete, ctx context.Context) iter.Seq2[string, error]) func(*complete) conformance.Target {
	return func(c *complete) conformance.Target {
		return conformance.Target{Backend: scanner{c, func(ctx context.Context) iter.Seq2[string, error] { return f(c, ctx) }}}
	}
}

type scanner struct {
	backend.Backend
	scan func(ctx context.Context) iter.Seq2[string, error]
}

func (s scanner) Scan(ctx context.Context) iter.Seq2[string, error] { return s.scan(ctx) }
func (s scanner) Unwrap() backend.Backend                           { return s.Backend }

// each yields what ids returns.
func each(ctx context.Context, ids func() []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := ctx.Err(); err != nil {
			yield("", err)
			return
		}
		for _, id := range ids() {
			if !yield(id, nil) {
				return
			}
		}
	}
}
