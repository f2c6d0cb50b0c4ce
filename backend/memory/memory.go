// Package memory keeps sessions in the memory of the process: the backend that needs no server. It imports
// nothing outside the standard library and this module, and starts no goroutine and no timer.
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
// table of its own: about 280 bytes of heap for a session with two short fields of the application, as
// BenchmarkHeapPerSession shows. Load makes one map for the caller, whose strings are parts of the record's;
// keeping one of them keeps the memory of the whole record. A session.Manager reads without that map. A change of a
// field writes the record anew, and a touch writes nothing but a deadline.
//
// A record whose fields take more than 2 KiB is a map instead, so that a change of one field costs the same
// however many others there are; one of 10 000 fields changes as fast as a small one. Load copies that map
// while it holds the lock, and so delays writes of the same shard by about a millisecond for 10 000 fields.
//
// The number of records is capped, see [Options.MaxRecords]; their size is not: that is the caller's to limit,
// and session.Manager does.
//
// # Expiry
//
// A record is gone for every method from the instant at which its time to live has passed. The memory comes back as the
// backend is used: each shard orders its records by deadline, and every call takes away a bounded number of those that
// are past it, from the shard of its own ID (a read does if nobody else is at it) and, if it writes, from one more in
// turn. So a million sessions that expire together delay no call by more than some tenths of a millisecond, as
// BenchmarkExpiry shows, and a backend that nobody calls keeps the memory it has. The tables shrink as they empty.
//
// Deadlines are measured with the monotonic clock, so setting the machine's clock neither ends a session nor
// prolongs one; on most systems that clock stands still while the machine sleeps. In a bubble of
// testing/synctest they follow the bubble's clock, for a backend that was made in the bubble.
//
// # Concurrency
//
// All methods are safe for concurrent use. IDs are spread over 128 shards, each under a lock of its own; readers
// of one shard share it. No lock is held while Scan yields. Past the cap, creates wait for each other.
package memory

import (
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

// Options are the options of [New]. All values are valid; the zero value means the defaults.
type Options struct {
	// MaxRecords caps the number of records, over all shards together: the backend never holds more, not for
	// a moment, and a Create is refused or evicts only when that many live records are there. Records that
	// have expired are taken away first. If zero, DefaultMaxRecords; if negative, there is no cap.
	MaxRecords int

	// FailWhenFull makes a Create past the cap fail with ErrFull. By default it evicts the record that would
	// expire first, of all records of the backend, according to the deadlines they have at that time: that may be the
	// list of a user's sessions, too, which Manager.RevokeAll goes by. Without a cap it changes nothing.
	FailWhenFull bool
}

// Backend is a [backend.Backend] in memory. Use [New] to make one.
type Backend struct {
	seed  maphash.Seed
	start time.Time // deadlines count from here
	max   int64
	fail  bool

	_      [64]byte     // keeps what every call reads out of the cache line that some write
	count  atomic.Int64 // records in all shards, and places reserved for some
	full   sync.Mutex   // held by a Create that finds no place; taken before any shard's lock
	_      [64]byte
	shards [shardCount]shard
}

var (
	_ backend.Backend = (*Backend)(nil)
	_ backend.Scanner = (*Backend)(nil)
)

// shardCount is a power of two, large against the number of cores.
const shardCount = 128

// sweepMax is how many expired records one call takes away from one shard at most: enough to stay ahead of
// what calls create, few enough to go unnoticed.
const sweepMax = 32

// New returns an empty backend. opts may be nil, and is not kept. A negative cap means none; no options are
// wrong, and New cannot fail.
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

// unlock ends a write to s. It takes expired records away from s and then, so that the memory of shards comes
// back whose IDs nobody calls any more, from one other shard in turn, unless that one is in use.
func (b *Backend) unlock(s *shard, now int64) {
	s.sweep(now)
	s.turn++
	other := &b.shards[s.turn%shardCount]
	s.mu.Unlock()
	other.trySweep(now)
}
