package conformance_test

import (
	"testing"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/conformance"
)

// A backend's conformance test, in its file conformance_test.go. This backend lives in the process; for one
// that does not, it is Run and RunSessions in place of RunSynctest and RunSessionsSynctest.
func ExampleRunSynctest() {
	TestConformance := func(t *testing.T) {
		newTarget := func(*testing.T) conformance.Target {
			return conformance.Target{Backend: memory.New(nil)}
		}
		conformance.RunSynctest(t, newTarget)
		conformance.RunSessionsSynctest(t, newTarget)
	}
	_ = TestConformance
}

func ExampleBench() {
	BenchmarkBackend := func(b *testing.B) {
		conformance.Bench(b, func(*testing.B) backend.Backend { return memory.New(nil) })
	}
	_ = BenchmarkBackend
}
