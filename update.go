package session

import (
	"context"
	"errors"
	"time"
)

// Update replaces a field's value by what change returns for it, in the store and at once, together with
// everything that has gathered, and returns it. Parallel updates all count: if another request changes the field
// meanwhile, change is called again, with what the field holds then. So it must have no side effects, nor write the
// field itself. It is given the field's value and whether it is there; no lock is held, so it may ask s for other
// fields. If the field was not there and another request sets it to the empty text meanwhile, the update does not
// notice.
//
// An error of change is returned as it is, and nothing is stored then. (A Login that waits for its commit may have
// ended the owner's oldest session by then, see Options.MaxSessions.) The other errors are those of Commit,
// ErrReserved, ErrCommitted once the response has begun, and that of ctx if it ends between two tries, of which there
// are as many as fit into Options.StoreTimeout. If the outcome is unknown, it is not tried again. A handler answers the
// error itself, as that of Increment.
//
// For numbers, Increment needs one round trip, however many requests add to them at a time.
func (s *Session) Update(
	ctx context.Context, name string, change func(value string, ok bool) (string, error),
) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var t tries
	for {
		if err := s.mayStore("update", name); err != nil {
			return "", err
		}
		was := s.sight(name)
		value, err := s.unlocked(change, was.value, was.ok)
		if err == nil {
			if err := s.mayStore("update", name); err != nil {
				return "", err
			}
			if s.sight(name) != was { // another goroutine of this request, or change itself
				if err := t.again(ctx, s.m.opts.StoreTimeout); err != nil {
					return "", wrap("update", s.id(), err)
				}
				continue
			}
			err = s.fits(name, was, value)
		}
		if err != nil && s.stored && s.cached { // it may come of what the store does not hold any more
			if err := s.freshen(ctx); err != nil {
				return "", err
			}
			if !s.cached {
				continue
			}
		}
		if err != nil {
			return "", err
		}
		err = s.update(ctx, name, was, value, t.begun())
		if err == nil {
			return value, nil
		}
		if !errors.Is(err, errOvertaken) {
			return "", err
		}
		if err := t.again(ctx, s.m.opts.StoreTimeout); err != nil {
			return "", wrap("update", s.id(), err)
		}
	}
}

// tries are those of a change that depends on a field. There are as many as fit into a time.
type tries struct {
	deadline time.Time // from the first time that another request was faster
}

// begun reports whether there was a try.
func (t *tries) begun() bool { return !t.deadline.IsZero() }

// again says why there is to be no other try, if so.
func (t *tries) again(ctx context.Context, timeout time.Duration) error {
	if !t.begun() {
		t.deadline = time.Now().Add(timeout)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if time.Now().After(t.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// sight is what an update goes by: a field, and whose it is.
type sight struct {
	value     string
	ok        bool
	id, owner string
}

func (s *Session) sight(name string) sight {
	value, ok := s.fields.get(name)
	return sight{value, ok, s.id(), s.ownerNow()}
}

// unlocked calls change without the lock, and holds it afterwards also if change panics.
func (s *Session) unlocked(change func(string, bool) (string, error), value string, ok bool) (string, error) {
	s.mu.Unlock()
	defer s.mu.Lock()
	return change(value, ok)
}

// fits reports whether the session has its limits with a field's new value, together with what has gathered.
func (s *Session) fits(name string, was sight, value string) error {
	if was.ok && len(value) <= len(was.value) && !s.grows("") {
		return nil
	}
	n, bytes := s.size(name)
	return wrap("update", s.id(), s.m.opts.checkSize(n+1, bytes+len(name)+len(value)))
}

// update stores a field's new value with everything that has gathered, or returns errOvertaken if the store does not
// hold the old one any more. Nothing is stored then, and s has taken over what it holds. A try after the first leaves
// the rotation timer for later: its condition may be what has failed.
func (s *Session) update(ctx context.Context, name string, was sight, value string, again bool) error {
	if !s.stored || s.others || s.dirty.has(name) {
		return s.storeField(ctx, name, value) // what the store holds is replaced anyway
	}
	return s.guarded(ctx, guard{name: name, old: was.value, value: value, ok: was.ok, again: again})
}

// guard is a change under way that depends on a field: the commit gives that the new value, or takes it away, if it
// holds the old one.
type guard struct {
	name, old, value  string
	ok, remove, again bool
}

// guarded commits a change that depends on a field.
func (s *Session) guarded(ctx context.Context, g guard) error {
	s.guard = &g
	defer func() { s.guard = nil }()
	_, err := s.commit(ctx, "", 0)
	return err
}

// errOvertaken says that the field of a guarded change holds another value by now.
var errOvertaken = errors.New("session: another request has changed the field")

// overtaken says why a guarded change was refused: errOvertaken, or ErrNotFound, ErrConflict, or the store's error.
func (s *Session) overtaken(ctx context.Context) error {
	if s.cached {
		if err := s.refresh(ctx); err != nil {
			return err
		}
		return errOvertaken
	}
	rec, err := s.m.fresh.Load(ctx, s.id())
	if err != nil {
		return err
	}
	if !s.sameAs(rec) {
		return ErrConflict
	}
	s.adoptField(s.guard.name, rec)
	return errOvertaken
}
