package memory

// queue is a heap of a shard's records, the earliest deadline first. Each record is in it once and knows its
// position, so that a touch moves the entry at once: the queue never grows by touches, and its order is never
// a guess. Entries hold the deadline too, and have four children each, because then a step down looks at one
// or two cache lines.
type queue []entry

type entry struct {
	deadline int64
	slot     uint32
}

const children = 4

// set puts e at position i.
func (q queue) set(slots []slot, i int, e entry) {
	q[i] = e
	slots[e.slot].pos = uint32(i)
}

// up moves the entry at i up to where it belongs.
func (q queue) up(slots []slot, i int) {
	e := q[i]
	for i > 0 {
		parent := (i - 1) / children
		if q[parent].deadline <= e.deadline {
			break
		}
		q.set(slots, i, q[parent])
		i = parent
	}
	q.set(slots, i, e)
}

// down moves the entry at i down to where it belongs.
func (q queue) down(slots []slot, i int) {
	e := q[i]
	for {
		first := i*children + 1
		if first >= len(q) {
			break
		}
		least := first
		for c := first + 1; c < min(first+children, len(q)); c++ {
			if q[c].deadline < q[least].deadline {
				least = c
			}
		}
		if q[least].deadline >= e.deadline {
			break
		}
		q.set(slots, i, q[least])
		i = least
	}
	q.set(slots, i, e)
}

// fix gives the entry at i a new deadline.
func (q queue) fix(slots []slot, i int, deadline int64) {
	before := q[i].deadline
	q[i].deadline = deadline
	if deadline < before {
		q.up(slots, i)
	} else if deadline > before {
		q.down(slots, i)
	}
}

// remove takes the entry at i out and returns the shorter queue.
func (q queue) remove(slots []slot, i int) queue {
	last := len(q) - 1
	moved := q[last]
	q = q[:last]
	if i == last {
		return q
	}
	gone := q[i].deadline
	q.set(slots, i, moved)
	if moved.deadline < gone {
		q.up(slots, i)
	} else {
		q.down(slots, i)
	}
	return q
}
