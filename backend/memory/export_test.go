package memory

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/faeeb396/session/internal/packing"
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
		room += max(cap(s.queue), len(s.table)*3/4)
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
	if at, ok := s.table.find(hash, id); ok && s.table[at].large != nil {
		return s.table[at].large.most, true
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
		for r := range s.table.records() {
			if home, hash := b.shardOf(r.packed.id()); home != s || hash != r.hash {
				errs = append(errs, fmt.Errorf("shard %d: %q does not belong here", i, r.packed.id()))
			}
			records++
		}
		s.mu.Unlock()
	}
	if b.Len() != records {
		errs = append(errs, fmt.Errorf("count is %d, but there are %d records", b.Len(), records))
	}
	return errors.Join(errs...)
}

// records returns the buckets that are in use.
func (t table) records() iter.Seq2[*bucket, uint32] {
	return func(yield func(*bucket, uint32) bool) {
		for at := range t {
			if t[at].pos != 0 && !yield(&t[at], uint32(at)) {
				return
			}
		}
	}
}

func (s *shard) check() error {
	return errors.Join(s.checkTable(), s.checkQueue(), s.checkRecords())
}

func (s *shard) checkTable() error {
	records := len(s.queue)
	if n := len(s.table); n&(n-1) != 0 || records*4 > n*3 || n > 2*minCap && n > records*11 {
		return fmt.Errorf("table of %d buckets for %d records", n, records)
	}
	used := 0
	for r, at := range s.table.records() {
		used++
		if found, ok := s.table.find(r.hash, r.packed.id()); !ok || found != at {
			return fmt.Errorf("find of bucket %d = %d, %v", at, found, ok)
		}
	}
	if used != records {
		return fmt.Errorf("%d buckets in use for %d records", used, records)
	}
	for at := range s.table {
		if b := &s.table[at]; b.pos == 0 && *b != (bucket{}) {
			return fmt.Errorf("record %q is kept in an empty bucket", b.packed.id())
		}
	}
	return nil
}

func (s *shard) checkQueue() error {
	if n := len(s.queue); n <= cap(s.queue)/4 && cap(s.queue) > minCap {
		return fmt.Errorf("room for %d in the queue, %d in use", cap(s.queue), n)
	}
	seen := make([]bool, len(s.queue))
	for r, at := range s.table.records() {
		if int(r.pos) > len(seen) || seen[r.pos-1] || s.queue[r.pos-1].hash != r.hash {
			return fmt.Errorf("bucket %d takes itself to be at %d in the queue", at, r.pos-1)
		}
		seen[r.pos-1] = true
	}
	due := int64(never)
	for i, e := range s.queue {
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

func (s *shard) checkRecords() error {
	for r := range s.table.records() {
		if err := r.check(); err != nil {
			return fmt.Errorf("record %q: %w", r.packed.id(), err)
		}
	}
	return nil
}

// check returns what is wrong with the form of r.
func (r *record) check() error {
	_, n, rest := r.packed.header()
	fields := r.packed.toMap()
	if len(fields) != n || packing.Size(fields) != len(rest) {
		return fmt.Errorf("%d fields of %d bytes, want %d of %d", len(fields), packing.Size(fields), n, len(rest))
	}
	switch l := r.large; {
	case l == nil && len(rest) > largeSize:
		return fmt.Errorf("small with %d bytes", len(rest))
	case l == nil:
		return nil
	case n != 0:
		return fmt.Errorf("large with %d fields besides", n)
	case l.size != packing.Size(l.fields):
		return fmt.Errorf("size is %d, want %d", l.size, packing.Size(l.fields))
	case l.size <= smallSize:
		return fmt.Errorf("large with %d bytes", l.size)
	case l.most < len(l.fields) || len(l.fields) <= l.most/4:
		return fmt.Errorf("map for %d fields, %d in use", l.most, len(l.fields))
	}
	return nil
}
