package session

import (
	"context"

	"github.com/faeeb396/session/backend"
)

// Update gives a field the value that change makes of the one that it has, in the store and at once, together with
// everything that has gathered, and returns it. Parallel updates all count: if another request changes the field
// meanwhile, change is called again, with what the field holds then. So it is to do nothing else, and not to write the
// field itself. It is given the field's value and whether it is there; no lock is held, so it may ask s for other fields.
//
// An error of change is returned as it is, and nothing is stored then. The other errors are those of Commit, ErrReserved,
// ErrCommitted once the response has begun, and that of ctx if it ends between two tries. If the outcome is unknown, it is
// not tried again. A handler answers the error itself, as that of Increment.
//
// For numbers, Increment needs one round trip, however many requests add to them at a time.
func (s *Session) Update(
	ctx context.Context, name string, change func(value string, ok bool) (string, error),
) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.mayStore("update", name); err != nil {
			return "", err
		}
		old, ok := s.fields[name]
		value, err := s.unlocked(change, old, ok)
		if err != nil && s.stored && s.cached { // it may come of what the store does not hold any more
			if err := s.freshen(ctx); err != nil {
				return "", err
			}
			continue
		}
		if err != nil {
			return "", err
		}
		done, err := s.update(ctx, name, old, ok, value)
		if err != nil {
			return "", err
		}
		if done {
			return value, nil
		}
		if err := ctx.Err(); err != nil {
			return "", wrap("update", s.id(), err)
		}
	}
}

// unlocked calls change without the lock, and holds it afterwards also if change panics.
func (s *Session) unlocked(change func(string, bool) (string, error), value string, ok bool) (string, error) {
	s.mu.Unlock()
	defer s.mu.Lock()
	return change(value, ok)
}

// update stores a field's new value, and reports whether: not if the field does not hold the old one any more, in the
// store or in s.
func (s *Session) update(ctx context.Context, name, old string, ok bool, value string) (bool, error) {
	if err := s.mayStore("update", name); err != nil {
		return false, err
	}
	same := func() bool { now, still := s.fields[name]; return now == old && still == ok }
	if !same() {
		return false, nil
	}
	if !ok || len(value) > len(old) {
		n, bytes := s.size(name)
		if err := s.m.opts.checkSize(n+1, bytes+len(name)+len(value)); err != nil {
			_ = s.checkSize("") // what has gathered may be too large by itself
			return false, wrap("update", s.id(), err)
		}
	}
	if !s.stored || s.dirty.has(name) {
		// What the store holds is replaced anyway.
		err := s.storeField(ctx, name, value)
		return err == nil, err
	}
	if s.any() {
		if _, err := s.commit(ctx, "", 0); err != nil || !same() {
			return false, err
		}
	}
	ctx, cancel := s.m.storeContext(ctx)
	defer cancel()
	done, err := s.swap(ctx, "update", name, backend.Patch{Set: map[string]string{name: value}})
	if done {
		s.put(name, value)
	}
	return done, err
}
