package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/backend/rueidis"
)

// growthConfig bounds how far things grow.
type growthConfig struct {
	memory, redis int // sessions
	owned         int // sessions of one user
	fields        int
	value         int // bytes
	expiring      int // sessions that expire at once
	expiryTTL     time.Duration
	calls         int // to measure a cost
}

func growthDefaults() growthConfig {
	return growthConfig{memory: 1_000_000, redis: 1_000_000, owned: 10_000, fields: 64, value: 16 << 10,
		expiring: 1_000_000, expiryTTL: 20 * time.Second, calls: 20_000}
}

func (g *growthConfig) quicken() {
	*g = growthConfig{memory: 1000, redis: 1000, owned: 10, fields: 2, value: 100, expiring: 2000, expiryTTL: time.Second, calls: 20}
}

// growth is how the cost of requests and sessions grows.
type growth struct {
	Points []point  `json:"points"`
	Pauses []pauses `json:"expiry"`
}

// point is one measurement.
type point struct {
	Grows     string  `json:"grows"` // what grows
	N         int     `json:"n"`     // to what
	Contender string  `json:"contender"`
	Kind      kind    `json:"kind"`
	Call      string  `json:"call"`
	Micros    float64 `json:"microseconds"`
	Bytes     float64 `json:"bytes_per_session,omitempty"`
}

// What grows.
const (
	growsSessions = "sessions"
	growsFields   = "fields in a session"
	growsValue    = "bytes in a value"
	growsOwned    = "sessions of one user"
)

type grower struct {
	cfg growthConfig
	srv *server
	log io.Writer
	g   *growth
}

// measureGrowth measures everything that grows.
func measureGrowth(ctx context.Context, cfg config, srv *server, log io.Writer) (*growth, error) {
	g := &grower{cfg: cfg.grow, srv: srv, log: log, g: new(growth)}
	for _, step := range []func(context.Context) error{g.sessions, g.shapes, g.owned, g.expiry} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return g.g, ctx.Err()
}

// powers returns first, first*by, …, up to and with last.
func powers(first, by, last int) []int {
	var all []int
	for n := first; n < last; n *= by {
		all = append(all, n)
	}
	return append(all, last)
}

// cost returns the median time of calls that come one at a time, in microseconds.
func cost(calls int, do func(i int) error) (float64, error) {
	took := make([]time.Duration, calls)
	for i := range took {
		begin := time.Now()
		if err := do(i); err != nil {
			return 0, err
		}
		took[i] = time.Since(begin)
	}
	slices.Sort(took)
	return microseconds(took[calls/2]), nil
}

// sessions measures requests and memory as sessions become more.
func (g *grower) sessions(ctx context.Context) error {
	for _, open := range []func() (*contender, error){
		oursInMemory,
		func() (*contender, error) { return scsInMemory()[0], nil },
	} {
		c, err := open() // one after the other, so that the next finds the heap empty
		if err != nil {
			return err
		}
		used := func(j *jar) (float64, error) { return heap() - j.size(), nil }
		if err := g.more(ctx, c, g.cfg.memory, used); err != nil {
			return err
		}
	}
	all, err := contendersOnRedis(g.srv.addr)
	if err != nil {
		return err
	}
	defer closeAll(all)
	for _, c := range all {
		if !slices.Contains([]string{nameGo, nameRu, nameSCS}, c.name) {
			continue
		}
		if _, err := seed(c, routeSeed, 100); err != nil { // so that the connections are there
			return err
		}
		if err := g.srv.admin.FlushAll(ctx).Err(); err != nil {
			return err
		}
		if err := g.more(ctx, c, g.cfg.redis, func(*jar) (float64, error) { return g.srv.usedMemory(ctx) }); err != nil {
			return err
		}
	}
	return g.srv.admin.FlushAll(ctx).Err()
}

// loaded returns what a call takes of the machine, in microseconds, while several are under way.
func loaded(calls int, worker func() func(i int) error) (float64, error) {
	var next counter
	var group failing
	begin := time.Now()
	for range targetParallel {
		do := worker()
		group.run(func() error {
			for i := next.take(); i < calls; i = next.take() {
				if err := do(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.wait()
	return microseconds(time.Since(begin)) / float64(calls), err
}

// more makes sessions up to most, and measures at each power of ten. used returns the bytes in use, the jar's left
// out.
func (g *grower) more(ctx context.Context, c *contender, most int, used func(*jar) (float64, error)) error {
	base, err := used(newJar(0))
	if err != nil {
		return err
	}
	have := 0
	for _, n := range powers(min(1000, most), 10, most) {
		fmt.Fprintf(g.log, "%d sessions: %s\n", n, c.name)
		j, err := seed(c, routeSeed, n-have)
		if err != nil {
			return err
		}
		have = n
		now, err := used(j)
		if err != nil {
			return err
		}
		for _, r := range []route{routeRead, routeChange} {
			if err := g.cookieCost(c, j, r, point{Grows: growsSessions, N: n, Bytes: (now - base) / float64(n)}); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// cookieCost measures requests on sessions of the jar, and fills in the rest of the point.
func (g *grower) cookieCost(c *contender, j *jar, r route, p point) error {
	micros, err := loaded(g.cfg.calls, func() func(int) error {
		a, name := c.agent(), user()
		return func(i int) error { return expectOK(c, r, a.do(r, j.get(i%j.len()), "", name)) }
	})
	p.Contender, p.Kind, p.Call, p.Micros = c.name, c.kind, string(r), micros
	g.g.Points = append(g.g.Points, p)
	return err
}

// managers returns Managers on each of our backends.
func (g *grower) managers() (map[string]*session.Manager, func(), error) {
	gc := goClient(g.srv.addr)
	rc, err := ruClient(g.srv.addr)
	if err != nil {
		return nil, nil, err
	}
	closer := func() {
		_ = gc.Close()
		rc.Close()
	}
	all := make(map[string]*session.Manager)
	for name, b := range map[string]backend.Backend{nameMemory: memory.New(nil), nameGo: goredis.New(gc, nil), nameRu: rueidis.New(rc, nil)} {
		opts := options(0)
		opts.MaxBytes = math.MaxInt32
		if all[name], err = session.New(b, opts); err != nil {
			return nil, nil, err
		}
	}
	return all, closer, nil
}

// shapes measures loads and changes as sessions hold more fields, and longer values.
func (g *grower) shapes(ctx context.Context) error {
	all, closer, err := g.managers()
	if err != nil {
		return err
	}
	defer closer()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		fmt.Fprintln(g.log, "fields and values:", name)
		for _, n := range powers(1, 4, g.cfg.fields) {
			if err := g.shape(ctx, name, m, n, 10, point{Grows: growsFields, N: n}); err != nil {
				return err
			}
		}
		for _, n := range powers(10, 5, g.cfg.value) {
			if err := g.shape(ctx, name, m, 2, n, point{Grows: growsValue, N: n}); err != nil {
				return err
			}
		}
	}
	return g.srv.admin.FlushAll(ctx).Err()
}

// shape measures sessions of so many fields with values of so many bytes.
func (g *grower) shape(ctx context.Context, name string, m *session.Manager, fields, bytes int, p point) error {
	const sessions = 500
	content := make(map[string]string, fields)
	for i := range fields {
		content["field"+strconv.Itoa(i)] = strings.Repeat("x", bytes)
	}
	tokens := make([]session.Token, sessions)
	used := func() (float64, error) { return heap(), nil }
	if name != nameMemory {
		used = func() (float64, error) { return g.srv.usedMemory(ctx) }
	}
	before, err := used()
	if err != nil {
		return err
	}
	for i := range tokens {
		s, err := m.Create(ctx, content, 0)
		if err != nil {
			return err
		}
		tokens[i] = s.Token()
	}
	after, err := used()
	if err != nil {
		return err
	}
	p.Contender, p.Kind, p.Bytes = name, ours, (after-before)/sessions
	change := map[string]string{"field0": strings.Repeat("y", bytes)}
	for _, call := range []struct {
		name string
		do   func(session.Token) error
	}{
		{"load", func(t session.Token) error { _, err := m.Load(ctx, t); return err }},
		{"change one field", func(t session.Token) error { _, err := m.SetFields(ctx, t, change); return err }},
	} {
		p.Call = call.name
		worker := func() func(int) error { return func(i int) error { return call.do(tokens[i%sessions]) } }
		if p.Micros, err = loaded(g.cfg.calls, worker); err != nil {
			return err
		}
		g.g.Points = append(g.g.Points, p)
	}
	return nil
}
