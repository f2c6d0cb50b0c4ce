package conformance_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

var expiryMutants = []mutant{
	{
		name:  "expiry is enforced by a sweep",
		kills: []string{"ExpiredIsGone", "CreateAfterExpiry", "NothingLivesForEver", "ScanSkipsExpired"},
		target: func(c *complete) conformance.Target {
			c.now = func() time.Time { return time.Now().Truncate(time.Minute) }
			return c.target()
		},
	},
	{
		name:  "Load does not look at expiry",
		kills: []string{"ExpiredIsGone", "LongTTL"},
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			c.dead(id, func(e *entry) { rec, err = copyOf(e.Record), nil })
			return rec, err
		}),
	},
	{
		name:  "Touch revives what has expired",
		kills: []string{"ExpiredIsGone"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if p.Touch {
				c.dead(id, func(e *entry) { e.deadline = c.now().Add(e.TTL) })
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "Create fails until the dead record is swept",
		kills: []string{"ExpiredIsGone", "CreateAfterExpiry"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			found := false
			c.dead(id, func(*entry) { found = true })
			if found {
				return backend.ErrExists
			}
			return c.Create(ctx, id, rec)
		}),
	},
	{
		name:  "Apply looks at expiry, and then writes to what may be gone",
		kills: []string{"ExpiryBeatsApply"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if err == nil && len(p.Set) > 0 {
				time.Sleep(3 * time.Millisecond)
				_ = c.Create(ctx, id, backend.Record{Fields: p.Set, TTL: time.Hour})
			}
			return rec, err
		}),
	},
	{
		name:   "Apply's answer to expiry depends on the client's clock",
		kills:  []string{"ExpiryBeatsApply"},
		target: slowClock,
	},
	{
		name:  "Create merges with the dead record",
		kills: []string{"CreateAfterExpiry"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			rec = copyOf(rec)
			c.dead(id, func(e *entry) { maps.Copy(rec.Fields, e.Fields) })
			return c.Create(ctx, id, rec)
		}),
	},
	{
		name:  "the timer of a deleted record ends the next",
		kills: []string{"CreateForgetsOldTTL"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			err := c.Create(ctx, id, rec)
			if err == nil {
				time.AfterFunc(rec.TTL, func() { _ = c.Delete(context.Background(), id) })
			}
			return err
		}),
	},
	{
		name:   "a new record keeps the deadline of the deleted one",
		kills:  []string{"CreateForgetsOldTTL"},
		target: keepingDeadlines,
	},
	{
		name:  "Create touches what exists",
		kills: []string{"CreateExistsKeepsTTL"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			err := c.Create(ctx, id, rec)
			if errors.Is(err, backend.ErrExists) {
				c.edit(id, func(e *entry) { e.deadline = c.now().Add(e.TTL) })
			}
			return err
		}),
	},
	{
		name:  "Create expires what exists after its own TTL",
		kills: []string{"CreateExistsKeepsTTL"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			err := c.Create(ctx, id, rec)
			if errors.Is(err, backend.ErrExists) {
				c.edit(id, func(e *entry) { e.deadline = c.now().Add(rec.TTL) })
			}
			return err
		}),
	},
	{
		name:  "Set clears the expiry",
		kills: []string{"NothingLivesForEver", "ApplyDoesNotTouch"},
		target: applied(func(c *complete, p backend.Patch, e *entry) {
			if len(p.Set) > 0 && p.TTL == 0 && !p.Touch {
				e.deadline = c.now().AddDate(100, 0, 0)
			}
		}),
	},
	{
		name:  "a record that has lost all its fields lives for ever",
		kills: []string{"NothingLivesForEver"},
		target: applied(func(c *complete, p backend.Patch, e *entry) {
			if len(e.Fields) == 0 {
				e.deadline = c.now().AddDate(100, 0, 0)
			}
		}),
	},
	{
		name:  "Touch is written later",
		kills: []string{"DeletedStaysGone"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if old, lost := c.Load(ctx, id); err == nil && lost == nil && p.Touch {
				time.AfterFunc(300*time.Millisecond, func() { c.put(id, old) })
			}
			return rec, err
		}),
	},
}

// dead calls f with the record under id if its time has passed and it was not swept yet.
func (b *mapBackend) dead(id string, f func(e *entry)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, found := b.records[id]
	if _, ok := b.live(id); found && !ok {
		f(&e)
		b.records[id] = e
	}
}

// applied returns a target that changes a record once more after each Apply that succeeds.
func applied(f func(c *complete, p backend.Patch, e *entry)) func(*complete) conformance.Target {
	return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		rec, err := c.Apply(ctx, id, p)
		if err == nil {
			c.edit(id, func(e *entry) { f(c, p, e) })
		}
		return rec, err
	})
}

// keepingDeadlines makes a target where a deadline stays with its ID.
func keepingDeadlines(c *complete) conformance.Target {
	var deadlines sync.Map
	return creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
		err := c.Create(ctx, id, rec)
		if err == nil {
			c.edit(id, func(e *entry) {
				old, _ := deadlines.LoadOrStore(id, e.deadline)
				e.deadline = old.(time.Time)
			})
		}
		return err
	})(c)
}

var touchMutants = []mutant{
	{
		name:  "Load touches",
		kills: []string{"LoadDoesNotTouch"},
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			return c.Apply(ctx, id, backend.Patch{Load: true, Touch: true})
		}),
	},
	{
		name:   "every Apply touches",
		kills:  []string{"ApplyDoesNotTouch"},
		target: patching(func(p *backend.Patch) { p.Touch = true }),
	},
	{
		name:  "Apply rounds the time that is left down to seconds",
		kills: []string{"ApplyDoesNotTouch"},
		target: applied(func(c *complete, p backend.Patch, e *entry) {
			if p.TTL == 0 && !p.Touch {
				e.deadline = c.now().Add(e.deadline.Sub(c.now()).Truncate(time.Second))
			}
		}),
	},
	{
		name:  "Touch comes before the conditions",
		kills: []string{"ErrorsKeepTTL"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if ctx.Err() == nil && p.Touch {
				c.edit(id, func(e *entry) { e.deadline = c.now().Add(e.TTL) })
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "the TTL is set before counters are judged",
		kills: []string{"ErrorsKeepTTL", "ApplyErrorsChangeNothing"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if errors.Is(err, backend.ErrCounter) && p.TTL > 0 {
				_, _ = c.Apply(ctx, id, backend.Patch{TTL: p.TTL})
			}
			return rec, err
		}),
	},
	{
		name:   "a conflict of what only looks touches",
		kills:  []string{"ErrorsKeepTTL"},
		target: conflicting(func(p backend.Patch) bool { return p.Load && names(p) == len(p.If)+len(p.Has) }),
	},
	{
		name:   "a conflict of a Remove touches",
		kills:  []string{"ErrorsKeepTTL"},
		target: conflicting(func(p backend.Patch) bool { return p.Remove }),
	},
	{
		name:   "a conflict on Has alone touches",
		kills:  []string{"ErrorsKeepTTL"},
		target: conflicting(func(p backend.Patch) bool { return names(p) == len(p.Has) && !p.Load && !p.Remove }),
	},
	{
		name:  "If and Has together touch, with Load",
		kills: []string{"ApplyDoesNotTouch"},
		target: patching(func(p *backend.Patch) {
			p.Touch = p.Touch || len(p.Has) > 1 && len(p.If) > 0 && p.Load && !p.Remove
		}),
	},
	{
		name:   "a touch in the first half of the time to live is put off",
		kills:  []string{"TouchAtOnce"},
		target: puttingOff(func(ttl, left time.Duration) bool { return ttl < time.Minute && left > ttl/2 }),
	},
	{
		name:   "a touch within a second of the last is put off",
		kills:  []string{"TouchAtOnce"},
		target: puttingOff(func(ttl, left time.Duration) bool { return left > ttl-time.Second }),
	},
	{
		name:   "a touch of what lives for more than a day is put off",
		kills:  []string{"TouchLongTTLAgain"},
		target: puttingOff(func(ttl, _ time.Duration) bool { return ttl > 24*time.Hour }),
	},
	{
		name:   "a touch is put off while nine tenths of a day or more are left",
		kills:  []string{"TouchLongTTLAgain"},
		target: puttingOff(func(ttl, left time.Duration) bool { return ttl >= 24*time.Hour && left > ttl/10*9 }),
	},
	{
		name:  "Load returns the time that is left",
		kills: []string{"TTLIsNotTheRest"},
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			c.edit(id, func(e *entry) { rec.TTL = e.deadline.Sub(c.now()) })
			return rec, err
		}),
	},
	{
		name:  "a new TTL counts only from the next touch",
		kills: []string{"TTLAppliesAtOnce"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			var deadline time.Time
			c.edit(id, func(e *entry) { deadline = e.deadline })
			rec, err := c.Apply(ctx, id, p)
			if err == nil && p.TTL > 0 && !p.Touch {
				c.edit(id, func(e *entry) { e.deadline = deadline })
			}
			return rec, err
		}),
	},
	{
		name:  "a new TTL only ever prolongs",
		kills: []string{"TTLAppliesAtOnce"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			var deadline time.Time
			c.edit(id, func(e *entry) { deadline = e.deadline })
			rec, err := c.Apply(ctx, id, p)
			c.edit(id, func(e *entry) {
				if err == nil && e.deadline.Before(deadline) {
					e.deadline = deadline
				}
			})
			return rec, err
		}),
	},
	{
		name:  "a new TTL counts from the last touch",
		kills: []string{"TTLCountsFromNow"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			var last time.Time
			c.edit(id, func(e *entry) { last = e.deadline.Add(-e.TTL) })
			rec, err := c.Apply(ctx, id, p)
			if err == nil && p.TTL > 0 {
				c.edit(id, func(e *entry) { e.deadline = last.Add(p.TTL) })
			}
			return rec, err
		}),
	},
	{
		name:  "the same TTL is no change",
		kills: []string{"TTLTouches"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			c.edit(id, func(e *entry) {
				if e.TTL == p.TTL {
					p.TTL = 0
				}
			})
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:   "Touch does nothing",
		kills:  []string{"TouchCountsAgain"},
		target: patching(func(p *backend.Patch) { p.Touch = false }),
	},
	{
		name:  "Touch is forgotten beside other changes",
		kills: []string{"TouchCountsAgain"},
		target: patching(func(p *backend.Patch) {
			p.Touch = p.Touch && len(p.Set)+len(p.Delete)+len(p.Add) == 0
		}),
	},
	{
		name:  "Touch shortens",
		kills: []string{"TouchCountsAgain"},
		target: applied(func(c *complete, p backend.Patch, e *entry) {
			if p.Touch {
				e.deadline = c.now().Add(e.TTL / 2)
			}
		}),
	},
	{
		name:   "a client remembers the TTL",
		kills:  []string{"TouchUsesStoredTTL"},
		target: rememberingTTL,
	},
	{
		name:   "milliseconds have 32 bits",
		kills:  []string{"LongTTL"},
		target: applied32,
	},
	{
		name:  "no record lives longer than a month",
		kills: []string{"LongTTL"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			err := c.Create(ctx, id, rec)
			if err == nil {
				c.edit(id, func(e *entry) { e.deadline = c.now().Add(min(rec.TTL, 30*24*time.Hour)) })
			}
			return err
		}),
	},
	{
		name:  "a touch adds nanoseconds in 64 bits",
		kills: []string{"TouchLongTTL"},
		target: applied(func(c *complete, p backend.Patch, e *entry) {
			if p.Touch && p.TTL == 0 {
				e.deadline = time.Unix(0, c.now().UnixNano()+int64(e.TTL))
			}
		}),
	},
	{
		name:  "milliseconds of a touch have 32 bits",
		kills: []string{"TouchLongTTL"},
		target: applied(func(c *complete, p backend.Patch, e *entry) {
			if p.Touch && p.TTL == 0 {
				e.deadline = c.now().Add(time.Duration(uint32(e.TTL.Milliseconds())) * time.Millisecond)
			}
		}),
	},
}

// conflicting returns a target where a patch of this kind touches when its conditions do not hold.
func conflicting(kind func(backend.Patch) bool) func(*complete) conformance.Target {
	return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		rec, err := c.Apply(ctx, id, p)
		if errors.Is(err, backend.ErrConflict) && kind(p) {
			c.edit(id, func(e *entry) { e.deadline = c.now().Add(e.TTL) })
		}
		return rec, err
	})
}

// puttingOff returns a target where a touch comes to nothing if so much of the time to live is left.
func puttingOff(enough func(ttl, left time.Duration) bool) func(*complete) conformance.Target {
	return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		if p.TTL == 0 {
			c.edit(id, func(e *entry) { p.Touch = p.Touch && !enough(e.TTL, e.deadline.Sub(c.now())) })
		}
		return c.Apply(ctx, id, p)
	})
}

// rememberingTTL makes a target whose clients touch with the time to live that they were told last.
func rememberingTTL(c *complete) conformance.Target {
	client := func() altered {
		var known sync.Map
		return altered{
			Backend: c,
			create: func(ctx context.Context, id string, rec backend.Record) error {
				known.Store(id, rec.TTL)
				return c.Create(ctx, id, rec)
			},
			apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				if p.TTL > 0 {
					known.Store(id, p.TTL)
				}
				if p.TTL == 0 && p.Touch {
					c.edit(id, func(e *entry) { known.LoadOrStore(id, e.TTL) })
				}
				rec, err := c.Apply(ctx, id, p)
				if ttl, ok := known.Load(id); ok && err == nil && p.Touch {
					c.edit(id, func(e *entry) { e.deadline = c.now().Add(ttl.(time.Duration)) })
				}
				return rec, err
			},
		}
	}
	target := c.target()
	target.Backend, target.Second = client(), client()
	return target
}

// applied32 makes a target that counts milliseconds in 32 bits.
func applied32(c *complete) conformance.Target {
	return applied(func(c *complete, p backend.Patch, e *entry) {
		if p.TTL > 0 {
			e.deadline = c.now().Add(time.Duration(int32(p.TTL.Milliseconds())) * time.Millisecond)
		}
	})(c)
}

// slowClock makes a target whose second client finds a record for a while after the first has seen it expire.
func slowClock(c *complete) conformance.Target {
	target := c.target()
	target.Second = altered{Backend: c, apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		rec, err := c.Apply(ctx, id, p)
		c.dead(id, func(e *entry) {
			if c.now().Sub(e.deadline) < 20*time.Millisecond {
				rec, err = copyOf(e.Record), nil
			}
		})
		return rec, err
	}}
	return target
}
