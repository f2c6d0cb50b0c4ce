package rueidis

import (
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
// finding it does. Each slot has room for one record, and each record may be in one of two slots. A nil one remembers
// nothing.
type apart struct {
	window time.Duration // how long cached records live
	turn   atomic.Uint64 // the slot that was last looked at, to clear it
	slots  [1 << 13]atomic.Pointer[taken]
}

// How many fields, and bytes of them, a record may have to be remembered. The client's memory of a reply, which is held
// with it, is 48 bytes and an allocation for each name and each value.
const (
	maxApartFields = 16
	maxApartBytes  = 1 << 10
)

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

// newApart returns nil if replies cannot be compared.
func newApart(window time.Duration) *apart {
	if !canCompare {
		return nil
	}
	return &apart{window: window}
}

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
	if a == nil {
		return nil
	}
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
	if a == nil {
		return
	}
	now := time.Now()
	a.clear(now)
	var slot *atomic.Pointer[taken]
	for _, place := range a.places(hash) {
		t := place.Load()
		if t != nil && t.id == id {
			slot = place
			break
		}
		if t == nil || a.over(t, now) {
			slot = place
		}
	}
	if slot == nil || len(rec.Fields) > maxApartFields || packing.Size(rec.Fields) > maxApartBytes {
		return
	}
	slot.Store(&taken{
		id: strings.Clone(id), // it is a part of a token, which is not to stay in memory
		at: now, reply: *reply, fields: packing.Pack(rec.Fields), ttl: rec.TTL,
	})
}

// over reports whether the client has nothing any more of what t was taken out of.
func (a *apart) over(t *taken, now time.Time) bool { return now.Sub(t.at) >= a.window }

// clear clears one slot in turn, if its time is over: sessions that have ended do not stay while others are read.
func (a *apart) clear(now time.Time) {
	slot := &a.slots[a.turn.Add(1)%uint64(len(a.slots))]
	if t := slot.Load(); t != nil && a.over(t, now) {
		slot.CompareAndSwap(t, nil)
	}
}

// drop forgets a record.
func (a *apart) drop(hash uint64, id string) {
	if a == nil {
		return
	}
	for _, slot := range a.places(hash) {
		if t := slot.Load(); t != nil && t.id == id {
			slot.CompareAndSwap(t, nil)
		}
	}
}

// A session.Manager reads with loadCached where there is a local cache.
func init() { //nolint:gochecknoinits // as image formats are registered: nobody has to do anything to have it
	direct.Register(func(b backend.Backend) direct.Loader {
		if r, ok := b.(*Backend); ok && r.own != nil {
			return r.loadCached
		}
		return nil
	})
}
