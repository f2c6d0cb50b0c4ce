package redishash

import (
	_ "embed" // the scripts
	"slices"
	"strconv"

	"github.com/faeeb396/session/backend"
)

// Most of what a session.Manager has a backend do under load are two kinds of patches, and apply.lua, which takes any,
// spends an eighth to a quarter of its time on being general. These two have scripts of their own, which do the same. A
// script cannot call another, so that each has the checks of apply.lua again; redissuite tries them against apply.lua.

// The fields whose names the scripts know.
const (
	fieldCreated  = "created_at"
	fieldAccessed = "last_accessed_at"
	fieldToken    = "session_token"
	fieldEpoch    = "session_epoch"
	fieldVersion  = "session_version"
)

var (
	//go:embed touch.lua
	touchSource string

	//go:embed change.lua
	changeSource string
)

// The names of the scripts.
const (
	touchSHA1  = "478e54c811ffd45eb1dd40499a608815c4c86eec"
	changeSHA1 = "bed850b9134855879df608cf3a40fe62a76fe2aa"
)

// The fields that the two kinds of patches have in Has.
var (
	hasByToken = []string{fieldCreated, fieldAccessed}
	hasByEpoch = []string{fieldAccessed, fieldToken}
)

// How many fields the scripts are given to set. touch.lua looks through the record for each but the first, and
// apply.lua makes an index once. Lua's stack, through which change.lua passes them on, holds about 8000 values.
const (
	maxTouchSets  = 8
	maxChangeSets = 1000
)

// byToken returns the call of touch.lua that does what p says, if there is one: a session that is named by its token is
// touched, and perhaps changed, and is what the script replies with.
func byToken(key string, p *backend.Patch, counters []string) (Call, bool) {
	token := p.If[fieldToken]
	now, set := p.Set[fieldAccessed]
	version, ok := p.If[fieldVersion]
	if !ok || !set || token == "" || version != "" || len(p.If) != 2 || !p.Load || !p.Touch ||
		!slices.Equal(p.Has, hasByToken) || !simple(p) || len(p.Set) > maxTouchSets {
		return Call{}, false
	}
	args := append(make([]string, 0, 2+2*len(counters)+2*len(p.Set)), token, now)
	args = appendCounter(args, p, counters)
	if len(counters) == 0 && len(p.Set) > 1 {
		args = append(args, "", "")
	}
	for name, value := range p.Set {
		if name != fieldAccessed {
			args = append(args, name, value)
		}
	}
	return Call{Script{touchSource, touchSHA1}, key, args}, true
}

// byEpoch returns the call of change.lua that does what p says, if there is one: a change of a session that was read
// before, a count in it, a touch.
func byEpoch(key string, p *backend.Patch, counters []string) (Call, bool) {
	created := p.If[fieldCreated]
	epoch, ok := p.If[fieldEpoch]
	if !ok || created == "" || len(p.If) != 2 || p.Load || !slices.Equal(p.Has, hasByEpoch) || !simple(p) ||
		len(p.Set)+len(p.Add) == 0 || len(p.Set) > maxChangeSets {
		return Call{}, false
	}
	args := append(make([]string, 0, 3+2*len(counters)+2*len(p.Set)), created, epoch, how(p))
	args = appendCounter(args, p, counters)
	for name, value := range p.Set {
		args = append(args, name, value)
	}
	return Call{Script{changeSource, changeSHA1}, key, args}, true
}

// simple reports whether p only changes and touches, with one counter at most, whose name the scripts do not know.
func simple(p *backend.Patch) bool {
	if p.Remove || p.TTL > 0 || len(p.Delete) > 0 || len(p.Add) > 1 {
		return false
	}
	for name := range p.Add {
		switch name {
		case fieldCreated, fieldAccessed, fieldToken, fieldEpoch, fieldVersion:
			return false
		}
	}
	return true
}

// appendCounter appends the name of the counter, and what to add to it, if there is one.
func appendCounter(args []string, p *backend.Patch, counters []string) []string {
	for _, name := range counters {
		args = append(args, name, strconv.FormatInt(p.Add[name], 10))
	}
	return args
}

// how returns the third argument of change.lua.
func how(p *backend.Patch) string {
	switch {
	case len(p.Add) == 0 && p.Touch:
		return "t"
	case len(p.Add) == 0:
		return "-"
	case p.Touch:
		return "b"
	}
	return "c"
}
