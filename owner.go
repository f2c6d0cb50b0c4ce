package session

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"iter"
	"maps"
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

// inspect reads the sessions that an index names. It returns the live ones, the oldest login first, and the IDs
// of those that are dead, and of those that are just past their lifetime: by another machine's clock these may live, or
// Remember may be about to prolong them, and so they stay listed. None of the three holds a login that may be under
// way.
func (m *Manager) inspect(ctx context.Context, ix index) (infos []Info, dead, past []string, err error) {
	var mu sync.Mutex
	now := m.opts.Now()
	err = parallel(maps.All(ix.entries), func(id, value string) error {
		rec, err := m.fresh.Load(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return m.storeFailed(ctx, "list", id, err)
		}
		r, v := m.opts.read(now, &fields{set: rec.Fields}, rec.TTL)
		mt := r.meta
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
	missed, unreplicated1, err1 := m.remove(ctx, ix)
	ended := len(ix.entries) - len(missed)
	if err1 == nil {
		err1 = m.unlink(ctx, ix, missed)
	}
	again, unreplicated2, err2 := m.remove(ctx, index{owner: ix.owner, entries: missed})
	return ended + len(missed) - len(again), errors.Join(err1, err2, unreplicated1, unreplicated2)
}

// remove ends the sessions that ix names, and returns the entries of those that were not there, or not its
// owner's, or could not be reached. unreplicated is the ErrNotReplicated of one that has ended.
func (m *Manager) remove(ctx context.Context, ix index) (missed map[string]string, unreplicated, err error) {
	var mu sync.Mutex
	missed = make(map[string]string)
	err = parallel(maps.All(ix.entries), func(id, value string) error {
		err := m.removeOwned(ctx, ix.owner, id)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrNotReplicated):
			unreplicated = err
			return nil
		}
		missed[id] = value
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
	return missed, unreplicated, err
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
	if err == nil || errors.Is(err, ErrNotReplicated) {
		m.emit(ctx, Event{Kind: EventRevoked, ID: id, Owner: owner})
	}
	return m.storeFailed(ctx, "revoke", id, err)
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
