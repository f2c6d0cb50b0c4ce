// Package redishash is what the Redis backends share: how a record lies in a Redis hash, the Lua scripts that
// change it, and how their replies are read. Programs that use different clients so read each other's data.
//
// A record is one hash, its fields the record's, with session_ttl, the time to live in decimal seconds, beside
// them. A hash without session_ttl is no record; one whose session_ttl cannot be read is an error.
package redishash

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/faeeb396/session/backend"
)

// FieldTTL holds the time to live.
const FieldTTL = "session_ttl"

// DefaultPrefix is what a record's key begins with unless told otherwise.
const DefaultPrefix = "session:"

// Script is a Lua script and its name for EVALSHA. The name is written down and checked by a test, because
// computing a SHA-1 panics in a program that runs with GODEBUG=fips140=only.
type Script struct {
	Source string
	SHA1   string
}

//go:embed create.lua
var createSource string

//go:embed apply.lua
var applySource string

// Create returns the script that creates a record.
func Create() Script { return Script{createSource, createSHA1} }

// Apply returns the script that changes one.
func Apply() Script { return Script{applySource, applySHA1} }

// CreateArgs returns the ARGV of Create, each argument made by arg, after the arguments in front.
func CreateArgs[T any](front []T, rec backend.Record, arg func(string) T) []T {
	ttl := arg(formatTTL(rec.TTL))
	args := append(make([]T, 0, len(front)+3+2*len(rec.Fields)), front...)
	args = append(args, ttl, arg(FieldTTL), ttl)
	for name, value := range rec.Fields {
		args = append(args, arg(name), arg(value))
	}
	return args
}

// Counters returns the names of a patch's counters in the order in which Apply replies to them.
func Counters(p *backend.Patch) []string {
	if len(p.Add) == 0 {
		return nil
	}
	names := make([]string, 0, len(p.Add))
	for name := range p.Add {
		names = append(names, name)
	}
	return names
}

// ApplyArgs returns the ARGV of Apply, each argument made by arg, after the arguments in front.
func ApplyArgs[T any](front []T, p *backend.Patch, counters []string, arg func(string) T) []T {
	sets := len(p.Set)
	if p.TTL > 0 {
		sets++
	}
	n := len(front) + 8 + 2*len(p.If) + len(p.Has) + 2*len(p.Add) + 2*sets + len(p.Delete)
	args := append(make([]T, 0, n), front...)
	args = append(args, arg(count(len(p.If))), arg(count(len(p.Has))), arg(count(len(p.Add))), arg(count(sets)),
		arg(count(len(p.Delete))), arg(formatTTL(p.TTL)), arg(action(p)), arg(reply(p)))

	first := len(args) // the names of the conditions; their values follow in the same order
	args = args[:first+len(p.If)]
	for _, name := range p.Has {
		args = append(args, arg(name))
	}
	for _, name := range counters {
		args = append(args, arg(name))
	}
	for name, value := range p.If {
		args[first] = arg(name)
		args = append(args, arg(value))
		first++
	}
	for _, name := range counters {
		args = append(args, arg(strconv.FormatInt(p.Add[name], 10)))
	}
	if p.TTL > 0 {
		args = append(args, arg(FieldTTL), arg(formatTTL(p.TTL)))
	}
	for name, value := range p.Set {
		args = append(args, arg(name), arg(value))
	}
	for _, name := range p.Delete {
		args = append(args, arg(name))
	}
	return args
}

func count(n int) string { return strconv.Itoa(n) }

func action(p *backend.Patch) string {
	switch {
	case p.Remove:
		return "remove"
	case p.Touch:
		return "touch"
	}
	return ""
}

func reply(p *backend.Patch) string {
	if p.Load {
		return "load"
	}
	return ""
}

func formatTTL(ttl time.Duration) string { return strconv.FormatInt(int64(ttl/time.Second), 10) }

// maxTTL is the longest time to live that a time.Duration can hold, in seconds.
const maxTTL = int64(1<<63-1) / int64(time.Second)

// Record makes a record of a hash, which becomes its Fields.
func Record(hash map[string]string) (backend.Record, error) {
	text, ok := hash[FieldTTL]
	if !ok {
		return backend.Record{}, backend.ErrNotFound
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > maxTTL || strconv.FormatInt(n, 10) != text {
		return backend.Record{}, fmt.Errorf("%w: session_ttl is no positive whole number", backend.ErrUnreadable)
	}
	delete(hash, FieldTTL)
	return backend.Record{Fields: hash, TTL: time.Duration(n) * time.Second}, nil
}

// Sums makes the record of the reply to counters.
func Sums(counters []string, sums []int64) (backend.Record, error) {
	if len(sums) != len(counters) {
		return backend.Record{}, fmt.Errorf("apply: %d counters in the reply, want %d", len(sums), len(counters))
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

// Error returns the contract's error for one that a server replied, or err itself.
func Error(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for code, sentinel := range map[string]error{
		"SESSION_NOT_FOUND":  backend.ErrNotFound,
		"SESSION_EXISTS":     backend.ErrExists,
		"SESSION_CONFLICT":   backend.ErrConflict,
		"SESSION_COUNTER":    backend.ErrCounter,
		"SESSION_UNREADABLE": fmt.Errorf("%w: session_ttl is no positive whole number", backend.ErrUnreadable),
	} {
		if strings.HasPrefix(text, code) || strings.HasPrefix(text, "ERR "+code) {
			return sentinel
		}
	}
	if strings.Contains(text, "WRONGTYPE") || strings.Contains(text, "wrong kind of value") {
		return fmt.Errorf("%w: %w", backend.ErrUnreadable, err)
	}
	return err
}

// ID returns the ID that a key stands for, or false if it is none of ours.
func ID(key, prefix string) (string, bool) {
	id, ok := strings.CutPrefix(key, prefix)
	if !ok || len(id) < 1 || len(id) > 64 {
		return "", false
	}
	for _, c := range []byte(id) {
		if !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("_.:-", c) >= 0) {
			return "", false
		}
	}
	return id, true
}

// Pattern returns the glob pattern that SCAN needs to match keys with the prefix.
func Pattern(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(prefix) + "*"
}
