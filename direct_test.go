package session_test

import (
	"context"
	"errors"
	"testing"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// embedding is a backend as tests make one, from another.
type embedding struct {
	*memory.Backend
	err error
}

func (e *embedding) Load(ctx context.Context, id string) (backend.Record, error) {
	if e.err != nil {
		return backend.Record{}, e.err
	}
	return e.Backend.Load(ctx, id)
}

// A Manager reads from what embeds a backend by the Load that this has, whatever the backend embedded can do.
func TestLoadOfWhatEmbedsABackend(t *testing.T) {
	b := &embedding{Backend: memory.New(nil)}
	m := mustNew(t, b, nil)
	token := mustCreate(t, m, map[string]string{"a": "1"}).Token()
	if _, err := m.Load(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	b.err = errors.New("down")
	if _, err := m.Load(t.Context(), token); !errors.Is(err, b.err) {
		t.Errorf("Load = %v, want the error of the Load that was written", err)
	}
}
