package memory

import (
	"errors"
	"fmt"
	"time"
)

// Limits that tests go up to.
const (
	ShardCount = shardCount
	SweepMax   = sweepMax
	ScanMax    = scanMax
	LargeSize  = largeSize
	SmallSize  = smallSize
	MinCap     = minCap
)

// Advance moves the clock of b forward, for benchmarks: they cannot run under testing/synctest. Nothing else
// may use b meanwhile.
func Advance(b *Backend, d time.Duration) { b.start = b.start.Add(-d) }

// MaxRecords returns the cap of b.
func MaxRecords(b *Backend) int { return int(b.max) }

// ShardOf returns the number of the shard that id belongs to.
func ShardOf(b *Backend, id string) int {
	for i, s := 0, b.shard(id); ; i++ {
		if &b.shards[i] == s {
			return i
		}
	}
}

func (b *Backend) shard(id string) *shard {
	s, _ := b.shardOf(id)
	return s
}

// Room returns for how many records there is room in the tables of all shards.
func Room(b *Backend) int {
	room := 0
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		room += max(cap(s.slots), cap(s.queue), len(s.table)*3/4)
		s.mu.Unlock()
	}
	return room
}

// LargeFields returns whether the record under id is kept as a map, and the most fields that there were since
// that map was made.
func LargeFields(b *Backend, id string) (most int, ok bool) {
	s, hash := b.shardOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.find(hash, id); ok && s.slots[i].large != nil {
		return s.slots[i].large.most, true
	}
	return 0, false
}

// Check returns what is wrong in the tables of b. Only without calls under way is the number of records sure.
func Check(b *Backend) error {
	var errs []error
	records := 0
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		if err := s.check(); err != nil {
			errs = append(errs, fmt.Errorf("shard %d: %w", i, err))
		}
		for _, slot := range s.slots {
			if home, hash := b.shardOf(slot.packed.id()); home != s || hash != slot.hash {
				errs = append(errs, fmt.Errorf("shard %d: %q does not belong here", i, slot.packed.id()))
			}
		}
		records += len(s.slots)
		s.mu.Unlock()
	}
	if b.Len() != records {
		errs = append(errs, fmt.Errorf("count is %d, but there are %d records", b.Len(), records))
	}
	return errors.Join(errs...)
}

func (s *shard) check() error {
	return errors.Join(s.checkTable(), s.checkQueue(), s.checkSlots())
}

func (s *shard) checkTable() error {
	if n := len(s.table); n&(n-1) != 0 || len(s.slots)*4 > n*3 {
		return fmt.Errorf("table of %d buckets for %d records", n, len(s.slots))
	}
	used := 0
	for at, b := range s.table {
		if b.ref == 0 {
			continue
		}
		used++
		if int(b.ref) > len(s.slots) || s.slots[b.ref-1].hash != b.hash {
			return fmt.Errorf("bucket %d refers to the wrong slot %d", at, b.ref-1)
		}
	}
	if used != len(s.slots) {
		return fmt.Errorf("%d buckets in use for %d records", used, len(s.slots))
	}
	for i := range s.slots {
		if found, ok := s.find(s.slots[i].hash, s.slots[i].packed.id()); !ok || int(found) != i {
			return fmt.Errorf("find of slot %d = %d, %v", i, found, ok)
		}
	}
	return nil
}

func (s *shard) checkQueue() error {
	if len(s.queue) != len(s.slots) {
		return fmt.Errorf("queue of %d for %d records", len(s.queue), len(s.slots))
	}
	due := int64(never)
	for i, e := range s.queue {
		if int(s.slots[e.slot].pos) != i {
			return fmt.Errorf("slot %d is at %d in the queue, and takes itself to be at %d", e.slot, i, s.slots[e.slot].pos)
		}
		if parent := (i - 1) / children; i > 0 && s.queue[parent].deadline > e.deadline {
			return fmt.Errorf("queue out of order at %d", i)
		}
		due = min(due, e.deadline)
	}
	if got := s.due.Load(); got != due {
		return fmt.Errorf("due = %d, want %d", got, due)
	}
	return nil
}

func (s *shard) checkSlots() error {
	if len(s.slots) <= cap(s.slots)/4 && cap(s.slots) > minCap {
		return fmt.Errorf("room for %d slots, %d in use", cap(s.slots), len(s.slots))
	}
	for _, unused := range s.slots[len(s.slots):cap(s.slots)] {
		if unused != (slot{}) {
			return fmt.Errorf("slot of %q is kept", unused.packed.id())
		}
	}
	for i := range s.slots {
		if err := s.slots[i].check(); err != nil {
			return fmt.Errorf("record %q: %w", s.slots[i].packed.id(), err)
		}
	}
	return nil
}

// check returns what is wrong with the form of r.
func (r *record) check() error {
	_, n, rest := r.packed.header()
	fields := r.packed.toMap()
	if len(fields) != n || sizeOf(fields) != len(rest) {
		return fmt.Errorf("%d fields of %d bytes, want %d of %d", len(fields), sizeOf(fields), n, len(rest))
	}
	switch l := r.large; {
	case l == nil && len(rest) > largeSize:
		return fmt.Errorf("small with %d bytes", len(rest))
	case l == nil:
		return nil
	case n != 0:
		return fmt.Errorf("large with %d fields besides", n)
	case l.size != sizeOf(l.fields):
		return fmt.Errorf("size is %d, want %d", l.size, sizeOf(l.fields))
	case l.size <= smallSize:
		return fmt.Errorf("large with %d bytes", l.size)
	case l.most < len(l.fields) || len(l.fields) <= l.most/4:
		return fmt.Errorf("map for %d fields, %d in use", l.most, len(l.fields))
	}
	return nil
}
