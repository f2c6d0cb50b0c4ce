package redishash

import (
	_ "embed" // the scripts
	"slices"
	"strconv"

	"github.com/faeeb396/session/backend"
)

// Script is a Lua script, and its name for EVALSHA. The name is written down and not computed: SHA-1 panics in
// a program that runs with GODEBUG=fips140=only.
type Script struct {
	Source string
	SHA1   string
}

var (
	//go:embed create.lua
	createSource string

	//go:embed apply.lua
	applySource string

	//go:embed delete.lua
	deleteSource string

	//go:embed probe.lua
	probeSource string
)

// The names of the scripts.
const (
	createSHA1 = "93747061966e036422d6b8f43c35f6d99090a219"
	applySHA1  = "4a60503db8ed1b77f4c52c2164f7f1829e5e14e5"
	deleteSHA1 = "75abcf2d180359d0afd221557bbcf58ccae57935"
	probeSHA1  = "e4e0bc0a22aa342445d37b0ec44c6ffabc46ff92"
)

// A Call is one call of a script, to be sent as EVALSHA SHA1 1 Key Args…, or as EVAL Source 1 Key Args… if the
// server answers that with NOSCRIPT.
type Call struct {
	Script
	Key  string
	Args []string
}

// Create returns the call that creates a record. It replies with an empty array.
func Create(key string, rec *backend.Record) Call {
	ttl := formatTTL(rec.TTL)
	args := make([]string, 0, 3+2*len(rec.Fields))
	args = append(args, ttl, fieldTTL, ttl)
	for name, value := range rec.Fields {
		args = append(args, name, value)
	}
	return Call{Script{createSource, createSHA1}, key, args}
}

// Counters returns the names of a patch's counters, in the order in which Apply is to reply to them.
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

// Apply returns the call that changes a record. It replies with the record if p.Load is set, as an array of names and
// values or as a text for [Unpack], and else with an array of integers, the sums of counters.
func Apply(key string, p *backend.Patch, counters []string) Call {
	if call, ok := byToken(key, p, counters); ok {
		return call
	}
	if call, ok := byEpoch(key, p, counters); ok {
		return call
	}
	return anyPatch(key, p, counters)
}

// anyPatch returns the call of apply.lua that does what p says.
func anyPatch(key string, p *backend.Patch, counters []string) Call {
	sets := len(p.Set)
	if p.TTL > 0 {
		sets++
	}
	args := make([]string, 1, 6+2*len(p.If)+len(p.Has)+2*len(counters)+2*sets+len(p.Delete))
	args = header(args, p, sets)
	names := len(args) // of the conditions; their values come later, in the same order
	args = slices.Grow(args, len(p.If))[:names+len(p.If)]
	args = append(args, p.Has...)
	args = append(args, counters...)
	i := names
	for name, value := range p.If {
		args[i] = name
		args = append(args, value)
		i++
	}
	for _, name := range counters {
		args = append(args, strconv.FormatInt(p.Add[name], 10))
	}
	if p.TTL > 0 {
		args = append(args, fieldTTL, formatTTL(p.TTL))
	}
	for name, value := range p.Set {
		args = append(args, name, value)
	}
	args = append(args, p.Delete...)
	return Call{Script{applySource, applySHA1}, key, args}
}

// maxShort is the largest number that a header has as a character.
const maxShort = 70

// header fills in args[0], see apply.lua, and appends the numbers that are too large for it.
func header(args []string, p *backend.Patch, sets int) []string {
	numbers := [...]int{len(p.If), len(p.Has), len(p.Add), sets, len(p.Delete)}
	text := [7]byte{5: action(p), 6: reply(p)}
	for i, n := range numbers {
		text[i] = '0' + byte(min(n, maxShort))
	}
	if slices.Max(numbers[:]) <= maxShort {
		args[0] = string(text[:])
		return args
	}
	args[0] = string(text[5:])
	for _, n := range numbers {
		args = append(args, strconv.Itoa(n))
	}
	return args
}

func action(p *backend.Patch) byte {
	switch {
	case p.Remove:
		return 'x'
	case p.TTL > 0:
		return 'n'
	case p.Touch:
		return 't'
	}
	return '-'
}

func reply(p *backend.Patch) byte {
	if p.Load {
		return 'l'
	}
	return '-'
}

// Delete returns the call that deletes a record, or what else is under the key, for a client that then asks WAIT. It
// replies with an empty array.
func Delete(key string) Call { return Call{Script: Script{deleteSource, deleteSHA1}, Key: key} }

// Probe returns the call that finds out which commands the server refuses, for a backend whose keys begin with
// prefix. It writes nothing. Its reply is for [Refused].
func Probe(prefix string) Call {
	// No ID holds a slash, so that no record can be there.
	return Call{Script: Script{probeSource, probeSHA1}, Key: prefix + "/probe"}
}
