package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/faeeb396/session/backend"
)

// Take reads a field and takes it away, in the store and at once, together with everything that has gathered, in one
// write. For messages that are to be shown once: of parallel requests exactly one gets the value, the others false.
// With false nothing is stored: what has gathered waits for the commit. (A Login that does may have ended the owner's
// oldest session by then, see Options.MaxSessions.)
//
// The errors are those of Commit, ErrReserved, ErrCommitted once the response has begun, and that of ctx if it ends
// between two tries, of which there are as many as fit into Options.StoreTimeout while other requests change the field.
// If the outcome is unknown, it is not tried again: the value may be gone. A value that was set in s, by a commit whose
// outcome is unknown, counts as set again. With ErrNotReplicated it returns the value, too. A handler answers the error
// itself, as that of Increment.
func (s *Session) Take(ctx context.Context, name string) (value string, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayStore("take", name); err != nil {
		return "", false, err
	}
	if !s.fields.has(name) && !s.dirty.has(name) {
		if err := s.freshen(ctx); err != nil { // another machine may have set it
			return "", false, err
		}
	}
	var t tries
	for {
		value, ok := s.fields.get(name)
		if !ok {
			return "", false, nil
		}
		err := s.take(ctx, name, value, t.begun())
		if err == nil || errors.Is(err, ErrNotReplicated) { // it was taken
			return value, true, err
		}
		if !errors.Is(err, errOvertaken) {
			return "", false, err
		}
		if err := t.again(ctx, s.m.opts.StoreTimeout); err != nil {
			return "", false, wrap("take", s.id(), err)
		}
	}
}

// mayStore says why a field cannot be changed in the store now, if so.
func (s *Session) mayStore(op, name string) error {
	switch {
	case reserved(name):
		return wrap(op, s.id(), fmt.Errorf("field %q: %w", name, ErrReserved))
	case s.sealed:
		return wrap(op, s.id(), ErrCommitted)
	}
	return wrap(op, s.id(), s.firstMisuse())
}

// fitsWithout reports whether the session has its limits without a field, with what has gathered.
func (s *Session) fitsWithout(name string) error {
	if !s.grows("") {
		return nil
	}
	n, bytes := s.size(name)
	return wrap("take", s.id(), s.m.opts.checkSize(n, bytes))
}

// take takes a field away that has this value, and stores that with everything that has gathered, or returns
// errOvertaken as update does.
func (s *Session) take(ctx context.Context, name, value string, again bool) error {
	if s.stored && !s.dirty.has(name) {
		if err := s.fitsWithout(name); err != nil {
			if !s.cached {
				return err
			}
			if err := s.freshen(ctx); err != nil { // it may come of what the store does not hold any more
				return err
			}
			if s.cached { // the session has ended, and a login is to make a new one
				return err
			}
			return errOvertaken
		}
		return s.guarded(ctx, guard{name: name, old: value, ok: true, remove: true, again: again})
	}
	// Nobody else can see this value: it was set here, and is not stored yet.
	s.fields.remove(name)
	s.markDirty(name)
	_, err := s.commit(ctx, "", 0)
	if misused(err) {
		s.fields.put(name, value) // nothing was written: it is there as before
	}
	return err
}

// sameAs reports whether a record that was read by the session's ID is the session, and has not changed hands.
func (s *Session) sameAs(rec backend.Record) bool {
	return rec.Fields[fieldCreated] == s.fields.value(fieldCreated) && rec.Fields[fieldEpoch] == s.fields.value(fieldEpoch) &&
		!partial(rec.Fields)
}

// adoptField takes over what a record holds in a field.
func (s *Session) adoptField(name string, rec backend.Record) {
	if v, ok := rec.Fields[name]; ok {
		s.fields.put(name, v)
	} else {
		s.fields.remove(name)
	}
}
