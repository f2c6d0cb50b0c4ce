// Package redishash is what the Redis backends share: how a record lies in a Redis hash, the Lua scripts that
// change it, and what the server's replies and errors mean. Programs with different clients so read each
// other's data.
//
// A record is one hash: its fields, and beside them session_ttl, the time to live in decimal seconds. A hash
// without session_ttl is no record; one whose session_ttl cannot be read is an error.
package redishash

import (
	"fmt"
	"strconv"
	"time"

	"github.com/faeeb396/session/backend"
)

// DefaultPrefix is what a record's key begins with unless told otherwise.
const DefaultPrefix = "session:"

// fieldTTL holds the time to live.
const fieldTTL = "session_ttl"

// maxTTL is the longest time to live that a time.Duration holds, in seconds.
const maxTTL = uint64(1<<63-1) / uint64(time.Second)

func formatTTL(ttl time.Duration) string { return strconv.FormatInt(int64(ttl/time.Second), 10) }

// parseTTL reads a number of seconds in the one form that apply.lua takes, too: no sign, no leading zero.
func parseTTL(text string) (time.Duration, bool) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > maxTTL || text[0] == '0' {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}

// Record makes a record of the hash that op has read. The hash becomes the record's Fields. The error is
// [backend.ErrNotFound] or wraps [backend.ErrUnreadable].
func Record(op string, hash map[string]string) (backend.Record, error) {
	text, ok := hash[fieldTTL]
	if !ok {
		return backend.Record{}, backend.ErrNotFound
	}
	ttl, ok := parseTTL(text)
	if !ok {
		return backend.Record{}, unreadableTTL(op)
	}
	delete(hash, fieldTTL)
	return backend.Record{Fields: hash, TTL: ttl}, nil
}

// Sums makes the record that Apply returns of what the script has replied to the counters.
func Sums(op string, counters []string, sums []int64) (backend.Record, error) {
	if len(sums) != len(counters) {
		return backend.Record{}, fmt.Errorf("%s: %d counters in the reply, want %d", op, len(sums), len(counters))
	}
	if len(counters) == 0 {
		return backend.Record{}, nil
	}
	fields := make(map[string]string, len(counters))
	for i, name := range counters {
		fields[name] = strconv.FormatInt(sums[i], 10)
	}
	return backend.Record{Fields: fields}, nil
}
