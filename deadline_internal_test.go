package session

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestStoreContext(t *testing.T) {
	type key struct{}
	m := &Manager{opts: Options{StoreTimeout: time.Second}}
	start := func(t *testing.T) (context.Context, context.CancelFunc) {
		above, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
		cancel()
		return m.storeContext(above)
	}
	check := func(t *testing.T, ctx context.Context, want error) {
		t.Helper()
		if err := ctx.Err(); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("Err() = %v, want %v", err, want)
		}
		if got := ctx.Value(key{}); got != "v" {
			t.Errorf("Value = %v", got)
		}
	}
	closed := func(ctx context.Context) bool {
		select {
		case <-ctx.Done():
			return true
		default:
			return false
		}
	}
	for _, tt := range []struct {
		name string
		wait bool // before the end
	}{{"with a timer", true}, {"without a timer", false}} {
		t.Run(tt.name+", deadline", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := start(t)
				defer cancel()
				if d, ok := ctx.Deadline(); !ok || time.Until(d) != time.Second {
					t.Errorf("Deadline() = %v, %v", d, ok)
				}
				if tt.wait && closed(ctx) {
					t.Error("has ended with the context above")
				}
				check(t, ctx, nil)
				time.Sleep(time.Second - 1)
				synctest.Wait()
				check(t, ctx, nil)
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				check(t, ctx, context.DeadlineExceeded)
				if !closed(ctx) {
					t.Error("Done() is open after the deadline")
				}
				check(t, ctx, context.DeadlineExceeded)
			})
		})
		t.Run(tt.name+", cancel", func(t *testing.T) {
			ctx, cancel := start(t)
			if tt.wait {
				closed(ctx)
			}
			cancel()
			cancel()
			check(t, ctx, context.Canceled)
			if !closed(ctx) {
				t.Error("Done() is open after cancel")
			}
			check(t, ctx, context.Canceled)
		})
	}
}

// A context made of it ends with it.
func TestStoreContextChildren(t *testing.T) {
	m := &Manager{opts: Options{StoreTimeout: time.Second}}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := m.storeContext(t.Context())
		defer cancel()
		child, stop := context.WithTimeout(ctx, time.Hour)
		defer stop()
		start := time.Now()
		<-child.Done()
		if got := time.Since(start); got != time.Second || !errors.Is(child.Err(), context.DeadlineExceeded) {
			t.Errorf("child ended after %v with %v", got, child.Err())
		}
	})
}
