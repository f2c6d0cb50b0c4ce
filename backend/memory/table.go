package memory

// table is a shard's hash table: open-addressed with linear probing, its size zero or a power of two. It holds the
// records themselves, so that a read waits for the memory of one bucket and then for that of the record.
type table []bucket

// bucket is one place of a table.
type bucket struct {
	record
	hash uint32
	pos  uint32 // of its entry in the queue, plus one; zero if the bucket is empty
}

// home returns the bucket in which the search for hash begins.
func (t table) home(hash uint32) uint32 {
	return hash & uint32(len(t)-1)
}

// find returns the bucket of the record under id, live or not.
func (t table) find(hash uint32, id string) (uint32, bool) {
	if len(t) == 0 {
		return 0, false
	}
	mask := uint32(len(t) - 1)
	for at := t.home(hash); ; at = (at + 1) & mask {
		b := &t[at]
		if b.pos == 0 {
			return 0, false
		}
		if b.hash == hash && b.packed.id() == id {
			return at, true
		}
	}
}

// bucketOf returns the bucket of the record with this hash whose entry is at pos of the queue.
func (t table) bucketOf(hash uint32, pos int) uint32 {
	mask := uint32(len(t) - 1)
	at := t.home(hash)
	for t[at].pos != uint32(pos)+1 {
		at = (at + 1) & mask
	}
	return at
}

// add puts b, which is not there, into an empty bucket. There is one: a table is never more than three quarters full.
func (t table) add(b bucket) {
	mask := uint32(len(t) - 1)
	at := t.home(b.hash)
	for t[at].pos != 0 {
		at = (at + 1) & mask
	}
	t[at] = b
}

// empty empties a bucket, and moves those after it back that would not be found past the gap.
func (t table) empty(gap uint32) {
	mask := uint32(len(t) - 1)
	for at := (gap + 1) & mask; t[at].pos != 0; at = (at + 1) & mask {
		if (at-t.home(t[at].hash))&mask >= (at-gap)&mask {
			t[gap] = t[at]
			gap = at
		}
	}
	t[gap] = bucket{}
}

// resized returns a table of the size that n records ask for, with those of t.
func (t table) resized(n int) table {
	size := minCap
	for size*3 < n*4 {
		size *= 2
	}
	resized := make(table, size)
	for i := range t {
		if t[i].pos != 0 {
			resized.add(t[i])
		}
	}
	return resized
}
