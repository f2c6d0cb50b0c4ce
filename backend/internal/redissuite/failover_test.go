package redissuite

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A worker is back when a call succeeds that began after the kill, whether one failed before or not.
func TestWorkerIsBack(t *testing.T) {
	var killed time.Time
	w := &worker{name: "worker", use: func(context.Context) error { killed = time.Now(); return nil }}
	w.call(t)
	if w.servedSince(killed) {
		t.Error("a call that began before the kill, and succeeded after it, counts as one that was made after it")
	}
	err := errors.New("down")
	w.use = func(context.Context) error { return err }
	w.call(t)
	if w.servedSince(killed) {
		t.Error("a call that failed counts as one that succeeded")
	}
	err = nil
	w.call(t)
	if !w.servedSince(killed) || w.recovered.Before(killed) {
		t.Error("a call that was made after the kill and succeeded does not count")
	}

	// This one's commit has outlived its request, and the outage with it.
	w = &worker{name: "worker", use: w.use}
	w.call(t)
	killed = time.Now()
	w.call(t)
	if !w.servedSince(killed) {
		t.Error("a worker without a failure is never back")
	}
}
