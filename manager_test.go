package session_test

import (
	"errors"
	"testing"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// A backend of the four methods alone cannot name its sessions, and says so in the words of the standard library, too.
func TestIDsOfABackendThatCannotScan(t *testing.T) {
	m := mustNew(t, struct{ backend.Backend }{memory.New(nil)}, nil)
	mustCreate(t, m, nil)
	n := 0
	for id, err := range m.IDs(t.Context()) {
		n++
		if id != "" || !errors.Is(err, session.ErrUnsupported) || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("IDs yields %q, %v, want ErrUnsupported alone", id, err)
		}
	}
	if n != 1 {
		t.Errorf("IDs yields %d times, want once", n)
	}
}
