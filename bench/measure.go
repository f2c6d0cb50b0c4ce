package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// entrant is a contender with the sessions and the agents that it is measured with.
type entrant struct {
	*contender
	jar    *jar
	agents []agent
	values []string
}

// newEntrant seeds n sessions.
func newEntrant(c *contender, n int) (*entrant, error) {
	j, err := seed(c, routeSeed, n)
	if err != nil {
		return nil, err
	}
	e := &entrant{contender: c, jar: j, values: make([]string, 512)}
	for i := range e.values {
		e.values[i] = user()
	}
	return e, nil
}

// take returns n agents.
func (e *entrant) take(n int) []agent {
	for len(e.agents) < n {
		e.agents = append(e.agents, e.agent())
	}
	return e.agents[:n]
}

// sample is what one round of requests took.
type sample struct {
	requests  int
	elapsed   time.Duration
	latencies *histogram
	allocs    float64 // per request, as the next ones
	bytes     float64
	cpu       time.Duration // of this process: the contender, its client and the load
	netBytes  float64
	redisCPU  time.Duration
}

func (s *sample) rate() float64 { return float64(s.requests) / s.elapsed.Seconds() }

// meter measures rounds. srv is nil where there is no server.
type meter struct {
	srv     *server
	d       time.Duration
	logouts int // how many sessions are made, unmeasured, for a round of logouts, which ends with the last one
}

// newMeter returns a meter, and how many rounds it is to measure. The more requests are under way at a time, the longer
// each takes, and so a round, which ends with the last of them: there are as many fewer.
func newMeter(srv *server, cfg config, parallel int) (m meter, rounds int) {
	scale := max(1, parallel/64)
	m = meter{srv: srv, d: time.Duration(scale) * cfg.time, logouts: 1000 * scale}
	if srv == nil {
		m.logouts *= 4 // they take less time
	}
	return m, max(1, cfg.rounds/scale)
}

// round measures requests on the route, parallel at a time, after a short while to warm up, or for reads of a contender
// with a cache as long as it takes to fill that.
func (m *meter) round(ctx context.Context, e *entrant, r route, parallel int) (*sample, error) {
	work := e.cookies
	if r == routeLogin {
		work = e.logins(parallel)
	}
	if r != routeLogout {
		warm, d := work, m.d/5
		if e.cached && r == routeRead {
			warm, d = once(e.jar), time.Minute
		}
		if err := m.run(e, r, parallel, warm, d, new(sample)); err != nil {
			return nil, err
		}
	} else {
		pool, err := seed(e.contender, routeLogin, m.logouts)
		if err != nil {
			return nil, err
		}
		work = once(pool)
	}
	return m.timed(ctx, func(s *sample) error { return m.run(e, r, parallel, work, m.d, s) })
}

// timed calls run, which fills in the number of requests and the time they took, and adds what they cost.
func (m *meter) timed(ctx context.Context, run func(*sample) error) (*sample, error) {
	s := &sample{latencies: new(histogram)}
	runtime.GC() // the garbage of the one before is not this one's
	var before, after usage
	var err error
	if m.srv != nil {
		if before, err = m.srv.usage(ctx); err != nil {
			return nil, err
		}
	}
	used := processorTime()
	if err := run(s); err != nil {
		return nil, err
	}
	used = processorTime() - used
	if m.srv != nil {
		if after, err = m.srv.usage(ctx); err != nil {
			return nil, err
		}
	}
	n := float64(max(s.requests, 1))
	s.cpu = time.Duration(float64(used) / n)
	s.netBytes = (after.netBytes - before.netBytes) / n
	s.redisCPU = time.Duration((after.cpu - before.cpu) / n * float64(time.Second))
	return s, ctx.Err()
}

// A cookieSource gives a worker the cookie of its next request. keep is told what cookie the response set. It
// returns false when there are no more.
type cookieSource func(worker int) (next func() (cookie string, ok bool), keep func(cookie string))

// cookies walks through the sessions in the jar's random order, from a place of the worker's own.
func (e *entrant) cookies(int) (func() (string, bool), func(string)) {
	n := e.jar.len()
	i := rand.IntN(n)
	return func() (string, bool) {
		if i++; i >= n {
			i = 0
		}
		return e.jar.get(i), true
	}, nil
}

// logins gives each worker a session of its own, of which the worker follows the cookie.
func (e *entrant) logins(parallel int) cookieSource {
	current := make([]string, parallel)
	return func(w int) (func() (string, bool), func(string)) {
		return func() (string, bool) { return current[w], true }, func(c string) {
			if c != "" {
				current[w] = c
			}
		}
	}
}

// once gives out each cookie of the jar once.
func once(j *jar) cookieSource {
	next := new(counter)
	return func(int) (func() (string, bool), func(string)) {
		return func() (string, bool) {
			i := next.take()
			if i >= j.len() {
				return "", false
			}
			return j.get(i), true
		}, nil
	}
}

// run sends requests for the time d, parallel at a time, or until there are no more cookies. Each worker sends one at
// least: the time may be over before it has begun.
func (m *meter) run(e *entrant, r route, parallel int, source cookieSource, d time.Duration, s *sample) error {
	agents := e.take(parallel)
	hists := make([]histogram, parallel)
	begin := make(chan struct{})
	var group failing
	var stop atomic.Bool
	for w, a := range agents {
		next, keep := source(w)
		group.run(func() error {
			<-begin
			value := w
			for at := time.Now(); ; {
				cookie, ok := next()
				if !ok {
					return nil
				}
				if r != routeLogin { // each worker is one user
					value++
				}
				resp := a.do(r, cookie, "", e.values[value%len(e.values)])
				if resp.status != 200 {
					stop.Store(true)
					return fmt.Errorf("%s: %s: status %d: %s", e.name, r, resp.status, resp.body)
				}
				if keep != nil {
					keep(resp.cookie)
				}
				now := time.Now()
				hists[w].add(now.Sub(at))
				at = now
				if stop.Load() {
					return nil
				}
			}
		})
	}
	timer := time.AfterFunc(d, func() { stop.Store(true) })
	defer timer.Stop()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	close(begin)
	err := group.wait()
	s.elapsed = time.Since(start)
	runtime.ReadMemStats(&after)
	for i := range hists {
		s.requests += hists[i].n
		if s.latencies != nil {
			s.latencies.merge(&hists[i])
		}
	}
	n := float64(max(s.requests, 1))
	s.allocs = float64(after.Mallocs-before.Mallocs) / n
	s.bytes = float64(after.TotalAlloc-before.TotalAlloc) / n
	return err
}

// result is what was measured of a contender on a route.
type result struct {
	Contender string  `json:"contender"`
	Kind      kind    `json:"kind"`
	Store     string  `json:"store"` // redis or memory
	Route     route   `json:"route"`
	Parallel  int     `json:"parallel"`
	Rate      float64 `json:"requests_per_second"` // the median of the rounds, as the others below
	P50       float64 `json:"p50_microseconds"`    // of all requests of all rounds
	P99       float64 `json:"p99_microseconds"`
	Allocs    float64 `json:"allocations_per_request"`
	Bytes     float64 `json:"bytes_per_request"`
	CPU       float64 `json:"cpu_microseconds_per_request"` // of the process that runs the contender and the load
	Commands  float64 `json:"redis_commands_per_request"`
	NetBytes  float64 `json:"redis_network_bytes_per_request"`
	RedisCPU  float64 `json:"redis_cpu_microseconds_per_request"`
	Spread    float64 `json:"spread"` // of the rates: (highest - lowest) / median
	Rounds    int     `json:"rounds"`

	Rates []float64 `json:"rates"` // requests per second of each round
}

// block measures all entrants that have the route, in turn and in an order that changes with each round.
func (m *meter) block(ctx context.Context, all []*entrant, r route, parallel, rounds int) ([]result, error) {
	turn := slices.DeleteFunc(slices.Clone(all), func(e *entrant) bool { return !e.has(r) })
	samples := make(map[*entrant][]*sample)
	for range rounds {
		rand.Shuffle(len(turn), func(i, j int) { turn[i], turn[j] = turn[j], turn[i] })
		for _, e := range turn {
			s, err := m.round(ctx, e, r, parallel)
			if err != nil {
				return nil, err
			}
			samples[e] = append(samples[e], s)
		}
	}
	var results []result
	for _, e := range all {
		if s := samples[e]; s != nil {
			res := summary(s)
			res.Contender, res.Kind, res.Route, res.Parallel = e.name, e.kind, r, parallel
			results = append(results, res)
		}
	}
	return results, nil
}

// summary puts the rounds of one contender together.
func summary(rounds []*sample) result {
	all := new(histogram)
	for _, s := range rounds {
		all.merge(s.latencies)
	}
	of := func(f func(*sample) float64) float64 { return median(rounds, f) }
	rates := make([]float64, len(rounds))
	for i, s := range rounds {
		rates[i] = s.rate()
	}
	rate := of((*sample).rate)
	return result{
		Rate:     rate,
		P50:      microseconds(all.quantile(0.50)),
		P99:      microseconds(all.quantile(0.99)),
		Allocs:   of(func(s *sample) float64 { return s.allocs }),
		Bytes:    of(func(s *sample) float64 { return s.bytes }),
		CPU:      of(func(s *sample) float64 { return microseconds(s.cpu) }),
		NetBytes: of(func(s *sample) float64 { return s.netBytes }),
		RedisCPU: of(func(s *sample) float64 { return microseconds(s.redisCPU) }),
		Spread:   (slices.Max(rates) - slices.Min(rates)) / rate,
		Rounds:   len(rounds),
		Rates:    rates,
	}
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// median returns the median of f over all.
func median[T any](all []T, f func(T) float64) float64 {
	values := make([]float64, len(all))
	for i, v := range all {
		values[i] = f(v)
	}
	slices.Sort(values)
	return quantile(values, 0.5)
}

// quantile returns what the part q of values, which are sorted, is not above: between two of them, the mean by how near
// they are.
func quantile(values []float64, q float64) float64 {
	at := q * float64(len(values)-1)
	i := int(at)
	if i+1 >= len(values) {
		return values[i]
	}
	return values[i] + (at-float64(i))*(values[i+1]-values[i])
}
