package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/faeeb396/session/backend"
)

// Take reads a field and takes it away, in the store and at once, together with everything that has gathered: of
// parallel requests exactly one gets the value, the others false. For messages that are to be shown once.
//
// The errors are those of Commit, ErrReserved, and ErrCommitted once the response has begun. If the outcome is
// unknown, it is not tried again: the value may be gone. A value that was set in s, by a commit whose outcome is unknown,
// counts as set again. A handler answers the error itself, as that of Increment.
func (s *Session) Take(ctx context.Context, name string) (value string, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayStore("take", name); err != nil {
		return "", false, err
	}
	changed := s.dirty.has(name)
	if _, ok := s.fields[name]; !ok && !changed {
		if err := s.freshen(ctx); err != nil { // another machine may have set it
			return "", false, err
		}
	}
	value, ok = s.fields[name]
	if !ok {
		return "", false, nil
	}
	if !s.stored || changed {
		// Nobody else can see this value: it was set here, and is not stored yet.
		delete(s.fields, name)
		s.markDirty(name)
		if _, err = s.commit(ctx, "", 0); misused(err) {
			s.put(name, value) // nothing was written: it is there as before
		}
		return value, err == nil, err
	}
	return s.take(ctx, name)
}

// mayStore says why a field cannot be changed in the store now, if so.
func (s *Session) mayStore(op, name string) error {
	switch {
	case reserved(name):
		return wrap(op, s.id(), fmt.Errorf("field %q: %w", name, ErrReserved))
	case s.sealed:
		return wrap(op, s.id(), ErrCommitted)
	}
	return wrap(op, s.id(), s.err)
}

// take is Take for a field that is stored.
func (s *Session) take(ctx context.Context, name string) (string, bool, error) {
	if s.any() {
		if _, err := s.commit(ctx, "", 0); err != nil {
			return "", false, err
		}
	}
	ctx, cancel := s.m.storeContext(ctx)
	defer cancel()
	for {
		value, ok := s.fields[name]
		if !ok {
			return "", false, nil
		}
		_, err := s.m.b.Apply(ctx, s.id(), backend.Patch{
			If: map[string]string{
				fieldCreated: s.fields[fieldCreated], fieldEpoch: s.fields[fieldEpoch], name: value,
			},
			Has:    []string{fieldAccessed, fieldToken, name},
			Delete: []string{name},
		})
		if err == nil {
			delete(s.fields, name)
			return value, true, nil
		}
		if !errors.Is(err, ErrConflict) {
			return "", false, s.notLanded(ctx, true, err)
		}
		if s.cached {
			err = s.freshen(ctx)
		} else {
			err = s.reread(ctx, name)
		}
		if err != nil {
			return "", false, err
		}
	}
}

// reread takes over what the store holds in a field by now, or returns ErrConflict if the session has changed
// hands, or another program has made it none.
func (s *Session) reread(ctx context.Context, name string) error {
	id := s.id()
	rec, err := s.m.fresh.Load(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		s.lose()
		return wrap("take", id, err)
	case err != nil:
		return s.m.storeFailed(ctx, "take", id, err)
	case !s.sameAs(rec):
		return wrap("take", id, ErrConflict)
	}
	s.adoptField(name, rec)
	return nil
}

// sameAs reports whether a record that was read by the session's ID is the session, and has not changed hands.
func (s *Session) sameAs(rec backend.Record) bool {
	return rec.Fields[fieldCreated] == s.fields[fieldCreated] && rec.Fields[fieldEpoch] == s.fields[fieldEpoch] &&
		!partial(rec.Fields)
}

// adoptField takes over what a record holds in a field.
func (s *Session) adoptField(name string, rec backend.Record) {
	if v, ok := rec.Fields[name]; ok {
		s.put(name, v)
	} else {
		delete(s.fields, name)
	}
}
