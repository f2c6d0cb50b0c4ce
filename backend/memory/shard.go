package memory

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// shard holds a part of the records. Its three slices describe the same records: slots, dense and in no
// order, hold them; table finds a slot by ID; queue orders the slots by deadline. All fields but due and count
// are guarded by mu.
type shard struct {
	mu    sync.RWMutex
	due   atomic.Int64  // the earliest deadline, or never; written under mu, read without
	count *atomic.Int64 // the backend's
	slots []slot
	table []bucket
	queue queue
	turn  uint32 // the other shard that the last write swept
	_     [12]byte
	// With the padding, the locks of two shards are never in one cache line.
}

// slot is one record.
type slot struct {
	record
	pos  uint32 // in queue, which has the deadline
	hash uint32
}

// never is later than every deadline.
const never = math.MaxInt64

// minCap is the number of records below which a shard does not bother to shrink.
const minCap = 16

// deadline returns now + ttl, as far as an int64 goes.
func deadline(now int64, ttl time.Duration) int64 {
	return now + min(int64(ttl), never-1-now)
}

// deadline returns the instant from which on the record in slot i is gone.
func (s *shard) deadline(i uint32) int64 { return s.queue[s.slots[i].pos].deadline }

// live returns the slot of the record under id, if it has not expired. As a rule no record of the shard has, which
// due says without a look into the queue.
func (s *shard) live(hash uint32, id string, now int64) (uint32, bool) {
	i, ok := s.find(hash, id)
	return i, ok && (s.due.Load() > now || s.deadline(i) > now)
}

// insert adds a record whose ID is not there. Its place in count is the caller's to reserve.
func (s *shard) insert(hash uint32, r record, deadline int64) {
	i := uint32(len(s.slots))
	s.slots = append(s.slots, slot{record: r, hash: hash})
	if len(s.slots)*4 > len(s.table)*3 {
		s.rebuildTable()
	} else {
		s.link(hash, i)
	}
	s.queue = append(s.queue, entry{deadline: deadline, slot: i})
	s.queue.up(s.slots, len(s.queue)-1)
	s.setDue()
}

// reschedule gives the record in slot i a new deadline.
func (s *shard) reschedule(i uint32, deadline int64) {
	s.queue.fix(s.slots, int(s.slots[i].pos), deadline)
	s.setDue()
}

// remove takes the record in slot i away and gives its place in count back.
func (s *shard) remove(i uint32) {
	s.take(i)
	s.count.Add(-1)
}

// take takes the record in slot i away; its place in count is now the caller's. The last slot moves into the
// gap: Scan relies on that.
func (s *shard) take(i uint32) {
	s.unlink(i)
	s.queue = s.queue.remove(s.slots, int(s.slots[i].pos))
	last := uint32(len(s.slots) - 1)
	if i != last {
		s.table[s.bucketOf(last)].ref = i + 1
		s.slots[i] = s.slots[last]
		s.queue[s.slots[i].pos].slot = i
	}
	s.slots[last] = slot{}
	s.slots = s.slots[:last]
	s.shrink()
	s.setDue()
}

// shrink gives memory back once three quarters of it are unused. It moves fewer records than have been removed
// since it last did so, and thus costs little per removal.
func (s *shard) shrink() {
	n := len(s.slots)
	if cap(s.slots) <= minCap || n > cap(s.slots)/4 {
		return
	}
	size := max(minCap, n+n/2)
	s.slots = append(make([]slot, 0, size), s.slots...)
	s.queue = append(make(queue, 0, size), s.queue...)
	s.rebuildTable()
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

// sweep takes away up to sweepMax records whose time has passed. It moves slots.
func (s *shard) sweep(now int64) {
	for range sweepMax {
		if len(s.queue) == 0 || s.queue[0].deadline > now {
			return
		}
		s.remove(s.queue[0].slot)
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
