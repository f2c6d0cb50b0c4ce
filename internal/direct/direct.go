// Package direct is a shorter way for a session.Manager to read from backends of this module than their Load: without
// making a map of the fields for a request that, as a rule, looks at a few of them and changes none.
//
// It is not a method that a Manager looks for, because a type that embeds a backend and has a Load of its own would have
// that method, too, and its Load would never be called.
package direct

import (
	"context"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/packing"
)

// Record is a backend.Record whose fields are in a map, which is the caller's, or if that is nil, packed.
type Record struct {
	Fields map[string]string
	Packed packing.Fields
	TTL    time.Duration
}

// Loader reads a record as the Load of its backend does.
type Loader func(ctx context.Context, id string) (Record, error)

// finders are what packages have registered as they were initialized, one after the other.
var finders []func(backend.Backend) Loader

// Register makes known what returns the Loader of a backend, or nil if the backend is not of the very type that it knows.
// A package calls it as it is initialized.
func Register(find func(backend.Backend) Loader) { finders = append(finders, find) }

// Of returns the Loader of b, or nil if it has none.
func Of(b backend.Backend) Loader {
	for _, find := range finders {
		if load := find(b); load != nil {
			return load
		}
	}
	return nil
}
