package memory

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// shard holds a part of the records: table finds them by ID, queue orders them by deadline. All fields but due and
// count are guarded by mu.
type shard struct {
	mu    sync.RWMutex
	due   atomic.Int64  // the earliest deadline, or never; written under mu, read without
	count *atomic.Int64 // the backend's
	table table
	queue queue
	turn  uint32 // the other shard that the last write swept
	_     [36]byte
	// With the padding, the locks of two shards are never in one cache line.
}

// never is later than every deadline.
const never = math.MaxInt64

// minCap is the number of records below which a shard does not bother to shrink.
const minCap = 16

// deadline returns now + ttl, as far as an int64 goes.
func deadline(now int64, ttl time.Duration) int64 {
	return now + min(int64(ttl), never-1-now)
}

// deadline returns the instant from which on the record in a bucket is gone.
func (s *shard) deadline(at uint32) int64 { return s.queue[s.table[at].pos-1].deadline }

// live returns the bucket of the record under id, if it has not expired. As a rule no record of the shard has, which
// due says without a look into the queue.
func (s *shard) live(hash uint32, id string, now int64) (uint32, bool) {
	at, ok := s.table.find(hash, id)
	return at, ok && (s.due.Load() > now || s.deadline(at) > now)
}

// insert adds a record whose ID is not there. Its place in count is the caller's to reserve. It moves records.
func (s *shard) insert(hash uint32, r record, deadline int64) {
	s.queue = append(s.queue, entry{deadline: deadline, hash: hash})
	if n := len(s.queue); n*4 > len(s.table)*3 {
		s.table = s.table.resized(n)
	}
	s.table.add(bucket{record: r, hash: hash, pos: uint32(len(s.queue))})
	s.queue.up(s.table, len(s.queue)-1)
	s.setDue()
}

// reschedule gives the record in a bucket a new deadline.
func (s *shard) reschedule(at uint32, deadline int64) {
	s.queue.fix(s.table, int(s.table[at].pos-1), deadline)
	s.setDue()
}

// remove takes the record in a bucket away and gives its place in count back. It moves records.
func (s *shard) remove(at uint32) {
	s.take(at)
	s.count.Add(-1)
}

// take takes the record in a bucket away; its place in count is now the caller's. It moves records.
func (s *shard) take(at uint32) {
	pos := int(s.table[at].pos - 1)
	s.table.empty(at)
	s.queue = s.queue.remove(s.table, pos)
	s.shrink()
	s.setDue()
}

// first returns the bucket of the record with the earliest deadline. There is one.
func (s *shard) first() uint32 { return s.table.bucketOf(s.queue[0].hash, 0) }

// shrink gives memory back once three quarters of it are unused. It moves fewer records than have been removed
// since it last did so, and thus costs little per removal.
func (s *shard) shrink() {
	n := len(s.queue)
	if cap(s.queue) <= minCap || n > cap(s.queue)/4 {
		return
	}
	s.queue = append(make(queue, 0, max(minCap, n+n/2)), s.queue...)
	s.table = s.table.resized(n)
}

// setDue publishes the earliest deadline.
func (s *shard) setDue() {
	due := int64(never)
	if len(s.queue) > 0 {
		due = s.queue[0].deadline
	}
	if s.due.Load() != due {
		s.due.Store(due)
	}
}

// sweep takes away up to sweepMax records whose time has passed. It moves records.
func (s *shard) sweep(now int64) {
	for range sweepMax {
		if len(s.queue) == 0 || s.queue[0].deadline > now {
			return
		}
		s.remove(s.first())
	}
}

// trySweep is sweep for those who do not hold the lock and shall not wait for it. It costs one atomic load
// when nothing is due.
func (s *shard) trySweep(now int64) {
	if s.due.Load() <= now && s.mu.TryLock() {
		s.sweep(now)
		s.mu.Unlock()
	}
}
