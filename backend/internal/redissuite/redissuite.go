// Package redissuite holds the tests that both Redis backends pass on real servers, beyond the conformance suite:
// each backend's package calls them with a function that connects its client.
package redissuite

import (
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
)

// Config is what a backend under test is to connect to, and how.
type Config struct {
	Addrs   []string // one server, or nodes of a cluster
	Cluster bool

	Prefix       string
	WaitReplicas int
	WaitTimeout  time.Duration
}

// Open connects a client with the settings that its users have, and returns the backend on it. The client is
// closed when the test ends.
type Open func(tb testing.TB, c Config) backend.Backend
