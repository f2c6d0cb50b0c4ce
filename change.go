package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/faeeb396/session/backend"
)

// mustHave are the fields without which a record is no session. Writes ask for all of them, by name or by value, so
// that one that another program took is never put back.
var mustHave = []string{fieldCreated, fieldAccessed, fieldToken}

// partial reports whether fields lack one that makes them a session.
func partial(fields map[string]string) bool {
	return slices.ContainsFunc(mustHave, func(name string) bool { _, ok := fields[name]; return !ok })
}

// change is an Apply under way.
type change struct {
	patch backend.Patch
	now   time.Time
	token string // the new one, if there is to be one
	touch bool
	timed bool // it renews the token by the timer, or notes that it was seen, and depends on the token
}

// empty reports whether there is nothing to write.
func (c *change) empty() bool {
	p := &c.patch
	return len(p.Set) == 0 && len(p.Delete) == 0 && len(p.Add) == 0 && p.TTL == 0 && !p.Touch
}

// change makes the patch that stores what is pending and adds to counters, what the timer has due included if
// timed is set. Every write names the session by created_at, which is never written again, and by its epoch, which
// login and rotation by hand raise.
func (s *Session) change(add map[string]int64, timed bool) change {
	now := s.m.now()
	c := change{now: now}
	c.touch = s.newTTL || s.login || s.remember || !s.peeked && s.m.opts.touchDue(now, s.accessed, s.ttl, s.touched)
	if timed && !s.peeked && !s.sealed && !s.login && !s.rotate {
		s.timer(&c)
	}
	if !c.touch && !c.timed && !s.any() && len(add) == 0 && s.guard == nil {
		return c
	}
	p := &c.patch
	p.Add = add
	if p.If == nil {
		p.If = newPatchMap()
	}
	p.If[fieldCreated], p.If[fieldEpoch] = s.fields.value(fieldCreated), s.fields.value(fieldEpoch)
	p.Has = mustHave[1:] // the first has its value among the conditions, which is not empty
	if p.Set == nil {
		p.Set = newPatchMap()
	}
	for _, name := range s.dirty.all() {
		if v, ok := s.fields.get(name); ok {
			p.Set[name] = v
		} else {
			p.Delete = append(p.Delete, name)
		}
	}
	if g := s.guard; g != nil {
		p.If[g.name] = g.old
		if g.remove {
			p.Delete = append(p.Delete, g.name)
		} else {
			p.Set[g.name] = g.value
		}
		if g.ok {
			p.Has = append(slices.Clip(p.Has), g.name)
		}
	}
	if c.touch {
		p.Touch = true
		p.Set[fieldAccessed] = formatTime(now)
	}
	s.privilege(&c)
	return c
}

// timer adds what the rotation timer has due. It depends on the token being the one that was loaded, so that of
// parallel requests one gives out a new token, and none takes a newer token for seen.
func (s *Session) timer(c *change) {
	renewal := s.m.opts.renewalDue(c.now, s.meta)
	seen := s.firstSight() && s.cookie != setCookie // else this request has given the token out, to nobody yet
	if !renewal && !seen {
		return
	}
	stored := s.fields.value(fieldToken)
	switch {
	case renewal && s.byPrevious: // the new token was never presented: give out another in its place
		c.token = renewToken(s.id())
		c.patch.Set = map[string]string{fieldToken: hashToken(c.token).String(), fieldRotated: formatTime(c.now)}
	case renewal:
		c.token = renewToken(s.id())
		c.patch.Set = map[string]string{
			fieldToken: hashToken(c.token).String(), fieldRotated: formatTime(c.now), fieldPrevious: stored,
		}
		c.patch.Delete = []string{fieldSeen}
	default:
		c.patch.Set = map[string]string{fieldSeen: formatTime(c.now)}
	}
	c.timed = true
	c.patch.If = map[string]string{fieldToken: stored}
	if s.byPrevious {
		c.patch.If[fieldSeen] = "" // what was presented meanwhile was not lost
	}
}

// privilege adds what a login, a rotation by hand, and being remembered change. It takes away what the store is not to
// hold afterwards, whether or not this request has seen it: the timer, or another request, may have put it there since.
func (s *Session) privilege(c *change) {
	p := &c.patch
	if s.newTTL {
		p.TTL = s.ttl
	}
	if s.login || s.remember {
		if s.remember {
			p.Set[fieldRemembered] = "1"
			p.Load = true // landed looks whether the token is still the session's
		} else {
			p.Delete = append(p.Delete, fieldRemembered)
		}
		switch {
		case s.newTTL:
		case s.remember != s.remembered:
			p.TTL = s.m.opts.idleTimeout(s.remember)
		case s.login:
			p.TTL = s.ttl
		}
	}
	if !s.login && !s.rotate {
		return
	}
	p.Durable = true
	c.token = renewToken(s.id())
	p.Set[fieldToken] = hashToken(c.token).String()
	p.Set[fieldEpoch] = nextEpoch(s.fields.value(fieldEpoch))
	p.Delete = append(p.Delete, fieldPrevious, fieldSeen)
	if s.login {
		p.Set[fieldOwner] = s.pending.owner
		p.Set[fieldAuthenticated] = formatTime(c.now)
		p.Delete = append(p.Delete, fieldRotated)
	} else {
		p.Set[fieldRotated] = formatTime(c.now)
	}
}

// landed takes over what the store now holds, and returns the counter's new value if the change had one.
func (s *Session) landed(ctx context.Context, c change, rec backend.Record) (int64, error) {
	var sum int64
	var bad error
	for name := range c.patch.Add {
		v := rec.Fields[name]
		n, ok := parseCounter(v)
		if !ok {
			bad = errors.New("backend returned no counter")
		}
		s.fields.put(name, v)
		sum = n
	}
	if c.patch.TTL > 0 {
		s.ttl = c.patch.TTL
	}
	for name, value := range c.patch.Set {
		s.fields.put(name, value)
	}
	for _, name := range c.patch.Delete {
		s.fields.remove(name)
	}
	if c.touch || c.timed || c.token != "" {
		byPrevious := s.byPrevious && c.token == ""
		r, _ := s.m.opts.read(c.now, &s.fields, s.ttl)
		s.meta = r.meta
		s.byPrevious = byPrevious
	}
	if c.token != "" {
		s.token, s.cookie, s.timed = c.token, setCookie, c.timed
	}
	if s.remember && s.cookie == keepCookie && hashToken(s.token).matches(rec.Fields[fieldToken]) {
		s.cookie = setCookie // it is to be kept for longer
	}
	s.announce(ctx, c)
	s.pending = pending{}
	if bad != nil {
		return 0, s.m.storeFailed(ctx, "increment", s.id(), bad)
	}
	return sum, nil
}

// announce tells the hook of what a change has done to the token.
func (s *Session) announce(ctx context.Context, c change) {
	switch {
	case s.login:
		s.m.emit(ctx, Event{Kind: EventLogin, ID: s.id(), Owner: s.meta.owner})
	case c.token != "":
		s.m.emit(ctx, Event{Kind: EventRotated, ID: s.id(), Owner: s.meta.owner})
	}
}
