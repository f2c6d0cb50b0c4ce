package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

// ownedCalls is how often what concerns all of a user's sessions is measured: a list of ten thousand takes a while.
const ownedCalls = 11

// owned measures what concerns one user's sessions, as they become more.
func (g *grower) owned(ctx context.Context) error {
	all, closer, err := g.managers()
	if err != nil {
		return err
	}
	defer closer()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m, have := all[name], 0
		if err := g.srv.admin.FlushAll(ctx).Err(); err != nil { // the user's sessions on the backend before
			return err
		}
		for _, n := range powers(1, 10, g.cfg.owned) {
			fmt.Fprintf(g.log, "%d sessions of one user: %s\n", n, name)
			for ; have < n; have++ {
				if _, err := login(ctx, m); err != nil {
					return err
				}
			}
			if err := g.ownedCosts(ctx, name, m, n); err != nil {
				return err
			}
		}
	}
	return g.srv.admin.FlushAll(ctx).Err()
}

// owner is the user who has them all.
const owner = "user-42"

// login makes a new session of owner's.
func login(ctx context.Context, m *session.Manager) (*session.Session, error) {
	s := m.NewSession()
	s.Login(owner)
	return s, s.Commit(ctx)
}

// ownedCosts measures with n sessions there: what a login adds, a revocation takes away.
func (g *grower) ownedCosts(ctx context.Context, name string, m *session.Manager, n int) error {
	var ids []string
	for _, call := range []struct {
		name string
		do   func(int) error
	}{
		{"list", func(int) error { _, err := m.Sessions(ctx, owner); return err }},
		{"log in", func(int) error {
			s, err := login(ctx, m)
			ids = append(ids, s.ID())
			return err
		}},
		{"revoke one", func(i int) error { return m.Revoke(ctx, owner, ids[i]) }},
	} {
		micros, err := cost(ownedCalls, call.do)
		if err != nil {
			return err
		}
		g.g.Points = append(g.g.Points, point{Grows: growsOwned, N: n, Contender: name, Kind: ours, Call: call.name, Micros: micros})
	}
	return nil
}

// pauses are the longest times that requests took, with only a few sessions live.
type pauses struct {
	Contender string  `json:"contender"`
	Kind      kind    `json:"kind"`
	Expired   int     `json:"expired"`
	Before    float64 `json:"longest_before_milliseconds"` // while nothing expired
	After     float64 `json:"longest_after_milliseconds"`  // from when all had expired
	P99       float64 `json:"p99_after_microseconds"`
	Left      int     `json:"left"` // sessions whose memory was not taken back at the end, -1 if that is not known
}

// Requests are watched for so long before the sessions expire, and after. scs looks for expired sessions so often.
const (
	watchBefore = time.Second
	watchAfter  = 4 * time.Second
	scsCleanup  = 2 * time.Second
)

// expiry has many sessions expire at once in memory, unused meanwhile, and measures the longest request after that.
func (g *grower) expiry(ctx context.Context) error {
	store := memory.New(&memory.Options{MaxRecords: -1})
	m, err := session.New(store, options(0))
	if err != nil {
		return err
	}
	mine := httpContender(nameMemory, ours, ourRoutes(m, new(gates)), nil, func() {})
	err = g.expire(ctx, mine, store.Len, func(int) error {
		_, err := m.Create(ctx, map[string]string{"username": "andrew", "page_views": "3"}, g.cfg.expiryTTL)
		return err
	})
	if err != nil {
		return err
	}
	theirs := memstore.NewWithCleanupInterval(scsCleanup)
	defer theirs.StopCleanup()
	sm := scs.New()
	sm.Store = theirs
	c := scsContender(nameSCSMemory, sm, func() {})
	data, err := scs.GobCodec{}.Encode(time.Now().Add(time.Hour), map[string]any{"username": "andrew", "page_views": 3})
	if err != nil {
		return err
	}
	return g.expire(ctx, c, func() int { return -1 }, func(int) error {
		return theirs.Commit(newID(), data, time.Now().Add(g.cfg.expiryTTL))
	})
}

// expire makes the sessions, waits until all have expired, and watches requests on others.
func (g *grower) expire(ctx context.Context, c *contender, left func() int, create func(int) error) error {
	n := g.cfg.expiring
	fmt.Fprintf(g.log, "%d sessions expire: %s\n", n, c.name)
	live, err := seed(c, routeSeed, 1000)
	if err != nil {
		return err
	}
	for i := range n {
		if err := create(i); err != nil {
			return err
		}
	}
	filled := time.Now()
	before := watch(c, live, watchBefore)
	select { // nobody calls the store meanwhile
	case <-time.After(time.Until(filled.Add(g.cfg.expiryTTL + time.Second))):
	case <-ctx.Done():
		return ctx.Err()
	}
	after := watch(c, live, watchAfter)
	g.g.Pauses = append(g.g.Pauses, pauses{
		Contender: c.name, Kind: c.kind, Expired: n, Left: left(),
		Before: milliseconds(before.longest), After: milliseconds(after.longest), P99: microseconds(after.all.quantile(0.99)),
	})
	return nil
}

type watched struct {
	longest time.Duration
	all     histogram
}

// watch reads live sessions, one request after the other, for the time d.
func watch(c *contender, live *jar, d time.Duration) *watched {
	var stop atomic.Bool
	timer := time.AfterFunc(d, func() { stop.Store(true) })
	defer timer.Stop()
	a, w := c.agent(), new(watched)
	for i := 0; !stop.Load(); i++ {
		begin := time.Now()
		if a.do(routeRead, live.get(i%live.len()), "", "").status != http.StatusOK {
			break
		}
		took := time.Since(begin)
		w.all.add(took)
		w.longest = max(w.longest, took)
	}
	return w
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
