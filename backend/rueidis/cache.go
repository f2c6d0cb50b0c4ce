package rueidis

import (
	"context"
	"sync"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redishash"
)

// Fresh implements [backend.Cacher]: it returns a backend that reads past the local cache, or nil if there is
// none.
func (b *Backend) Fresh() backend.Backend {
	if b.own == nil {
		return nil
	}
	return uncached{b}
}

// uncached is a Backend whose Load asks the server.
type uncached struct{ *Backend }

func (u uncached) Load(ctx context.Context, id string) (backend.Record, error) {
	return u.load(ctx, id)
}

// Fresh says that this is the one without a cache.
func (u uncached) Fresh() backend.Backend { return nil }

// loadCached is Load with the local cache. Only what makes a record is taken from it: whether there is none, or
// one that cannot be read, the server says.
func (b *Backend) loadCached(ctx context.Context, id string) (backend.Record, error) {
	result := b.client.DoCache(bound(ctx), b.client.B().Hgetall().Key(b.prefix+id).Cache(), b.localCache)
	hash, err := result.AsStrMap()
	if err != nil {
		return b.load(ctx, id)
	}
	rec, err := redishash.Record(opLoad, hash)
	if err != nil && result.IsCacheHit() {
		return b.load(ctx, id)
	}
	return rec, err
}

// cachedTimeout is how long a read through the cache is tried where ctx has no deadline.
const cachedTimeout = 5 * time.Second

// bounded is a context with a deadline that costs no timer. It ends with its parent alone, but the client, which
// sends a read through the cache again as long as the deadline allows it, or for ever without one, sees it.
type bounded struct {
	context.Context
	deadline time.Time
}

func (b bounded) Deadline() (time.Time, bool) { return b.deadline, true }

// bound returns ctx with a deadline.
func bound(ctx context.Context) context.Context {
	if _, ok := ctx.Deadline(); ok {
		return ctx
	}
	return bounded{ctx, time.Now().Add(cachedTimeout)}
}

// maxOwn is how many IDs a generation of own writes holds before all IDs count as written.
const maxOwn = 1 << 16

// own remembers which records this process has written lately. The server tells of the change to a cached
// record only after it has acknowledged the write, so until whatever was cached before has expired, such a
// record is read past the cache.
type own struct {
	window time.Duration // how long cached records live

	mu      sync.RWMutex
	since   time.Time // when this generation began
	current map[string]struct{}
	before  map[string]struct{} // the generation before; nil if there is none
	all     bool                // more were written in one of the two than are remembered
	allNow  bool
}

func newOwn(window time.Duration) *own {
	return &own{window: window, since: time.Now(), current: make(map[string]struct{})}
}

// note remembers that a record was written, for at least the window from now on.
func (o *own) note(id string) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); now.Sub(o.since) >= o.window {
		o.before, o.current, o.all, o.allNow = o.current, make(map[string]struct{}), o.allNow, false
		if now.Sub(o.since) >= 2*o.window {
			o.before, o.all = nil, false
		}
		o.since = now
	}
	if len(o.current) >= maxOwn {
		o.all, o.allNow = true, true
		return
	}
	o.current[id] = struct{}{}
}

// recent reports whether this process may have written the record within the window.
func (o *own) recent(id string) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	age := time.Since(o.since)
	if age >= 2*o.window {
		return false
	}
	_, now := o.current[id]
	_, before := o.before[id]
	return now || o.all || before && age < o.window
}
