package backend

import (
	"context"
	"iter"
)

// Pinger is implemented by backends that can tell whether the store answers and permits what the backend
// needs. A backend without it is taken to be well: one that lives in the process always is.
type Pinger interface {
	// Ping returns nil if the store answers and lets the backend do all that it needs to, and else an error
	// that says what is wrong. The rules about contexts hold for it too.
	Ping(ctx context.Context) error
}

// Scanner is implemented by backends that can name the records they hold. Without it, whatever needs to see
// all sessions fails with session.ErrUnsupported.
type Scanner interface {
	// Scan yields the ID of every live record, in no order, without its being touched. A record that lives
	// for the whole of the scan is yielded at least once, one that comes or goes meanwhile may be or not, and
	// an ID may be yielded more than once. An error is yielded last, with an empty ID. A ctx that has ended is one;
	// if it ends during the scan, that may go unnoticed.
	// The loop may call the backend, to delete what it is given for example. Any number of scans may run at the same
	// time, one of them in the loop of another, too.
	Scan(ctx context.Context) iter.Seq2[string, error]
}

// Cacher is implemented by backends whose Load may answer from a cache in the process, with a record that is
// older than the store's. Without it, Load is taken to see every acknowledged write.
//
// The backend sees to it that a process reads its own writes, those included that it makes through the backend that
// Fresh returns, that an absent record is never cached, and that no record is older than its documentation states. The
// session.Manager reads again, from the backend that Fresh returns, before it turns anybody away on account of what
// Load returned.
type Cacher interface {
	// Fresh returns a backend on the same records that reads past the cache, or nil if this one has none.
	Fresh() Backend
}

// Unwrapper is implemented by backends that wrap another one and pass IDs and records on as they are, to count its
// calls for example: what is found below is used past the wrapper. One that changes them implements Pinger, Scanner and
// Cacher itself, and its Fresh wraps what the Fresh below returns.
type Unwrapper interface {
	// Unwrap returns the backend below.
	Unwrap() Backend
}

// As returns b, or the first backend found below it by Unwrap, as a T. It is how an optional capability is
// looked for:
//
//	if p, ok := backend.As[backend.Pinger](b); ok {
//		err = p.Ping(ctx)
//	}
func As[T any](b Backend) (T, bool) {
	for b != nil {
		if t, ok := b.(T); ok {
			return t, true
		}
		u, ok := b.(Unwrapper)
		if !ok {
			break
		}
		b = u.Unwrap()
	}
	var zero T
	return zero, false
}
