package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// contendersOnRedis returns all that keep sessions in the server at addr.
func contendersOnRedis(addr string) ([]*contender, error) {
	all, err := oursOnRedis(addr)
	if err != nil {
		return nil, err
	}
	plain, err := plainOnRedis(addr)
	if err != nil {
		return nil, err
	}
	gorilla, err := gorillaOnRedis(addr)
	if err != nil {
		return nil, err
	}
	fiber, err := fiberOnRedis(addr)
	if err != nil {
		return nil, err
	}
	all = append(all, plain...)
	all = append(all, scsOnRedis(addr)...)
	return append(all, gorilla, fiber), nil
}

// contendersInMemory returns all that keep sessions in the memory of the process.
func contendersInMemory() ([]*contender, error) {
	c, err := oursInMemory()
	if err != nil {
		return nil, err
	}
	return append(append([]*contender{c}, scsInMemory()...), fiberInMemory()), nil
}

func closeAll(all []*contender) {
	for _, c := range all {
		c.close()
	}
}

func filter(all []*entrant, keep func(*entrant) bool) []*entrant {
	return slices.DeleteFunc(slices.Clone(all), func(e *entrant) bool { return !keep(e) })
}

// size is what a session with two fields takes.
type size struct {
	Contender string  `json:"contender"`
	Kind      kind    `json:"kind"`
	Store     string  `json:"store"`
	Sessions  int     `json:"sessions"`
	Bytes     float64 `json:"bytes_per_session"`
}

// seedMeasured makes n sessions and returns how many bytes of heap each takes, its cookie left out.
func seedMeasured(c *contender, n int) (*entrant, float64, error) {
	if _, err := seed(c, routeSeed, 1); err != nil { // what is made once is there then
		return nil, 0, err
	}
	room := newJar(n) // as much as the cookies take
	before := heap()
	runtime.KeepAlive(room)
	e, err := newEntrant(c, n)
	if err != nil {
		return nil, 0, err
	}
	return e, (heap() - before) / float64(n), nil
}

// heap returns the bytes that are in use after a collection.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held is gone with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// sizesInRedis measures what sessions take in Redis, each contender's alone on the server.
func sizesInRedis(ctx context.Context, cfg config, srv *server, all []*contender, log io.Writer) ([]size, error) {
	var sizes []size
	for _, c := range all {
		if !slices.Contains([]string{nameGo, nameGuideGo, nameSCS, nameSCSJSON, nameGorilla, nameFiber}, c.name) || !cfg.wants(routeSeed, c) {
			continue
		}
		fmt.Fprintf(log, "bytes per session: %s\n", c.name)
		bytes, err := sizeInRedis(ctx, srv, c, cfg.sizeSessions)
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, size{Contender: c.name, Kind: c.kind, Store: "redis", Sessions: cfg.sizeSessions, Bytes: bytes})
	}
	return sizes, nil
}

func sizeInRedis(ctx context.Context, srv *server, c *contender, n int) (float64, error) {
	if _, err := seed(c, routeSeed, 100); err != nil { // so that the connections are there
		return 0, err
	}
	if err := srv.admin.FlushAll(ctx).Err(); err != nil {
		return 0, err
	}
	before, err := srv.usedMemory(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := seed(c, routeSeed, n); err != nil {
		return 0, err
	}
	after, err := srv.usedMemory(ctx)
	if err != nil {
		return 0, err
	}
	// What the server keeps for itself grows by a kilobyte or so meanwhile.
	return math.Round((after - before) / float64(n)), srv.admin.FlushAll(ctx).Err()
}

// observedRequests is over how many requests commands are counted.
const observedRequests = 20

// commandsSent counts the commands that each contender sends for a request on the route, one request after the other.
func commandsSent(ctx context.Context, srv *server, cfg config, all []*entrant, r route) (map[string]float64, error) {
	counts := make(map[string]float64)
	if srv == nil {
		return counts, nil
	}
	for _, e := range all {
		if !e.has(r) || !cfg.wants(r, e.contender) {
			continue
		}
		names, err := e.observed(ctx, srv, r)
		if err != nil {
			return nil, err
		}
		counts[e.name] = float64(len(names)) / observedRequests
	}
	return counts, nil
}

// observed returns the commands of some requests on the route, on sessions that have been read just before.
func (e *entrant) observed(ctx context.Context, srv *server, r route) ([]string, error) {
	j := e.jar
	if r == routeLogout || r == routeLogin {
		seedRoute := map[route]route{routeLogout: routeLogin, routeLogin: routeSeed}[r]
		var err error
		if j, err = seed(e.contender, seedRoute, observedRequests); err != nil {
			return nil, err
		}
	}
	a := e.take(1)[0]
	if e.has(routeRead) {
		for i := range observedRequests {
			a.do(routeRead, j.get(i), "", "")
		}
	}
	return srv.monitored(ctx, func() error {
		for i := range observedRequests {
			if resp := a.do(r, j.get(i), "", user()); resp.status != 200 {
				return fmt.Errorf("%s: %s: status %d: %s", e.name, r, resp.status, resp.body)
			}
		}
		return nil
	})
}

// machine is where a run took place.
type machine struct {
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	OS    string `json:"os"`
	Go    string `json:"go"`
	Redis string `json:"redis"`

	RedisCPUs string `json:"redis_cpus,omitempty"` // if the server was kept to some
}

func thisMachine(redisVersion, redisCPUs string) machine {
	return machine{
		CPU: cpuName(), Cores: runtime.GOMAXPROCS(0), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Redis: redisVersion, RedisCPUs: redisCPUs,
	}
}

// cores says how many there are, and for whom.
func (m machine) cores() string {
	cores := fmt.Sprintf("%d cores", m.Cores)
	if m.Cores == 1 {
		cores = "1 core"
	}
	if m.RedisCPUs != "" {
		cores += " and CPU " + m.RedisCPUs + " for Redis"
	}
	return cores
}

// setParallel parses the flag -parallel.
func (c *config) setParallel(text string) error {
	c.parallel = nil
	for s := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no number of requests", s)
		}
		c.parallel = append(c.parallel, n)
	}
	return nil
}
