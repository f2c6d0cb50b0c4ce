package conformance_test

import (
	"context"
	"errors"
	"sync"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

var clientMutants = []mutant{
	{
		name:  "the second client caches what it has read",
		kills: []string{"SecondClientSees"},
		target: func(c *complete) conformance.Target {
			target := c.target()
			var cache sync.Map
			target.Second = altered{Backend: c, load: func(ctx context.Context, id string) (backend.Record, error) {
				if rec, ok := cache.Load(id); ok {
					return copyOf(rec.(backend.Record)), nil
				}
				rec, err := c.Load(ctx, id)
				if err == nil {
					cache.Store(id, copyOf(rec))
				}
				return rec, err
			}}
			return target
		},
	},
	{
		name:  "each client keeps records of its own",
		kills: []string{"SecondClientSees", "SecondClientChanges"},
		target: func(c *complete) conformance.Target {
			target := c.target()
			target.Second = newMapBackend()
			return target
		},
	},
	{
		name:  "the second client ignores the context",
		kills: []string{"ContextEnded", "ContextEndedDoesNotTouch"},
		target: second(func(c *complete) altered {
			return altered{apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				return c.Apply(context.WithoutCancel(ctx), id, p)
			}}
		}),
	},
	{
		name:  "the second client's Load does not look at expiry",
		kills: []string{"ExpiredIsGone"},
		target: second(func(c *complete) altered {
			return altered{load: func(ctx context.Context, id string) (backend.Record, error) {
				rec, err := c.Load(ctx, id)
				c.dead(id, func(e *entry) { rec, err = copyOf(e.Record), nil })
				return rec, err
			}}
		}),
	},
	{
		name:  "what the second client cannot read is not found",
		kills: []string{"UnreadableStays"},
		target: second(func(c *complete) altered {
			return altered{load: func(ctx context.Context, id string) (backend.Record, error) {
				rec, err := c.Load(ctx, id)
				if errors.Is(err, backend.ErrUnreadable) {
					err = backend.ErrNotFound
				}
				return rec, err
			}}
		}),
	},
	{
		name:  "the second client's Delete leaves what it cannot read",
		kills: []string{"UnreadableDelete"},
		target: second(func(c *complete) altered {
			return altered{del: func(ctx context.Context, id string) error { return c.mapBackend.Delete(ctx, id) }}
		}),
	},
	{
		name:  "Ping always says that all is well",
		kills: []string{"PingContextEnded"},
		target: func(c *complete) conformance.Target {
			return conformance.Target{Backend: pinging{c, func(context.Context) error { return nil }}}
		},
	},
	{
		name:  "Ping lacks a permission",
		kills: []string{"PingWell"},
		target: func(c *complete) conformance.Target {
			return conformance.Target{Backend: pinging{c, func(context.Context) error { return errors.New("NOPERM") }}}
		},
	},
	{
		name:  "what cannot be read is not found",
		kills: []string{"UnreadableStays"},
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			if errors.Is(err, backend.ErrUnreadable) {
				err = backend.ErrNotFound
			}
			return rec, err
		}),
	},
	{
		name:  "Create overwrites what cannot be read",
		kills: []string{"UnreadableStays"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			return c.mapBackend.Create(ctx, id, rec)
		}),
	},
	{
		name:  "Delete leaves what it cannot read",
		kills: []string{"UnreadableDelete"},
		target: func(c *complete) conformance.Target {
			t := c.target()
			t.Backend = altered{Backend: c, del: func(ctx context.Context, id string) error { return c.mapBackend.Delete(ctx, id) }}
			t.Second = t.Backend
			return t
		},
	},
	{
		name:  "Apply deletes what it cannot read",
		kills: []string{"UnreadableStays"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if errors.Is(err, backend.ErrUnreadable) {
				c.mu.Lock()
				defer c.mu.Unlock()
				delete(c.garbage, id)
			}
			return rec, err
		}),
	},
}

// second returns a target whose second client has other methods.
func second(a func(c *complete) altered) func(*complete) conformance.Target {
	return func(c *complete) conformance.Target {
		target := c.target()
		b := a(c)
		b.Backend = c
		target.Second = b
		return target
	}
}

type pinging struct {
	backend.Backend
	ping func(context.Context) error
}

func (p pinging) Ping(ctx context.Context) error { return p.ping(ctx) }
