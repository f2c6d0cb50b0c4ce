package memory

import (
	"strconv"
	"strings"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/packing"
)

// record is a record in one of the two forms in which it is kept. A small one is packed whole. A large one has
// only its ID and its time to live packed.
type record struct {
	packed packed
	large  *large // nil if small
}

// few is up to how many fields are looked up in a packed record one by one. For more, it is cheaper to make a
// map first.
const few = 16

// newRecord returns rec as a record. It copies the fields.
func newRecord(id string, rec *backend.Record) record {
	size := packing.Size(rec.Fields)
	if size <= largeSize {
		return record{packed: pack(id, rec.TTL, rec.Fields, size)}
	}
	fields := make(map[string]string, len(rec.Fields))
	for name, value := range rec.Fields {
		fields[strings.Clone(name)] = strings.Clone(value)
	}
	return record{packed: pack(id, rec.TTL, nil, 0), large: newLarge(fields)}
}

// pinned returns r as something that does not change any more, to be used without the lock.
func (r record) pinned() record {
	if r.large != nil {
		r.large = &large{fields: copyMap(r.large.fields)}
	}
	return r
}

// unpack returns what callers get. It gives the fields of a large record away, so r is a pinned one, or one
// that is no longer in the shard.
func (r record) unpack() backend.Record {
	if r.large != nil {
		return backend.Record{Fields: r.large.fields, TTL: r.packed.ttl()}
	}
	return backend.Record{Fields: r.packed.toMap(), TTL: r.packed.ttl()}
}

// change makes the changes of p, and sets the counters in sums.
func (r *record) change(p *backend.Patch, sums map[string]string) {
	ttl := r.packed.ttl()
	if p.TTL > 0 {
		ttl = p.TTL
	}
	fresh := r.large == nil
	if fresh {
		if len(p.Set)+len(p.Delete)+len(sums) <= few && r.repack(ttl, p, sums) {
			return
		}
		r.large = newLarge(r.packed.toMap())
	}
	r.large.change(p, sums)
	if r.large.size <= smallSize {
		r.packed, r.large = pack(r.packed.id(), ttl, r.large.fields, r.large.size), nil
	} else if fresh || p.TTL > 0 {
		r.packed = pack(r.packed.id(), ttl, nil, 0)
	}
}

// repack makes the changes of p, which are few, in a record that is packed, and reports whether that may stay packed.
func (r *record) repack(ttl time.Duration, p *backend.Patch, sums map[string]string) bool {
	var array [few]field
	set := array[:0]
	for _, fields := range [...]map[string]string{p.Set, sums} {
		for name, value := range fields {
			set = append(set, field{name, value})
		}
	}
	changed, ok := repack(r.packed, ttl, p.Delete, set)
	if ok {
		r.packed = changed
	}
	return ok
}

// view is a way to look fields up.
type view struct {
	packed packed
	fields map[string]string // used if not nil
}

// view returns the fields of r, to look n of them up.
func (r record) view(n int) view {
	switch {
	case r.large != nil:
		return view{fields: r.large.fields}
	case n > few:
		return view{fields: r.packed.toMap()}
	default:
		return view{packed: r.packed}
	}
}

func (v view) lookup(name string) (string, bool) {
	if v.fields != nil {
		value, ok := v.fields[name]
		return value, ok
	}
	return v.packed.fields().Lookup(name)
}

// holds reports whether the conditions of p hold.
func (v view) holds(p *backend.Patch) bool {
	for name, want := range p.If {
		if value, _ := v.lookup(name); value != want {
			return false
		}
	}
	for _, name := range p.Has {
		if _, ok := v.lookup(name); !ok {
			return false
		}
	}
	return true
}

// add returns the new values of the counters in deltas, and false if one of them is none, or leaves its range.
func (v view) add(deltas map[string]int64) (map[string]string, bool) {
	if len(deltas) == 0 {
		return nil, true
	}
	sums := make(map[string]string, len(deltas))
	for name, delta := range deltas {
		var n int64
		if value, ok := v.lookup(name); ok {
			if n, ok = counter(value); !ok {
				return nil, false
			}
		}
		if !inRange(delta) || !inRange(n+delta) {
			return nil, false
		}
		sums[name] = strconv.FormatInt(n+delta, 10)
	}
	return sums, true
}

// counter reads an integer in canonical form and in the range of a counter.
func counter(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || !inRange(n) {
		return 0, false
	}
	var buf [20]byte
	return n, string(strconv.AppendInt(buf[:0], n, 10)) == s
}

func inRange(n int64) bool { return -backend.MaxCounter <= n && n <= backend.MaxCounter }
