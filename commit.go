package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/faeeb396/session/backend"
)

// Commit stores what has gathered, in one round trip, touches the session if that is due, and renews its token if
// Options.RotateInterval has that due. With nothing to do it does nothing. Manager.Handler calls it. Call it where
// there is no Handler, and then Manager.WriteCookie, and in a handler that is to answer an error of it itself, such as
// ErrTooLarge, or ErrTooManySessions after a Login.
//
// ErrNotFound says that the session has ended meanwhile, ErrConflict that a login or rotation was faster: nothing was
// stored, and what has ended never comes back. ErrTooLarge leaves the changes as they are, for the handler to take some
// back; if it changes nothing more, they are dropped at its end. ErrCommitted says that the response has begun, and
// what could not be stored before is not stored any more. Any other error of the store leaves the outcome unknown; the
// changes are kept for another Commit. A touch alone that fails is an event and no error: the session was read, and
// that holds.
//
// A handler that calls it answers its errors itself. Only those of the store, and of misuse, may come again at its end,
// when Handler commits what is left: then Options.ErrorHandler answers after all.
//
// It goes on for up to Options.StoreTimeout if ctx ends meanwhile.
func (s *Session) Commit(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed && s.any() { // it could not be stored before, and the client has its answer
		return wrap("commit", s.id(), ErrCommitted)
	}
	_, err := s.commit(ctx, "", 0)
	s.tooLarge = errors.Is(err, ErrTooLarge)
	return err
}

// commit stores what is pending, and delta added to the named counter unless that is empty.
func (s *Session) commit(ctx context.Context, counter string, delta int64) (int64, error) {
	if err := s.firstMisuse(); err != nil {
		return 0, wrap("commit", s.id(), err)
	}
	if s.guard == nil { // else the update has looked
		if err := s.checkSize(counter); err != nil {
			return 0, wrap("commit", s.id(), err)
		}
	}
	s.tooLarge = false
	if s.login || s.rotate { // several calls, in one time
		var cancel context.CancelFunc
		ctx, cancel = s.m.storeContext(ctx)
		defer cancel()
	}
	if !s.stored {
		return 0, s.create(ctx)
	}
	if s.others {
		return delta, s.replace(ctx, counter, delta)
	}
	if s.login || s.rotate {
		if err := s.refreshForPrivilege(ctx); err == errRestart {
			return delta, s.startAgain(ctx, counter, delta)
		} else if err != nil {
			return 0, err
		}
	}
	var add map[string]int64
	if counter != "" {
		add = map[string]int64{counter: delta}
	}
	c := s.change(add, s.guard == nil || !s.guard.again)
	if c.empty() {
		return 0, nil
	}
	ctx, cancel := s.m.storeContext(ctx)
	defer cancel()
	if !s.login {
		if s.remember && s.meta.owner != "" { // the index has to live as long
			if _, err := s.m.link(ctx, s.meta.owner, s.id(), s.left(), s.loginLifetime(), true); err != nil {
				return 0, s.loginFailed(ctx, err)
			}
		}
		return s.write(ctx, c)
	}
	l, err := s.m.link(ctx, s.pending.owner, s.id(), s.left(), s.loginLifetime(), false)
	if err != nil {
		return 0, s.loginFailed(ctx, err)
	}
	p := s.pending
	n, err := s.write(ctx, c)
	if err != nil {
		s.ensureMishap().left = l.id // it takes no place in a second try, unless it lives
	}
	if err == errRestart {
		return delta, s.startAgain(ctx, counter, delta)
	}
	if err != nil && !errors.Is(err, ErrNotReplicated) {
		return 0, err
	}
	return n, cmp.Or(s.confirm(ctx, l, p), err, l.unreplicated)
}

// refreshForPrivilege reads past a local cache before a login or a rotation by hand.
func (s *Session) refreshForPrivilege(ctx context.Context) error {
	if err := s.refresh(ctx); err != nil {
		return s.notLanded(ctx, true, err)
	}
	return nil
}

// write sends a change. If it is refused because another request was faster with what the timer had due, or may
// be because the session comes from a local cache, it goes again without the one and with what the store holds. If an
// update goes along, that is to be made anew: errOvertaken.
func (s *Session) write(ctx context.Context, c change) (int64, error) {
	asked := s.any() || len(c.patch.Add) > 0 || s.guard != nil
	rec, err := s.m.b.Apply(ctx, s.id(), c.patch)
	switch {
	case !errors.Is(err, ErrConflict):
	case s.guard != nil:
		if err = s.overtaken(ctx); err == errOvertaken {
			return 0, err
		}
	case c.timed || s.cached:
		if err := s.refresh(ctx); err != nil {
			return 0, s.notLanded(ctx, asked, err)
		}
		if c = s.change(c.patch.Add, false); c.empty() {
			return 0, nil
		}
		rec, err = s.m.b.Apply(ctx, s.id(), c.patch)
	}
	if err != nil && c.token != "" && !c.timed && !refused(err) {
		if now, ok := s.wrote(ctx, c.token); ok {
			n, failed := s.landed(ctx, c, now)
			if failed == nil && errors.Is(err, ErrNotReplicated) {
				failed = s.m.storeFailed(ctx, "commit", s.id(), err)
			}
			return n, failed
		}
	}
	if err == nil {
		defer made(&c.patch)
		return s.landed(ctx, c, rec)
	}
	return 0, s.notLanded(ctx, asked, err)
}

// wrote reports whether a write that gives out a token, and whose outcome is unknown, was done, and returns the record
// then: nobody else has the token. The client would be left without it, or with one that is dead.
func (s *Session) wrote(ctx context.Context, token string) (backend.Record, bool) {
	rec, err := s.m.fresh.Load(ctx, token[:idLen])
	return rec, err == nil && hashToken(token).matches(rec.Fields[fieldToken])
}

// notLanded decides what an Apply that failed means; asked says whether the application asked for it.
func (s *Session) notLanded(ctx context.Context, asked bool, err error) error {
	id := s.id()
	switch {
	case s.login && (errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict)):
		return errRestart
	case errors.Is(err, ErrNotFound):
		s.lose()
		if !asked {
			return nil
		}
	case errors.Is(err, ErrConflict):
		s.pending = pending{} // refused for good: committing it again would only fail again
		if s.cookie == setCookie {
			s.cookie = keepCookie // that token is dead
		}
		if !asked {
			return nil
		}
	case !asked:
		_ = s.m.storeFailed(ctx, "touch", id, err)
		return nil
	}
	return s.m.storeFailed(ctx, "commit", id, err)
}

// reset makes s a session that is not stored and holds nothing.
func (s *Session) reset() {
	s.token, s.stored, s.timed, s.fields, s.meta, s.pending = "", false, false, fields{}, meta{}, pending{}
	s.ttl = s.m.opts.IdleTimeout
}

// dropPending drops what has gathered and cannot be stored.
func (s *Session) dropPending(ctx context.Context) {
	if s.stored {
		s.pending, s.cached = pending{}, true
		_ = s.refresh(ctx) // so that it shows what is stored
	} else {
		s.reset()
	}
}

// lose is reset for a session that others have ended. The cookie is left alone: by now the client may hold the token of
// another session.
func (s *Session) lose() {
	s.reset()
	s.cookie = keepCookie
}

// errRestart says that the session of a login has ended, or changed hands, meanwhile.
var errRestart = errors.New("session: login needs a new session")

// startAgain is startOver, except for an update: it is of what the session held that it was made of, and is to be made
// anew of what the new one will.
func (s *Session) startAgain(ctx context.Context, counter string, delta int64) error {
	if s.guard != nil {
		s.restart(s.pending)
		return errOvertaken
	}
	return s.startOver(ctx, counter, delta)
}

// startOver stores a new session that holds only what this request has set, and the counter unless it is empty.
func (s *Session) startOver(ctx context.Context, counter string, delta int64) error {
	s.restart(s.pending)
	if counter != "" {
		s.fields.put(counter, strconv.FormatInt(delta, 10))
	}
	err := s.create(ctx)
	if !s.stored {
		s.fields.remove(counter)
	}
	return err
}

// restart makes s a session that is not stored and holds what this request has set, which is p.
func (s *Session) restart(p pending) {
	before, ttl := s.fields, s.ttl
	s.reset()
	if s.cookie == setCookie {
		s.cookie = keepCookie // that token is dead
	}
	s.pending = p
	if p.newTTL {
		s.ttl = ttl
	}
	for _, name := range p.dirty.all() {
		if v, ok := before.get(name); ok {
			s.fields.put(name, v)
		}
	}
}

// replace ends the session, which is another owner's, and stores a new one for the owner who logs in.
func (s *Session) replace(ctx context.Context, counter string, delta int64) error {
	p, before, ttl := s.pending, s.fields, s.ttl
	err := s.destroy(ctx)
	if err != nil && !errors.Is(err, ErrNotReplicated) {
		return err
	}
	s.cookie = clearCookie
	s.pending, s.fields, s.ttl = p, before, ttl
	s.others = false
	return cmp.Or(s.startOver(ctx, counter, delta), err)
}

// create stores a session that is not stored yet, if there is anything to store.
func (s *Session) create(ctx context.Context) error {
	if !s.login && !s.newTTL && !s.holdsData() {
		s.pending = pending{remember: s.remember}
		return nil
	}
	if s.behind && !s.login {
		s.reset()
		return wrap("commit", "", ErrConflict)
	}
	ctx, cancel := s.m.storeContext(ctx)
	defer cancel()
	token := newToken()
	id := token[:idLen]
	if !s.login {
		return s.insert(ctx, token)
	}
	l, err := s.m.link(ctx, s.pending.owner, id, s.left(), s.loginLifetime(), false)
	if err != nil {
		if !refused(err) { // it may be listed
			s.ensureMishap().left = id
			s.abandon(ctx, l)
		}
		return s.loginFailed(ctx, err)
	}
	p := s.pending
	if err = s.insert(ctx, token); !s.stored {
		s.ensureMishap().left = id // it takes no place in a second try, unless it lives
		s.abandon(ctx, l)
		return err
	}
	return cmp.Or(s.confirm(ctx, l, p), err, l.unreplicated)
}

// abandon takes back a login whose session was not stored, or may not have been: nobody has its token, and it is to
// take no place in its owner's list.
func (s *Session) abandon(ctx context.Context, l link) {
	if s.m.b.Delete(ctx, l.id) != nil {
		return
	}
	ix := index{owner: s.pending.owner, key: l.key, entries: map[string]string{l.id: l.value}}
	_ = s.m.unlink(ctx, ix, ix.entries)
}

// holdsData reports whether the application has put anything into the session.
func (s *Session) holdsData() bool {
	for name := range s.fields.all {
		if !reserved(name) {
			return true
		}
	}
	return false
}

// loginLifetime returns how long the session that is about to be stored may live at all.
func (s *Session) loginLifetime() time.Duration { return s.m.opts.absoluteTimeout(s.remember) }

// insert stores the session under a new token.
func (s *Session) insert(ctx context.Context, token string) error {
	now := s.m.now()
	stamp := formatTime(now)
	set := maps.Collect(s.fields.all)
	set[fieldCreated], set[fieldAccessed] = stamp, stamp
	set[fieldToken] = hashToken(token).String()
	ttl := s.ttl
	if s.remember {
		set[fieldRemembered] = "1"
		if !s.newTTL {
			ttl = s.m.opts.RememberIdleTimeout
		}
	}
	if s.login {
		set[fieldOwner], set[fieldAuthenticated], set[fieldEpoch] = s.pending.owner, stamp, nextEpoch("")
	}
	err := s.m.b.Create(ctx, token[:idLen], backend.Record{Fields: set, TTL: ttl})
	if err != nil {
		err = s.m.storeFailed(ctx, "create", "", err)
		if refused(err) {
			return err
		}
		if _, ok := s.wrote(ctx, token); !ok {
			return err
		}
	}
	s.token, s.stored, s.fields, s.ttl, s.cookie = token, true, fields{set: set}, ttl, setCookie
	r, _ := s.m.opts.read(now, &s.fields, ttl)
	s.meta = r.meta
	s.m.emit(ctx, Event{Kind: EventCreated, ID: s.id(), Owner: s.meta.owner})
	s.announce(ctx, change{})
	s.pending = pending{}
	if errors.Is(err, ErrNotReplicated) {
		return err
	}
	return nil
}

// checkSize reports whether what the application keeps in the session has its limits, with a counter that may
// be new. A session that is only read, or only shrinks, is never too large.
func (s *Session) checkSize(counter string) error {
	if !s.grows(counter) {
		return nil
	}
	n, bytes := s.size("")
	if counter != "" && !s.fields.has(counter) {
		n++
		bytes += len(counter) + 1
	}
	return s.m.opts.checkSize(n, bytes)
}

// size returns how many of the application's fields there are beside one, and their bytes.
func (s *Session) size(beside string) (n, bytes int) {
	for name, v := range s.fields.all {
		if !reserved(name) && name != beside {
			n++
			bytes += len(name) + len(v)
		}
	}
	return n, bytes
}

// grows reports whether a change sets one of the application's fields, or a counter.
func (s *Session) grows(counter string) bool {
	for _, name := range s.dirty.all() {
		if s.fields.has(name) && !reserved(name) {
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

// Destroy ends the session at once, in the store, and makes the response delete the cookie. On an error it
// may or may not have ended, and the cookie is left alone: tell the user that the logout failed. Once the response has
// begun, the session ends all the same, and its cookie is worth nothing. ErrConflict says that the request came with
// the token before a login that was faster: the session that the browser has by now goes on.
//
// It ends whatever the session has become since this request read it: a logout wins over a login of the same session
// that is under way. What is set afterwards makes a new session. It goes on for up to Options.StoreTimeout if ctx ends
// meanwhile: a browser that goes away does not keep its session.
func (s *Session) Destroy(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stored {
		s.reset()
		if s.behind {
			return wrap("destroy", "", ErrConflict)
		}
		if s.presented {
			s.cookie = clearCookie
		}
		return nil
	}
	return s.destroy(ctx)
}

// destroy ends the session in the store, and forgets it.
func (s *Session) destroy(ctx context.Context) error {
	id, owner := s.id(), s.meta.owner
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
