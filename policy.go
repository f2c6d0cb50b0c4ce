package session

import (
	"strconv"
	"time"

	"github.com/faeeb396/session/backend"
)

// This file decides: from a record, the time and the options, without I/O.

// meta is what the reserved fields of a record say.
type meta struct {
	created       time.Time
	accessed      time.Time
	authenticated time.Time // zero before a login
	rotated       time.Time // zero before a rotation
	seen          time.Time // zero while the token after a timed rotation has not been presented
	remembered    bool
	previous      bool // there is a previous token
	byPrevious    bool // and it is the one that was presented
	owner         string
}

// verdict is what a record is worth to somebody who presents a token.
type verdict int

const (
	live       verdict = iota
	noSession          // a partial or garbled record, or none of ours
	expired            // past its lifetime
	mismatch           // the token is not the session's
	reused             // the token was the session's before a rotation, and its time is over
	unreadable         // written by a newer version of this library
)

// judge reads a record and says what it is worth to the holder of a token with this hash.
func (o *Options) judge(now time.Time, rec backend.Record, hash tokenHash) (meta, verdict) {
	m, v := o.read(now, rec)
	switch {
	case v != live || hash.matches(rec.Fields[fieldToken]):
		return m, v
	case !m.previous || !hash.matches(rec.Fields[fieldPrevious]):
		return m, mismatch
	case !m.seen.IsZero() && !now.Before(m.seen.Add(o.RotateGrace)):
		return m, reused
	}
	m.byPrevious = true
	return m, live
}

// read reads the reserved fields and says whether they make a live session.
func (o *Options) read(now time.Time, rec backend.Record) (meta, verdict) {
	f := rec.Fields
	if _, ok := f[fieldVersion]; ok {
		return meta{}, unreadable
	}
	m := meta{owner: f[fieldOwner], remembered: f[fieldRemembered] != "", previous: f[fieldPrevious] != ""}
	ok := rec.TTL >= time.Second && f[fieldToken] != ""
	for _, t := range [...]struct {
		name string
		into *time.Time
		must bool
	}{
		{fieldCreated, &m.created, true},
		{fieldAccessed, &m.accessed, true},
		{fieldAuthenticated, &m.authenticated, false},
		{fieldRotated, &m.rotated, false},
		{fieldSeen, &m.seen, false},
	} {
		text, there := f[t.name]
		if !there {
			ok = ok && !t.must
			continue
		}
		var valid bool
		*t.into, valid = parseTime(text)
		ok = ok && valid
	}
	if !ok {
		return meta{}, noSession
	}
	if !now.Before(o.lifetimeEnd(m)) {
		return m, expired
	}
	return m, live
}

// lifetimeEnd returns when the absolute timeout ends the session. A login starts it over; nothing else does.
func (o *Options) lifetimeEnd(m meta) time.Time {
	start := m.created
	if m.authenticated.After(start) {
		start = m.authenticated
	}
	return start.Add(o.absoluteTimeout(m.remembered))
}

func (o *Options) absoluteTimeout(remembered bool) time.Duration {
	if remembered {
		return o.RememberAbsoluteTimeout
	}
	return o.AbsoluteTimeout
}

func (o *Options) idleTimeout(remembered bool) time.Duration {
	if remembered {
		return o.RememberIdleTimeout
	}
	return o.IdleTimeout
}

// renewalDue reports whether it is time for the session to get a new token, by the timer. While the last one
// has not been presented, its response may have been lost or may still be under way: only after a grace is it
// given up and another one given out, so that no browser is left with a token that was overwritten meanwhile.
func (o *Options) renewalDue(now time.Time, m meta) bool {
	switch {
	case o.RotateInterval <= 0:
		return false
	case m.byPrevious:
		return m.seen.IsZero() && now.Sub(m.rotated) >= o.RotateGrace
	case m.previous && (m.seen.IsZero() || now.Sub(m.seen) < o.RotateGrace):
		return false // requests with the token before this one may still be under way
	}
	issued := m.created
	for _, t := range [...]time.Time{m.authenticated, m.rotated} {
		if t.After(issued) {
			issued = t
		}
	}
	return now.Sub(issued) >= o.RotateInterval
}

// firstSight reports whether the token after a timed rotation is presented for the first time.
func (m *meta) firstSight() bool { return m.previous && !m.byPrevious && m.seen.IsZero() }

// touchDue reports whether it is time to count the TTL from now again. A time of last use that lies in the
// future was written by a machine whose clock is ahead: that says nothing about when the TTL was started, so
// it is due.
func (o *Options) touchDue(now, accessed time.Time, ttl time.Duration) bool {
	if o.TouchInterval < 0 || accessed.After(now) {
		return true
	}
	interval := o.TouchInterval
	if interval == 0 {
		interval = min(ttl/30, time.Minute)
	}
	return now.Sub(accessed) >= min(interval, ttl/2)
}

// expiry returns when the session ends if it is not used again.
func (o *Options) expiry(m meta, ttl time.Duration) time.Time {
	idle, end := m.accessed.Add(ttl), o.lifetimeEnd(m)
	if idle.Before(end) {
		return idle
	}
	return end
}

// validTTL reports whether d is a whole number of seconds, at least one.
func validTTL(d time.Duration) bool { return d >= time.Second && d%time.Second == 0 }

// formatTime writes a time as the layout has it: UTC, whole seconds, +00:00.
func formatTime(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05") + "+00:00"
}

// parseTime reads a time with +00:00 or Z. It does without time.Parse, which allocates for every +00:00.
func parseTime(s string) (time.Time, bool) {
	const layout = "2006-01-02T15:04:05"
	if len(s) < len(layout)+1 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, false
	}
	if zone := s[len(layout):]; zone != "+00:00" && zone != "Z" {
		return time.Time{}, false
	}
	var n [6]int
	for i, at := range [6][2]int{{0, 4}, {5, 7}, {8, 10}, {11, 13}, {14, 16}, {17, 19}} {
		for _, c := range []byte(s[at[0]:at[1]]) {
			if c < '0' || c > '9' {
				return time.Time{}, false
			}
			n[i] = n[i]*10 + int(c-'0')
		}
	}
	t := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC)
	if n[3] > 23 || n[4] > 59 || n[5] > 59 || t.Month() != time.Month(n[1]) || t.Day() != n[2] {
		return time.Time{}, false
	}
	return t, true
}

// nextEpoch returns the epoch after e. An epoch that is no number, which only another program can have
// written, is followed by a first one.
func nextEpoch(e string) string {
	n, err := strconv.ParseUint(e, 10, 62)
	if err != nil {
		n = 0
	}
	return strconv.FormatUint(n+1, 10)
}
