package session

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/direct"
)

// Manager makes, loads, stores and ends the sessions that a backend keeps. It holds no state of its own: any number of
// Managers, in any number of processes, may share a store, and then have the same sessions. Sessions to be kept
// apart, such as an admin site's, need a store or a prefix of their own and, where a browser sends both,
// another CookieOptions.Name. It is safe for concurrent use.
type Manager struct {
	b      backend.Backend
	fresh  backend.Backend // reads past a local cache; b where there is none
	direct direct.Loader   // reads from b for less than its Load, if not nil
	cache  bool            // there is a local cache
	opts   Options
}

// New returns a Manager over b. opts may be nil: the defaults are safe. An error names the invalid
// option. The Manager does not own b: closing its client is the caller's business.
func New(b backend.Backend, opts *Options) (*Manager, error) {
	if v := reflect.ValueOf(b); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, errors.New("session: New: no backend")
	}
	o, err := opts.complete()
	if err != nil {
		return nil, err
	}
	m := &Manager{b: b, fresh: b, direct: direct.Of(b), opts: o}
	if c, ok := backend.As[backend.Cacher](b); ok {
		if fresh := c.Fresh(); fresh != nil {
			m.fresh, m.cache = fresh, true
		}
	}
	return m, nil
}

// now is the one place that reads the clock. Times in records are UTC and whole seconds.
func (m *Manager) now() time.Time { return time.Unix(m.opts.Now().Unix(), 0).UTC() }

// Ping reports whether the store answers and lets the Manager do what it needs to. A backend that is no
// backend.Pinger is taken to be well.
func (m *Manager) Ping(ctx context.Context) error {
	p, ok := backend.As[backend.Pinger](m.b)
	if !ok {
		return nil
	}
	return wrap("ping", "", p.Ping(ctx))
}

// IDs yields the public ID of every session in the store, some perhaps more than once, as backend.Scanner says.
// An error is yielded last, with an empty ID: ErrUnsupported if the backend is no Scanner. It reads the whole
// store: it is for administration, not for requests.
func (m *Manager) IDs(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		sc, ok := backend.As[backend.Scanner](m.b)
		if !ok {
			yield("", wrap("scan", "", ErrUnsupported))
			return
		}
		for id, err := range sc.Scan(ctx) {
			if err != nil {
				yield("", wrap("scan", "", err))
				return
			}
			if validID(id) && !yield(id, nil) {
				return
			}
		}
	}
}

// NewSession returns a session that is not stored yet. Change it, then call Commit.
func (m *Manager) NewSession() *Session {
	return &Session{&state{m: m, ttl: m.opts.IdleTimeout}}
}

// fetch reads the record that a token names, touching it in the same round trip if touch is set. It returns
// ErrNotFound where there is none, and the record however the token fits it otherwise, unless it was touched:
// then the token fits.
func (m *Manager) fetch(ctx context.Context, id string, hash tokenHash, touch bool) (_ record, touched bool, err error) {
	if touch {
		p := m.byToken(hash, backend.Patch{Load: true})
		rec, err := m.b.Apply(ctx, id, p)
		if err == nil {
			made(&p)
			return newRecord(rec), true, nil
		}
		if !errors.Is(err, ErrConflict) {
			return record{}, false, err
		}
	}
	if m.direct != nil {
		rec, err := m.direct(ctx, id)
		return record{fields{rec.Packed, rec.Fields}, rec.TTL}, false, err
	}
	rec, err := m.b.Load(ctx, id)
	return newRecord(rec), false, err
}

// byToken makes p conditional on the token, and a touch.
func (m *Manager) byToken(hash tokenHash, p backend.Patch) backend.Patch {
	p.If = newPatchMap()
	p.If[fieldToken], p.If[fieldVersion] = hash.String(), ""
	p.Has = mustHave[:2:2] // the third has its value among the conditions
	if p.Remove {
		p.Durable = true
		return p
	}
	if p.Set == nil {
		p.Set = newPatchMap()
	}
	p.Set[fieldAccessed] = formatTime(m.now())
	p.Touch = true
	return p
}

// load fills s, which holds nothing, with the session that token names. It returns ErrNotFound where there is
// none, and leaves s as it was. What a local cache holds turns nobody away: then the store is asked.
func (s *Session) load(ctx context.Context, token string, touch bool) error {
	id, hash := token[:idLen], hashToken(token)
	rec, touched, err := s.m.fetch(ctx, id, hash, touch)
	if err != nil {
		return s.m.storeFailed(ctx, "load", id, err)
	}
	mt, v := s.m.opts.judge(s.m.opts.Now(), &rec, hash)
	s.cached = s.m.cache && !touched
	if s.cached && v != live {
		s.cached = false
		loaded, err := s.m.fresh.Load(ctx, id)
		if err != nil {
			return s.m.storeFailed(ctx, "load", id, err)
		}
		rec = newRecord(loaded)
		mt, v = s.m.opts.judge(s.m.opts.Now(), &rec, hash)
	}
	return s.conclude(ctx, token, &rec, touched, mt, v)
}

// adopt takes a record over if it is a live session and the token is its own.
func (s *Session) adopt(ctx context.Context, token string, hash tokenHash, rec backend.Record, touched bool) error {
	r := newRecord(rec)
	mt, v := s.m.opts.judge(s.m.opts.Now(), &r, hash)
	return s.conclude(ctx, token, &r, touched, mt, v)
}

// conclude does what the verdict on a record asks for.
func (s *Session) conclude(ctx context.Context, token string, rec *record, touched bool, mt meta, v verdict) error {
	id := token[:idLen]
	switch v {
	case live:
		s.token, s.stored, s.fields, s.ttl, s.meta, s.touched = token, true, rec.fields, rec.ttl, mt, touched
		return nil
	case reused:
		if s.peeked {
			s.m.emit(ctx, Event{Kind: EventMismatch, ID: id, Owner: mt.owner})
		} else {
			s.m.endReused(ctx, id, mt, rec)
		}
	case expired:
		s.m.reap(ctx, id, mt, rec)
	case mismatch:
		s.behind = s.m.opts.justReplaced(s.m.opts.Now(), mt)
		s.m.emit(ctx, Event{Kind: EventMismatch, ID: id, Owner: mt.owner})
	case unreadable:
		return s.m.storeFailed(ctx, "load", id, ErrUnreadable)
	}
	return wrap("load", id, ErrNotFound)
}

// reap ends a session that is past its lifetime, unless a login has started that over meanwhile, or Remember has made
// it longer.
func (m *Manager) reap(ctx context.Context, id string, mt meta, rec *record) {
	_, err := m.b.Apply(ctx, id, backend.Patch{
		If: map[string]string{
			fieldCreated: rec.value(fieldCreated), fieldEpoch: rec.value(fieldEpoch),
			fieldRemembered: rec.value(fieldRemembered),
		},
		Remove: true,
	})
	if err == nil {
		m.emit(ctx, Event{Kind: EventExpired, ID: id, Owner: mt.owner})
	} else if !refused(err) {
		_ = m.storeFailed(ctx, "expire", id, err)
	}
}

// endReused ends a session whose replaced token came back: one of the two who hold its tokens stole one. A login
// or another rotation meanwhile, which made that token worthless, saves it.
func (m *Manager) endReused(ctx context.Context, id string, mt meta, rec *record) {
	_, err := m.b.Apply(ctx, id, backend.Patch{
		If:     map[string]string{fieldCreated: rec.value(fieldCreated), fieldPrevious: rec.value(fieldPrevious)},
		Remove: true,
	})
	if err == nil {
		m.emit(ctx, Event{Kind: EventReused, ID: id, Owner: mt.owner})
	} else if !refused(err) {
		_ = m.storeFailed(ctx, "end", id, err)
	}
}
