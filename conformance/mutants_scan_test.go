package conformance_test

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

var scanMutants = []mutant{
	{
		name:  "Scan stops at 100",
		kills: []string{"ScanNamesLive"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return each(ctx, func() []string { ids := c.ids(); return ids[:min(100, len(ids))] })
		}),
	},
	{
		name:  "Scan stops at 1000",
		kills: []string{"ScanPages"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return each(ctx, func() []string { ids := c.ids(); return ids[:min(1000, len(ids))] })
		}),
	},
	{
		name:  "Scan skips the first of each further page of 500",
		kills: []string{"ScanPages"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return each(ctx, func() []string {
				var ids []string
				for i, id := range slices.Sorted(slices.Values(c.ids())) {
					if i == 0 || i%500 > 0 {
						ids = append(ids, id)
					}
				}
				return ids
			})
		}),
	},
	{
		name:  "Scan skips records of more than 255 fields",
		kills: []string{"ScanNamesLarge"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return each(ctx, func() []string {
				return slices.DeleteFunc(c.ids(), func(id string) bool {
					rec, _ := c.Load(ctx, id)
					return len(rec.Fields) > 255
				})
			})
		}),
	},
	{
		name:  "the second client's Scan yields nothing",
		kills: []string{"ScanNamesLive"},
		target: func(c *complete) conformance.Target {
			target := c.target()
			target.Second = scanner{c, func(ctx context.Context) iter.Seq2[string, error] {
				return each(ctx, func() []string { return nil })
			}}
			return target
		},
	},
	{
		name:  "Scan names what was deleted",
		kills: []string{"ScanNamesLive"},
		target: func(c *complete) conformance.Target {
			index := newComplete()
			target := scanning(func(_ *complete, ctx context.Context) iter.Seq2[string, error] { return index.Scan(ctx) })(c)
			target.Backend = altered{Backend: target.Backend, create: func(ctx context.Context, id string, rec backend.Record) error {
				_ = index.Create(ctx, id, rec)
				return c.Create(ctx, id, rec)
			}}
			return target
		},
	},
	{
		name:  "Scan names keys that are no records",
		kills: []string{"ScanNamesLive"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for id, err := range c.Scan(ctx) {
					if !yield(id, err) || err == nil && !yield("session:"+id+":fields", nil) {
						return
					}
				}
			}
		}),
	},
	{
		name:  "Scan names what has expired",
		kills: []string{"ScanSkipsExpired"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return each(ctx, func() []string {
				c.mu.Lock()
				defer c.mu.Unlock()
				return slices.Collect(maps.Keys(c.records))
			})
		}),
	},
	{
		name:  "Scan counts pages while others create and delete",
		kills: []string{"ScanUnderChurn", "ScanLoopCalls"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for offset := 0; ; offset += 10 {
					ids := slices.Sorted(slices.Values(c.ids()))
					for _, id := range ids[min(offset, len(ids)):min(offset+10, len(ids))] {
						if !yield(id, nil) {
							return
						}
					}
					if offset+10 >= len(ids) {
						return
					}
					pause()
				}
			}
		}),
	},
	{
		name:  "Scan goes on when the loop has ended",
		kills: []string{"ScanStopsEarly"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for _, id := range c.ids() {
					yield(id, nil)
				}
			}
		}),
	},
	{
		name:  "Scan keeps its lock when the loop ends early",
		kills: []string{"ScanStopsEarly"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				ids := c.ids()
				c.mu.Lock()
				for _, id := range ids {
					if !yield(id, nil) {
						return
					}
				}
				c.mu.Unlock()
			}
		}),
	},
	{
		name:   "Scan keeps the only connection while it yields",
		kills:  []string{"ScanLoopCalls"},
		target: oneConnection,
	},
	{
		name:   "all scans share one cursor",
		kills:  []string{"ScanInLoop", "ScansTogether"},
		target: sharingCursor,
	},
	{
		name:  "Scan yields nothing while another one runs",
		kills: []string{"ScanInLoop", "ScansTogether"},
		target: func(c *complete) conformance.Target {
			var running sync.Mutex
			return scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
				return func(yield func(string, error) bool) {
					if running.TryLock() {
						defer running.Unlock()
						c.Scan(ctx)(yield)
					}
				}
			})(c)
		},
	},
	{
		name:  "Scan ignores its context",
		kills: []string{"ScanContextEnded"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return c.Scan(context.WithoutCancel(ctx))
		}),
	},
	{
		name:  "Scan ends in silence when its context has ended",
		kills: []string{"ScanContextEnded"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for _, id := range c.ids() {
					if ctx.Err() != nil || !yield(id, nil) {
						return
					}
				}
			}
		}),
	},
	{
		name:  "Scan goes on after an error",
		kills: []string{"ScanContextEnded"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for _, id := range c.ids() {
					if err := ctx.Err(); err != nil && !yield("", err) || err == nil && !yield(id, nil) {
						return
					}
				}
			}
		}),
	},
	{
		name:  "Scan touches",
		kills: []string{"ScanDoesNotTouch"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			for _, id := range c.ids() {
				_, _ = c.Apply(ctx, id, backend.Patch{Touch: true})
			}
			return c.Scan(ctx)
		}),
	},
	{
		name:   "Scan goes on after the deadline that it has got to",
		kills:  []string{"ScanUnderTouches"},
		target: scanning(scanByDeadline),
	},
	{
		name:  "Scan cuts IDs at 40",
		kills: []string{"ScanLongIDs"},
		target: scanning(func(c *complete, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for id, err := range c.Scan(ctx) {
					if !yield(id[:min(len(id), 40)], err) {
						return
					}
				}
			}
		}),
	},
}

// scanByDeadline scans in pages, by the order in which records end.
func scanByDeadline(c *complete, ctx context.Context) iter.Seq2[string, error] {
	type row struct {
		at time.Time
		id string
	}
	compare := func(a, b row) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) }
	page := func(after row) []row {
		c.mu.Lock()
		defer c.mu.Unlock()
		var rows []row
		for id, e := range c.records {
			if _, ok := c.live(id); ok && compare(row{e.deadline, id}, after) > 0 {
				rows = append(rows, row{e.deadline, id})
			}
		}
		slices.SortFunc(rows, compare)
		return rows[:min(len(rows), 10)]
	}
	return func(yield func(string, error) bool) {
		if err := ctx.Err(); err != nil {
			yield("", err)
			return
		}
		var last row
		for rows := page(last); len(rows) > 0; rows = page(last) {
			for _, last = range rows {
				if !yield(last.id, nil) {
					return
				}
			}
		}
	}
}

// sharingCursor makes a target whose scans begin anew, all of them, when one begins.
func sharingCursor(c *complete) conformance.Target {
	var mu sync.Mutex
	var left []string
	next := func() (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(left) == 0 {
			return "", false
		}
		id := left[0]
		left = left[1:]
		return id, true
	}
	return scanning(func(c *complete, _ context.Context) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			mu.Lock()
			left = c.ids()
			mu.Unlock()
			for id, ok := next(); ok && yield(id, nil); {
				id, ok = next()
			}
		}
	})(c)
}

// oneConnection makes a target whose calls wait for each other, and for the end of a scan.
func oneConnection(c *complete) conformance.Target {
	connection := make(chan struct{}, 1)
	take := func() func() { connection <- struct{}{}; return func() { <-connection } }
	calls := alter(func(c *complete) altered {
		return altered{
			create: func(ctx context.Context, id string, rec backend.Record) error {
				defer take()()
				return c.Create(ctx, id, rec)
			},
			load: func(ctx context.Context, id string) (backend.Record, error) {
				defer take()()
				return c.Load(ctx, id)
			},
			apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				defer take()()
				return c.Apply(ctx, id, p)
			},
			del: func(ctx context.Context, id string) error {
				defer take()()
				return c.Delete(ctx, id)
			},
		}
	})(c)
	return conformance.Target{Backend: scanner{calls.Backend, func(ctx context.Context) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			defer take()()
			c.Scan(ctx)(yield)
		}
	}}}
}

// scanning returns a target with another Scan.
func scanning(f func(c *complete, ctx context.Context) iter.Seq2[string, error]) func(*complete) conformance.Target {
	return func(c *complete) conformance.Target {
		return conformance.Target{Backend: scanner{c, func(ctx context.Context) iter.Seq2[string, error] { return f(c, ctx) }}}
	}
}

type scanner struct {
	backend.Backend
	scan func(ctx context.Context) iter.Seq2[string, error]
}

func (s scanner) Scan(ctx context.Context) iter.Seq2[string, error] { return s.scan(ctx) }
func (s scanner) Unwrap() backend.Backend                           { return s.Backend }

// each yields what ids returns.
func each(ctx context.Context, ids func() []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := ctx.Err(); err != nil {
			yield("", err)
			return
		}
		for _, id := range ids() {
			if !yield(id, nil) {
				return
			}
		}
	}
}
