package batch_test

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend/internal/batch"
)

// A hook of the client may end the goroutine that it runs in, as a test does that fails.
func TestGoexitLosesOnlyItsOwnGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		q := batch.New(lanes, func(_ context.Context, c call) call {
			if c.n == 0 {
				<-hold
			}
			return c
		}, func(context.Context, []call) { runtime.Goexit() })
		for range lanes {
			go q.Do(t.Context(), call{})
		}
		synctest.Wait()
		errs := make(chan error, 2)
		for n := range 2 {
			go func() {
				_, err := q.Do(t.Context(), call{n: n + 1})
				errs <- err
			}()
		}
		synctest.Wait()
		close(hold)
		for range 2 {
			if err := <-errs; err != batch.ErrNoReply {
				t.Errorf("Do = %v, want %v", err, batch.ErrNoReply)
			}
		}
		if _, err := q.Do(t.Context(), call{n: 1}); err != nil {
			t.Errorf("the next Do = %v", err)
		}
		// All lanes are there again.
		hold = make(chan struct{})
		for range lanes {
			go q.Do(t.Context(), call{})
		}
		synctest.Wait()
		if n := q.Waiting(); n > 0 {
			t.Errorf("%d calls wait: lanes were lost", n)
		}
		close(hold)
	})
}

func TestPanicIsTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		q := batch.New(lanes, func(_ context.Context, c call) call {
			switch {
			case c.n < 0:
				panic(c.n)
			case c.n == 0:
				<-hold
			}
			return c
		}, func(_ context.Context, cs []call) { panic(cs[0].n) })
		var mu sync.Mutex
		var panics []any
		do := func(n int) {
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				panics = append(panics, recover())
			}()
			_, _ = q.Do(t.Context(), call{n: n})
		}
		for range lanes {
			do(-1) // alone; and the lane is given back
		}
		for range lanes {
			go do(0)
			synctest.Wait()
		}
		for range 2 {
			go do(7)
			synctest.Wait()
		}
		close(hold)
		synctest.Wait()
		var want []any
		for range lanes {
			want = append(want, -1)
		}
		for range lanes {
			want = append(want, nil)
		}
		want = append(want, 7, 7)
		slices.SortFunc(panics[lanes:], func(a, b any) int { return cmp.Compare(fmt.Sprint(b), fmt.Sprint(a)) })
		slices.SortFunc(want[lanes:], func(a, b any) int { return cmp.Compare(fmt.Sprint(b), fmt.Sprint(a)) })
		if diff := gocmp.Diff(want, panics); diff != "" {
			t.Errorf("the callers' panics (-want +got):\n%s", diff)
		}
		if _, err := q.Do(t.Context(), call{n: 1}); err != nil {
			t.Error(err)
		}
	})
}
