// Package memory keeps sessions in the memory of the process: the backend that needs no server. It imports
// nothing outside the standard library and starts no goroutine and no timer.
//
// # When to use it
//
// For tests, for development, and for a service that runs as one process and may log everybody out when it
// restarts: nothing is written to disk, so a restart ends all sessions, and a second process knows none of
// them. Everything else wants one of the Redis backends.
//
// # Layout and limits
//
// A record is one immutable string that holds the ID, the time to live and all fields, found through a hash
// table of its own: about 250 bytes for a session with two short fields of the application, as
// BenchmarkHeapPerSession shows. A read makes one map for the caller, whose strings are parts of the record's;
// keeping one of them keeps the memory of the whole record. A change of a field writes the whole record anew,
// so it costs time and garbage in proportion to the record's size. A touch writes no field.
//
// The number of records is capped, see [Options.MaxRecords]; their size is not: that is the caller's to limit,
// and session.Manager does.
//
// # Expiry
//
// A record is gone for every method from the instant at which its time to live has passed. The memory comes
// back as the backend is used: each shard orders its records by deadline, and every call takes away a bounded
// number of those that are past it, from the shard of its own ID and, if it writes, from one more in turn. So
// a million sessions that expire together delay no call by more than some tens of microseconds each, and a
// backend that nobody calls keeps the memory it has. The tables shrink as they empty.
//
// Deadlines are measured with the monotonic clock, so setting the machine's clock neither ends a session nor
// prolongs one. Under testing/synctest they follow the bubble's clock.
//
// # Concurrency
//
// All methods are safe for concurrent use. IDs are spread over 64 shards, each under a lock of its own; readers
// of one shard share it. No lock is held while Scan yields.
package memory

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faeeb396/session/backend"
)

// DefaultMaxRecords is the cap on the number of records where [Options.MaxRecords] is zero: about a quarter
// of a gigabyte of small sessions.
const DefaultMaxRecords = 1 << 20

// ErrFull is what Create fails with when the backend holds as many live records as it may and
// [Options.FailWhenFull] is set. Nothing was written, and no record was harmed.
var ErrFull = errors.New("memory backend is full")

// Options are the options of [New]. The zero value is fine.
type Options struct {
	// MaxRecords caps the number of records, over all shards together: the backend never holds more, not for
	// a moment, and a Create is refused or evicts only when that many live records are there. Records that
	// have expired are taken away first. If zero, DefaultMaxRecords; if negative, there is no cap.
	MaxRecords int

	// FailWhenFull makes a Create past the cap fail with ErrFull. By default it evicts the record that would
	// expire first, of all records of the backend, according to the deadlines they have at that time.
	FailWhenFull bool
}

// Backend is a [backend.Backend] in memory. Use [New] to make one.
type Backend struct {
	seed   maphash.Seed
	start  time.Time // deadlines count from here
	max    int64
	fail   bool
	count  atomic.Int64  // records in all shards, and places reserved for some
	turn   atomic.Uint32 // picks the other shard that a write sweeps
	full   sync.Mutex    // held by a Create that finds no place; taken before any shard's lock
	shards [shardCount]shard
}

var (
	_ backend.Backend = (*Backend)(nil)
	_ backend.Scanner = (*Backend)(nil)
)

// shardCount is a power of two, large against the number of cores.
const shardCount = 64

// sweepMax is how many expired records one call takes away from one shard at most: enough to stay ahead of
// what calls create, few enough to go unnoticed.
const sweepMax = 32

// New returns an empty backend. opts may be nil.
func New(opts *Options) *Backend {
	if opts == nil {
		opts = &Options{}
	}
	b := &Backend{
		seed:  maphash.MakeSeed(),
		start: time.Now(),
		max:   int64(opts.MaxRecords),
		fail:  opts.FailWhenFull,
	}
	if b.max == 0 {
		b.max = DefaultMaxRecords
	}
	for i := range b.shards {
		b.shards[i].count = &b.count
		b.shards[i].due.Store(never)
	}
	return b
}

// now is the one place that reads the clock. To be called with the lock of the shard held: were it read
// before, a call that then waits for the lock could bring back a record that another has seen expire.
func (b *Backend) now() int64 { return int64(time.Since(b.start)) }

// shardOf returns the shard of id, and the hash for its table.
func (b *Backend) shardOf(id string) (*shard, uint32) {
	h := maphash.String(b.seed, id)
	return &b.shards[h%shardCount], uint32(h >> 32)
}

// Len returns the number of records in memory. It counts those that have expired and whose memory was not
// taken back yet, so it is never less than the number of live ones.
func (b *Backend) Len() int { return int(b.count.Load()) }

// Load implements [backend.Backend]. It sees every write that has returned.
func (b *Backend) Load(ctx context.Context, id string) (backend.Record, error) {
	if err := ctx.Err(); err != nil {
		return backend.Record{}, err
	}
	s, hash := b.shardOf(id)
	s.mu.RLock()
	now := b.now()
	data, ok := s.data(hash, id, now)
	s.mu.RUnlock()
	s.trySweep(now)
	if !ok {
		return backend.Record{}, backend.ErrNotFound
	}
	return unpack(data), nil
}

// Delete implements [backend.Backend].
func (b *Backend) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s, hash := b.shardOf(id)
	s.mu.Lock()
	now := b.now()
	s.sweep(now)
	if i, ok := s.find(hash, id); ok {
		s.remove(i)
	}
	s.mu.Unlock()
	b.sweepNext(now)
	return nil
}

// sweepNext takes expired records away from the next shard in turn, unless it is in use, so that the memory
// of shards comes back whose IDs nobody calls any more.
func (b *Backend) sweepNext(now int64) {
	b.shards[b.turn.Add(1)%shardCount].trySweep(now)
}
