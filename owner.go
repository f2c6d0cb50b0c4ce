package session

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/faeeb396/session/backend"
)

// This file keeps an index of each owner's sessions: an ordinary record, so every backend has it, with a field
// for each session, named by its ID.
//
// Order takes the place of transactions. A login links the session, then writes it, then confirms that it is
// still linked. Whoever ends sessions ends those that are there, then unlinks, then ends those that were not
// there before: a login under way has either been written by then, or finds its link gone and ends itself. A
// session is unlinked only after it has ended, and so the index never misses a live one.

// The index's own fields. A session's ID is longer than any of them.
const (
	indexSeq   = "seq"  // grows with each session that is linked, from a random number on
	indexTTL   = "ttl"  // the record's time to live, in seconds
	indexPrune = "next" // the seq at which it is next searched for dead entries
)

// pruneEvery is how many links there are between two searches for dead entries, or as many as there are live
// ones if that is more, so that they are never many and searching costs little per login.
const pruneEvery = 16

// linkAge is how old an entry must be to be taken for dead: the login that made it may still be under way.
const linkAge = time.Minute

// parallelCalls bounds how many calls to the store one operation has under way.
const parallelCalls = 16

// Info is what is known of a session without its token: for a page that lists a user's sessions.
type Info struct {
	ID              string    // the public ID
	CreatedAt       time.Time // UTC, whole seconds, as the other times
	AuthenticatedAt time.Time // when the owner logged in
	LastAccessedAt  time.Time // when it was last touched: up to one TouchInterval before its last use
	ExpiresAt       time.Time // when it ends if it is not used again
	Label           string    // what Session.SetLabel was given
	Remembered      bool      // whether the longer timeouts hold
	Current         bool      // whether it is the session that was asked, see Session.Sessions
}

// index is an owner's index as it was read.
type index struct {
	owner   string
	key     string
	seq     string
	entries map[string]string // by session ID: when and by which login it was linked
}

// ownerKey returns the ID of an owner's index. Owners are arbitrary texts; their hashes are all alike.
func ownerKey(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return "owner:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// loadIndex reads an owner's index. One that is not there is empty.
func (m *Manager) loadIndex(ctx context.Context, owner string) (index, error) {
	ix := index{owner: owner, key: ownerKey(owner)}
	rec, err := m.fresh.Load(ctx, ix.key)
	if errors.Is(err, ErrNotFound) {
		return ix, nil
	}
	if err != nil {
		return ix, m.storeFailed(ctx, "load index", "", err)
	}
	ix.seq, ix.entries = rec.Fields[indexSeq], rec.Fields
	maps.DeleteFunc(ix.entries, func(id, _ string) bool { return !validID(id) })
	return ix, nil
}

// link is a session's entry in its owner's index.
type link struct {
	key, id, value string
	prune          bool // it is time to search the index for dead entries
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
			if err = m.b.Create(ctx, l.key, newIndex(id, l.value, lifetime)); !errors.Is(err, ErrExists) {
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
			_, err = m.endEntries(ctx, surplus)
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
// MaxSessions, or ErrTooManySessions if none is to be ended. Logins under way count; the one that was left only if it lives.
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

// confirm ends the login that has just been stored, which was p, if its owner's sessions were all ended meanwhile. So it
// does if the store does not tell; then what p has set is kept, for another commit.
func (s *Session) confirm(ctx context.Context, l link, p pending) error {
	id, owner := s.id(), s.meta.owner
	err := s.m.confirm(ctx, l)
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
		s.left = id // it takes no place in a second try, unless it lives
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

// inspect reads the sessions that an index names. It returns the live ones, the oldest login first, and the IDs
// of those that are dead, and of those that are just past their lifetime: by another machine's clock these may live, or
// Remember may be about to prolong them, and so they stay listed. None of the three holds a login that may be under way.
func (m *Manager) inspect(ctx context.Context, ix index) (infos []Info, dead, past []string, err error) {
	var mu sync.Mutex
	now := m.opts.Now()
	err = parallel(maps.All(ix.entries), func(id, value string) error {
		rec, err := m.fresh.Load(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return m.storeFailed(ctx, "list", id, err)
		}
		mt, v := m.opts.read(now, rec)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil && v == live && mt.owner == ix.owner:
			infos = append(infos, m.info(id, mt, rec))
		case err == nil && v == expired && now.Sub(m.opts.lifetimeEnd(mt)) < linkAge:
			past = append(past, id)
		case v != unreadable && !fresh(now, value):
			dead = append(dead, id)
		}
		return nil
	})
	entry := func(i Info) string { return strings.TrimPrefix(ix.entries[i.ID], done) } // begins with when it was linked
	slices.SortFunc(infos, func(a, b Info) int {
		return cmp.Or(a.AuthenticatedAt.Compare(b.AuthenticatedAt), cmp.Compare(entry(a), entry(b)), cmp.Compare(a.ID, b.ID))
	})
	return infos, dead, past, err
}

// fresh reports whether the login that made an entry may still be under way, by this or another machine's clock.
func fresh(now time.Time, value string) bool {
	if len(value) < len("2006-01-02T15:04:05+00:00") {
		return false
	}
	linked, ok := parseTime(value[:len("2006-01-02T15:04:05+00:00")])
	return ok && linked.until(now).Abs() < linkAge
}

func (m *Manager) info(id string, mt meta, rec backend.Record) Info {
	return Info{
		ID:              id,
		CreatedAt:       mt.created.time(),
		AuthenticatedAt: mt.authenticated.time(),
		LastAccessedAt:  mt.accessed.time(),
		ExpiresAt:       m.opts.expiry(mt, rec.TTL),
		Label:           rec.Fields[fieldLabel],
		Remembered:      mt.remembered,
	}
}

// endEntries ends the sessions that ix names, as far as they are its owner's, and takes them out of the index.
func (m *Manager) endEntries(ctx context.Context, ix index) (int, error) {
	if len(ix.entries) == 0 {
		return 0, nil
	}
	missed, err1 := m.remove(ctx, ix)
	ended := len(ix.entries) - len(missed)
	if err1 == nil {
		err1 = m.unlink(ctx, ix, missed)
	}
	again, err2 := m.remove(ctx, index{owner: ix.owner, entries: missed})
	return ended + len(missed) - len(again), errors.Join(err1, err2)
}

// remove ends the sessions that ix names, and returns the entries of those that were not there, or not its
// owner's, or could not be reached.
func (m *Manager) remove(ctx context.Context, ix index) (missed map[string]string, err error) {
	var mu sync.Mutex
	missed = make(map[string]string)
	err = parallel(maps.All(ix.entries), func(id, value string) error {
		err := m.removeOwned(ctx, ix.owner, id)
		if err == nil {
			return nil
		}
		mu.Lock()
		missed[id] = value
		mu.Unlock()
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
	return missed, err
}

// removeOwned ends a session if it is owner's, or returns ErrNotFound.
func (m *Manager) removeOwned(ctx context.Context, owner, id string) error {
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	_, err := m.b.Apply(ctx, id, backend.Patch{
		If: map[string]string{fieldOwner: owner}, Has: []string{fieldToken}, Remove: true, Durable: true,
	})
	if errors.Is(err, ErrConflict) {
		err = ErrNotFound
	}
	if err != nil {
		return m.storeFailed(ctx, "revoke", id, err)
	}
	m.emit(ctx, Event{Kind: EventRevoked, ID: id, Owner: owner})
	return nil
}

// unlink takes entries out of the index, and the index away once it is empty. Those of sessions that were not
// found when they were to be ended go only if no login has linked them again.
func (m *Manager) unlink(ctx context.Context, ix index, unsure map[string]string) error {
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	ids := slices.Collect(maps.Keys(ix.entries))
	rec, err := m.b.Apply(ctx, ix.key, backend.Patch{If: unsure, Delete: ids, Load: true})
	if errors.Is(err, ErrConflict) {
		ids = slices.DeleteFunc(ids, func(id string) bool { _, ok := unsure[id]; return ok })
		for id, value := range unsure {
			one := backend.Patch{If: map[string]string{id: value}, Delete: []string{id}}
			if _, err := m.b.Apply(ctx, ix.key, one); err != nil && !errors.Is(err, ErrConflict) {
				break // told below, by a call that any error of the store meets too
			}
		}
		rec, err = m.b.Apply(ctx, ix.key, backend.Patch{Delete: ids, Load: true})
	}
	if err == nil && !slices.ContainsFunc(slices.Collect(maps.Keys(rec.Fields)), validID) {
		_, err = m.b.Apply(ctx, ix.key, backend.Patch{If: map[string]string{indexSeq: rec.Fields[indexSeq]}, Remove: true})
	}
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) {
		return nil // taken away, or a session linked, meanwhile
	}
	return m.storeFailed(ctx, "unlink", "", err)
}

// unlinkDead takes the entries of dead sessions out of an index.
func (m *Manager) unlinkDead(ctx context.Context, ix index, dead []string) error {
	if len(dead) == 0 {
		return nil
	}
	gone := make(map[string]string, len(dead))
	for _, id := range dead {
		gone[id] = ix.entries[id]
	}
	return m.unlink(ctx, index{owner: ix.owner, key: ix.key, entries: gone}, gone)
}

// prune searches an index for dead entries, and says when to do it next. The login that it is a part of has
// succeeded: a failure is an event and no more.
func (m *Manager) prune(ctx context.Context, owner string) {
	ix, err := m.loadIndex(ctx, owner)
	if err != nil {
		return
	}
	// First of all, so that a search that cannot be finished in time is not tried at each login.
	seq, _ := parseCounter(ix.seq)
	next := strconv.FormatInt(seq+int64(max(pruneEvery, len(ix.entries))), 10)
	_, err = m.b.Apply(ctx, ix.key, backend.Patch{Set: map[string]string{indexPrune: next}})
	if err != nil {
		if !refused(err) {
			_ = m.storeFailed(ctx, "prune", "", err)
		}
		return
	}
	_, dead, _, _ := m.inspect(ctx, ix) // the hook has been told; each that is dead was found to be by itself
	_ = m.unlinkDead(ctx, ix, dead)
}

// parallel calls do for every pair, a few at a time, and returns the errors together. It panics if one of them does.
func parallel(all iter.Seq2[string, string], do func(string, string) error) error {
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		errs     []error
		panicked any
	)
	slots := make(chan struct{}, parallelCalls)
	for a, b := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() {
				p := recover() // of a hook of the store's client: it is the caller's
				mu.Lock()
				defer mu.Unlock()
				if panicked == nil {
					panicked = p
				}
				<-slots
			}()
			if err := do(a, b); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	if panicked != nil {
		panic(panicked)
	}
	return errors.Join(errs...)
}
