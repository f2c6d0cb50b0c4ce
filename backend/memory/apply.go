package memory

import (
	"context"
	"slices"
	"strconv"

	"github.com/faeeb396/session/backend"
)

// Apply implements [backend.Backend].
func (b *Backend) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if err := ctx.Err(); err != nil {
		return backend.Record{}, err
	}
	var (
		data string
		sums map[string]string
		err  error
	)
	if writes(&p) {
		data, sums, err = b.change(id, &p)
	} else {
		data, err = b.check(id, &p)
	}
	switch {
	case err != nil:
		return backend.Record{}, err
	case p.Load:
		return unpack(data), nil
	default:
		return backend.Record{Fields: sums}, nil
	}
}

// writes reports whether p changes anything where its conditions hold.
func writes(p *backend.Patch) bool {
	return p.Touch || p.TTL > 0 || p.Remove || len(p.Set) > 0 || len(p.Delete) > 0 || len(p.Add) > 0
}

// check is Apply for a patch that changes nothing. The record cannot change, so its conditions are judged
// without the lock.
func (b *Backend) check(id string, p *backend.Patch) (string, error) {
	s, hash := b.shardOf(id)
	s.mu.RLock()
	now := b.now()
	data, ok := s.data(hash, id, now)
	s.mu.RUnlock()
	s.trySweep(now)
	if !ok {
		return "", backend.ErrNotFound
	}
	if !holds(data, p) {
		return "", backend.ErrConflict
	}
	return data, nil
}

// change is Apply for a patch that changes something. It returns the packed record as it then stands, or last
// stood, and the new values of counters.
func (b *Backend) change(id string, p *backend.Patch) (string, map[string]string, error) {
	s, hash := b.shardOf(id)
	s.mu.Lock()
	now := b.now()
	data, sums, err := s.change(hash, id, p, now)
	s.sweep(now)
	s.mu.Unlock()
	b.sweepNext(now)
	return data, sums, err
}

func (s *shard) change(hash uint32, id string, p *backend.Patch, now int64) (string, map[string]string, error) {
	i, ok := s.find(hash, id)
	if !ok || s.slots[i].deadline <= now {
		return "", nil, backend.ErrNotFound
	}
	data := s.slots[i].data
	if !holds(data, p) {
		return "", nil, backend.ErrConflict
	}
	sums, ok := add(data, p.Add)
	if !ok {
		return "", nil, backend.ErrCounter
	}
	// Nothing fails from here on.
	if p.Remove {
		s.remove(i)
		return data, sums, nil
	}
	if p.TTL > 0 || len(p.Set) > 0 || len(p.Delete) > 0 || len(sums) > 0 {
		data = repack(data, p, sums)
		s.slots[i].data = data
	}
	if p.TTL > 0 || p.Touch {
		_, ttl, _, _ := header(data)
		s.reschedule(i, deadline(now, int64(ttl)))
	}
	return data, sums, nil
}

// holds reports whether the conditions of p hold.
func holds(data string, p *backend.Patch) bool {
	if len(p.If) == 0 && len(p.Has) == 0 {
		return true
	}
	missing := 0 // conditions that an absent field does not meet
	for _, want := range p.If {
		if want != "" {
			missing++
		}
	}
	has := newNames(p.Has)
	absent := has.count()
	_, _, _, rest := header(data)
	for c := (cursor{rest: rest}); c.next(); {
		if want, ok := p.If[c.name]; ok {
			if c.value != want {
				return false
			}
			if want != "" {
				missing--
			}
		}
		if has.contains(c.name) {
			absent--
		}
	}
	return missing == 0 && absent == 0
}

// add returns the new values of the counters in deltas, and false if one of them is none, or leaves its range.
func add(data string, deltas map[string]int64) (map[string]string, bool) {
	if len(deltas) == 0 {
		return nil, true
	}
	sums := make(map[string]string, len(deltas))
	_, _, _, rest := header(data)
	for c := (cursor{rest: rest}); c.next(); {
		delta, ok := deltas[c.name]
		if !ok {
			continue
		}
		n, ok := counter(c.value)
		if !ok || !inRange(delta) || !inRange(n+delta) {
			return nil, false
		}
		sums[c.name] = strconv.FormatInt(n+delta, 10)
	}
	for name, delta := range deltas {
		if _, ok := sums[name]; ok {
			continue
		}
		if !inRange(delta) {
			return nil, false
		}
		sums[name] = strconv.FormatInt(delta, 10)
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

// repack returns data with the changes of p and the counters in sums.
func repack(data string, p *backend.Patch, sums map[string]string) string {
	id, ttl, _, rest := header(data)
	if p.TTL > 0 {
		ttl = p.TTL
	}
	deleted := newNames(p.Delete)
	gone := func(name string) bool {
		if _, ok := p.Set[name]; ok {
			return true
		}
		if _, ok := sums[name]; ok {
			return true
		}
		return deleted.contains(name)
	}
	fields := len(p.Set) + len(sums)
	for c := (cursor{rest: rest}); c.next(); {
		if !gone(c.name) {
			fields++
		}
	}
	var stack [stackSize]byte
	buf := room(stack[:0], len(data)+sizeOf(p.Set)+sizeOf(sums))
	buf = appendHeader(buf, id, ttl, fields)
	for c := (cursor{rest: rest}); c.next(); {
		if !gone(c.name) {
			buf = append(buf, c.raw...)
		}
	}
	for name, value := range p.Set {
		buf = appendField(buf, name, value)
	}
	for name, value := range sums {
		buf = appendField(buf, name, value)
	}
	return string(buf)
}

// names is a set of field names: the caller's slice while that is short, so that it costs nothing.
type names struct {
	list []string
	set  map[string]struct{}
}

const shortList = 8

func newNames(list []string) names {
	if len(list) <= shortList {
		return names{list: list}
	}
	set := make(map[string]struct{}, len(list))
	for _, name := range list {
		set[name] = struct{}{}
	}
	return names{set: set}
}

func (n names) contains(name string) bool {
	if n.set != nil {
		_, ok := n.set[name]
		return ok
	}
	return slices.Contains(n.list, name)
}

// count returns the number of different names.
func (n names) count() int {
	if n.set != nil {
		return len(n.set)
	}
	count := 0
	for i, name := range n.list {
		if !slices.Contains(n.list[:i], name) {
			count++
		}
	}
	return count
}
