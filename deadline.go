package session

import (
	"context"
	"sync"
	"time"
)

// storeContext returns a context for what must not end with the client: the values of ctx, but for the session, see
// hookContext, and its own deadline. Within such a context, it is that one.
func (m *Manager) storeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if c, ok := ctx.(*lateContext); ok {
		return c, func() {}
	}
	c := &lateContext{m: m, values: context.WithoutCancel(ctx), deadline: time.Now().Add(m.opts.StoreTimeout)}
	return c, c.cancel
}

// lateContext is what context.WithDeadline returns, except that it makes no timer until somebody waits for its end:
// a timer is a good part of the work of a change in memory.
type lateContext struct {
	m        *Manager
	values   context.Context // never ends
	deadline time.Time

	mu    sync.Mutex
	ended bool               // by cancel
	timed context.Context    // with a timer, nil until it is needed
	stop  context.CancelFunc // ends timed
}

func (c *lateContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *lateContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.stop = context.WithDeadline(c.values, c.deadline)
		if c.ended {
			c.stop()
		}
	}
	return c.timed.Done()
}

func (c *lateContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.timed != nil:
		return c.timed.Err()
	case c.ended:
		return context.Canceled
	case !time.Now().Before(c.deadline):
		return context.DeadlineExceeded
	}
	return nil
}

// Value is timed's, if there is one, so that package context sees that a child may end with it.
func (c *lateContext) Value(key any) any {
	if key == (ctxKey{c.m}) {
		return nil
	}
	c.mu.Lock()
	ctx := c.timed
	c.mu.Unlock()
	if ctx == nil {
		ctx = c.values
	}
	return ctx.Value(key)
}

func (c *lateContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.timed != nil {
		c.stop()
	}
}
