package batch_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend/internal/batch"
)

// lanes is how many calls to a server nearby go out before others wait for them.
const lanes = 4

const (
	most     = 64
	patience = 10 * time.Millisecond
)

// call is a number that is asked for its double.
type call struct{ n, double int }

// server answers calls, each group when it is let go.
type server struct {
	*batch.Queue[call]

	mu     sync.Mutex
	groups [][]int           // what it was asked, together or alone
	ctxs   []context.Context // in which
	lets   []chan struct{}
	alone  int // how many calls came alone
}

func newServer() *server {
	s := &server{}
	s.Queue = batch.New(lanes, func(ctx context.Context, c call) call {
		s.await(ctx, true, c.n)
		return call{c.n, 2 * c.n}
	}, func(ctx context.Context, cs []call) {
		var ns []int
		for _, c := range cs {
			ns = append(ns, c.n)
		}
		s.await(ctx, false, ns...)
		for i := range cs {
			cs[i].double = 2 * cs[i].n
		}
	})
	return s
}

func (s *server) await(ctx context.Context, alone bool, ns ...int) {
	let := make(chan struct{})
	s.mu.Lock()
	s.groups, s.ctxs, s.lets = append(s.groups, ns), append(s.ctxs, ctx), append(s.lets, let)
	if alone {
		s.alone++
	}
	s.mu.Unlock()
	<-let
}

// ask has calls made at the same time, from one number to the one before another, which begin in this order.
func (s *server) ask(ctx context.Context, t *testing.T, from, to int) {
	for n := from; n < to; n++ {
		go func() {
			if got, err := s.Do(ctx, call{n: n}); err != nil || got != (call{n, 2 * n}) {
				t.Errorf("Do(%d) = %v, %v", n, got, err)
			}
		}()
		synctest.Wait()
	}
}

// let answers the group at place i.
func (s *server) let(i int) {
	close(s.lets[i])
	synctest.Wait()
}

// letRest answers all groups that have not been answered.
func (s *server) letRest() {
	for i := 0; i < len(s.lets); i++ {
		select {
		case <-s.lets[i]:
		default:
			s.let(i)
		}
	}
}

// nearby is a number that want does not see.
const nearby = -1 << 40

// near has the server answer a call at once, where there is a lane for it: so it is not far away.
func (s *server) near(t *testing.T) {
	t.Helper()
	place := len(s.groups)
	s.ask(t.Context(), t, nearby, nearby+1)
	if len(s.groups) == place {
		t.Fatal("there is no lane")
	}
	s.let(place)
}

// want checks what the server was asked, in which groups.
func (s *server) want(t *testing.T, groups ...[]int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := slices.DeleteFunc(slices.Clone(s.groups), func(g []int) bool { return g[0] == nearby })
	if diff := cmp.Diff(groups, got); diff != "" {
		t.Errorf("the server was asked otherwise (-want +got):\n%s", diff)
	}
}

// each returns the numbers, each by itself.
func each(from, to int) (groups [][]int) {
	for n := from; n < to; n++ {
		groups = append(groups, []int{n})
	}
	return groups
}

// span returns the numbers, together.
func span(from, to int) (ns []int) {
	for n := from; n < to; n++ {
		ns = append(ns, n)
	}
	return ns
}

func TestCallsGoAloneWhileFewAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.ask(t.Context(), t, 0, lanes)
		s.want(t, each(0, lanes)...)
		if s.alone != lanes {
			t.Errorf("%d calls went alone, want %d", s.alone, lanes)
		}
		for i := range lanes {
			s.let(i)
		}
		// And again: the lanes are free.
		s.ask(t.Context(), t, lanes, 2*lanes)
		s.want(t, each(0, 2*lanes)...)
		for i := range lanes {
			s.let(lanes + i)
		}
	})
}

func TestCallsGoTogetherWhileManyAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.ask(t.Context(), t, 0, lanes+4)
		s.want(t, each(0, lanes)...)
		s.let(0)
		s.want(t, append(each(0, lanes), span(lanes, lanes+4))...)
		s.ask(t.Context(), t, lanes+4, lanes+5) // waits again
		s.let(lanes)
		s.want(t, append(each(0, lanes), span(lanes, lanes+4), []int{lanes + 4})...)
		if s.alone != lanes+1 {
			t.Errorf("%d calls went alone, want %d: one that waits by itself does", s.alone, lanes+1)
		}
		for i := 1; i < lanes; i++ {
			s.let(i)
		}
		s.let(lanes + 1)
	})
}

func TestGroupIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.ask(t.Context(), t, 0, lanes+2*most+1)
		for i := range 3 {
			s.let(i)
		}
		s.want(t, append(each(0, lanes), span(lanes, lanes+most), span(lanes+most, lanes+2*most), []int{lanes + 2*most})...)
		s.letRest()
	})
}

func TestCallThatWaitsEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.ask(t.Context(), t, 0, lanes)
		early, cancelEarly := context.WithCancel(t.Context())
		late, cancelLate := context.WithCancel(t.Context())
		var errs [2]error
		go func() { _, errs[0] = s.Do(early, call{n: -1}) }()
		go func() { _, errs[1] = s.Do(late, call{n: -2}) }()
		synctest.Wait()
		s.ask(t.Context(), t, lanes, lanes+1)

		cancelEarly() // before it is sent: it never is
		synctest.Wait()
		if errs[0] != context.Canceled || errs[1] != nil {
			t.Errorf("the calls ended with %v", errs)
		}
		s.let(0)
		s.want(t, append(each(0, lanes), []int{-2, lanes})...)
		cancelLate() // while it is under way: the other one goes on
		synctest.Wait()
		if errs[1] != context.Canceled {
			t.Errorf("the call under way ended with %v", errs[1])
		}
		if err := s.ctxs[lanes].Err(); err != nil {
			t.Errorf("one call's end was the end of all: %v", err)
		}
		for i := 1; i <= lanes; i++ {
			s.let(i)
		}
	})
}

func TestCallsThatHaveAllLeftAreNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.ask(t.Context(), t, 0, lanes)
		ctx, cancel := context.WithCancel(t.Context())
		for range most + 1 {
			go s.Do(ctx, call{n: -1})
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		for i := range lanes {
			s.let(i)
		}
		s.want(t, each(0, lanes)...)
		s.ask(t.Context(), t, lanes, 2*lanes)
		s.want(t, each(0, 2*lanes)...)
		for i := range lanes {
			s.let(lanes + i)
		}
	})
}

type key struct{}

func TestGroupHasTheLastDeadline(t *testing.T) {
	for name, tt := range map[string]struct {
		timeouts []time.Duration // none: 0
		want     time.Duration
	}{
		"the last one":     {[]time.Duration{time.Minute, time.Hour, time.Second}, time.Hour},
		"none, if one has": {[]time.Duration{time.Minute, 0, time.Second}, 0},
		"one by itself":    {[]time.Duration{time.Minute}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				s.ask(t.Context(), t, 0, lanes)
				now := time.Now()
				for i, timeout := range tt.timeouts {
					ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, i))
					defer cancel()
					if timeout > 0 {
						ctx, cancel = context.WithTimeout(ctx, timeout)
						defer cancel()
					}
					s.ask(ctx, t, lanes+i, lanes+i+1)
				}
				s.let(0)
				ctx := s.ctxs[lanes]
				if got := ctx.Value(key{}); got != 0 {
					t.Errorf("the values are those of call %v, want the first one's", got)
				}
				deadline, ok := ctx.Deadline()
				if ok != (tt.want > 0) || ok && deadline.Sub(now) != tt.want {
					t.Errorf("the deadline is %v, %v, want %v", deadline.Sub(now), ok, tt.want)
				}
				for i := 1; i <= lanes; i++ {
					s.let(i)
				}
			})
		})
	}
}

// A group that is used again has nothing of its deadline before.
func TestGroupHasNoOlderDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.ask(t.Context(), t, 0, lanes)
		for i := range 20 {
			want := time.Duration(20-i) * time.Minute
			ctx, cancel := context.WithTimeout(t.Context(), want)
			defer cancel()
			now, last := time.Now(), len(s.lets)-1
			s.ask(ctx, t, lanes+i, lanes+i+1)
			s.let(last)
			deadline, ok := s.ctxs[last+1].Deadline()
			if got := deadline.Sub(now); !ok || got != want {
				t.Errorf("the deadline of call %d is %v, %v, want %v", i, got, ok, want)
			}
		}
		s.letRest()
	})
}

func TestSilentLanesAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.ask(t.Context(), t, 0, lanes)
		time.Sleep(time.Hour) // nobody waits for them
		s.ask(t.Context(), t, lanes, lanes+2)
		time.Sleep(patience - 1)
		s.want(t, each(0, lanes)...)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		s.want(t, append(each(0, lanes), span(lanes, lanes+2))...)

		// The others have lanes again, and those that were given up have nothing more to say.
		s.ask(t.Context(), t, lanes+2, 2*lanes+1)
		s.ask(t.Context(), t, 2*lanes+1, 2*lanes+2)
		sent := slices.Concat(each(0, lanes), [][]int{span(lanes, lanes+2)}, each(lanes+2, 2*lanes+1))
		for i := range lanes {
			s.let(i)
		}
		s.want(t, sent...)
		s.letRest()
		s.want(t, append(sent, []int{2*lanes + 1})...)

		s.near(t)
		before := len(s.groups)
		s.ask(t.Context(), t, 3*lanes, 4*lanes+1) // as many lanes as ever
		if n := len(s.groups) - before; n != lanes {
			t.Errorf("%d calls went out, want %d", n, lanes)
		}
		s.letRest()
	})
}

func TestLanesThatMoveAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.Parts = 1
		s.ask(t.Context(), t, 0, lanes+most+1)
		time.Sleep(patience - 1)
		s.let(0) // and one call still waits
		sent := append(each(0, lanes), span(lanes, lanes+most))
		time.Sleep(patience - 1)
		synctest.Wait()
		s.want(t, sent...)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		s.want(t, append(sent, []int{lanes + most})...)
		time.Sleep(patience) // nobody waits any more
		s.letRest()
	})
}

func TestAllThatWaitGoWhenLanesAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		waiting := most*lanes + 1 // more than new lanes take
		s.ask(t.Context(), t, 0, lanes+waiting)
		for range 2 {
			time.Sleep(patience)
			synctest.Wait()
		}
		sent := 0
		for _, g := range s.groups {
			sent += len(g)
		}
		if sent != lanes+waiting {
			t.Errorf("%d of %d calls were sent", sent, lanes+waiting)
		}
		for i := range s.lets {
			s.let(i)
		}
	})
}

// A call whose context has ended is not sent, though its goroutine has not seen that yet.
func TestEndedContextIsNotSent(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.ask(t.Context(), t, 0, lanes)
		ctx, cancel := context.WithCancel(t.Context())
		go s.Do(ctx, call{n: -1})
		synctest.Wait()
		cancel()
		s.let(0)
		for _, g := range s.groups {
			if g[0] == -1 {
				t.Error("it was sent")
			}
		}
		for i := 1; i < len(s.lets); i++ {
			s.let(i)
		}
	})
}

// Many calls at a time, of which some leave: each has its own answer, no more are under way than there are lanes, and
// nothing stays behind.
func TestManyCalls(t *testing.T) {
	var under, peak, together atomic.Int64
	busy := func() {
		n := under.Add(1)
		for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
		}
		runtime.Gosched()
		under.Add(-1)
	}
	q := batch.New(lanes, func(_ context.Context, c call) call {
		busy()
		return call{c.n, 2 * c.n}
	}, func(_ context.Context, cs []call) {
		busy()
		together.Add(1)
		for i := range cs {
			cs[i].double = 2 * cs[i].n
		}
	})
	const most = 20 // rounds: on a busy machine calls may come one after the other, and a slow one makes lanes for all
	for round := 0; round == 0 || together.Load() == 0 && round < most; round++ {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for range 500 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(int(time.Millisecond))))
					n := rand.Int()
					got, err := q.Do(ctx, call{n: n})
					switch {
					case err == nil && got != (call{n, 2 * n}):
						t.Errorf("Do(%d) = %v", n, got)
					case err != nil && !errors.Is(err, ctx.Err()):
						t.Errorf("Do(%d) = %v, want %v", n, err, ctx.Err())
					}
					cancel()
				}
			})
		}
		wg.Wait()
	}
	if together.Load() == 0 {
		t.Error("no calls went together")
	}
	if under.Load() != 0 {
		t.Errorf("%d calls are under way", under.Load())
	}
	t.Logf("at most %d at a time", peak.Load())
}
