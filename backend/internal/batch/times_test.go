package batch_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// A server that is far away has as many lanes as it takes for 30 000 calls a second to go out at once.
func TestFarServerHasMoreLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const roundTrip, calm = 10 * time.Millisecond, 30_000
		s := newServer()
		far := max(lanes, int(roundTrip*calm/time.Second))
		ask := func(from, to, want int) {
			t.Helper()
			place := len(s.groups)
			s.ask(t.Context(), t, from, to)
			if n := len(s.groups) - place; n != want {
				t.Errorf("%d of %d calls went out at once, want %d", n, to-from, want)
			}
		}
		ask(0, 1, 1)
		time.Sleep(roundTrip)
		s.letRest()
		ask(1, far+2, far)
		s.letRest() // at once
		s.near(t)
		ask(far+2, far+2+lanes+1, lanes)
		s.letRest()

		// It moves away: that shows when its short times are a second or two old.
		for range 3 {
			ask(0, 1, 1)
			time.Sleep(roundTrip)
			s.letRest()
			time.Sleep(time.Second)
		}
		ask(0, 4*lanes, 4*lanes)
		s.letRest()
	})
}

// What counts is the time of a call by itself, not that of a lane that goes on, and for a second or two.
func TestShortTimesCount(t *testing.T) {
	for name, short := range map[string]func(s *server, t *testing.T){
		"of a group in a lane that goes on": func(s *server, t *testing.T) {
			s.ask(t.Context(), t, 0, lanes+1)
			time.Sleep(patience / 2)
			s.letRest() // the last one goes out now, and is answered at once
		},
		"of the second before": func(s *server, t *testing.T) {
			for _, took := range []time.Duration{time.Microsecond, patience / 2} {
				s.ask(t.Context(), t, 0, 1)
				time.Sleep(took)
				s.letRest()
				time.Sleep(time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				short(s, t)
				place := len(s.groups)
				s.ask(t.Context(), t, 0, lanes+1)
				if n := len(s.groups) - place; n != lanes {
					t.Errorf("%d calls went out, want %d", n, lanes)
				}
				s.letRest()
			})
		})
	}
}
