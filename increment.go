package session

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/faeeb396/session/backend"
)

// Increment adds delta to the counter in the field, in the store and at once, together with everything that
// has gathered, and returns the new value. An absent field counts as 0. Parallel increments all count.
//
// ErrCounter says that the field holds no integer or that the sum would leave ±(2⁵³−1), ErrReserved that the field is
// not the application's; nothing was written to the session then. (A Login that waits for its commit may have ended the
// owner's oldest session by then, see Options.MaxSessions.) Once the response has begun, it is ErrCommitted. The others
// are those of Commit. If the outcome is unknown, it is not sent again: calling Increment again may count twice.
// Whatever the error, a handler answers it itself: Options.ErrorHandler answers those of Manager.Get and of the commit
// alone.
func (s *Session) Increment(ctx context.Context, name string, delta int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkIncrement(name, delta); err != nil {
		return 0, wrap("increment", s.id(), err)
	}
	if s.sealed {
		return 0, wrap("increment", s.id(), ErrCommitted)
	}
	noCounter := func() error { return wrap("increment", s.id(), fmt.Errorf("field %q: %w", name, ErrCounter)) }
	if s.stored && !s.dirty.has(name) {
		n, err := s.commit(ctx, name, delta)
		if errors.Is(err, ErrCounter) {
			err = noCounter()
		}
		return n, err
	}
	// What the store holds is replaced anyway: the sum is known here.
	sum := delta
	if v, ok := s.fields.get(name); ok {
		cur, ok := parseCounter(v)
		if sum += cur; !ok || !inCounterRange(sum) {
			return 0, noCounter()
		}
	}
	if err := s.checkSize(name); err != nil {
		return 0, wrap("increment", s.id(), err)
	}
	err := s.storeField(ctx, name, strconv.FormatInt(sum, 10))
	return sum, err
}

// storeField sets a field and stores it at once, with everything that has gathered. If that fails, the field is as it
// was before, and no later commit makes up for it.
func (s *Session) storeField(ctx context.Context, name, value string) error {
	old, was := s.fields.get(name)
	s.fields.put(name, value)
	s.markDirty(name)
	_, err := s.commit(ctx, "", 0)
	if err == nil || errors.Is(err, ErrNotReplicated) && s.stored && !s.dirty.has(name) {
		return err // it was stored
	}
	if !s.fields.has(name) {
		return err // the session has ended
	}
	if was {
		s.fields.put(name, old)
	} else {
		s.fields.remove(name)
	}
	return err
}

func checkIncrement(name string, delta int64) error {
	if reserved(name) {
		return fmt.Errorf("field %q: %w", name, ErrReserved)
	}
	if !inCounterRange(delta) {
		return ErrCounter
	}
	return nil
}

func inCounterRange(n int64) bool { return -backend.MaxCounter <= n && n <= backend.MaxCounter }

// parseCounter reads a counter in its one spelling.
func parseCounter(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && inCounterRange(n) && strconv.FormatInt(n, 10) == s
}
