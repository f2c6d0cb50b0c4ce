package memory

import (
	"context"
	"iter"
	"math/bits"
	"strings"
)

// scanMax is how many homes of records Scan looks at under one hold of a shard's lock.
const scanMax = 256

// hashes is how many hashes there are.
const hashes = 1 << 32

// Scan implements [backend.Scanner]. It holds no lock while it yields, so the loop may call the backend. It
// sees an end of ctx before every few hundred IDs.
func (b *Backend) Scan(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ids := make([]string, 0, scanMax)
		for i := range b.shards {
			// By hash, which a record keeps wherever it is moved to meanwhile, and by its lowest bit first: who
			// deletes what is yielded thins a table evenly, so that what is left spreads over a smaller one.
			for from := uint64(0); from < hashes; {
				if err := ctx.Err(); err != nil {
					yield("", err)
					return
				}
				ids, from = b.scanPart(&b.shards[i], ids[:0], from)
				for _, id := range ids {
					// The copy lets go of the record that the ID is a part of.
					if !yield(strings.Clone(id), nil) {
						return
					}
				}
			}
		}
	}
}

// scanPart appends the IDs of live records whose hash, its bits reversed, is at least from, and returns from where to
// go on.
func (b *Backend) scanPart(s *shard, ids []string, from uint64) ([]string, uint64) {
	s.mu.RLock()
	now := b.now()
	ids, to := s.scan(ids, from, now)
	s.mu.RUnlock()
	s.trySweep(now)
	return ids, to
}

// scan is scanPart under the lock. It looks at scanMax homes, and at the buckets behind each of them into which its
// records may have come.
func (s *shard) scan(ids []string, from uint64, now int64) ([]string, uint64) {
	size := uint64(len(s.table))
	if size == 0 {
		return ids, hashes
	}
	perHome := hashes / size // in hashes with their bits reversed, in which a home is a range
	first := from / perHome
	end := min(first+scanMax, size)
	mask := uint32(size - 1)
	for n := first; n < end; n++ {
		home := bits.Reverse32(uint32(n * perHome))
		for at := home; s.table[at].pos != 0; at = (at + 1) & mask {
			b := &s.table[at]
			if b.hash&mask == home && uint64(bits.Reverse32(b.hash)) >= from && s.queue[b.pos-1].deadline > now {
				ids = append(ids, b.packed.id())
			}
		}
	}
	return ids, end * perHome
}
