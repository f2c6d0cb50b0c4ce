package memory

// queue is a heap of a shard's records, the earliest deadline first. Each record is in it once and knows its
// position, so that a touch moves the entry at once: the queue never grows by touches, and its order is never
// a guess. Entries hold the deadline too, and have four children each, because then a step down looks at one
// or two cache lines.
type queue []entry

type entry struct {
	deadline int64
	hash     uint32 // finds the record's bucket, which says that its entry is this one
}

const children = 4

// moving is the position of a record whose entry is on its way.
const moving = 1<<32 - 1

// lift takes the entry at i out, for put to put it somewhere, and returns it with its record's bucket.
func (q queue) lift(t table, i int) (entry, *bucket) {
	b := &t[t.bucketOf(q[i].hash, i)]
	b.pos = moving
	return q[i], b
}

// put puts an entry that was lifted in at i.
func (q queue) put(i int, e entry, b *bucket) {
	q[i] = e
	b.pos = uint32(i) + 1
}

// move moves the entry at from to i, where there is none.
func (q queue) move(t table, from, i int) {
	e, b := q.lift(t, from)
	q.put(i, e, b)
}

// up moves the entry at i up to where it belongs.
func (q queue) up(t table, i int) {
	if !q.early(i, q[i].deadline) {
		return
	}
	e, b := q.lift(t, i)
	for q.early(i, e.deadline) {
		parent := (i - 1) / children
		q.move(t, parent, i)
		i = parent
	}
	q.put(i, e, b)
}

// early reports whether an entry with this deadline belongs further up than i.
func (q queue) early(i int, deadline int64) bool {
	return i > 0 && q[(i-1)/children].deadline > deadline
}

// down moves the entry at i down to where it belongs.
func (q queue) down(t table, i int) {
	child := q.earlier(i, q[i].deadline)
	if child == 0 {
		return
	}
	e, b := q.lift(t, i)
	for child != 0 {
		q.move(t, child, i)
		i = child
		child = q.earlier(i, e.deadline)
	}
	q.put(i, e, b)
}

// earlier returns the earliest of the children of the entry at i if an entry with this deadline belongs below it, and
// else 0.
func (q queue) earlier(i int, deadline int64) int {
	least, first := 0, i*children+1
	for c := first; c < min(first+children, len(q)); c++ {
		if q[c].deadline < deadline {
			least, deadline = c, q[c].deadline
		}
	}
	return least
}

// fix gives the entry at i a new deadline.
func (q queue) fix(t table, i int, deadline int64) {
	before := q[i].deadline
	q[i].deadline = deadline
	if deadline < before {
		q.up(t, i)
	} else if deadline > before {
		q.down(t, i)
	}
}

// remove takes the entry at i out, whose record has left the table, and returns the shorter queue.
func (q queue) remove(t table, i int) queue {
	last := len(q) - 1
	if i == last {
		return q[:last]
	}
	gone := q[i].deadline
	q.move(t, last, i)
	q = q[:last]
	if q[i].deadline < gone {
		q.up(t, i)
	} else {
		q.down(t, i)
	}
	return q
}
