package session

import (
	"strconv"
	"testing"

	"github.com/faeeb396/session/backend"
)

// A large map, which takes long to empty, is not used again.
func TestLargePatchMapsAreLeft(t *testing.T) {
	for n, want := range map[int]int{maxPatchMap: 0, maxPatchMap + 1: maxPatchMap + 1} {
		m := make(map[string]string)
		for i := range n {
			m[strconv.Itoa(i)] = ""
		}
		made(&backend.Patch{Set: m})
		if len(m) != want {
			t.Errorf("a map of %d entries has %d, want %d", n, len(m), want)
		}
	}
}
