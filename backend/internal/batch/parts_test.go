package batch_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session/backend/internal/batch"
)

// Half of the calls go together at most, and the others while the server works on those.
func TestGroupIsHalfOfTheCalls(t *testing.T) {
	half := func(s *server, t *testing.T) {
		t.Helper()
		first := len(s.groups)
		s.ask(t.Context(), t, 0, lanes+9)
		s.let(first) // 9 wait, 3 are under way
		s.let(first + 1)
		want := append(each(0, lanes), span(lanes, lanes+6), span(lanes+6, lanes+9))
		s.mu.Lock()
		s.groups = slices.Delete(s.groups, 0, first)
		s.ctxs, s.lets = slices.Delete(s.ctxs, 0, first), slices.Delete(s.lets, 0, first)
		s.mu.Unlock()
		s.want(t, want...)
		s.letRest()
	}
	for name, before := range map[string]func(s *server, t *testing.T){
		"at first": func(*server, *testing.T) {},
		"after others": func(s *server, t *testing.T) {
			s.ask(t.Context(), t, 0, lanes+20)
			s.letRest()
		},
		"after lanes were given up": func(s *server, t *testing.T) {
			s.near(t)
			s.ask(t.Context(), t, 0, lanes+20)
			for range 5 {
				time.Sleep(patience)
				synctest.Wait()
			}
			s.letRest()
			s.near(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				before(s, t)
				half(s, t)
			})
		})
	}
}

// Callers that call again at once, a crowd that has gone together before, do not stay one: server and process would
// take turns.
func TestCallersFormTwoGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, steps = 32, 100
		s := newServer()
		over := false
		for n := range callers {
			go func() {
				for !over {
					if _, err := s.Do(t.Context(), call{n: n}); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		synctest.Wait()
		for i := range steps {
			s.let(i)
			under := s.groups[i+1:]
			if i < lanes {
				continue // they have just begun
			}
			for _, g := range under {
				if len(g) > callers/2 {
					t.Fatalf("after %d answers, %d of %d calls are together", i, len(g), callers)
				}
			}
			if len(under) < 2 {
				t.Fatalf("after %d answers, %d groups are under way", i, len(under))
			}
		}
		over = true
		s.letRest()
	})
}

// Those who went together when lanes were given up are under way, too.
func TestCallsOfNewLanesCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.near(t)
		s.ask(t.Context(), t, 0, lanes+20)
		time.Sleep(patience)
		synctest.Wait()
		place := len(s.groups)
		s.ask(t.Context(), t, lanes+20, lanes+22) // alone, in the lanes that are left
		s.ask(t.Context(), t, lanes+22, lanes+31)
		s.let(place)
		slices.SortFunc(s.groups, slices.Compare) // the new lanes have begun at the same time
		s.want(t, slices.Concat(each(0, lanes), [][]int{span(lanes, lanes+12), span(lanes+12, lanes+20)},
			each(lanes+20, lanes+22), [][]int{span(lanes+22, lanes+31)})...)
		s.letRest()
	})
}

// A call that meets no other costs no memory.
func TestLoneCallAllocatesNothing(t *testing.T) {
	q := batch.New(1, func(_ context.Context, c call) call { return c }, nil)
	if n := testing.AllocsPerRun(100, func() { _, _ = q.Do(t.Context(), call{n: 1}) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
