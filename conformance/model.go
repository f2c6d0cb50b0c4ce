package conformance

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/faeeb396/session/backend"
)

// A model is the contract, told as simply as can be: what a backend with these records has to answer. Records
// have numbers in place of IDs, and time is what has passed since the model was made.
type model struct {
	now     time.Duration
	records map[int]modelRecord
}

type modelRecord struct {
	fields   fields
	ttl      time.Duration
	deadline time.Duration
}

func newModel() *model { return &model{records: map[int]modelRecord{}} }

// live returns a record, unless there is none or its time has passed.
func (m *model) live(id int) (modelRecord, bool) {
	r, ok := m.records[id]
	return r, ok && m.now < r.deadline
}

// do returns what a call has to return.
func (m *model) do(o op) (backend.Record, error) {
	switch o.kind {
	case opCreate:
		return backend.Record{}, m.create(o.id, o.record)
	case opLoad:
		return m.apply(o.id, backend.Patch{Load: true})
	case opApply:
		return m.apply(o.id, o.patch)
	case opDelete:
		delete(m.records, o.id)
	case opPass:
		m.now += o.pass
	}
	return backend.Record{}, nil
}

func (m *model) create(id int, rec backend.Record) error {
	if _, ok := m.live(id); ok {
		return backend.ErrExists
	}
	m.records[id] = modelRecord{clone(rec).Fields, rec.TTL, m.now + rec.TTL}
	return nil
}

func (m *model) apply(id int, p backend.Patch) (backend.Record, error) {
	r, ok := m.live(id)
	if !ok {
		return backend.Record{}, backend.ErrNotFound
	}
	if !r.holds(p) {
		return backend.Record{}, backend.ErrConflict
	}
	sums, ok := r.sums(p.Add)
	if !ok {
		return backend.Record{}, backend.ErrCounter
	}
	after := fields{}
	for _, part := range []fields{r.fields, p.Set, sums} {
		maps.Copy(after, part)
	}
	maps.DeleteFunc(after, func(name, _ string) bool { return slices.Contains(p.Delete, name) })
	r.fields = after
	if p.TTL > 0 {
		r.ttl = p.TTL
	}
	if p.TTL > 0 || p.Touch {
		r.deadline = m.now + r.ttl
	}
	m.records[id] = r
	if p.Remove {
		delete(m.records, id)
	}
	if p.Load {
		return backend.Record{Fields: maps.Clone(after), TTL: r.ttl}, nil
	}
	return backend.Record{Fields: sums}, nil
}

// holds reports whether the conditions of p hold.
func (r modelRecord) holds(p backend.Patch) bool {
	for name, value := range p.If {
		if r.fields[name] != value {
			return false
		}
	}
	for _, name := range p.Has {
		if _, there := r.fields[name]; !there {
			return false
		}
	}
	return true
}

// sums returns the counters' new values, or false if they cannot be added to.
func (r modelRecord) sums(deltas map[string]int64) (fields, bool) {
	sums := fields{}
	for name, delta := range deltas {
		old, there := r.fields[name]
		if !there {
			old = "0"
		}
		n, err := strconv.ParseInt(old, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != old {
			return nil, false
		}
		for _, v := range []int64{n, delta, n + delta} { // which no int64 leaves, if the first two are in range
			if v < -most || v > most {
				return nil, false
			}
		}
		sums[name] = strconv.FormatInt(n+delta, 10)
	}
	return sums, true
}

// unclear reports whether a record's deadline is so near that some lost time would decide whether it lives.
func (m *model) unclear(near time.Duration) bool {
	for _, r := range m.records {
		if (r.deadline - m.now).Abs() < near {
			return true
		}
	}
	return false
}
