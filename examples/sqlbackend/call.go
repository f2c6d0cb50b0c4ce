package sqlbackend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// call runs do, with a deadline, and again for as long as the database refuses it because of other transactions. The
// error says what was tried.
func (b *Backend) call(ctx context.Context, what string, do func(context.Context) error) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.timeout)
		defer cancel()
	}
	err := do(ctx)
	for longest := time.Millisecond; contended(err); longest = min(2*longest, 64*time.Millisecond) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("sqlbackend: %s: %w: %w", what, ctx.Err(), err)
		case <-time.After(rand.N(longest)):
			err = do(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("sqlbackend: %s: %w", what, err)
	}
	return nil
}

// write is call for a transaction that writes. SQLite has one of them at a time and makes the others poll, which may
// keep one waiting for very long: here they queue.
func (b *Backend) write(ctx context.Context, what string, do func(context.Context) error) error {
	return b.call(ctx, what, func(ctx context.Context) error {
		if b.writer == nil {
			return do(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b.writer <- struct{}{}:
			defer func() { <-b.writer }()
			return do(ctx)
		}
	})
}

// contended reports whether err says that the database has changed nothing, because of other transactions at the
// same time. A connection that was lost says no such thing.
func contended(err error) bool {
	if e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return e.SQLState() == "40001" || e.SQLState() == "40P01" // Serialization failure, deadlock.
	}
	if e, ok := errors.AsType[interface {
		error
		Code() int
	}](err); ok {
		return e.Code()&0xff == 5 || e.Code()&0xff == 6 // SQLITE_BUSY, SQLITE_LOCKED.
	}
	return false
}
