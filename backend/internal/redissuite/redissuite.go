// Package redissuite holds the tests that both Redis backends pass on real servers, beyond the conformance suite:
// each backend's package calls them with a function that connects its client.
package redissuite

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
	"github.com/faeeb396/session/internal/redistest"
)

// Config is what a backend under test is to connect to, and how.
type Config struct {
	Addrs    []string // one server, nodes of a cluster, or sentinels
	Cluster  bool
	Sentinel string // the name of the primary, if Addrs are sentinels

	User redistest.User // if it has a name
	TLS  *tls.Config    // if not nil

	// Defaults asks for the client's own default settings, instead of those that the package comment gives.
	Defaults bool

	Prefix       string
	WaitReplicas int
	WaitTimeout  time.Duration
	LocalCache   time.Duration // where the backend has one
}

// Open connects a client with the settings that its users have, and returns the backend on it. The client is
// closed when the test ends.
type Open func(tb testing.TB, c Config) backend.Backend

// conform runs the conformance suite over two clients. try has the server run a command that holds a key.
func conform(t *testing.T, open Open, c Config, try func(key string, args ...string) error) {
	t.Helper()
	first, second := open(t, c), open(t, c)
	plant := func(command string, args ...string) func(context.Context, string) error {
		return func(_ context.Context, id string) error {
			key := c.Prefix + id
			if err := try(key, append([]string{command, key}, args...)...); err != nil {
				return err
			}
			return try(key, "EXPIRE", key, "3600")
		}
	}
	target := func(*testing.T) conformance.Target {
		return conformance.Target{
			Backend: first,
			Second:  second,
			Plant: map[string]func(context.Context, string) error{
				"a string":              plant("SET", "v"),
				"a garbled session_ttl": plant("HSET", "session_ttl", "1e3"),
			},
		}
	}
	t.Run("backend", func(t *testing.T) { conformance.Run(t, target) })
	t.Run("sessions", func(t *testing.T) { conformance.RunSessions(t, target) })
}

// refusals are the errors that say that nothing was written.
var refusals = []error{
	backend.ErrNotFound, backend.ErrExists, backend.ErrConflict, backend.ErrCounter, backend.ErrUnreadable,
}

// refused reports whether an error says that nothing was written.
func refused(err error) bool {
	for _, sentinel := range refusals {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// newRecord returns a record that has a counter and lives for an hour.
func newRecord(n string) backend.Record {
	return backend.Record{Fields: map[string]string{"n": n}, TTL: time.Hour}
}

// waitTimeout is how long a write waits for its replica where that is to come: less than a client waits for a reply,
// and long enough for a machine that is busy.
const waitTimeout = 4 * time.Second
