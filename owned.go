package session

import "context"

// Sessions returns owner's live sessions, the oldest login first. Entries of sessions that have ended are
// dropped from the index as they are met. It costs one round trip and one for each session, several at a time.
func (m *Manager) Sessions(ctx context.Context, owner string) ([]Info, error) {
	ix, err := m.loadIndex(ctx, owner)
	if err != nil {
		return nil, err
	}
	infos, dead, _, err := m.inspect(ctx, ix)
	if err != nil {
		return nil, err
	}
	return infos, m.unlinkDead(ctx, ix, dead)
}

// Revoke ends the session with this public ID if it is owner's, and returns ErrNotFound if it is not or is not
// there: for a page where users end their other sessions. To end the request's own, call Session.Destroy, which takes
// the cookie back too.
//
// It and the others below go on if ctx ends meanwhile, for up to Options.StoreTimeout per call to the store.
// Other processes see it at once, unless the backend's documentation states for how long they may not, as a
// local cache does. See OWASP ASVS 5.0, 7.5.2.
func (m *Manager) Revoke(ctx context.Context, owner, id string) error {
	if owner == "" || !validID(id) {
		return wrap("revoke", "", ErrNotFound)
	}
	ctx = context.WithoutCancel(ctx)
	if err := m.removeOwned(ctx, owner, id); err != nil {
		return err
	}
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	return m.unlink(ctx, index{owner: owner, key: ownerKey(owner), entries: map[string]string{id: ""}}, nil)
}

// RevokeAll ends every session of owner and reports how many it ended. A login that completes while it runs either
// fails or is ended too. For that, it looks again until it finds no session left; a login after that last look has come
// later. On an error, those that are left are still listed: call it again. Where the session of the request is among
// them, call Session.Destroy too, which takes the cookie back; a change of it would fail. See OWASP ASVS 5.0, 7.4.2 and
// 7.4.3.
func (m *Manager) RevokeAll(ctx context.Context, owner string) (int, error) {
	return m.revokeAllBut(ctx, owner, "")
}

func (m *Manager) revokeAllBut(ctx context.Context, owner, keep string) (int, error) {
	if owner == "" {
		return 0, nil
	}
	ctx = context.WithoutCancel(ctx)
	for n := 0; ; {
		ix, err := m.loadIndexOnce(ctx, owner)
		if err != nil {
			return n, err
		}
		delete(ix.entries, keep)
		if len(ix.entries) == 0 {
			return n, nil
		}
		ended, err := m.endEntries(ctx, ix)
		n += ended
		if err != nil {
			return n, err
		}
	}
}

func (m *Manager) loadIndexOnce(ctx context.Context, owner string) (index, error) {
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	return m.loadIndex(ctx, owner)
}

// Sessions returns the live sessions of this session's owner, see Session.Owner, this one marked as Current; none
// before a Login, and after it this one only once that has been committed. ErrNotFound says that this session has
// ended: what has ended lists nothing.
func (s *Session) Sessions(ctx context.Context) ([]Info, error) {
	id, owner, loggingIn := s.idAndOwner()
	if owner == "" {
		return nil, nil
	}
	infos, err := s.m.Sessions(ctx, owner)
	current := false
	for i := range infos {
		infos[i].Current = infos[i].ID == id
		current = current || infos[i].Current
	}
	if err != nil || current || loggingIn {
		return infos, err
	}
	if err := s.stillAlive(ctx, "sessions", id); err != nil { // else another program has taken the index away
		return nil, err
	}
	return infos, nil
}

// RevokeOthers ends every other session of this session's owner, and reports how many it ended; none if nobody is
// logged in. A Login of this request counts, also while it waits for its commit. ErrNotFound says that this session has
// ended, or another login has taken its token: what has ended ends no others. Call it where a user has changed the
// password, see OWASP ASVS 5.0, 7.4.3.
func (s *Session) RevokeOthers(ctx context.Context) (int, error) {
	id, owner, loggingIn := s.idAndOwner()
	if owner == "" {
		return 0, nil
	}
	if !loggingIn {
		if err := s.stillAlive(ctx, "revoke", id); err != nil {
			return 0, err
		}
	}
	return s.m.revokeAllBut(ctx, owner, id)
}

// stillAlive returns ErrNotFound unless Alive is true. It goes on if ctx ends.
func (s *Session) stillAlive(ctx context.Context, op, id string) error {
	ctx, cancel := s.m.storeContext(ctx)
	defer cancel()
	alive, err := s.Alive(ctx)
	if err == nil && !alive {
		err = wrap(op, id, ErrNotFound)
	}
	return err
}

// idAndOwner returns what ID and Owner return, and whether the owner is that of a login that is not committed yet.
func (s *Session) idAndOwner() (id, owner string, loggingIn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id(), s.ownerNow(), s.loggingIn()
}
