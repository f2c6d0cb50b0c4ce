package sqlbackend_test

import (
	"context"
	"errors"

	"github.com/faeeb396/session/backend"
)

// skeleton is where a new backend begins.
type skeleton struct{}

var _ backend.Backend = (*skeleton)(nil)

var errNotWritten = errors.New("not written yet")

func (*skeleton) Create(ctx context.Context, id string, rec backend.Record) error {
	return errNotWritten
}

func (*skeleton) Load(ctx context.Context, id string) (backend.Record, error) {
	return backend.Record{}, errNotWritten
}

func (*skeleton) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	return backend.Record{}, errNotWritten
}

func (*skeleton) Delete(ctx context.Context, id string) error {
	return errNotWritten
}
