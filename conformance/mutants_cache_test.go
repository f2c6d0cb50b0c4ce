package conformance_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

// cacheFor is how long caching may be behind.
const cacheFor = 50 * time.Millisecond

// caching has a cache that knows of this client's writes alone.
type caching struct {
	backend.Backend
	fresh func(*caching) backend.Backend // what Fresh returns

	hit func(ctx context.Context, l loaded) (backend.Record, error) // what Load returns of the cache

	mu     sync.Mutex // held during calls, so that none caches what another is about to change
	cache  map[string]loaded
	absent bool            // what is not there is cached too
	own    map[string]bool // what this client has written is noted, and never cached, unless nil
}

// loaded is what Load returned, and when.
type loaded struct {
	rec backend.Record
	err error
	at  time.Time
}

func newCaching(b backend.Backend) *caching {
	return &caching{
		Backend: b,
		fresh:   func(c *caching) backend.Backend { return past{c} },
		hit: func(ctx context.Context, l loaded) (backend.Record, error) {
			if err := ctx.Err(); err != nil {
				return none, err
			}
			return copyOf(l.rec), l.err
		},
		cache: map[string]loaded{},
	}
}

func (c *caching) Fresh() backend.Backend { return c.fresh(c) }

func (c *caching) Load(ctx context.Context, id string) (backend.Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.cache[id]; ok && time.Since(l.at) < cacheFor {
		return c.hit(ctx, l)
	}
	rec, err := c.Backend.Load(ctx, id)
	if c.own[id] {
		return rec, err
	}
	if err == nil || c.absent && errors.Is(err, backend.ErrNotFound) {
		c.cache[id] = loaded{copyOf(rec), err, time.Now()}
	}
	return rec, err
}

func (c *caching) Create(ctx context.Context, id string, rec backend.Record) error {
	defer c.forget(id)()
	return c.Backend.Create(ctx, id, rec)
}

func (c *caching) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	defer c.forget(id)()
	return c.Backend.Apply(ctx, id, p)
}

func (c *caching) Delete(ctx context.Context, id string) error {
	defer c.forget(id)()
	return c.Backend.Delete(ctx, id)
}

// forget begins a write. The caller calls what it returns at the end.
func (c *caching) forget(id string) func() {
	c.mu.Lock()
	delete(c.cache, id)
	if c.own != nil {
		c.own[id] = true
	}
	return c.mu.Unlock
}

// past reads past the cache.
type past struct{ *caching }

func (p past) Load(ctx context.Context, id string) (backend.Record, error) {
	return p.Backend.Load(ctx, id)
}

// besides returns a target of a client with a cache, and of one that it does not know of.
func besides(f func(*caching)) func(*complete) conformance.Target {
	return func(c *complete) conformance.Target {
		b := newCaching(c)
		f(b)
		return conformance.Target{Backend: unwrapper{b}, Second: c}
	}
}

// A cache that is behind what another client has written passes the cases about caches.
func TestCacheThatIsBehindPasses(t *testing.T) {
	for _, c := range conformance.Cases() {
		if !strings.HasPrefix(c.Name, "Fresh") && !strings.HasPrefix(c.Name, "Cache") {
			continue
		}
		for _, f := range []func(*caching){
			func(*caching) {},
			func(c *caching) { c.own = map[string]bool{} },
		} {
			o := conformance.Check(t, c.Name, time.Minute, func(*testing.T) conformance.Target {
				return besides(f)(newComplete())
			})
			if o.Failure != "" || o.Skip != "" {
				t.Errorf("%s: skipped = %q, failure = %s, want neither", c.Name, o.Skip, o.Failure)
			}
		}
	}
}

// hitting returns a target with a cache of what others have written alone, which makes something else of a hit.
func hitting(hit func(ctx context.Context, l loaded) (backend.Record, error)) func(*complete) conformance.Target {
	return besides(func(c *caching) { c.hit, c.own = hit, map[string]bool{} })
}

var cacheMutants = []mutant{
	{
		name:  "Fresh returns the one with the cache",
		kills: []string{"FreshReadsPast"},
		target: besides(func(c *caching) {
			c.fresh = func(c *caching) backend.Backend { return c }
		}),
	},
	{
		name:  "Fresh returns nil, as if there were no cache",
		kills: []string{"FreshReadsPast"},
		target: besides(func(c *caching) {
			c.fresh = func(*caching) backend.Backend { return nil }
		}),
	},
	{
		name:  "Fresh of what Fresh returned has the cache",
		kills: []string{"FreshReadsPast"},
		target: besides(func(c *caching) {
			c.fresh = func(c *caching) backend.Backend { return cacherOf{past{c}, c} }
		}),
	},
	{
		name:  "Fresh loads alone, and writes nothing",
		kills: []string{"CacheReadsOwnWrites"},
		target: besides(func(c *caching) {
			c.fresh = func(c *caching) backend.Backend { return loader{past{c}} }
		}),
	},
	{
		name:  "the cache does not know what was written through Fresh",
		kills: []string{"CacheReadsOwnWrites"},
		target: besides(func(c *caching) {
			c.fresh = func(c *caching) backend.Backend { return c.Backend }
		}),
	},
	{
		name:   "what is not there is cached",
		kills:  []string{"CacheReadsOwnWrites"},
		target: besides(func(c *caching) { c.absent = true }),
	},
	{
		name:  "a read that was under way puts what is old into the cache",
		kills: []string{"CacheRacesOwnWrites"},
		target: func(c *complete) conformance.Target {
			return conformance.Target{Backend: &late{newCaching(c)}, Second: c}
		},
	},
	{
		name:   "a hit of the cache returns the map that is cached",
		kills:  []string{"CacheHitsOwnMaps"},
		shares: true,
		target: hitting(func(ctx context.Context, l loaded) (backend.Record, error) { return l.rec, ctx.Err() }),
	},
	{
		name:   "a hit of the cache ignores the context",
		kills:  []string{"CacheHitsContextEnded"},
		target: hitting(func(_ context.Context, l loaded) (backend.Record, error) { return copyOf(l.rec), nil }),
	},
	{
		name:  "a hit of the cache has no TTL",
		kills: []string{"CacheHits"},
		target: hitting(func(ctx context.Context, l loaded) (backend.Record, error) {
			return backend.Record{Fields: copyOf(l.rec).Fields}, ctx.Err()
		}),
	},
	{
		name:  "a hit of the cache lacks empty values",
		kills: []string{"CacheHits"},
		target: hitting(func(ctx context.Context, l loaded) (backend.Record, error) {
			rec := copyOf(l.rec)
			maps.DeleteFunc(rec.Fields, func(_, v string) bool { return v == "" })
			return rec, ctx.Err()
		}),
	},
	{
		name:   "a hit of the cache is empty",
		kills:  []string{"CacheHits"},
		target: hitting(func(ctx context.Context, l loaded) (backend.Record, error) { return none, ctx.Err() }),
	},
}

// freshMutants return something from Fresh that reads past the cache and breaks another rule.
var freshMutants = []mutant{
	{
		name:  "Fresh's Apply ignores If",
		kills: []string{"FreshKeepsTheRules"},
		target: freshIs(func(c *complete) altered {
			return altered{apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				p.If = nil
				return c.Apply(ctx, id, p)
			}}
		}),
	},
	{
		name:  "Fresh's Create overwrites",
		kills: []string{"FreshKeepsTheRules", "FreshKeepsTime"},
		target: freshIs(func(c *complete) altered {
			return altered{create: func(ctx context.Context, id string, rec backend.Record) error {
				_ = c.Delete(ctx, id)
				return c.Create(ctx, id, rec)
			}}
		}),
	},
	{
		name:  "Fresh's Load ignores the context",
		kills: []string{"FreshKeepsTheRules"},
		target: freshIs(func(c *complete) altered {
			return altered{load: func(ctx context.Context, id string) (backend.Record, error) {
				return c.Load(context.WithoutCancel(ctx), id)
			}}
		}),
	},
	{
		name:   "Fresh's Load returns the map that is stored",
		kills:  []string{"FreshKeepsTheRules"},
		shares: true,
		target: freshIs(func(c *complete) altered {
			return altered{load: func(ctx context.Context, id string) (backend.Record, error) {
				rec, err := c.Load(ctx, id)
				c.edit(id, func(e *entry) { rec.Fields = e.Fields })
				return rec, err
			}}
		}),
	},
	{
		name:  "what Fresh's Load cannot read is not found",
		kills: []string{"FreshKeepsTheRules"},
		target: freshIs(func(c *complete) altered {
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
		name:  "Fresh's Apply takes what is no counter for a conflict",
		kills: []string{"FreshCounts", "FreshKeepsTheRules"},
		target: freshIs(func(c *complete) altered {
			return altered{apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				rec, err := c.Apply(ctx, id, p)
				if errors.Is(err, backend.ErrCounter) {
					err = backend.ErrConflict
				}
				return rec, err
			}}
		}),
	},
	{
		name:  "Fresh's Load touches",
		kills: []string{"FreshKeepsTime"},
		target: freshIs(func(c *complete) altered {
			return altered{load: func(ctx context.Context, id string) (backend.Record, error) {
				return c.Apply(ctx, id, backend.Patch{Load: true, Touch: true})
			}}
		}),
	},
	{
		name:  "Fresh's Apply never touches",
		kills: []string{"FreshKeepsTime"},
		target: freshIs(func(c *complete) altered {
			return altered{apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				p.Touch = false
				return c.Apply(ctx, id, p)
			}}
		}),
	},
	{
		name:  "Fresh's Load does not look at expiry",
		kills: []string{"FreshKeepsTime"},
		target: freshIs(func(c *complete) altered {
			return altered{load: func(ctx context.Context, id string) (backend.Record, error) {
				rec, err := c.Load(ctx, id)
				c.dead(id, func(e *entry) { rec, err = copyOf(e.Record), nil })
				return rec, err
			}}
		}),
	},
}

// freshIs returns a target whose cache is never behind, and whose Fresh returns one with other methods.
func freshIs(a func(c *complete) altered) func(*complete) conformance.Target {
	return func(c *complete) conformance.Target {
		target, b := c.target(), a(c)
		b.Backend = c
		target.Backend = cacherOf{c, b}
		return target
	}
}

// cacherOf is a backend whose Fresh returns another.
type cacherOf struct {
	backend.Backend
	fresh backend.Backend
}

func (c cacherOf) Fresh() backend.Backend { return c.fresh }

// late is a cache that a read fills after a write that has come in between.
type late struct{ *caching }

func (l *late) Fresh() backend.Backend { return past{l.caching} }

func (l *late) Load(ctx context.Context, id string) (backend.Record, error) {
	l.mu.Lock()
	old, ok := l.cache[id]
	l.mu.Unlock()
	if ok && time.Since(old.at) < cacheFor {
		return copyOf(old.rec), old.err
	}
	rec, err := l.Backend.Load(ctx, id)
	pause()
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.cache[id] = loaded{copyOf(rec), nil, time.Now()}
	}
	return rec, err
}

// loader is a backend for reading.
type loader struct{ backend.Backend }

func (loader) Apply(context.Context, string, backend.Patch) (backend.Record, error) {
	return none, errors.ErrUnsupported
}
