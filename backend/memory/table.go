package memory

// bucket is one place of a shard's hash table, which is open-addressed with linear probing. Go's own map
// would cost about five times as much a record, and never shrinks.
type bucket struct {
	hash uint32
	ref  uint32 // the slot's index plus one; zero if the bucket is empty
}

// find returns the slot of the record under id, live or not.
func (s *shard) find(hash uint32, id string) (uint32, bool) {
	if len(s.table) == 0 {
		return 0, false
	}
	mask := uint32(len(s.table) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		b := s.table[at]
		if b.ref == 0 {
			return 0, false
		}
		if b.hash == hash && s.slots[b.ref-1].packed.id() == id {
			return b.ref - 1, true
		}
	}
}

// bucketOf returns the bucket that refers to slot i.
func (s *shard) bucketOf(i uint32) uint32 {
	mask := uint32(len(s.table) - 1)
	at := s.slots[i].hash & mask
	for s.table[at].ref != i+1 {
		at = (at + 1) & mask
	}
	return at
}

// link makes slot i found by hash. There is an empty bucket: the table is never more than three quarters full.
func (s *shard) link(hash, i uint32) {
	mask := uint32(len(s.table) - 1)
	at := hash & mask
	for s.table[at].ref != 0 {
		at = (at + 1) & mask
	}
	s.table[at] = bucket{hash: hash, ref: i + 1}
}

// unlink empties the bucket of slot i, and moves those after it back that would not be found past the gap.
func (s *shard) unlink(i uint32) {
	mask := uint32(len(s.table) - 1)
	gap := s.bucketOf(i)
	for at := (gap + 1) & mask; s.table[at].ref != 0; at = (at + 1) & mask {
		home := s.table[at].hash & mask
		if (at-home)&mask >= (at-gap)&mask {
			s.table[gap] = s.table[at]
			gap = at
		}
	}
	s.table[gap] = bucket{}
}

// rebuildTable makes a table of the size that the number of slots asks for.
func (s *shard) rebuildTable() {
	size := minCap
	for size*3 < len(s.slots)*4 {
		size *= 2
	}
	s.table = make([]bucket, size)
	for i := range s.slots {
		s.link(s.slots[i].hash, uint32(i))
	}
}
