package session

import (
	"context"
	"errors"
	"time"
)

// This file is about backends with a local cache, see backend.Cacher. What they return may be older than the
// store: that is good enough for reading, and for nothing that turns somebody away or lets somebody in.

// Fresh reads the session again if it may come from a local cache, so that what was ended or changed on another
// machine is seen at once; elsewhere it does nothing. What this request has changed stays. ErrNotFound says that
// the session has ended, and its pending changes with it; a pending Login still makes a new session.
//
// Login, Rotate, Take, Update, AuthenticatedWithin and whatever lists or ends sessions go by what the store holds
// anyway.
func (s *Session) Fresh(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.freshen(ctx)
}

// Alive reports whether the session is still there, in the store: for a WebSocket, a stream or a job to ask from time
// to time, since it outlives the request that it began with. It reads past a local cache and does not touch the
// session. It presents no token: that one may have been replaced since, and would count as stolen, see
// Options.RotateInterval. It is false after a login or a rotation by hand, too, which end what began before, and for a
// session that is not stored; the error is the store's. See OWASP ASVS 5.0, 7.4.1.
func (s *Session) Alive(ctx context.Context) (bool, error) {
	s.mu.Lock()
	id, stored, created, epoch := s.id(), s.stored, s.fields.value(fieldCreated), s.fields.value(fieldEpoch)
	s.mu.Unlock()
	if !stored {
		return false, nil
	}
	loaded, err := s.m.fresh.Load(hookContext{ctx, s.m}, id)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, s.m.storeFailed(ctx, "load", id, err)
	}
	rec := newRecord(loaded)
	_, v := s.m.opts.read(s.m.opts.Now(), &rec.fields, rec.ttl)
	if v == unreadable {
		return false, s.m.storeFailed(ctx, "load", id, ErrUnreadable)
	}
	return v == live && rec.value(fieldCreated) == created && rec.value(fieldEpoch) == epoch, nil
}

// AuthenticatedWithin reports whether the owner logged in at most d ago: to ask for a new login before something that
// matters. It goes by what the store held when the session was read, and reads it again if it may come from a local
// cache. It is false before a login, and if that second reading finds the session ended; the error is the store's. A
// session that is held for longer than a request is to be loaded again. See OWASP ASVS 5.0, 7.5.1 and 7.5.3.
//
//	recent, err := s.AuthenticatedWithin(ctx, 5*time.Minute)
//
// A new login forgets that the session is remembered: look at Remembered before, and call Remember again.
func (s *Session) AuthenticatedWithin(ctx context.Context, d time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch err := s.refresh(hookContext{ctx, s.m}); {
	case errors.Is(err, ErrNotFound):
		return false, nil // the commit finds out, too
	case err != nil:
		return false, s.m.storeFailed(ctx, "refresh", s.id(), err)
	}
	return s.authenticated != 0 && !s.others && s.authenticated.until(s.m.opts.Now()) <= d, nil
}

// freshen is refresh, and forgets a session that has ended.
func (s *Session) freshen(ctx context.Context) error {
	id := s.id()
	err := s.refresh(hookContext{ctx, s.m})
	if errors.Is(err, ErrNotFound) {
		if s.login {
			return nil // the commit finds out, and makes a new session
		}
		s.lose()
	}
	if err != nil {
		return s.m.storeFailed(ctx, "refresh", id, err)
	}
	return nil
}

// refresh reads a session that may come from a local cache again from the store, and keeps what is pending. It
// returns ErrNotFound where there is none by now, or none for this token, and the store's errors as they are.
func (s *Session) refresh(ctx context.Context) error {
	if !s.stored || !s.cached {
		return nil
	}
	loaded, err := s.m.fresh.Load(ctx, s.id())
	if err != nil {
		return err
	}
	s.cached = false
	rec := newRecord(loaded)
	mt, v := s.m.opts.judge(s.m.opts.Now(), &rec, hashToken(s.token))
	switch v {
	case live:
	case unreadable:
		return ErrUnreadable
	default:
		return ErrNotFound
	}
	for _, name := range s.dirty.all() {
		if value, ok := s.fields.get(name); ok {
			rec.put(name, value)
		} else {
			rec.remove(name)
		}
	}
	s.fields, s.meta = rec.fields, mt
	if s.others {
		s.forget()
	}
	if !s.newTTL {
		s.ttl = rec.ttl
	}
	return nil
}
