package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/faeeb396/session/backend"
)

// mustHave are the fields without which a record is no session. Writes ask for them, so that one that another
// program took is never put back.
var mustHave = []string{fieldCreated, fieldAccessed}

// Commit stores what has gathered, in one round trip, and touches the session if that is due. With nothing to
// store and no touch due it does nothing. Manager.Handler calls it; call it where there is no Handler.
//
// ErrNotFound says that the session has ended meanwhile, ErrConflict that a login or rotation was faster:
// nothing was stored and the session never comes back. Any other error of the store leaves the outcome unknown;
// the changes are kept, but committing them again may count an Increment twice. A touch alone that fails is an
// event and no error: the session was read, and that holds.
//
// It goes on for up to Options.StoreTimeout if ctx ends meanwhile.
func (s *Session) Commit(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.commit(ctx, "", 0)
	return err
}

// Increment adds delta to the counter in the field, in the store and at once, together with everything that
// has gathered, and returns the new value. An absent field counts as 0. Parallel increments all count.
//
// ErrCounter says that the field holds no integer or that the sum would leave ±(2⁵³−1), ErrReserved that the
// field is not the application's; nothing was written then. If the outcome is unknown, it is not sent again.
func (s *Session) Increment(ctx context.Context, name string, delta int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkIncrement(name, delta); err != nil {
		return 0, wrap("increment", s.id(), err)
	}
	if s.sealed {
		return 0, wrap("increment", s.id(), ErrCommitted)
	}
	if _, changed := s.dirty[name]; s.stored && !changed {
		return s.commit(ctx, name, delta)
	}
	// What the store holds is replaced anyway: the sum is known here.
	sum := delta
	if v, ok := s.fields[name]; ok {
		cur, ok := parseCounter(v)
		if sum += cur; !ok || !inCounterRange(sum) {
			return 0, wrap("increment", s.id(), ErrCounter)
		}
	}
	s.put(name, strconv.FormatInt(sum, 10))
	s.markDirty(name)
	_, err := s.commit(ctx, "", 0)
	return sum, err
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

// commit stores what is pending, and delta added to the named counter unless that is empty.
func (s *Session) commit(ctx context.Context, counter string, delta int64) (int64, error) {
	if s.err != nil {
		return 0, wrap("commit", s.id(), s.err)
	}
	if err := s.checkSize(counter); err != nil {
		return 0, wrap("commit", s.id(), err)
	}
	if !s.stored {
		return 0, s.create(ctx)
	}
	c := s.change()
	if counter != "" {
		c.patch.Add = map[string]int64{counter: delta}
	}
	if c.empty() {
		return 0, nil
	}
	ctx, cancel := s.m.storeContext(ctx)
	defer cancel()
	rec, err := s.m.b.Apply(ctx, s.id(), c.patch)
	if err == nil {
		return s.landed(ctx, c, rec)
	}
	return 0, s.notLanded(ctx, c, err)
}

// change is an Apply under way.
type change struct {
	patch backend.Patch
	now   time.Time
	token string // the new one, if there is to be one
	touch bool
}

func (c *change) empty() bool {
	p := &c.patch
	return len(p.Set) == 0 && len(p.Delete) == 0 && len(p.Add) == 0 && p.TTL == 0 && !p.Touch
}

// onlyTouch reports whether the change changes nothing else than the time of last use.
func (c *change) onlyTouch() bool {
	p := &c.patch
	return c.touch && len(p.Set) == 1 && len(p.Delete) == 0 && len(p.Add) == 0 && p.TTL == 0
}

// change makes the patch that stores what is pending. Every write names the session by created_at, which is
// never written again, and by its epoch, which login and rotation by hand raise.
func (s *Session) change() change {
	now := s.m.now()
	c := change{now: now, touch: s.newTTL || s.login || !s.quiet && s.m.opts.touchDue(now, s.accessed, s.ttl)}
	if !c.touch && !s.any() {
		return c
	}
	p := &c.patch
	p.If = map[string]string{fieldCreated: s.fields[fieldCreated], fieldEpoch: s.fields[fieldEpoch]}
	p.Has = mustHave
	p.Set = make(map[string]string, len(s.dirty)+1)
	for name := range s.dirty {
		if v, ok := s.fields[name]; ok {
			p.Set[name] = v
		} else {
			p.Delete = append(p.Delete, name)
		}
	}
	if s.newTTL {
		p.TTL = s.ttl
	}
	if c.touch {
		p.Touch = true
		p.Set[fieldAccessed] = formatTime(now)
	}
	if s.login || s.rotate {
		c.token = renewToken(s.id())
		p.Set[fieldEpoch] = nextEpoch(s.fields[fieldEpoch])
		s.sign(p.Set, c.token, now)
	}
	return c
}

// sign writes what a new token and a login leave in a record.
func (s *Session) sign(set map[string]string, token string, now time.Time) {
	set[fieldToken] = hashToken(token).String()
	if s.login {
		set[fieldOwner] = s.pending.owner
		set[fieldAuthenticated] = formatTime(now)
	}
}

// landed takes over what the store now holds.
func (s *Session) landed(ctx context.Context, c change, rec backend.Record) (int64, error) {
	maps.Copy(s.fields, c.patch.Set)
	var sum int64
	for name := range c.patch.Add {
		v := rec.Fields[name]
		s.put(name, v)
		n, ok := parseCounter(v)
		if !ok {
			return 0, s.m.storeFailed(ctx, "increment", s.id(), errors.New("backend returned no counter"))
		}
		sum = n
	}
	if c.touch {
		s.accessed = c.now
	}
	if c.token != "" {
		s.token, s.cookie = c.token, setCookie
	}
	s.signed(ctx, c.now)
	return sum, nil
}

// signed takes over a login or rotation that has been stored, and leaves nothing pending.
func (s *Session) signed(ctx context.Context, now time.Time) {
	switch {
	case s.login:
		s.meta.owner, s.authenticated = s.pending.owner, now
		s.m.emit(ctx, Event{Kind: EventLogin, ID: s.id(), Owner: s.meta.owner})
	case s.rotate:
		s.m.emit(ctx, Event{Kind: EventRotated, ID: s.id(), Owner: s.meta.owner})
	}
	s.pending = pending{}
}

// notLanded decides what an Apply that failed means.
func (s *Session) notLanded(ctx context.Context, c change, err error) error {
	op, id := "commit", s.id()
	switch {
	case s.login && (errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict)):
		s.startOver()
		return s.create(ctx)
	case errors.Is(err, ErrNotFound):
		s.reset()
		s.cookie = clearCookie
		if c.onlyTouch() {
			return nil
		}
	case errors.Is(err, ErrConflict) && c.onlyTouch():
		return nil
	case c.onlyTouch():
		_ = s.m.storeFailed(ctx, "touch", id, err)
		return nil
	}
	return s.m.storeFailed(ctx, op, id, err)
}

// reset makes s a session that is not stored and holds nothing.
func (s *Session) reset() {
	s.token, s.stored, s.fields, s.meta, s.pending = "", false, nil, meta{}, pending{}
	s.ttl = s.m.opts.IdleTimeout
}

// startOver makes s a session that is not stored and holds only what this request has set.
func (s *Session) startOver() {
	p, fields, ttl := s.pending, s.fields, s.ttl
	s.reset()
	s.pending = p
	if p.newTTL {
		s.ttl = ttl
	}
	for name := range p.dirty {
		if v, ok := fields[name]; ok {
			s.put(name, v)
		}
	}
}

// create stores a session that is not stored yet, if there is anything to store.
func (s *Session) create(ctx context.Context) error {
	if len(s.fields) == 0 && !s.newTTL && !s.login {
		s.pending = pending{}
		return nil
	}
	ctx, cancel := s.m.storeContext(ctx)
	defer cancel()
	now, token := s.m.now(), newToken()
	stamp := formatTime(now)
	fields := make(map[string]string, len(s.fields)+6)
	maps.Copy(fields, s.fields)
	fields[fieldCreated], fields[fieldAccessed] = stamp, stamp
	s.sign(fields, token, now)
	if s.login {
		fields[fieldEpoch] = nextEpoch("")
	}
	if err := s.m.b.Create(ctx, token[:idLen], backend.Record{Fields: fields, TTL: s.ttl}); err != nil {
		return s.m.storeFailed(ctx, "create", "", err)
	}
	s.token, s.stored, s.fields, s.cookie = token, true, fields, setCookie
	s.meta = meta{created: now, accessed: now}
	s.m.emit(ctx, Event{Kind: EventCreated, ID: s.id(), Owner: s.pending.owner})
	s.rotate = false
	s.signed(ctx, now)
	return nil
}

// checkSize reports whether what the application keeps in the session has its limits, with a counter that may
// be new. A session that is only read, or only shrinks, is never too large.
func (s *Session) checkSize(counter string) error {
	if len(s.dirty) == 0 && counter == "" {
		return nil
	}
	n, bytes := 0, 0
	for name, v := range s.fields {
		if !reserved(name) {
			n++
			bytes += len(name) + len(v)
		}
	}
	if _, ok := s.fields[counter]; !ok && counter != "" {
		n++
		bytes += len(counter) + 1
	}
	if !s.grows(counter) {
		return nil
	}
	return s.m.opts.checkSize(n, bytes)
}

// grows reports whether a change sets or adds a field.
func (s *Session) grows(counter string) bool {
	for name := range s.dirty {
		if _, ok := s.fields[name]; ok {
			return true
		}
	}
	return counter != ""
}

func (o *Options) checkSize(fields, bytes int) error {
	if fields > o.MaxFields {
		return fmt.Errorf("%w: %d fields, at most %d", ErrTooLarge, fields, o.MaxFields)
	}
	if bytes > o.MaxBytes {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, bytes, o.MaxBytes)
	}
	return nil
}

// Destroy ends the session at once, in the store, and has the response take the cookie back. On an error it
// may or may not have ended, and the cookie is left alone: tell the user that the logout failed.
//
// What is set afterwards makes a new session. It goes on for up to Options.StoreTimeout if ctx ends meanwhile:
// a browser that goes away does not keep its session.
func (s *Session) Destroy(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, owner := s.id(), s.meta.owner
	if !s.stored {
		s.reset()
		return nil
	}
	ctx, cancel := s.m.storeContext(ctx)
	defer cancel()
	if err := s.m.b.Delete(ctx, id); err != nil {
		return s.m.storeFailed(ctx, "destroy", id, err)
	}
	s.reset()
	s.cookie = clearCookie
	s.m.emit(ctx, Event{Kind: EventDestroyed, ID: id, Owner: owner})
	return nil
}
