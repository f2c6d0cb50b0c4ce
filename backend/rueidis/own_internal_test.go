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
	if got := o.recent(o.hash(id)); got != want {
		t.Errorf("recent(%q) = %v, want %v", id, got, want)
	}
}

func TestOwnWritesAreKnownForAWindow(t *testing.T) {
	for _, late := range []time.Duration{0, 1, ownWindow / 2, ownWindow - 1, ownWindow, 2*ownWindow - 1, 2 * ownWindow, 5 * ownWindow} {
		synctest.Test(t, func(t *testing.T) {
			o := newOwn(ownWindow)
			time.Sleep(late)
			o.note(o.hash("a"))
			o.want(t, "a", true)
			o.want(t, other(o, "a"), false)
			time.Sleep(ownWindow - 1)
			o.want(t, "a", true)
			time.Sleep(time.Nanosecond)
			o.want(t, "a", false)
		})
	}
}

// other returns the ID of a record that shares no slot with that of id.
func other(o *own, id string) string {
	for i := 0; ; i++ {
		if n := fmt.Sprint(i); o.slot(o.hash(n)) != o.slot(o.hash(id)) {
			return n
		}
	}
}

// Other writes neither end the window early nor make it longer; another one of the record itself begins it anew.
func TestOwnWritesOfOthersChangeNoWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwn(ownWindow)
		o.note(o.hash("a"))
		for range 2 {
			time.Sleep(ownWindow / 2)
			o.note(o.hash(other(o, "a")))
		}
		o.want(t, "a", false)
		o.want(t, other(o, "a"), true)
		o.note(o.hash("a"))
		time.Sleep(ownWindow - 1)
		o.note(o.hash("a"))
		time.Sleep(ownWindow - 1)
		o.want(t, "a", true)
	})
}

// A write that was a moment slow to be noted does not shorten the window of a later one.
func TestOwnWritesKeepTheLatest(t *testing.T) {
	o := newOwn(time.Hour)
	later := int64(time.Minute)
	o.slot(o.hash("a")).Store(later)
	o.note(o.hash("a"))
	if at := o.slot(o.hash("a")).Load(); at != later {
		t.Errorf("the slot holds %d, want %d", at, later)
	}
}

// Records spread over the slots, or writes would have everything read past the cache.
func TestOwnWritesOfFewLeaveTheCache(t *testing.T) {
	o := newOwn(time.Hour)
	for i := range 1000 {
		o.note(o.hash(fmt.Sprint("written ", i)))
	}
	recent := 0
	for i := range 1000 {
		if o.recent(o.hash(fmt.Sprint("read ", i))) {
			recent++
		}
	}
	if recent > 100 { // one in 130 is to be expected
		t.Errorf("%d of 1000 records count as written", recent)
	}
}

func TestOwnWritesConcurrently(t *testing.T) {
	o := newOwn(time.Hour)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				id := fmt.Sprint(w, "-", i)
				o.note(o.hash(id))
				o.want(t, id, true)
			}
		})
	}
	wg.Wait()
}

// A read that finds a window over ends none that has begun since it looked.
func TestOwnWritesAtTheEndOfAWindow(t *testing.T) {
	o := newOwn(time.Hour)
	slot := o.slot(o.hash("a"))
	o.note(o.hash("a"))
	forget(slot, slot.Load()-1)
	o.want(t, "a", true)
	forget(slot, slot.Load())
	o.want(t, "a", false)
}

func TestWroteWithoutACache(*testing.T) { new(Backend).wrote("a") }
