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
	owner         string
}

// verdict is what a record is worth to somebody who presents a token.
type verdict int

const (
	live       verdict = iota
	noSession          // a partial or garbled record, or none of ours
	expired            // past its lifetime
	mismatch           // the token is not the session's
	unreadable         // written by a newer version of this library
)

// judge reads a record and says what it is worth to the holder of a token with this hash.
func (o *Options) judge(now time.Time, rec backend.Record, hash tokenHash) (meta, verdict) {
	m, v := o.read(now, rec)
	if v == live && !hash.matches(rec.Fields[fieldToken]) {
		return m, mismatch
	}
	return m, v
}

// read reads the reserved fields and says whether they make a live session.
func (o *Options) read(now time.Time, rec backend.Record) (meta, verdict) {
	if _, ok := rec.Fields[fieldVersion]; ok {
		return meta{}, unreadable
	}
	var m meta
	var ok1, ok2 bool
	m.created, ok1 = parseTime(rec.Fields[fieldCreated])
	m.accessed, ok2 = parseTime(rec.Fields[fieldAccessed])
	if !ok1 || !ok2 || rec.TTL < time.Second || rec.Fields[fieldToken] == "" {
		return meta{}, noSession
	}
	if s, ok := rec.Fields[fieldAuthenticated]; ok {
		if m.authenticated, ok = parseTime(s); !ok {
			return meta{}, noSession
		}
	}
	m.owner = rec.Fields[fieldOwner]
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
	return start.Add(o.AbsoluteTimeout)
}

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
