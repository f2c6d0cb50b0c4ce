package session

import (
	"errors"
	"fmt"

	"github.com/faeeb396/session/backend"
)

// The errors of the backend contract, the same values as in package backend.
var (
	// ErrNotFound says that there is no live session: none under this ID, ended, expired, or the token is
	// not the session's own. The cases are one on purpose: whoever guesses learns nothing.
	ErrNotFound = backend.ErrNotFound

	// ErrExists says that a new session's ID is taken. With 96 random bits that does not happen by chance.
	ErrExists = backend.ErrExists

	// ErrConflict says that a login, or a rotation by hand, of the same session was faster than this change,
	// which is therefore not stored: what was asked for before a change of privilege does not happen after it. For
	// Options.RotateGrace, a request that still comes with the token before may not make a new session either: its
	// cookie would take the place of the new token in the browser.
	// Or another program has taken one of the session's own fields away meanwhile, so that it is no session any more.
	// With a local cache it may be ErrNotFound instead: the token is not the session's any more.
	ErrConflict = backend.ErrConflict

	// ErrCounter says that the field to be incremented holds no integer, or that the sum would leave
	// ±(2⁵³−1).
	ErrCounter = backend.ErrCounter

	// ErrUnreadable says that what the store holds under the ID is no record of this library or of this
	// version of it. It is left as it is. Options.ErrorHandler answers each request of that browser then, until it
	// deletes the cookie with Manager.ClearCookie.
	ErrUnreadable = backend.ErrUnreadable

	// ErrNotReplicated says that the change was made, but that too few replicas of the store have it yet: a
	// failover may undo it. Only backends that were set up to wait for replicas return it. Session.Destroy and
	// Manager.EndID, called again, wait again; calls by token or owner then find no session, and say so whether
	// or not the replicas have caught up.
	ErrNotReplicated = backend.ErrNotReplicated
)

// The Manager's own errors.
var (
	// ErrReserved says that the application may not write a field of this name: the empty name, created_at,
	// last_accessed_at, and every name that begins with session_.
	ErrReserved = errors.New("field name is reserved")

	// ErrTooLarge says that the session would pass Options.MaxFields or Options.MaxBytes.
	ErrTooLarge = errors.New("session is too large")

	// ErrTTL says that a time to live is not a whole number of seconds, or less than one.
	ErrTTL = errors.New("TTL must be a whole number of seconds, at least one")

	// ErrTooManySessions says that the login would give its owner more than Options.MaxSessions sessions.
	ErrTooManySessions = errors.New("owner has too many sessions")

	// ErrNoField says that the session holds no such field.
	ErrNoField = errors.New("no such field")

	// ErrDecode says that a field does not hold a value of the type that is asked for.
	ErrDecode = errors.New("field does not hold such a value")

	// ErrCommitted says that a session was changed after the response had begun, or the handler had returned: too late
	// for the cookie, and so for the change.
	ErrCommitted = errors.New("session changed after the response had begun or the handler had returned")

	// ErrUnsupported says that the backend lacks the optional capability that a call needs. It is an
	// errors.ErrUnsupported, too.
	ErrUnsupported = fmt.Errorf("backend: %w", errors.ErrUnsupported)

	// ErrNoHandler says that the request did not pass through Manager.Handler, of this Manager.
	ErrNoHandler = errors.New("request did not pass through this Manager's Handler")

	// ErrNoOwner says that Login was called with an empty owner.
	ErrNoOwner = errors.New("login needs an owner")
)

// Error is an error of the Manager: what it tried, on which session, and why that failed. Test for the cause
// with errors.Is. No text of it holds a token.
type Error struct {
	Op  string // what was tried: "load", "commit", "create", …
	ID  string // the session's public ID; empty if there is none yet
	Err error  // the cause
}

// Error returns the operation, the session's public ID and the cause.
func (e *Error) Error() string {
	if e.ID == "" {
		return "session: " + e.Op + ": " + e.Err.Error()
	}
	return "session: " + e.Op + " " + e.ID + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// wrap returns err with op and id, or nil if err is nil. An error is wrapped once.
func wrap(op, id string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Op: op, ID: id, Err: err}
}

// misused reports whether err says that the application asked for what cannot be.
func misused(err error) bool {
	return errors.Is(err, ErrReserved) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrNoOwner)
}

// refused reports whether err says that the store refused a call, so that nothing was written.
func refused(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) || errors.Is(err, ErrCounter) ||
		errors.Is(err, ErrExists) || errors.Is(err, ErrTooManySessions)
}
