package memory_test

import (
	"testing"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/conformance"
	"github.com/faeeb396/session/internal/direct/directtest"
)

func TestConformance(t *testing.T) {
	newTarget := func(*testing.T) conformance.Target {
		b := memory.New(nil)
		return conformance.Target{Backend: b, Second: b}
	}
	conformance.RunSynctest(t, newTarget)
	conformance.RunSessionsSynctest(t, newTarget)
}

// What a Manager reads.
func TestConformanceDirect(t *testing.T) {
	newTarget := func(t *testing.T) conformance.Target {
		b := memory.New(nil)
		return conformance.Target{Backend: directtest.New(t, b), Second: b}
	}
	conformance.RunSynctest(t, newTarget)
	conformance.RunSessionsSynctest(t, newTarget)
}

// The same in real time, where the clock moves while the calls run.
func TestConformanceRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for real time to pass")
	}
	b := memory.New(nil)
	newTarget := func(*testing.T) conformance.Target {
		return conformance.Target{Backend: b, Second: b}
	}
	conformance.Run(t, newTarget)
	conformance.RunSessions(t, newTarget)
	if n := b.Len(); n != 0 {
		t.Errorf("Len = %d at the end, want 0: every case deletes what it has made", n)
	}
}

func BenchmarkBackend(b *testing.B) {
	conformance.Bench(b, func(*testing.B) backend.Backend { return memory.New(nil) })
}
