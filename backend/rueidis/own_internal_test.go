package rueidis

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const ownWindow = 10 * time.Second

// want fails unless recent says want of the ID.
func (o *own) want(t *testing.T, id string, want bool) {
	t.Helper()
	if got := o.recent(id); got != want {
		t.Errorf("recent(%q) = %v, want %v", id, got, want)
	}
}

func TestOwnWritesAreKnownForAWindow(t *testing.T) {
	for _, late := range []time.Duration{0, 1, ownWindow / 2, ownWindow - 1, ownWindow, 2*ownWindow - 1, 2 * ownWindow, 5 * ownWindow} {
		synctest.Test(t, func(t *testing.T) {
			o := newOwn(ownWindow)
			time.Sleep(late)
			o.note("a")
			o.want(t, "a", true)
			o.want(t, "b", false)
			time.Sleep(ownWindow - 1)
			o.want(t, "a", true)
			time.Sleep(ownWindow + 1)
			o.want(t, "a", false)
		})
	}
}

// Other writes, which begin new generations, neither end the window early nor make it longer than two.
func TestOwnWritesOfOthersChangeNoWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwn(ownWindow)
		o.note("a")
		for range 10 {
			time.Sleep(ownWindow / 10)
			o.want(t, "a", true)
			for i := range 1000 { // in all shards
				o.note(fmt.Sprint(i))
			}
		}
		o.want(t, "a", true)
		time.Sleep(ownWindow)
		o.note("b")
		o.want(t, "a", false)
	})
}

// More writes than are remembered: all IDs of the shard count as written until the last of them is past its window.
func TestOwnWritesBeyondWhatIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwn(ownWindow)
		s := o.shard("a")
		for i := range maxOwn {
			s.note(fmt.Sprint(i))
		}
		if s.recent("a") {
			t.Fatal("recent before it is too many")
		}
		s.note("one more")
		o.want(t, "a", true)
		if n := len(s.current); n > maxOwn {
			t.Errorf("%d IDs remembered, want at most %d", n, maxOwn)
		}
		time.Sleep(ownWindow)
		s.note("b")
		o.want(t, "a", true)
		time.Sleep(ownWindow)
		s.note("b")
		o.want(t, "a", false)
	})
}

func TestOwnWritesConcurrently(t *testing.T) {
	o := newOwn(time.Hour)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				id := fmt.Sprint(w, "-", i)
				o.note(id)
				o.want(t, id, true)
			}
		})
	}
	wg.Wait()
}

func TestOwnKnowsNothingWithoutACache(t *testing.T) {
	var o *own
	o.note("a")
}
