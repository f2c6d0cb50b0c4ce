package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/faeeb396/session/backend"
)

// This file is the Manager without HTTP: for gRPC, WebSockets, jobs and other frameworks. Each call is one
// round trip, unless it finds a session past its lifetime, which it ends, or a token that is not the session's
// own, which it reads again to see why. The error is ErrNotFound where there is no session, whatever the
// reason.

// Create stores a new session with these fields, and returns it with its token. ttl is its idle timeout, 0 for
// Options.IdleTimeout. The errors are those of Session.Set and Session.SetTTL, of which nothing is written, and the
// store's, of which that is unknown: nobody has the token then.
func (m *Manager) Create(ctx context.Context, fields map[string]string, ttl time.Duration) (*Session, error) {
	s := m.NewSession()
	if ttl != 0 {
		if err := s.SetTTL(ttl); err != nil {
			return nil, err
		}
	}
	if err := m.checkFields(fields); err != nil {
		return nil, wrap("create", "", err)
	}
	s.fields.set, s.newTTL = maps.Clone(fields), true
	if err := s.Commit(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// checkFields checks fields that the application wants to write.
func (m *Manager) checkFields(fields map[string]string) error {
	bytes := 0
	for name, v := range fields {
		if reserved(name) {
			return fmt.Errorf("field %q: %w", name, ErrReserved)
		}
		bytes += len(name) + len(v)
	}
	return m.opts.checkSize(len(fields), bytes)
}

// Load returns the session that token names. It is touched by its Commit, if that is due, as a request's
// session is; with a negative Options.TouchInterval at once.
func (m *Manager) Load(ctx context.Context, token Token) (*Session, error) {
	return m.read(ctx, m.NewSession(), token, m.opts.TouchInterval < 0)
}

// Touch returns the session that token names and starts its idle timeout over, in one round trip.
func (m *Manager) Touch(ctx context.Context, token Token) (*Session, error) {
	return m.apply(ctx, "touch", token, backend.Patch{})
}

// Peek returns the session that token names, and neither Peek nor a Commit of what it returns touches it unless
// it changes the TTL, remembers it or logs in: for looking at a session without keeping it alive. Nor does Peek end the
// session where the token is one that a rotation has replaced: that is ErrNotFound and no more.
func (m *Manager) Peek(ctx context.Context, token Token) (*Session, error) {
	s := m.NewSession()
	s.peeked = true
	return m.read(ctx, s, token, false)
}

// read fills s, which is new, with the session that token names, and returns it.
func (m *Manager) read(ctx context.Context, s *Session, token Token, touch bool) (*Session, error) {
	if token.IsZero() {
		return nil, wrap("load", "", ErrNotFound)
	}
	if err := s.load(ctx, *token.s, touch); err != nil {
		return nil, err
	}
	return s, nil
}

// SetFields gives fields of the session that token names new values, all or none, touches it, and returns it as
// it then stands. The limits of Options are checked against what is given, not against what the session holds
// already.
func (m *Manager) SetFields(ctx context.Context, token Token, fields map[string]string) (*Session, error) {
	if err := m.checkFields(fields); err != nil {
		return nil, wrap("set fields", token.ID(), err)
	}
	return m.apply(ctx, "set fields", token, backend.Patch{Set: maps.Clone(fields)})
}

// Increment adds delta to a counter of the session that token names, touches it, and returns it as it then
// stands; Counter.Get reads the new value from it. The rules are those of Session.Increment.
func (m *Manager) Increment(ctx context.Context, token Token, name string, delta int64) (*Session, error) {
	if err := checkIncrement(name, delta); err != nil {
		return nil, wrap("increment", token.ID(), err)
	}
	if err := m.opts.checkSize(1, len(name)+1); err != nil {
		return nil, wrap("increment", token.ID(), err)
	}
	return m.apply(ctx, "increment", token, backend.Patch{Add: map[string]int64{name: delta}})
}

// SetTTL gives the session that token names another idle timeout, counted from now, and returns it as it then
// stands. ttl is a whole number of seconds, at least one, or the error is ErrTTL.
func (m *Manager) SetTTL(ctx context.Context, token Token, ttl time.Duration) (*Session, error) {
	if !validTTL(ttl) {
		return nil, wrap("set TTL", token.ID(), ErrTTL)
	}
	return m.apply(ctx, "set TTL", token, backend.Patch{TTL: ttl})
}

// TTL returns the idle timeout of the session that token names, and how long it lives if it is not used again,
// as Session.Remaining does. It does not touch it.
func (m *Manager) TTL(ctx context.Context, token Token) (configured, remaining time.Duration, err error) {
	s, err := m.Peek(ctx, token)
	if err != nil {
		return 0, 0, err
	}
	return s.TTL(), s.Remaining(), nil
}

// End ends the session that token names. ErrNotFound says that there is none, or no longer: a logout may take
// that for success. A token with another secret ends nothing, so knowing a session's ID is no way to end it.
//
// It goes on for up to Options.StoreTimeout if ctx ends meanwhile.
func (m *Manager) End(ctx context.Context, token Token) error {
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	s, err := m.apply(ctx, "end", token, backend.Patch{Remove: true})
	if errors.Is(err, ErrNotReplicated) {
		m.emit(ctx, Event{Kind: EventDestroyed, ID: token.ID()})
	}
	if err != nil {
		return err
	}
	m.emit(ctx, Event{Kind: EventDestroyed, ID: token.ID(), Owner: s.meta.owner})
	return nil
}

// EndID ends the session with this public ID, whosever it is: for administration. What is not there, or is no
// ID, is no error. It goes on for up to Options.StoreTimeout if ctx ends meanwhile.
func (m *Manager) EndID(ctx context.Context, id string) error {
	if !validID(id) {
		return nil
	}
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	if err := m.b.Delete(ctx, id); err != nil {
		return m.storeFailed(ctx, "end", id, err)
	}
	m.emit(ctx, Event{Kind: EventRevoked, ID: id})
	return nil
}

// apply changes the session that token names, and returns it as it then stands.
func (m *Manager) apply(ctx context.Context, op string, token Token, p backend.Patch) (*Session, error) {
	if token.IsZero() {
		return nil, wrap(op, "", ErrNotFound)
	}
	hash := hashToken(*token.s)
	p.Load = true
	p = m.byToken(hash, p)
	rec, err := m.b.Apply(ctx, token.ID(), p)
	if err == nil {
		made(&p)
	}
	if errors.Is(err, ErrConflict) {
		if p.If, err = m.whyNot(ctx, op, token, hash); err != nil {
			return nil, err
		}
		p.Has = mustHave
		if rec, err = m.b.Apply(ctx, token.ID(), p); errors.Is(err, ErrConflict) {
			err = ErrNotFound // a login or a rotation has made the token worthless meanwhile
		}
	}
	if err != nil {
		return nil, m.storeFailed(ctx, op, token.ID(), err)
	}
	s := m.NewSession()
	if err := s.adopt(ctx, *token.s, hash, rec, true); err != nil {
		return nil, err
	}
	if s.firstSight() {
		s.noteSight(ctx)
	}
	return s, nil
}

// noteSight notes that the token after a timed rotation has been presented, from when on the one before it has its
// grace and no more. If that fails, the next call does it.
func (s *Session) noteSight(ctx context.Context) {
	now := formatTime(s.m.now())
	_, err := s.m.b.Apply(ctx, s.id(), backend.Patch{
		If:  map[string]string{fieldToken: s.fields.value(fieldToken), fieldSeen: ""},
		Has: mustHave[:2:2],
		Set: map[string]string{fieldSeen: now},
	})
	if err != nil && !refused(err) {
		_ = s.m.storeFailed(ctx, "touch", s.id(), err)
	}
}

// whyNot reads a record whose token was not the one presented, for the event and the error; or, if the one
// presented is still good after a timed rotation, for the condition under which to try again.
func (m *Manager) whyNot(ctx context.Context, op string, token Token, hash tokenHash) (map[string]string, error) {
	rec, err := m.fresh.Load(ctx, token.ID())
	if err != nil {
		return nil, m.storeFailed(ctx, op, token.ID(), err)
	}
	s := m.NewSession()
	if err := s.adopt(ctx, *token.s, hash, rec, true); err != nil {
		return nil, err
	}
	// As the previous one it stays good while the timer replaces the one after it, and no longer: a login and a
	// rotation by hand take it out.
	if s.byPrevious {
		return map[string]string{fieldPrevious: hash.String()}, nil
	}
	return map[string]string{fieldToken: hash.String()}, nil
}
