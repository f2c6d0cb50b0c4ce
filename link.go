package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/faeeb396/session/backend"
)

// This file enters a login into its owner's index, see owner.go.

// link is a session's entry in its owner's index.
type link struct {
	key, id, value string
	prune          bool  // it is time to search the index for dead entries
	unreplicated   error // ErrNotReplicated of a write on the way, which was made
}

// maxBlocked is how often an index may be neither there nor not there, before it is taken for what it is: not an index.
const maxBlocked = 10

// link enters a session into the index of the owner who logs in, after making room for it if there is a limit. An entry
// that this login has left behind takes room only if it lives. there says that it is no login: the session is its
// owner's already, and its index is to live as long as it.
func (m *Manager) link(ctx context.Context, owner, id, left string, lifetime time.Duration, there bool) (link, error) {
	l := link{key: ownerKey(owner), id: id, value: newEntry(m.opts.Now())}
	if there {
		l.value = done + l.value
	}
	seconds := int64(lifetime / time.Second)
	for blocked := 0; ; {
		p := backend.Patch{
			Set:   map[string]string{id: l.value},
			Add:   map[string]int64{indexSeq: 1, indexTTL: 0, indexPrune: 0},
			Touch: true,
		}
		var surplus index
		if m.opts.MaxSessions > 0 && !there {
			var err error
			if surplus, err = m.surplus(ctx, owner, id, left); err != nil {
				return l, err
			}
			p.If = map[string]string{indexSeq: surplus.seq}
		}
		rec, err := m.b.Apply(ctx, l.key, p)
		switch {
		case errors.Is(err, ErrNotFound):
			err = m.b.Create(ctx, l.key, newIndex(id, l.value, lifetime))
			if errors.Is(err, ErrNotReplicated) {
				l.unreplicated, err = m.storeFailed(ctx, "link", id, err), nil
			}
			if !errors.Is(err, ErrExists) {
				break
			}
			if blocked++; blocked == maxBlocked { // another program has put something there
				err = fmt.Errorf("index: %w", ErrUnreadable)
			}
		case errors.Is(err, ErrCounter): // another program has written to the index: what it counts begins anew
			longest := newIndex(id, l.value, m.opts.RememberAbsoluteTimeout)
			_, err = m.b.Apply(ctx, l.key, backend.Patch{If: p.If, Set: longest.Fields, TTL: longest.TTL})
		case err == nil:
			var seq, prune int64
			seq, _ = parseCounter(rec.Fields[indexSeq])
			prune, _ = parseCounter(rec.Fields[indexPrune])
			l.prune = seq >= prune
			if ttl, _ := parseCounter(rec.Fields[indexTTL]); ttl < seconds {
				err = m.prolong(ctx, l.key, rec.Fields[indexTTL], lifetime)
			}
		}
		switch {
		case err == nil:
			n, err := m.endEntries(ctx, surplus)
			if errors.Is(err, ErrNotReplicated) && n == len(surplus.entries) {
				l.unreplicated, err = err, nil
			}
			return l, err
		case !errors.Is(err, ErrConflict) && !errors.Is(err, ErrExists) && !errors.Is(err, ErrNotFound):
			return l, m.storeFailed(ctx, "link", id, err)
		case ctx.Err() != nil:
			return l, m.storeFailed(ctx, "link", id, ctx.Err())
		}
		// Another login was faster: see what the index holds now.
	}
}

// newEntry returns the value of an entry that is made now. Those of one second are in the order of their making.
func newEntry(now time.Time) string {
	return fmt.Sprintf("%s %09d%s", formatTime(now), now.Nanosecond(), rand.Text()[:10])
}

// newIndex returns an index with one entry. It counts from a random number on: what is to happen to an index that holds
// a number is not to happen to another one of the same owner, which has come in its place.
func newIndex(id, value string, lifetime time.Duration) backend.Record {
	seq := mathrand.Int64N(1 << 48)
	return backend.Record{TTL: indexLifetime(lifetime), Fields: map[string]string{
		id:         value,
		indexSeq:   strconv.FormatInt(seq, 10),
		indexTTL:   strconv.FormatInt(int64(lifetime/time.Second), 10),
		indexPrune: strconv.FormatInt(seq+pruneEvery, 10),
	}}
}

// indexLifetime returns how long an index lives that names a session of this lifetime: longer, by so much that the
// clocks of those who judge the session may differ.
func indexLifetime(lifetime time.Duration) time.Duration {
	const longest = math.MaxInt64 / time.Second * time.Second
	return min(lifetime, longest-linkAge) + linkAge
}

// prolong has the index live longer than a session that lives longer than those before it.
func (m *Manager) prolong(ctx context.Context, key, before string, lifetime time.Duration) error {
	_, err := m.b.Apply(ctx, key, backend.Patch{
		If:  map[string]string{indexTTL: before},
		Set: map[string]string{indexTTL: strconv.FormatInt(int64(lifetime/time.Second), 10)},
		TTL: indexLifetime(lifetime),
	})
	return err
}

// surplus returns the index with the sessions alone that must end so that one more, id, makes no more than
// MaxSessions, or ErrTooManySessions if none is to be ended. Logins under way count; the one that was left only if it
// lives.
func (m *Manager) surplus(ctx context.Context, owner, id, left string) (index, error) {
	ix, err := m.loadIndex(ctx, owner)
	if err != nil {
		return ix, err
	}
	delete(ix.entries, id)
	if _, ok := ix.entries[left]; ok {
		ix.entries[left] = done // takes no room unless it lives: another login of it was faster
	}
	all := ix.entries
	ix.entries = nil
	if len(all) < m.opts.MaxSessions {
		return ix, nil
	}
	infos, dead, past, err := m.inspect(ctx, index{owner: owner, entries: all})
	if err != nil {
		return ix, err
	}
	dead = append(dead, past...)
	over := len(all) - len(dead) + 1 - m.opts.MaxSessions
	if over <= 0 {
		return ix, nil
	}
	if m.opts.RefuseLogin {
		return ix, ErrTooManySessions
	}
	ix.entries = make(map[string]string, over)
	for _, info := range infos[:min(over, len(infos))] { // the oldest first
		ix.entries[info.ID] = all[info.ID]
		delete(all, info.ID)
	}
	for id, value := range all { // then the logins under way
		if len(ix.entries) == over {
			break
		}
		if !slices.Contains(dead, id) {
			ix.entries[id] = value
		}
	}
	return ix, nil
}

// done marks the entry of a login that is not under way any more.
const done = "+"

// confirm reports whether the session is still linked, once it has been written, and marks its entry. It need not be
// this login's: a parallel one of the same session, which loses, may have linked it again.
func (m *Manager) confirm(ctx context.Context, l link) error {
	_, err := m.b.Apply(ctx, l.key, backend.Patch{Has: []string{l.id}, Set: map[string]string{l.id: done + l.value}})
	if errors.Is(err, ErrNotFound) {
		err = ErrConflict
	}
	return err
}

// confirm ends the login that has just been stored, which was p, if its owner's sessions were all ended meanwhile. So
// it does if the store does not tell; then what p has set is kept, for another commit.
func (s *Session) confirm(ctx context.Context, l link, p pending) error {
	id, owner := s.id(), s.meta.owner
	returned := false
	defer func() {
		if !returned { // the store has panicked, and that goes on: nobody knows whether the login is listed
			s.reset()
			s.cookie = keepCookie
			_ = s.m.b.Delete(ctx, id)
		}
	}()
	err := s.m.confirm(ctx, l)
	returned = true
	if err != nil && !refused(err) { // the reply may be lost: is the session still listed?
		if ix, lerr := s.m.loadIndex(ctx, owner); lerr == nil {
			if _, ok := ix.entries[id]; ok {
				return nil // the mark may be missing: for a minute it counts as a login under way
			}
			err = ErrConflict
		}
	}
	if err == nil {
		if l.prune {
			s.m.prune(ctx, owner)
		}
		return nil
	}
	revoked := errors.Is(err, ErrConflict)
	if derr := s.m.b.Delete(ctx, id); derr != nil {
		_ = s.m.storeFailed(ctx, "end", id, derr)
	}
	if revoked {
		s.reset()
		s.cookie = clearCookie
		s.m.emit(ctx, Event{Kind: EventRevoked, ID: id, Owner: owner})
	} else {
		s.restart(p)
		s.cookie = keepCookie
		s.ensureMishap().left = id // it takes no place in a second try, unless it lives
	}
	return s.m.storeFailed(ctx, "login", id, err)
}

// loginFailed drops a login that found no place in its owner's index, with all that was to be stored with it.
func (s *Session) loginFailed(ctx context.Context, err error) error {
	if errors.Is(err, ErrTooManySessions) {
		s.dropPending(ctx)
	}
	return wrap("login", s.id(), err) // the hook has been told, where it was the store
}
