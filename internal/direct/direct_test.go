package direct_test

import (
	"testing"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/internal/direct"
)

func TestOf(t *testing.T) {
	b := memory.New(nil)
	if direct.Of(b) == nil {
		t.Error("none for the backend itself")
	}
	for name, other := range map[string]backend.Backend{
		"what embeds it": struct{ *memory.Backend }{b},
		"what wraps it":  struct{ backend.Backend }{b},
		"nothing":        nil,
	} {
		if direct.Of(other) != nil {
			t.Errorf("one for %s, whose Load may be another", name)
		}
	}
}
