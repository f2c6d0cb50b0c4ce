package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
)

// jar holds the cookies of many sessions in one piece of memory, so that what a session takes can be measured
// beside it. Once sealed they are in a random order: who takes one after the other finds each where the processor
// expects it, as a server does that has just received it, and its session where nothing expects it.
type jar struct {
	mu   sync.Mutex
	text strings.Builder
	ends []int
	all  string
}

// longestCookie is how much room the jar has for each cookie.
const longestCookie = 256

func newJar(n int) *jar {
	j := &jar{ends: make([]int, 0, n)}
	j.text.Grow(n * longestCookie)
	return j
}

func (j *jar) add(cookie string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.WriteString(cookie)
	j.ends = append(j.ends, j.text.Len())
}

// seal ends the adding; get may be called from then on.
func (j *jar) seal() *jar {
	j.all = j.text.String()
	shuffled := newJar(j.len())
	for _, i := range rand.Perm(j.len()) {
		shuffled.add(j.get(i))
	}
	j.text.Reset() // or two would be held
	shuffled.all = shuffled.text.String()
	return shuffled
}

// size returns the bytes of heap that the jar takes.
func (j *jar) size() float64 { return float64(j.text.Cap() + 8*cap(j.ends)) }

func (j *jar) len() int { return len(j.ends) }

func (j *jar) get(i int) string {
	begin := 0
	if i > 0 {
		begin = j.ends[i-1]
	}
	return j.all[begin:j.ends[i]]
}

// seed makes n sessions through the route, several at a time, and returns their cookies.
func seed(c *contender, r route, n int) (*jar, error) {
	const workers = 16
	j := newJar(n)
	var next counter
	var group failing
	for range workers {
		group.run(func() error {
			a := c.agent()
			for i := next.take(); i < n; i = next.take() {
				resp := a.do(r, "", "", user())
				if resp.status != 200 || resp.cookie == "" {
					return fmt.Errorf("%s: %s: status %d, cookie %q: %s", c.name, r, resp.status, resp.cookie, resp.body)
				}
				j.add(resp.cookie)
			}
			return nil
		})
	}
	err := group.wait()
	return j.seal(), err
}

// user returns the name of another user each time; all are as long.
func user() string { return fmt.Sprintf("andrew-%08x", rand.Uint32()) }
