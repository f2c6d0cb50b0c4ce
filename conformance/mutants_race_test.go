package conformance_test

import (
	"context"
	"maps"
	"slices"
	"sync"
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
	{
		name:   "a Load joins one that began before the last write",
		kills:  []string{"RaceLoadSeesAcked"},
		target: func(c *complete) conformance.Target { return (&flights{complete: c}).target() },
	},
	{
		name:   "Loads that are under way together return one map",
		kills:  []string{"RaceLoadsOwnMaps"},
		shares: true,
		target: func(c *complete) conformance.Target { return (&flights{complete: c, late: true, share: true}).target() },
	},
}

// flights has Loads of one record that are under way together return what the first of them has read.
type flights struct {
	*complete
	late  bool // the first reads when no other can join it any more
	share bool // they return one map

	mu   sync.Mutex
	byID map[string]*flight
}

// flight is a Load under way.
type flight struct {
	done chan struct{}
	rec  backend.Record
	err  error
}

// target returns a target whose clients have the four methods alone.
func (f *flights) target() conformance.Target {
	f.byID = map[string]*flight{}
	b := struct{ backend.Backend }{f}
	return conformance.Target{Backend: b, Second: b}
}

func (f *flights) Load(ctx context.Context, id string) (backend.Record, error) {
	if err := ctx.Err(); err != nil {
		return none, err
	}
	f.mu.Lock()
	l, joins := f.byID[id]
	if !joins {
		l = &flight{done: make(chan struct{})}
		f.byID[id] = l
	}
	f.mu.Unlock()
	if !joins {
		f.fly(ctx, id, l)
	}
	<-l.done
	if f.share {
		return l.rec, l.err
	}
	return copyOf(l.rec), l.err
}

// fly reads for all that have joined.
func (f *flights) fly(ctx context.Context, id string, l *flight) {
	if !f.late {
		l.rec, l.err = f.complete.Load(ctx, id)
	}
	time.Sleep(50 * time.Microsecond) // others join
	f.mu.Lock()
	delete(f.byID, id)
	f.mu.Unlock()
	if f.late {
		l.rec, l.err = f.complete.Load(ctx, id)
	}
	close(l.done)
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
