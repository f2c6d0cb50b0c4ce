package session

import (
	"strconv"
	"time"
)

// This file decides: from a record, the time and the options, without I/O.

// meta is what the reserved fields of a record say.
type meta struct {
	created       instant
	accessed      instant
	authenticated instant // zero before a login
	rotated       instant // zero before a rotation
	seen          instant // zero while the token after a timed rotation has not been presented
	remembered    bool
	previous      bool // there is a previous token
	byPrevious    bool // and it is the one that was presented
	owner         string
}

// instant is a time in a record, in seconds since 1970; zero is none. It takes a third of what a time.Time does, and
// each request has five.
type instant int64

// time returns i, UTC, or the zero time.
func (i instant) time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.Unix(int64(i), 0).UTC()
}

// until returns how long it is from i until now.
func (i instant) until(now time.Time) time.Duration { return now.Sub(i.time()) }

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
func (o *Options) judge(now time.Time, rec *record, hash tokenHash) (meta, verdict) {
	r, v := o.read(now, &rec.fields, rec.ttl)
	m := r.meta
	switch {
	case v != live || hash.matches(r.token):
		return m, v
	case !m.previous || !hash.matches(r.replaced):
		return m, mismatch
	case m.seen != 0 && o.graceOver(now, m.seen):
		return m, reused
	}
	m.byPrevious = true
	return m, live
}

// read reads the reserved fields and says whether they make a live session. It goes through all fields once: that takes
// less than looking for each reserved one, most of which are not there.
func (o *Options) read(now time.Time, f *fields, ttl time.Duration) (reading, verdict) {
	var r reading
	for rest := f.packed; rest != ""; {
		var name, text string
		name, text, rest = rest.Next()
		r.field(name, text)
	}
	for name, text := range f.set {
		r.field(name, text)
	}
	if r.rotated != 0 { // these count only after a rotation on a timer
		r.previous = r.replaced != ""
		if r.presented {
			r.seen = r.time(r.seenAt)
		}
	}
	switch {
	case r.newer:
		return reading{}, unreadable
	case r.bad || r.token == "" || r.created == 0 || r.accessed == 0 || ttl < time.Second:
		return reading{}, noSession
	case !now.Before(o.lifetimeEnd(r.meta)):
		return r, expired
	}
	return r, live
}

// reading is what the fields that were read so far say.
type reading struct {
	meta
	token     string // hashes, as the record holds them
	replaced  string
	seenAt    string
	presented bool // there is a seenAt
	newer     bool // a newer version of this library has written the record
	bad       bool // a time is none
}

func (r *reading) field(name, text string) {
	switch name {
	case fieldVersion:
		r.newer = true
	case fieldToken:
		r.token = text
	case fieldCreated:
		r.created = r.time(text)
	case fieldAccessed:
		r.accessed = r.time(text)
	case fieldAuthenticated:
		r.authenticated = r.time(text)
	case fieldRotated:
		r.rotated = r.time(text)
	case fieldRemembered:
		r.remembered = text != ""
	case fieldOwner:
		r.owner = text
	case fieldPrevious:
		r.replaced = text
	case fieldSeen:
		r.presented, r.seenAt = true, text
	}
}

// time returns the time that text says.
func (r *reading) time(text string) instant {
	t, ok := parseTime(text)
	r.bad = r.bad || !ok
	return t
}

// lifetimeEnd returns when the absolute timeout ends the session. A login starts it over; nothing else does.
func (o *Options) lifetimeEnd(m meta) time.Time {
	return max(m.created, m.authenticated).time().Add(o.absoluteTimeout(m.remembered))
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
		return m.seen == 0 && o.graceOver(now, m.rotated)
	case m.previous && (m.seen == 0 || !o.graceOver(now, m.seen)):
		return false // requests with the token before this one may still be under way
	}
	return max(m.created, m.authenticated, m.rotated).until(now) >= o.RotateInterval
}

// graceOver reports whether RotateGrace has passed since then, which is in whole seconds: it was up to one later.
func (o *Options) graceOver(now time.Time, since instant) bool {
	passed := since.until(now)
	return passed > 0 && passed-time.Second >= o.RotateGrace // a time far ahead would overflow
}

// heldTooLong reports whether a token that the timer gave out, in a handler that then took its time, is to be kept from
// the client: after the grace another request may give out one in its place, and the client would have that by then. It
// is as well with the token before, until one after it is presented.
func (o *Options) heldTooLong(now time.Time, m meta) bool {
	return m.rotated.until(now) > max(o.RotateGrace/2, time.Second)
}

// justReplaced reports whether a login or a rotation has replaced a token so lately that requests which the client has
// sent with it may still be under way. What comes of it tells whoever knows the session's ID that there was a login
// just now, and nothing else.
func (o *Options) justReplaced(now time.Time, m meta) bool {
	return !o.graceOver(now, max(m.authenticated, m.rotated))
}

// firstSight reports whether the token after a timed rotation is presented for the first time.
func (m *meta) firstSight() bool { return m.previous && !m.byPrevious && m.seen == 0 }

// touchDue reports whether it is time to count the TTL from now again. A time of last use that lies in the
// future was written by a machine whose clock is ahead: that says nothing about when the TTL was started, so
// it is due. touched says that the session was touched when it was read: a request that reads it at once is done with
// that, one that holds it for longer is to touch it from time to time, whatever TouchInterval says of reading.
func (o *Options) touchDue(now time.Time, accessed instant, ttl time.Duration, touched bool) bool {
	idle := accessed.until(now)
	if touched && idle <= 0 {
		return false // touched just now
	}
	if o.TouchInterval < 0 && !touched || idle < 0 || ttl < 2*time.Second { // times are whole seconds: too coarse for that
		return true
	}
	interval := o.TouchInterval
	if interval <= 0 {
		interval = min(ttl/30, time.Minute)
	}
	return idle >= min(interval, ttl/2)
}

// expiry returns when the session ends if it is not used again.
func (o *Options) expiry(m meta, ttl time.Duration) time.Time {
	idle, end := m.accessed.time().Add(ttl), o.lifetimeEnd(m)
	if idle.Before(end) {
		return idle
	}
	return end
}

// validTTL reports whether d is a whole number of seconds, at least one.
func validTTL(d time.Duration) bool { return d >= time.Second && d%time.Second == 0 }

// formatTime writes a time as the layout has it: UTC, whole seconds, +00:00.
func formatTime(t time.Time) string {
	const zone = "+00:00"
	var room [len(time.RFC3339) + len(zone)]byte
	// Format is three times as fast for RFC 3339 as for any other layout.
	text := t.UTC().AppendFormat(room[:0], time.RFC3339)
	return string(append(text[:len(text)-len("Z")], zone...))
}

// parseTime reads a time with +00:00 or Z. It does without time.Parse, which allocates for every +00:00.
func parseTime(s string) (instant, bool) {
	const layout = "2006-01-02T15:04:05"
	if len(s) < len(layout)+1 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	if zone := s[len(layout):]; zone != "+00:00" && zone != "Z" {
		return 0, false
	}
	year, month, day := 100*twoDigits(s, 0)+twoDigits(s, 2), twoDigits(s, 5), twoDigits(s, 8)
	hour, minute, second := twoDigits(s, 11), twoDigits(s, 14), twoDigits(s, 17)
	if min(year, month-1, day, hour, minute, second) < 0 || month > 12 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	return instant(t.Unix()), t.Day() == day // else the month has no such day
}

// twoDigits returns the number in the two characters of s at i, or one far below zero if they are no digits.
func twoDigits(s string, i int) int {
	tens, ones := s[i]-'0', s[i+1]-'0'
	if tens > 9 || ones > 9 {
		return -1 << 20
	}
	return 10*int(tens) + int(ones)
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
