package main

import (
	"sync"
	"sync/atomic"
)

// failing is a group of goroutines, of whose errors the first counts.
type failing struct {
	wg   sync.WaitGroup
	once sync.Once
	err  error
}

func (f *failing) run(do func() error) {
	f.wg.Go(func() {
		if err := do(); err != nil {
			f.once.Do(func() { f.err = err })
		}
	})
}

func (f *failing) wait() error {
	f.wg.Wait()
	return f.err
}

// counter hands out 0, 1, 2, …
type counter struct{ n atomic.Int64 }

func (c *counter) take() int { return int(c.n.Add(1) - 1) }
