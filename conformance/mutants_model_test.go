package conformance_test

import (
	"context"
	"maps"
	"sync"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

// modelMutants go wrong in a sequence of calls that nobody would think of.
var modelMutants = []mutant{
	{
		name:   "a counter that was taken away goes on where it was",
		kills:  []string{"Model"},
		target: counting,
	},
	{
		name:   "what a client has written last is not written again",
		kills:  []string{"Model"},
		target: writingOnce,
	},
	{
		name:   "a wide record that gets narrow loses its empty values",
		kills:  []string{"Model"},
		target: narrowing,
	},
}

// counting makes a target that keeps counters beside the record, and forgets them only with that.
func counting(c *complete) conformance.Target {
	var mu sync.Mutex
	counters := map[[2]string]string{}
	return alter(func(*complete) altered {
		return altered{
			create: func(ctx context.Context, id string, rec backend.Record) error {
				mu.Lock()
				defer mu.Unlock()
				err := c.Create(ctx, id, rec)
				if err == nil {
					maps.DeleteFunc(counters, func(key [2]string, _ string) bool { return key[0] == id })
				}
				return err
			},
			apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				mu.Lock()
				defer mu.Unlock()
				c.edit(id, func(e *entry) {
					if _, ok := add(e.Fields, p.Add); !ok || !holds(e.Fields, p) {
						return
					}
					for name := range p.Add {
						if n, ok := counters[[2]string{id, name}]; ok {
							if _, there := e.Fields[name]; !there {
								e.Fields[name] = n
							}
						}
					}
				})
				rec, err := c.Apply(ctx, id, p)
				for name := range p.Add {
					if err == nil {
						counters[[2]string{id, name}] = rec.Fields[name]
					}
				}
				return rec, err
			},
		}
	})(c)
}

// writingOnce makes a target each of whose clients leaves out of a Set what it has written to that field last.
func writingOnce(c *complete) conformance.Target {
	client := func() altered {
		var mu sync.Mutex
		last := map[[2]string]string{}
		return altered{
			Backend: c,
			create: func(ctx context.Context, id string, rec backend.Record) error {
				mu.Lock()
				defer mu.Unlock()
				maps.DeleteFunc(last, func(key [2]string, _ string) bool { return key[0] == id })
				return c.Create(ctx, id, rec)
			},
			apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				mu.Lock()
				defer mu.Unlock()
				wants := maps.Clone(p.Set)
				p = copyOfPatch(p)
				maps.DeleteFunc(p.Set, func(name, v string) bool {
					old, ok := last[[2]string{id, name}]
					return ok && old == v
				})
				rec, err := c.Apply(ctx, id, p)
				for name, v := range wants {
					if err == nil {
						last[[2]string{id, name}] = v
					}
				}
				for _, name := range p.Delete {
					if err == nil && len(p.Set) > 0 {
						delete(last, [2]string{id, name})
					}
				}
				return rec, err
			},
		}
	}
	target := c.target()
	target.Backend, target.Second = client(), client()
	return target
}

// narrowing makes a target that keeps records of many fields in another way, and loses something on the way back.
func narrowing(c *complete) conformance.Target {
	return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		before, _ := c.Load(ctx, id)
		rec, err := c.Apply(ctx, id, p)
		if err == nil && len(before.Fields) > 32 {
			c.edit(id, func(e *entry) {
				if len(e.Fields) <= 32 {
					maps.DeleteFunc(e.Fields, func(_, v string) bool { return v == "" })
				}
			})
		}
		return rec, err
	})(c)
}
