package redishash

import (
	"fmt"
	"time"

	"github.com/faeeb396/session/backend"
)

// DefaultWaitTimeout is how long a write waits for replicas unless told otherwise.
const DefaultWaitTimeout = time.Second

// Redirects is how often a write that a server has not run, because its slot is elsewhere, is sent to another.
const Redirects = 5

// Milliseconds returns the argument of WAIT for a timeout: at least one, because 0 waits for ever.
func Milliseconds(d time.Duration) int64 { return max(1, int64(d/time.Millisecond)) }

// Replicated returns the error of a write that was done, and that acked replicas have acknowledged of wanted
// ones within timeout; err is the error of the WAIT.
func Replicated(op string, acked int64, err error, wanted int, timeout time.Duration) error {
	if err != nil {
		return fmt.Errorf("%s: %w: %w", op, backend.ErrNotReplicated, err)
	}
	if acked < int64(wanted) {
		return fmt.Errorf("%s: %w: %d of %d within %v", op, backend.ErrNotReplicated, acked, wanted, timeout)
	}
	return nil
}
