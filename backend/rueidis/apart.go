package rueidis

import (
	"context"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/direct"
	"github.com/faeeb396/session/internal/packing"
)

// apart remembers replies in the client's cache that have been taken apart: this takes a read from there as long as
// finding it does. Each slot has room for one record, and each record may be in one of two slots.
type apart struct {
	window time.Duration // how long cached records live
	slots  [1 << 13]atomic.Pointer[taken]
}

// maxApart is how many bytes of fields a record may have to be remembered, so that all together take some megabytes.
const maxApart = 1 << 10

// taken is a record that was taken out of a reply.
type taken struct {
	id     string
	reply  rueidisclient.RedisMessage
	at     time.Time
	fields packing.Fields
	ttl    time.Duration
}

// canCompare says whether replies can be compared.
var canCompare = reflect.TypeFor[rueidisclient.RedisMessage]().Comparable()

// same reports whether two replies are one that was returned twice. They are equal if they point to the same memory,
// which holds nothing else for as long as one of them does, and which nobody changes: the client gives what is in its
// cache to all who ask.
func same(a, b *rueidisclient.RedisMessage) bool { return any(*a) == any(*b) }

// places returns the slots in which a record with this hash may be.
func (a *apart) places(hash uint64) [2]*atomic.Pointer[taken] {
	at := (hash >> 32) % uint64(len(a.slots))
	return [2]*atomic.Pointer[taken]{&a.slots[at], &a.slots[at^1]}
}

// find returns what was taken out of a reply, or nil.
func (a *apart) find(hash uint64, id string, reply *rueidisclient.RedisMessage) *taken {
	for _, slot := range a.places(hash) {
		if t := slot.Load(); t != nil && t.id == id && same(&t.reply, reply) {
			return t
		}
	}
	return nil
}

// keep remembers what was taken out of a reply, unless other records that may still be in the client's cache have its
// places: records that are read in turn would be packed each time.
func (a *apart) keep(hash uint64, id string, reply *rueidisclient.RedisMessage, rec backend.Record) {
	now := time.Now()
	var slot *atomic.Pointer[taken]
	for _, place := range a.places(hash) {
		t := place.Load()
		if t != nil && t.id == id {
			slot = place
			break
		}
		if t == nil || now.Sub(t.at) >= a.window {
			slot = place
		}
	}
	if slot == nil || packing.Size(rec.Fields) > maxApart {
		return
	}
	slot.Store(&taken{
		id: strings.Clone(id), // it is a part of a token, which is not to stay in memory
		at: now, reply: *reply, fields: packing.Pack(rec.Fields), ttl: rec.TTL,
	})
}

// A session.Manager reads with loadDirect where there is a local cache.
func init() { //nolint:gochecknoinits // as image formats are registered: nobody has to do anything to have it
	direct.Register(func(b backend.Backend) direct.Loader {
		if r, ok := b.(*Backend); ok && r.apart != nil {
			return r.loadDirect
		}
		return nil
	})
}

// loadDirect is Load, but for what it returns.
func (b *Backend) loadDirect(ctx context.Context, id string) (direct.Record, error) {
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
	hit := reply.IsCacheHit()
	if hit {
		if t := b.apart.find(hash, id, &reply); t != nil {
			return direct.Record{Packed: t.fields, TTL: t.ttl}, nil
		}
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
