// Package directtest has tests see what package direct reads.
package directtest

import (
	"context"
	"testing"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/direct"
)

// New returns b with a Load that reads by its direct.Loader.
func New(tb testing.TB, b backend.Backend) backend.Backend {
	tb.Helper()
	load := direct.Of(b)
	if load == nil {
		tb.Fatalf("%T has no direct.Loader", b)
	}
	return loading{b, load}
}

type loading struct {
	backend.Backend
	load direct.Loader
}

func (l loading) Load(ctx context.Context, id string) (backend.Record, error) {
	rec, err := l.load(ctx, id)
	if rec.Fields == nil {
		rec.Fields = rec.Packed.Map()
	}
	return backend.Record{Fields: rec.Fields, TTL: rec.TTL}, err
}

// Unwrap has the suite find what else b can do.
func (l loading) Unwrap() backend.Backend { return l.Backend }
