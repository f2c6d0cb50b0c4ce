package rueidis

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redishash"
	"github.com/faeeb396/session/internal/direct"
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
func (b *Backend) loadCached(ctx context.Context, id string) (direct.Record, error) {
	hash := b.own.hash(id)
	if b.own.recent(hash) {
		return unpacked(b.load(ctx, id))
	}
	if err := ctx.Err(); err != nil {
		return direct.Record{}, err
	}
	reply, ok := b.cached(ctx, id)
	if !ok {
		return unpacked(b.load(ctx, id))
	}
	if t := b.apart.find(hash, id, &reply); t != nil { // it came in time
		return direct.Record{Packed: t.fields, TTL: t.ttl}, nil
	}
	hit := reply.IsCacheHit()
	if hit && reply.CachePTTL() <= 0 { // it has joined a read that another call had sent, and whose reply was late
		return unpacked(b.load(ctx, id))
	}
	rec, err := record(&reply)
	if err == errAsk { //nolint:errorlint // it is never wrapped
		return unpacked(b.load(ctx, id))
	}
	if hit {
		b.apart.keep(hash, id, &reply, rec)
	}
	return unpacked(rec, err)
}

// unpacked returns rec as a direct.Record.
func unpacked(rec backend.Record, err error) (direct.Record, error) {
	return direct.Record{Fields: rec.Fields, TTL: rec.TTL}, err
}

// wrote notes that a record was written.
func (b *Backend) wrote(id string) {
	if b.own != nil {
		hash := b.own.hash(id)
		b.own.note(hash)
		b.apart.drop(hash, id)
	}
}

// errAsk says that the server is to be asked.
var errAsk = errors.New("ask the server")

// record takes a reply apart, or returns errAsk.
func record(reply *rueidisclient.RedisMessage) (backend.Record, error) {
	hash, err := reply.AsStrMap()
	if err != nil {
		return backend.Record{}, errAsk
	}
	rec, err := redishash.Record(opLoad, hash)
	if err != nil && reply.IsCacheHit() {
		return backend.Record{}, errAsk
	}
	return rec, err
}

// cached returns what the client's cache holds of a record, or what the server replies if that is nothing. It reports
// false if that has failed, or may come of a reply that the client took for another's.
func (b *Backend) cached(ctx context.Context, id string) (rueidisclient.RedisMessage, bool) {
	in := b.generations.current()
	reply, err := doCache(bound(ctx), b.client, in.command, b.prefix+id, b.localCache).ToMessage()
	if err != nil {
		if ctx.Err() != nil {
			in.late.Store(true) // the client may take the reply, when it comes, for one that is asked for later
		}
		return reply, false
	}
	return reply, !reply.IsCacheHit() || b.generations.trusts(in)
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

// hash returns a number for id, of this process alone.
func (o *own) hash(id string) uint64 { return maphash.String(o.seed, id) }

func (o *own) slot(hash uint64) *atomic.Int64 { return &o.slots[hash%uint64(len(o.slots))] }

// note remembers that the record with this hash was written, for the window from now on.
func (o *own) note(hash uint64) {
	slot, now := o.slot(hash), int64(time.Since(o.start))+1
	for before := slot.Load(); before < now; before = slot.Load() {
		if slot.CompareAndSwap(before, now) {
			return
		}
	}
}

// recent reports whether this process may have written the record with this hash within the window.
func (o *own) recent(hash uint64) bool {
	slot := o.slot(hash)
	at := slot.Load()
	if at == 0 {
		return false
	}
	if time.Since(o.start)+1-time.Duration(at) < o.window {
		return true
	}
	forget(slot, at)
	return false
}

// forget ends a window, so that the next read need not look at the clock, unless another has begun.
func forget(slot *atomic.Int64, at int64) { slot.CompareAndSwap(at, 0) }
