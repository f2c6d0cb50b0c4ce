package rueidis

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
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
	in := b.generations.current()
	result := doCache(bound(ctx), b.client, in.command, b.prefix+id, b.localCache)
	hash, err := result.AsStrMap()
	if err != nil && ctx.Err() != nil {
		in.late.Store(true) // the client may take the reply, when it comes, for one that is asked for later
	}
	if err != nil || result.IsCacheHit() && (result.CachePTTL() <= 0 || !b.generations.trusts(in)) {
		// Either it has failed, or it joined a read that another call had sent, and whose reply was late: what that
		// read found may be older than the cache may be.
		return b.load(ctx, id)
	}
	rec, err := redishash.Record(opLoad, hash)
	if err != nil && result.IsCacheHit() {
		return b.load(ctx, id)
	}
	return rec, err
}

// pingCache asks whether the server lets this user do what the local cache needs. Without it the client says nothing:
// it caches what the server does not tell it of, or nothing at all.
func (b *Backend) pingCache(ctx context.Context, key string) error {
	if b.own == nil {
		return nil
	}
	err := b.client.Do(ctx, b.client.B().ClientCaching().Yes().Build()).Error()
	if answered(err) != nil { // a client without a cache is told that it has none
		return fail(ctx, opPing+": CLIENT CACHING", err)
	}
	if err := doCache(ctx, b.client, "HGETALL", key, time.Millisecond).Error(); err != nil { // and anew with every Ping
		return fail(ctx, opPing+": MULTI, PTTL, HGETALL and EXEC for the local cache", err)
	}
	return nil
}

// bounded is a context with a deadline that costs no timer and, until somebody asks for it, no look at the clock. It
// ends with its parent alone, but the client, which sends a read through the cache again as long as the deadline allows
// it, or for ever without one, sees it.
type bounded struct {
	context.Context
	once     sync.Once
	deadline time.Time
}

// Deadline returns the same at every call: defaultTimeout after the first. A client that has the record in its cache
// never calls it; one that has asked the server in vain does before it asks again.
func (b *bounded) Deadline() (time.Time, bool) {
	b.once.Do(func() { b.deadline = time.Now().Add(defaultTimeout) })
	return b.deadline, true
}

// bound returns ctx with a deadline.
func bound(ctx context.Context) context.Context {
	if _, ok := ctx.Deadline(); ok {
		return ctx
	}
	return &bounded{Context: ctx}
}

// own remembers which records this process has written lately. The server tells of the change to a cached record only
// after it has acknowledged the write, so until whatever was cached before has expired, such a record is read past the
// cache. Records that share a slot are read past it together, which costs some reads and nothing else.
type own struct {
	window time.Duration // how long cached records live
	start  time.Time
	seed   maphash.Seed
	slots  [1 << 17]atomic.Int64 // nanoseconds from start to the last write, and one more; 0 before any
}

func newOwn(window time.Duration) *own {
	return &own{window: window, start: time.Now(), seed: maphash.MakeSeed()}
}

func (o *own) slot(id string) *atomic.Int64 {
	return &o.slots[maphash.String(o.seed, id)%uint64(len(o.slots))]
}

// note remembers that a record was written, for the window from now on.
func (o *own) note(id string) {
	if o == nil {
		return
	}
	slot, now := o.slot(id), int64(time.Since(o.start))+1
	for before := slot.Load(); before < now; before = slot.Load() {
		if slot.CompareAndSwap(before, now) {
			return
		}
	}
}

// recent reports whether this process may have written the record within the window.
func (o *own) recent(id string) bool {
	at := o.slot(id).Load()
	return at != 0 && time.Since(o.start)+1-time.Duration(at) < o.window
}
