package session

import (
	"sync"

	"github.com/faeeb396/session/backend"
)

// patchMaps has the maps of patches that were made: they are a quarter of what a change allocates, and a backend keeps
// none that it is given.
var patchMaps sync.Pool

// maxPatchMap is how many entries a map may have had that is used again: a larger one takes longer to empty.
const maxPatchMap = 8

// newPatchMap returns an empty map for a patch.
func newPatchMap() map[string]string {
	if m, ok := patchMaps.Get().(map[string]string); ok {
		return m
	}
	return make(map[string]string, maxPatchMap)
}

// made gives back the maps of a patch that was made. Those of one that failed are left alone: the call may have ended
// before what it has set going.
func made(p *backend.Patch) {
	for _, m := range []map[string]string{p.If, p.Set} {
		if m != nil && len(m) <= maxPatchMap {
			clear(m)
			patchMaps.Put(m)
		}
	}
	p.If, p.Set = nil, nil
}
