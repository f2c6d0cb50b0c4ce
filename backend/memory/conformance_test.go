package memory_test

import (
	"context"
	"testing"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/conformance"
	"github.com/faeeb396/session/internal/direct"
)

func TestConformance(t *testing.T) {
	newTarget := func(*testing.T) conformance.Target {
		b := memory.New(nil)
		return conformance.Target{Backend: b, Second: b}
	}
	conformance.RunSynctest(t, newTarget)
	conformance.RunSessionsSynctest(t, newTarget)
}

// asManager reads from a backend as a session.Manager does.
type asManager struct {
	backend.Backend
	load direct.Loader
}

func (m asManager) Load(ctx context.Context, id string) (backend.Record, error) {
	rec, err := m.load(ctx, id)
	if rec.Fields == nil {
		rec.Fields = rec.Packed.Map()
	}
	return backend.Record{Fields: rec.Fields, TTL: rec.TTL}, err
}

// Unwrap has the suite find what else the backend can do.
func (m asManager) Unwrap() backend.Backend { return m.Backend }

func TestConformanceDirect(t *testing.T) {
	newTarget := func(*testing.T) conformance.Target {
		b := memory.New(nil)
		return conformance.Target{Backend: asManager{b, direct.Of(b)}, Second: b}
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
