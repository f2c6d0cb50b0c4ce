package rueidis

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// next returns the generation after the current one: a reply in that is late, and it is old.
func (g *generations) next() *generation {
	g.current().late.Store(true)
	time.Sleep(g.window)
	return g.current()
}

func TestGenerationsHaveTheirOwnSpellings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGenerations(time.Minute)
		seen := map[string]bool{g.current().command: true}
		if !seen["HGETALL"] {
			t.Errorf("the first is %v", seen)
		}
		for range 127 {
			command := g.next().command
			if seen[command] || !strings.EqualFold(command, "HGETALL") {
				t.Errorf("%q comes after %v", command, seen)
			}
			seen[command] = true
		}
		if command := g.next().command; command != "HGETALL" {
			t.Errorf("%q comes after all others", command)
		}
	})
}

func TestGenerationLastsWhileNoReplyIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGenerations(time.Minute)
		first := g.current()
		time.Sleep(24 * time.Hour)
		if g.current() != first || !g.trusts(first) {
			t.Error("it has ended, or is not trusted")
		}
	})
}

// There is no more than one in a window, and none is trusted for longer than one after a reply was late.
func TestGenerationEndsWithTheWindowWhereAReplyIsLate(t *testing.T) {
	for _, tt := range []struct{ window, lasts time.Duration }{
		{window: time.Minute, lasts: time.Minute},
		{window: time.Second, lasts: time.Second},
		{window: time.Millisecond, lasts: time.Second}, // the spellings are to last
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGenerations(tt.window)
			for range 3 {
				began, in := time.Now(), g.current()
				in.late.Store(true)
				for age := time.Duration(0); age < tt.lasts; age = time.Since(began) {
					if g.current() != in {
						t.Errorf("window %v: it ended after %v", tt.window, age)
					}
					if trusted := g.trusts(in); trusted != (age < tt.window) {
						t.Errorf("window %v: trusted after %v: %v", tt.window, age, trusted)
					}
					time.Sleep(tt.window / 2)
				}
				if g.current() == in || g.trusts(in) {
					t.Errorf("window %v: it has not ended after %v, or is trusted", tt.window, tt.lasts)
				}
				if !g.trusts(g.current()) {
					t.Errorf("window %v: the next one is not trusted", tt.window)
				}
			}
		})
	}
}

// One that is late only when it is old ends at once.
func TestGenerationThatIsOldEndsWithTheFirstLateReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGenerations(time.Minute)
		in := g.current()
		time.Sleep(time.Hour)
		in.late.Store(true)
		if g.trusts(in) || g.current() == in {
			t.Error("it is trusted, or has not ended")
		}
	})
}

// Reads that begin together when a generation has ended are in the same one: it is known to all when a reply is late.
func TestGenerationsConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGenerations(time.Minute)
		for range 1000 {
			g.current().late.Store(true)
			time.Sleep(g.window)
			var (
				wg sync.WaitGroup
				in [8]*generation
			)
			for i := range in {
				wg.Go(func() { in[i] = g.current() })
			}
			wg.Wait()
			for i := range in {
				if in[i] != in[0] {
					t.Fatalf("one read is in generation %d, and another in another one %d", in[0].number, in[i].number)
				}
			}
		}
	})
}
