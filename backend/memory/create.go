package memory

import (
	"context"
	"math"

	"github.com/faeeb396/session/backend"
)

// Create implements [backend.Backend]. Past the cap it evicts a record or fails with [ErrFull], see
// [Options.FailWhenFull]; an ID that exists is ErrExists, and evicts nothing.
func (b *Backend) Create(ctx context.Context, id string, rec backend.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data := pack(id, &rec)
	now, err := b.create(id, data, int64(rec.TTL), false)
	if err == errNoPlace {
		now, err = b.createFull(id, data, int64(rec.TTL))
	}
	b.sweepNext(now)
	return err
}

// errNoPlace is what create says when the cap is reached.
const errNoPlace = noPlace("no place left")

type noPlace string

func (e noPlace) Error() string { return string(e) }

// create inserts a record, into the place that the caller holds or else into one that it reserves. It returns
// the time at which it did.
func (b *Backend) create(id, data string, ttl int64, place bool) (int64, error) {
	s, hash := b.shardOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := b.now()
	s.sweep(now)
	if i, ok := s.find(hash, id); ok {
		if s.slots[i].deadline > now {
			return now, backend.ErrExists
		}
		s.remove(i)
	}
	if !place && !b.reserve() {
		return now, errNoPlace
	}
	s.insert(hash, data, deadline(now, ttl))
	return now, nil
}

// createFull is Create when the cap is reached. One at a time, so that two never evict for the same place.
func (b *Backend) createFull(id, data string, ttl int64) (int64, error) {
	b.full.Lock()
	defer b.full.Unlock()
	for {
		now, err := b.create(id, data, ttl, false)
		if err != errNoPlace {
			return now, err
		}
		ok, err := b.makePlace()
		if err != nil {
			return now, err
		}
		if !ok {
			continue // a record went away meanwhile, and with it the reason to evict
		}
		now, err = b.create(id, data, ttl, true)
		if err != nil {
			b.count.Add(-1)
		}
		return now, err
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

// makePlace takes the record away that expires first, or has expired, and leaves its place in count to the
// caller. It reports false if there was no record left or no need any more. The caller holds full.
func (b *Backend) makePlace() (bool, error) {
	for {
		first, second := b.earliest()
		if first == nil || b.count.Load() < b.max {
			return false, nil
		}
		done, err := b.evict(first, second)
		if done || err != nil {
			return done, err
		}
	}
}

// evict takes away the record of s that expires first, unless its deadline has moved past limit: then another
// shard has an earlier one, and evict reports false.
func (b *Backend) evict(s *shard, limit int64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || s.queue[0].deadline > limit {
		return false, nil
	}
	if b.fail && s.queue[0].deadline > b.now() {
		return false, ErrFull
	}
	s.take(s.queue[0].slot)
	return true, nil
}

// earliest returns the shard with the earliest deadline, nil if all are empty, and the earliest deadline of
// all others.
func (b *Backend) earliest() (*shard, int64) {
	var first *shard
	least, second := int64(never), int64(math.MaxInt64)
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
