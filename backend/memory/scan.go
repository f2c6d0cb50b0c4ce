package memory

import (
	"context"
	"iter"
	"strings"
)

// scanMax is how many records Scan looks at under one hold of a shard's lock.
const scanMax = 256

// Scan implements [backend.Scanner]. It holds no lock while it yields, so the loop may call the backend. It
// sees an end of ctx before every few hundred IDs.
func (b *Backend) Scan(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ids := make([]string, 0, scanMax)
		for i := range b.shards {
			// From the last slot to the first: a removal moves the last slot into the gap, so a record that
			// was not reached yet never moves to where Scan has been.
			for end := -1; end != 0; {
				if err := ctx.Err(); err != nil {
					yield("", err)
					return
				}
				ids, end = b.scanPart(&b.shards[i], ids[:0], end)
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

// scanPart appends the IDs of the live records in the scanMax slots before end, or in the last ones if end is
// negative, and returns where to go on.
func (b *Backend) scanPart(s *shard, ids []string, end int) ([]string, int) {
	s.mu.RLock()
	now := b.now()
	if end < 0 || end > len(s.slots) {
		end = len(s.slots)
	}
	start := max(0, end-scanMax)
	for i := start; i < end; i++ {
		if s.deadline(uint32(i)) > now {
			ids = append(ids, s.slots[i].packed.id())
		}
	}
	s.mu.RUnlock()
	s.trySweep(now)
	return ids, start
}
