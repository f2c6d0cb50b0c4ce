// Package backend is the contract between session.Manager and the stores that keep its records.
//
// A backend keeps records under IDs. A record is a set of named fields and a time to live; it knows nothing
// of cookies, users or sessions. Four methods are all there is to write. The conformance package checks the rules
// on this page, except what takes the store's own tools: a server that fails, replies late or loses a reply, a
// context that ends during a call, a durable change in a failover. The backends of this module prove these in tests
// of their own, which docs/faults.md lists.
//
//   - Every call is atomic and linearizable per ID: calls on one ID, from however many processes, behave as
//     if they had run one after the other.
//   - Only Create creates a record, and it never overwrites one. Apply never brings a record back that has
//     expired or been deleted, not even when it runs at the same time as the Delete.
//   - All checks of an Apply come before its first write: after any of its errors named below, the record is
//     as it was, and so is its remaining time to live.
//   - A record whose time to live has passed is gone for every method at once, not when a sweep finds it.
//     A call during which it passes finds the record or does not. No write leaves a record without a time to live.
//   - Neither side keeps or changes the other's maps and slices: a backend copies what it is given, and what it returns
//     belongs to the caller. A session.Manager uses those of a patch again as soon as it has been made. Spare
//     slice capacity is the caller's, too.
//   - Field names and values are arbitrary bytes, empty values included. IDs are compared byte by byte.
//   - A record may have 10 000 fields, and each part of a patch may name as many: the index of an owner has a field for
//     each session.
//   - A context that has ended before the call makes the call fail with the context's error, and nothing is
//     written. A context that ends during the call ends the call as soon as the store's client allows. A
//     backend that waits for a server bounds the time of every call by itself where ctx has no deadline.
//   - Methods are safe for concurrent use.
//
// # Errors
//
// [ErrNotFound], [ErrExists], [ErrConflict] and [ErrCounter], tested with errors.Is, say that the call was
// refused and nothing was written; [ErrUnreadable] that what is stored is no record; [ErrNotReplicated] that the
// change was made and may yet be lost. Any other error means that the outcome is unknown: the write may have happened
// or not. A backend, and the client below it, never sends a write again that may have run already, because a counter
// would count twice. A call of which the store has said that nothing was written may be made again.
package backend

import (
	"context"
	"errors"
	"time"
)

// The errors of the contract. Package session exports the same values.
var (
	// ErrNotFound says that there is no live record under the ID.
	ErrNotFound = errors.New("record not found")

	// ErrExists says that Create found a record under the ID.
	ErrExists = errors.New("record already exists")

	// ErrConflict says that a condition of an Apply (Patch.If or Patch.Has) did not hold.
	ErrConflict = errors.New("record has changed")

	// ErrCounter says that an Apply would add to a field that is no counter, or leave a counter's range.
	ErrCounter = errors.New("not a counter, or out of its range")

	// ErrUnreadable says that something is stored under the ID that is not a record of this library, or one that it
	// cannot decode: another type of value, a time to live that is no number. It is never taken for "not found", and
	// never overwritten. What another program has left of a record, without its time to live for example, may count as
	// none in Load and Apply where the backend's documentation says so, so that whoever held the session can have a new
	// one; Create then returns ErrExists.
	ErrUnreadable = errors.New("record is unreadable")

	// ErrNotReplicated says that a change was made, but that fewer replicas than the backend is set up to wait
	// for have acknowledged it in time: a failover may undo it.
	ErrNotReplicated = errors.New("change is not on enough replicas")
)

// MaxCounter is the largest magnitude of a counter and of what is added to it, 2⁵³−1: every integer up to it
// is exact in the float64 that Lua, JavaScript and JSON readers use.
const MaxCounter = 1<<53 - 1

// Record is what a backend keeps under an ID.
type Record struct {
	// Fields are the record's fields. Names are not empty; names and values are arbitrary bytes otherwise.
	// The name "session_ttl" is the backend's own and never among them.
	Fields map[string]string

	// TTL is the record's time to live as it was last set, counted from the last touch. It is not the time
	// that is left. Whole seconds, at least one, and as many as a time.Duration holds, 292 years: an end in
	// nanoseconds since 1970 would overflow.
	TTL time.Duration
}

// Patch is one atomic change of one record. The zero Patch changes nothing and tells whether the record is
// there.
//
// The caller guarantees that a field stands at most once in Set, Delete and Add together, that no field is
// named "session_ttl" or "", and that TTL is zero or a positive number of whole seconds. With Remove, the
// caller leaves Set, Delete, Add, TTL and Touch empty.
type Patch struct {
	// If holds conditions: every field named must hold this value; an absent field counts as "".
	// Otherwise nothing is changed and Apply fails with ErrConflict.
	If map[string]string

	// Has names fields that must be there, with whatever value, an empty one too. Otherwise nothing is
	// changed and Apply fails with ErrConflict.
	Has []string

	// Set gives fields a new value, whether or not they are there.
	Set map[string]string

	// Delete takes fields away. One that is not there is no error.
	Delete []string

	// Add adds to counters. An absent field counts as 0. It is there afterwards, whatever is added. A field that does
	// not hold an integer in canonical decimal form ("0", "-7", "42"; no sign plus, no leading zero, no space), a
	// field or a delta outside ±MaxCounter, and a sum outside it, fail the whole Apply with ErrCounter.
	Add map[string]int64

	// TTL, if positive, is the record's new time to live, counted from now.
	TTL time.Duration

	// Touch counts the time to live from now again. A TTL touches too.
	Touch bool

	// Load asks for the whole record in the reply, not only the counters of Add.
	Load bool

	// Remove deletes the record, if the conditions hold.
	Remove bool

	// Durable says that the change must not be undone by a failover: somebody was logged in or out. A backend
	// that is set up to wait for its replicas does so for a Durable patch, and always for Create and Delete;
	// others ignore it. It changes neither what the patch does nor its reply. See ErrNotReplicated.
	Durable bool
}

// Backend keeps records. See the package comment for the rules that hold for all its methods.
//
// The caller guarantees that an ID is 1 to 64 characters of [A-Za-z0-9_.:-].
type Backend interface {
	// Create stores a new record under id, to live for rec.TTL from now. If one is there already, it fails
	// with ErrExists and leaves that one, and its remaining time to live, as they were.
	//
	// rec.Fields may be nil. What the caller guarantees of a Patch's names and TTL holds for rec, too, whose TTL is
	// at least a second.
	Create(ctx context.Context, id string, rec Record) error

	// Load returns the record under id, or ErrNotFound. It does not touch. It sees every write that was
	// acknowledged, by whatever process, before Load was called, unless the backend's documentation states
	// for how long it may not, as a local cache does.
	Load(ctx context.Context, id string) (Record, error)

	// Apply changes the record under id, all of p or nothing. It fails, in this order of precedence, with
	// ErrNotFound, ErrConflict or ErrCounter.
	//
	// With p.Load it returns the record as it then stands; with p.Load and p.Remove, as it last stood.
	// Without p.Load it returns only the fields named in p.Add, with their new values, and no TTL. Fields may
	// be nil or empty where there are none, and nobody looks at the record that comes with an error.
	//
	// An Apply that neither sets a TTL nor touches leaves the remaining time to live alone.
	Apply(ctx context.Context, id string, p Patch) (Record, error)

	// Delete removes the record under id. Deleting what is not there is no error. What is no record it deletes, too, or
	// fails with ErrUnreadable: after a Delete that succeeded, nothing is left that a session could come back from.
	Delete(ctx context.Context, id string) error
}
