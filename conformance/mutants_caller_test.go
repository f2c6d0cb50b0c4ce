package conformance_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

var callerMutants = []mutant{
	{
		name:   "Create keeps the caller's map",
		kills:  []string{"KeepsNoMapOfCreate", "ChangesNoMapItReturned"},
		shares: true,
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			err := c.Create(ctx, id, rec)
			if err == nil && rec.Fields != nil {
				c.edit(id, func(e *entry) { e.Fields = rec.Fields })
			}
			return err
		}),
	},
	{
		name:   "Apply keeps the caller's Set",
		kills:  []string{"KeepsNoMapOfApply"},
		shares: true,
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			c.edit(id, func(e *entry) {
				if err == nil && maps.Equal(e.Fields, p.Set) && len(p.Set) > 0 {
					e.Fields = p.Set
				}
			})
			return rec, err
		}),
	},
	{
		name:   "Load returns the map that is stored",
		kills:  []string{"ReturnsMapsOfLoad", "ChangesNoMapItReturned"},
		shares: true,
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			c.edit(id, func(e *entry) { rec.Fields = e.Fields })
			return rec, err
		}),
	},
	{
		name:   "Apply returns the map that is stored",
		kills:  []string{"ReturnsMapsOfApply", "ChangesNoMapItReturned"},
		shares: true,
		target: returningStored,
	},
	{
		name:   "two Loads return one map",
		kills:  []string{"ReturnsMapsOfLoad"},
		shares: true,
		target: memoizing,
	},
	{
		name:  "Create writes into the caller's map",
		kills: []string{"ChangesNoArgument"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			err := c.Create(ctx, id, rec)
			if rec.Fields != nil {
				rec.Fields["session_ttl"] = rec.TTL.String()
			}
			return err
		}),
	},
	{
		name:   "Apply sorts the caller's names",
		kills:  []string{"ChangesNoArgument"},
		shares: true, // a Manager gives the same slice each time
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			slices.Sort(p.Has)
			slices.Sort(p.Delete)
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:   "Apply sorts three names to be there and more",
		kills:  []string{"ChangesNoArgument"},
		shares: true, // a Manager gives the same slice each time
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if len(p.Has) > 2 {
				slices.Sort(p.Has)
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:   "Apply appends to the caller's names",
		kills:  []string{"ChangesNoArgument"},
		shares: true,
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			_ = append(p.Has, "session_ttl")
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:   "Apply keeps the caller's Set of more than 64 fields",
		kills:  []string{"KeepsNoMapOfApply", "ReturnsMapsOfApply"},
		shares: true,
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if err == nil && len(p.Set) > 64 {
				c.edit(id, func(e *entry) {
					maps.Copy(p.Set, e.Fields)
					e.Fields = p.Set
				})
			}
			return rec, err
		}),
	},
	{
		name:   "Apply keeps the caller's Delete, and deletes again when it is called next",
		kills:  []string{"KeepsNoMapOfApply"},
		shares: true,
		target: deletingAgain,
	},
	{
		name:   "Create keeps the caller's map of more than 64 fields",
		kills:  []string{"KeepsNoMapOfCreate", "ChangesNoMapItReturned"},
		shares: true,
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			err := c.Create(ctx, id, rec)
			if err == nil && len(rec.Fields) > 64 {
				c.edit(id, func(e *entry) { e.Fields = rec.Fields })
			}
			return err
		}),
	},
	{
		name:   "Load returns the map that is stored, of more than 64 fields",
		kills:  []string{"ReturnsMapsOfLoad", "ChangesNoMapItReturned"},
		shares: true,
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			if len(rec.Fields) > 64 {
				c.edit(id, func(e *entry) { rec.Fields = e.Fields })
			}
			return rec, err
		}),
	},
	{
		name:  "Apply adds the counters to the caller's Set",
		kills: []string{"ChangesNoArgument"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if err == nil && p.Set != nil {
				maps.Copy(p.Set, rec.Fields)
			}
			return rec, err
		}),
	},
	{
		name:  "the context is ignored",
		kills: []string{"ContextEnded", "ContextEndedDoesNotTouch"},
		target: alter(func(c *complete) altered {
			off := context.WithoutCancel
			return altered{
				create: func(ctx context.Context, id string, rec backend.Record) error { return c.Create(off(ctx), id, rec) },
				load:   func(ctx context.Context, id string) (backend.Record, error) { return c.Load(off(ctx), id) },
				apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
					return c.Apply(off(ctx), id, p)
				},
				del: func(ctx context.Context, id string) error { return c.Delete(off(ctx), id) },
			}
		}),
	},
	{
		name:  "Load ignores the context",
		kills: []string{"ContextEnded"},
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			return c.Load(context.WithoutCancel(ctx), id)
		}),
	},
	{
		name:  "Apply sees too late that the context has ended",
		kills: []string{"ContextEnded", "ContextEndedDoesNotTouch"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(context.WithoutCancel(ctx), id, p)
			if ctx.Err() != nil {
				return none, ctx.Err()
			}
			return rec, err
		}),
	},
	{
		name:  "an ended context gives its cause",
		kills: []string{"ContextEnded"},
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			if ctx.Err() != nil {
				return none, context.Cause(ctx)
			}
			return c.Load(ctx, id)
		}),
	},
	{
		name:   "a record lives as long as the context it was created with",
		kills:  []string{"ContextOfOneCall"},
		target: tiedToContext,
	},
}

// deletingAgain makes a target whose Load deletes once more what the Apply before it was to delete.
func deletingAgain(c *complete) conformance.Target {
	var mu sync.Mutex
	last := map[string][]string{}
	return alter(func(*complete) altered {
		return altered{
			apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				mu.Lock()
				defer mu.Unlock()
				last[id] = p.Delete
				return c.Apply(ctx, id, p)
			},
			load: func(ctx context.Context, id string) (backend.Record, error) {
				mu.Lock()
				defer mu.Unlock()
				_, _ = c.Apply(ctx, id, backend.Patch{Delete: last[id]})
				return c.Load(ctx, id)
			},
		}
	})(c)
}

func returningStored(c *complete) conformance.Target {
	return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		rec, err := c.Apply(ctx, id, p)
		if err == nil && p.Load {
			c.edit(id, func(e *entry) { rec.Fields = e.Fields })
		}
		return rec, err
	})(c)
}

// memoizing makes a target whose Load returns the same map as long as the record is the same.
func memoizing(c *complete) conformance.Target {
	var mu sync.Mutex
	memo := map[string]backend.Record{}
	return loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
		rec, err := c.Load(ctx, id)
		if err != nil {
			return rec, err
		}
		mu.Lock()
		defer mu.Unlock()
		if old, ok := memo[id]; ok && old.TTL == rec.TTL && maps.Equal(old.Fields, rec.Fields) {
			return old, nil
		}
		memo[id] = rec
		return rec, nil
	})(c)
}

func tiedToContext(c *complete) conformance.Target {
	var by sync.Map
	return alter(func(*complete) altered {
		return altered{
			create: func(ctx context.Context, id string, rec backend.Record) error {
				by.Store(id, ctx)
				return c.Create(ctx, id, rec)
			},
			load: func(ctx context.Context, id string) (backend.Record, error) {
				if of, ok := by.Load(id); ok && of.(context.Context).Err() != nil {
					return none, backend.ErrNotFound
				}
				return c.Load(ctx, id)
			},
		}
	})(c)
}

// stuckMutants end no case, or end the whole test unless somebody watches.
var stuckMutants = []mutant{
	{
		name:  "a conflict leaves a mutex locked",
		kills: []string{"IfHoldsValue"},
		target: alter(func(c *complete) altered {
			var mu sync.Mutex
			return altered{apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				mu.Lock()
				rec, err := c.Apply(ctx, id, p)
				if !errors.Is(err, backend.ErrConflict) {
					mu.Unlock()
				}
				return rec, err
			}}
		}),
	},
	{
		name:  "a conflict never gives its place back",
		kills: []string{"IfHoldsValue"},
		target: func(c *complete) conformance.Target {
			place := make(chan struct{}, 1)
			return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				place <- struct{}{}
				rec, err := c.Apply(ctx, id, p)
				if !errors.Is(err, backend.ErrConflict) {
					<-place
				}
				return rec, err
			})(c)
		},
	},
	{
		name:  "Create panics on a record without fields",
		kills: []string{"CreateWithoutFields"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			if rec.Fields == nil {
				rec.Fields["session_ttl"] = ""
			}
			return c.Create(ctx, id, rec)
		}),
	},
	{
		name:  "a lost race panics",
		kills: []string{"RaceOneCreator"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			err := c.Create(ctx, id, rec)
			if errors.Is(err, backend.ErrExists) {
				panic(err)
			}
			return err
		}),
	},
	{
		name:  "a goroutine of the backend never ends",
		kills: []string{"CreateStoresRecord"},
		target: func(c *complete) conformance.Target {
			go func() {
				for {
					time.Sleep(time.Minute)
				}
			}()
			return c.target()
		},
	},
	{
		name:  "Scan never ends",
		kills: []string{"ScanNamesLive"},
		target: scanning(func(c *complete, _ context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				ids := c.ids()
				for i := 0; yield(ids[i%len(ids)], nil); i++ {
				}
			}
		}),
	},
}
