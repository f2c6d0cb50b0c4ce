package conformance_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

var none backend.Record

func copyOfPatch(p backend.Patch) backend.Patch {
	p.If, p.Set, p.Add = maps.Clone(p.If), maps.Clone(p.Set), maps.Clone(p.Add)
	p.Has, p.Delete = slices.Clone(p.Has), slices.Clone(p.Delete)
	return p
}

var createMutants = []mutant{
	{
		name:  "Create rounds the TTL down to minutes",
		kills: []string{"CreateStoresRecord"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			rec.TTL = max(time.Minute, rec.TTL.Truncate(time.Minute))
			return c.Create(ctx, id, rec)
		}),
	},
	{
		name:  "Create overwrites",
		kills: []string{"CreateKeepsOldRecord", "RaceOneCreator"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			if err := c.Delete(ctx, id); err != nil {
				return err
			}
			return c.Create(ctx, id, rec)
		}),
	},
	{
		name:  "Create merges its fields into the old record before it fails",
		kills: []string{"CreateKeepsOldRecord"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			err := c.Create(ctx, id, rec)
			if errors.Is(err, backend.ErrExists) {
				c.edit(id, func(e *entry) { maps.Copy(e.Fields, rec.Fields) })
			}
			return err
		}),
	},
	{
		name:  "Create is sent twice",
		kills: []string{"CreateStoresRecord"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			_ = c.Create(ctx, id, rec)
			return c.Create(ctx, id, rec)
		}),
	},
	{
		name:  "Delete leaves a tombstone that Create runs into",
		kills: []string{"CreateAfterDelete"},
		target: alter(func(c *complete) altered {
			var dead sync.Map
			return altered{
				create: func(ctx context.Context, id string, rec backend.Record) error {
					if _, ok := dead.Load(id); ok {
						return backend.ErrExists
					}
					return c.Create(ctx, id, rec)
				},
				del: func(ctx context.Context, id string) error {
					dead.Store(id, true)
					return c.Delete(ctx, id)
				},
			}
		}),
	},
	{
		name:  "a record without fields is no record",
		kills: []string{"CreateWithoutFields", "ApplyDeletes"},
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			if err == nil && len(rec.Fields) == 0 {
				return none, backend.ErrNotFound
			}
			return rec, err
		}),
	},
	{
		name:  "Load makes an empty record of what is not there",
		kills: []string{"LoadNotFound"},
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			if errors.Is(err, backend.ErrNotFound) {
				return backend.Record{Fields: map[string]string{}, TTL: time.Hour}, nil
			}
			return rec, err
		}),
	},
	{
		name:   "Load reads from a lagging replica",
		kills:  []string{"LoadSeesAcknowledgedWrites"},
		target: lagging,
	},
	{
		name:  "Delete does nothing",
		kills: []string{"DeleteRemoves"},
		target: alter(func(*complete) altered {
			return altered{del: func(ctx context.Context, id string) error { return ctx.Err() }}
		}),
	},
	{
		name:  "Delete empties the record",
		kills: []string{"DeleteRemoves"},
		target: alter(func(c *complete) altered {
			return altered{del: func(ctx context.Context, id string) error {
				c.edit(id, func(e *entry) { clear(e.Fields) })
				return ctx.Err()
			}}
		}),
	},
	{
		name:  "Delete fails on what is not there",
		kills: []string{"DeleteOfAbsent"},
		target: alter(func(c *complete) altered {
			return altered{del: func(ctx context.Context, id string) error {
				if _, err := c.Load(ctx, id); err != nil {
					return err
				}
				return c.Delete(ctx, id)
			}}
		}),
	},
}

// lagging makes a target whose Load sees a record as it was before the last write to it, once.
func lagging(c *complete) conformance.Target {
	var mu sync.Mutex
	type seen struct {
		rec backend.Record
		err error
	}
	lag := map[string]seen{}
	note := func(ctx context.Context, id string) {
		rec, err := c.Load(ctx, id)
		mu.Lock()
		defer mu.Unlock()
		lag[id] = seen{rec, err}
	}
	return alter(func(*complete) altered {
		return altered{
			load: func(ctx context.Context, id string) (backend.Record, error) {
				mu.Lock()
				old, ok := lag[id]
				delete(lag, id)
				mu.Unlock()
				if ok {
					return old.rec, old.err
				}
				return c.Load(ctx, id)
			},
			apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				note(ctx, id)
				return c.Apply(ctx, id, p)
			},
		}
	})(c)
}

var applyMutants = []mutant{
	{
		name:  "Apply creates",
		kills: []string{"ApplyNeverCreates", "ApplyNeverRevives"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if len(p.Set) > 0 {
				_ = c.Create(ctx, id, backend.Record{TTL: time.Hour})
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "Apply leaves an empty record behind where it finds none",
		kills: []string{"ApplyNeverCreates"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if errors.Is(err, backend.ErrNotFound) && len(p.Add) > 0 {
				_ = c.Create(ctx, id, backend.Record{TTL: time.Hour})
			}
			return rec, err
		}),
	},
	{
		name:   "Apply writes back what a cache still holds",
		kills:  []string{"ApplyNeverRevives"},
		target: cached,
	},
	{
		name:  "Apply of nothing is not sent",
		kills: []string{"ApplyZeroPatch"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if len(p.Set)+len(p.Delete)+len(p.Add)+len(p.If)+len(p.Has) == 0 && p.TTL == 0 && !p.Touch && !p.Load && !p.Remove {
				return none, ctx.Err()
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "a refusal is all refusals at once",
		kills: []string{"ApplyPrecedence"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrConflict) || errors.Is(err, backend.ErrCounter) {
				err = errors.Join(backend.ErrNotFound, backend.ErrConflict, backend.ErrCounter)
			}
			return rec, err
		}),
	},
	{
		name:  "a durable Apply ignores the context",
		kills: []string{"ContextEnded"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if p.Durable {
				ctx = context.WithoutCancel(ctx)
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "a durable Remove ignores conditions",
		kills: []string{"RemoveOnConditions"},
		target: patching(func(p *backend.Patch) {
			if p.Durable && p.Remove {
				p.If, p.Has = nil, nil
			}
		}),
	},
	{
		name:   "a durable Apply does not touch",
		kills:  []string{"TouchCountsAgain"},
		target: patching(func(p *backend.Patch) { p.Touch = p.Touch && !p.Durable }),
	},
	{
		name:   "a durable Apply always touches",
		kills:  []string{"ApplyDoesNotTouch"},
		target: patching(func(p *backend.Patch) { p.Touch = p.Touch || p.Durable }),
	},
	{
		name:  "no record lives beyond 2038",
		kills: []string{"LongTTL"},
		target: patching(func(p *backend.Patch) {
			if time.Now().Unix()+int64(p.TTL/time.Second) > math.MaxInt32 {
				p.TTL = time.Second
			}
		}),
	},
	{
		name:  "a durable Apply replies nothing",
		kills: []string{"ApplyDurable"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if p.Durable {
				return none, err
			}
			return rec, err
		}),
	},
	{
		name:  "a durable Apply is sent twice",
		kills: []string{"ApplyDurable"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if p.Durable && err == nil {
				return c.Apply(ctx, id, p)
			}
			return rec, err
		}),
	},
	{
		name:  "a durable Apply ignores conditions",
		kills: []string{"ApplyDurable"},
		target: patching(func(p *backend.Patch) {
			if p.Durable {
				p.If, p.Has = nil, nil
			}
		}),
	},
	{
		name:  "Set changes only fields that are there",
		kills: []string{"ApplySets"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			p = copyOfPatch(p)
			rec, _ := c.Load(ctx, id)
			maps.DeleteFunc(p.Set, func(name, _ string) bool { _, ok := rec.Fields[name]; return !ok })
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "Set replaces the whole record",
		kills: []string{"ApplySets"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if len(p.Set) > 0 {
				c.edit(id, func(e *entry) {
					if holds(e.Fields, p) {
						clear(e.Fields)
					}
				})
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "Delete of a field that is not there fails",
		kills: []string{"ApplyDeletes"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			p = copyOfPatch(p)
			p.Has = append(p.Has, p.Delete...)
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:   "Delete is forgotten where there is Set",
		kills:  []string{"ApplyAllAtOnce"},
		target: patching(func(p *backend.Patch) { p.Delete = p.Delete[:len(p.Delete)*(1-min(1, len(p.Set)))] }),
	},
	{
		name:  "Apply is sent twice",
		kills: []string{"CounterAdds", "RaceCountersSum", "RemoveDeletes"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			_, _ = c.Apply(ctx, id, p)
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "counters are judged before conditions",
		kills: []string{"ApplyPrecedence"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			if err != nil {
				return none, err
			}
			if _, ok := add(rec.Fields, p.Add); !ok {
				return none, backend.ErrCounter
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:  "ErrNotFound is judged after the counters",
		kills: []string{"ApplyPrecedence"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if errors.Is(err, backend.ErrNotFound) && len(p.If) > 0 {
				return none, backend.ErrConflict
			}
			return rec, err
		}),
	},
	{
		name:   "ErrConflict comes after a partial write",
		kills:  []string{"ApplyErrorsChangeNothing", "IfHoldsValue"},
		target: partly(backend.ErrConflict),
	},
	{
		name:   "ErrCounter comes after a partial write",
		kills:  []string{"ApplyErrorsChangeNothing", "CounterCanonical"},
		target: partly(backend.ErrCounter),
	},
	{
		name:  "Remove is ignored",
		kills: []string{"RemoveDeletes", "RemoveOnConditions"},
		target: patching(func(p *backend.Patch) {
			p.Remove = false
		}),
	},
	{
		name:  "Remove ignores conditions",
		kills: []string{"RemoveOnConditions"},
		target: patching(func(p *backend.Patch) {
			if p.Remove {
				p.If, p.Has = nil, nil
			}
		}),
	},
}

// partly makes a target that writes Set before it fails with one of the errors.
func partly(sentinel error) func(*complete) conformance.Target {
	return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		rec, err := c.Apply(ctx, id, p)
		if errors.Is(err, sentinel) {
			c.edit(id, func(e *entry) { maps.Copy(e.Fields, p.Set) })
		}
		return rec, err
	})
}

// cached makes a target that keeps what it has seen, and writes it back on the next change.
func cached(c *complete) conformance.Target {
	var cache sync.Map
	return alter(func(*complete) altered {
		return altered{
			create: func(ctx context.Context, id string, rec backend.Record) error {
				err := c.Create(ctx, id, rec)
				if err == nil {
					cache.Store(id, copyOf(rec))
				}
				return err
			},
			apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				if rec, ok := cache.Load(id); ok && ctx.Err() == nil {
					_ = c.Create(ctx, id, rec.(backend.Record))
				}
				return c.Apply(ctx, id, p)
			},
		}
	})(c)
}
