package memory

import (
	"context"
	"runtime"
	"time"

	"github.com/faeeb396/session/backend"
)

// Create implements [backend.Backend]. Past the cap it evicts a record or fails with [ErrFull], see
// [Options.FailWhenFull]; an ID that exists is ErrExists, and evicts nothing.
func (b *Backend) Create(ctx context.Context, id string, rec backend.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := newRecord(id, &rec)
	s, hash := b.shardOf(id)
	s.mu.Lock()
	now := b.now()
	done, err := b.create(s, hash, r, rec.TTL, now)
	b.unlock(s, now)
	if done {
		return err
	}
	return b.createFull(s, hash, r, rec.TTL)
}

// create inserts r unless its ID is there, and reports false if there is no place. The caller holds the lock
// of s.
func (b *Backend) create(s *shard, hash uint32, r record, ttl time.Duration, now int64) (bool, error) {
	if at, ok := s.table.find(hash, r.packed.id()); ok {
		if s.deadline(at) > now {
			return true, backend.ErrExists
		}
		s.remove(at)
	}
	if !b.reserve() {
		return false, nil
	}
	s.insert(hash, r, deadline(now, ttl))
	return true, nil
}

// createFull is Create when the cap is reached. It keeps the lock of s while it evicts from another shard, so
// that nobody can create the same ID meanwhile and make the eviction a vain one. Holding two locks is safe
// because nobody else does: only who holds full takes a second one.
func (b *Backend) createFull(s *shard, hash uint32, r record, ttl time.Duration) error {
	b.full.Lock()
	defer b.full.Unlock()
	s.mu.Lock()
	var now int64
	defer func() { b.unlock(s, now) }()
	for {
		now = b.now()
		if done, err := b.create(s, hash, r, ttl, now); done {
			return err
		}
		first, second := b.earliest()
		switch evicted, err := b.evict(s, first, second); {
		case err != nil:
			return err
		case evicted:
			now = b.now()
			s.insert(hash, r, deadline(now, ttl))
			return nil
		}
		// Records came, went or moved meanwhile. Who did that may need this processor to get done: it has
		// reserved the last place, for example, and not used it yet.
		runtime.Gosched()
	}
}

// reserve counts one record more, unless the cap is reached.
func (b *Backend) reserve() bool {
	if b.max < 0 {
		b.count.Add(1)
		return true
	}
	for {
		n := b.count.Load()
		if n >= b.max {
			return false
		}
		if b.count.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// evict takes the record away that expires first of all, and leaves its place in count to the caller, who
// holds full and the lock of own. It is in shard first, if any, and all others have none that expires before
// second. If that has changed since the caller found it out, evict does nothing and reports false.
func (b *Backend) evict(own, first *shard, second int64) (bool, error) {
	if first == nil {
		return false, nil
	}
	if first != own {
		first.mu.Lock()
		defer first.mu.Unlock()
	}
	if len(first.queue) == 0 || first.queue[0].deadline > second {
		return false, nil
	}
	if b.fail && first.queue[0].deadline > b.now() {
		return false, ErrFull
	}
	first.take(first.first())
	return true, nil
}

// earliest returns the shard with the earliest deadline, nil if all are empty, and the earliest deadline of
// all others.
func (b *Backend) earliest() (first *shard, second int64) {
	least, second := int64(never), int64(never)
	for i := range b.shards {
		switch due := b.shards[i].due.Load(); {
		case due < least:
			first, least, second = &b.shards[i], due, least
		case due < second:
			second = due
		}
	}
	return first, second
}
