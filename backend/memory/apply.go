package memory

import (
	"context"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/direct"
)

// Load implements [backend.Backend]. It sees every write that has returned.
func (b *Backend) Load(ctx context.Context, id string) (backend.Record, error) {
	if err := ctx.Err(); err != nil {
		return backend.Record{}, err
	}
	return b.read(id, &backend.Patch{Load: true})
}

// A session.Manager reads with loadPacked.
func init() { //nolint:gochecknoinits // as image formats are registered: nobody has to do anything to have it
	direct.Register(func(b backend.Backend) direct.Loader {
		if m, ok := b.(*Backend); ok {
			return m.loadPacked
		}
		return nil
	})
}

// loadPacked is Load, but for what it returns.
func (b *Backend) loadPacked(ctx context.Context, id string) (direct.Record, error) {
	if err := ctx.Err(); err != nil {
		return direct.Record{}, err
	}
	r, err := b.get(id, &backend.Patch{Load: true})
	if err != nil {
		return direct.Record{}, err
	}
	ttl, _, fields := r.packed.header()
	if r.large != nil {
		return direct.Record{Fields: r.large.fields, TTL: ttl}, nil
	}
	return direct.Record{Packed: fields, TTL: ttl}, nil
}

// Apply implements [backend.Backend].
func (b *Backend) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if err := ctx.Err(); err != nil {
		return backend.Record{}, err
	}
	if !writes(&p) {
		return b.read(id, &p)
	}
	s, hash := b.shardOf(id)
	s.mu.Lock()
	now := b.now()
	r, sums, err := s.change(hash, id, &p, now)
	b.unlock(s, now)
	switch {
	case err != nil:
		return backend.Record{}, err
	case p.Load:
		return r.unpack(), nil
	default:
		return backend.Record{Fields: sums}, nil
	}
}

// writes reports whether p changes anything where its conditions hold.
func writes(p *backend.Patch) bool {
	return p.Touch || p.TTL > 0 || p.Remove || len(p.Set) > 0 || len(p.Delete) > 0 || len(p.Add) > 0
}

// read is Apply for a patch that changes nothing. It shares the shard's lock with other reads.
func (b *Backend) read(id string, p *backend.Patch) (backend.Record, error) {
	r, err := b.get(id, p)
	if err != nil || !p.Load {
		return backend.Record{}, err
	}
	return r.unpack(), nil
}

// get returns what a patch that changes nothing asks for.
func (b *Backend) get(id string, p *backend.Patch) (record, error) {
	s, hash := b.shardOf(id)
	s.mu.RLock()
	now := b.now()
	r, err := s.read(hash, id, p, now)
	s.mu.RUnlock()
	s.trySweep(now)
	return r, err
}

// read returns the record under id if the conditions of p hold, pinned if p asks for it. The caller holds the
// lock, if only for reading.
func (s *shard) read(hash uint32, id string, p *backend.Patch, now int64) (record, error) {
	at, ok := s.live(hash, id, now)
	if !ok {
		return record{}, backend.ErrNotFound
	}
	r := s.table[at].record
	if !r.view(len(p.If) + len(p.Has)).holds(p) {
		return record{}, backend.ErrConflict
	}
	if p.Load {
		r = r.pinned()
	}
	return r, nil
}

// change makes the changes of p. It returns the record as it then stands, pinned, if p asks for it, and the
// new values of the counters. The caller holds the lock.
func (s *shard) change(hash uint32, id string, p *backend.Patch, now int64) (record, map[string]string, error) {
	at, ok := s.live(hash, id, now)
	if !ok {
		return record{}, nil, backend.ErrNotFound
	}
	r := &s.table[at].record
	v := r.view(len(p.If) + len(p.Has) + len(p.Add))
	if !v.holds(p) {
		return record{}, nil, backend.ErrConflict
	}
	sums, ok := v.add(p.Add)
	if !ok {
		return record{}, nil, backend.ErrCounter
	}
	// Nothing fails from here on.
	if p.Remove {
		last := *r
		s.remove(at)
		return last, sums, nil
	}
	if p.TTL > 0 || len(p.Set) > 0 || len(p.Delete) > 0 || len(sums) > 0 {
		r.change(p, sums)
	}
	if p.TTL > 0 || p.Touch {
		s.reschedule(at, deadline(now, r.packed.ttl()))
	}
	if !p.Load {
		return record{}, sums, nil
	}
	return r.pinned(), sums, nil
}

// Delete implements [backend.Backend].
func (b *Backend) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s, hash := b.shardOf(id)
	s.mu.Lock()
	if at, ok := s.table.find(hash, id); ok {
		s.remove(at)
	}
	b.unlock(s, b.now())
	return nil
}
