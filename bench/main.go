// Command bench measures this library beside others and beside the plain commands, in one run, on a redis-server
// that it starts itself. See README.md for what it prints and how to read it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// config is what the flags say.
type config struct {
	time           time.Duration
	rounds         int
	parallel       []int
	sessions       int           // of each contender on Redis
	memorySessions int           // of each contender in memory
	sizeSessions   int           // to measure the memory of sessions in Redis
	counts         int           // parallel ones, to see what is lost
	settle         time.Duration // between making the sessions in Redis and measuring
	pause          time.Duration // between two looks at the memory of Redis, until it does not change any more
	only           *regexp.Regexp
	redisCPUs      string // those that redis-server is kept to, empty for all
	json, svg      string // where to write
	summary        string // a file to put the most important figures into
	from           string // a file that json was written to, instead of measuring
	growth         bool
	grow           growthConfig
}

func main() {
	cfg := parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the promises are tried on purpose
	if err := run(ctx, cfg, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func parse() config {
	c := defaults()
	flag.DurationVar(&c.time, "time", c.time, "how long each contender is measured in each round")
	flag.IntVar(&c.rounds, "rounds", c.rounds, "rounds, of which the median counts")
	flag.IntVar(&c.sessions, "sessions", c.sessions, "sessions of each contender in Redis")
	flag.IntVar(&c.memorySessions, "memory-sessions", c.memorySessions, "sessions of each contender in memory")
	only := flag.String("only", "", "measure only what matches this regular expression: `route/contender`, such as ^read/.*goredis")
	flag.StringVar(&c.redisCPUs, "redis-cpus", "", "keep redis-server to these CPUs, a `list` as taskset reads it (Linux)")
	quick := flag.Bool("quick", false, "a smoke run of a few seconds, whose figures say nothing")
	flag.StringVar(&c.json, "json", "", "write the results to this `file`")
	flag.StringVar(&c.svg, "svg", "", "write the charts to this `directory`")
	flag.StringVar(&c.summary, "summary", "", "put the figures that matter most into this Markdown `file`, between its lines <!-- bench --> and <!-- /bench -->")
	flag.StringVar(&c.from, "from", "", "measure nothing and take the results from this `file`, which -json has written")
	flag.BoolVar(&c.growth, "growth", false, "measure how the cost grows with sessions, fields, values and a user's sessions")
	flag.IntVar(&c.grow.memory, "growth-memory", c.grow.memory, "most sessions in memory, with -growth")
	flag.IntVar(&c.grow.redis, "growth-redis", c.grow.redis, "most sessions in Redis, with -growth")
	flag.IntVar(&c.grow.owned, "growth-owned", c.grow.owned, "most sessions of one user, with -growth")
	flag.Func("parallel", "requests at a time, separated by commas (default 1,32,256)", c.setParallel)
	flag.Parse()
	c.only = regexp.MustCompile(*only)
	if *quick {
		c.quicken()
	}
	return c
}

func defaults() config {
	return config{
		time:           50 * time.Millisecond,
		rounds:         25,
		parallel:       []int{1, 32, 256},
		sessions:       1000,
		memorySessions: 300_000,
		sizeSessions:   100_000,
		counts:         parallelCounts,
		settle:         localCache + time.Second, // for so long, a local cache is not used for what was just written
		pause:          250 * time.Millisecond,
		only:           regexp.MustCompile(""),
		grow:           growthDefaults(),
	}
}

// quicken makes everything small.
func (c *config) quicken() {
	c.time, c.rounds, c.parallel = 10*time.Millisecond, 1, []int{8}
	c.sessions, c.memorySessions, c.sizeSessions, c.counts = 100, 1000, 500, 100
	c.settle, c.pause = 0, time.Millisecond
	c.grow.quicken()
}

// report is everything that a run found out.
type report struct {
	Date     time.Time `json:"date"`
	Machine  machine   `json:"machine"`
	Time     string    `json:"time_per_round"`
	Rounds   int       `json:"rounds"`
	Results  []result  `json:"results,omitempty"`
	Sizes    []size    `json:"sizes,omitempty"`
	Promises []promise `json:"promises,omitempty"`
	Targets  []verdict `json:"targets,omitempty"`
	Growth   *growth   `json:"growth,omitempty"`
}

// run does what cfg says. It prints the tables to out and its progress to log.
func run(ctx context.Context, cfg config, out, log io.Writer) error {
	rep, err := results(ctx, cfg, log)
	if err != nil {
		return err
	}
	rep.Targets = judge(rep)
	if err := rep.print(out); err != nil {
		return err
	}
	if cfg.json != "" {
		text, err := json.MarshalIndent(rep, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(cfg.json, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	if cfg.svg != "" {
		if err := rep.draw(cfg.svg); err != nil {
			return err
		}
	}
	if cfg.summary != "" {
		return rep.summarize(cfg.summary)
	}
	return nil
}

// results measures, or reads what was measured before.
func results(ctx context.Context, cfg config, log io.Writer) (*report, error) {
	rep := new(report)
	if cfg.from != "" {
		text, err := os.ReadFile(cfg.from)
		if err != nil {
			return nil, err
		}
		return rep, json.Unmarshal(text, rep)
	}
	srv, err := startServer(ctx, cfg.redisCPUs)
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	srv.pause = cfg.pause
	*rep = report{Date: time.Now().UTC(), Machine: thisMachine(srv.version(ctx), cfg.redisCPUs), Time: cfg.time.String(), Rounds: cfg.rounds}
	if cfg.growth {
		rep.Growth, err = measureGrowth(ctx, cfg, srv, log)
		return rep, err
	}
	return rep, compare(ctx, cfg, srv, rep, log)
}

// compare measures all contenders: first those on Redis, then those in memory.
func compare(ctx context.Context, cfg config, srv *server, rep *report, log io.Writer) error {
	onRedis, err := contendersOnRedis(srv.addr)
	if err != nil {
		return err
	}
	defer closeAll(onRedis)
	inMemory, err := contendersInMemory()
	if err != nil {
		return err
	}
	for _, c := range append(slices.Clip(onRedis), inMemory...) {
		if c.gate == nil || !cfg.wants(routeField, c) {
			continue
		}
		fmt.Fprintln(log, "what is lost:", c.name)
		p, err := keepPromises(c, cfg.counts)
		if err != nil {
			return err
		}
		rep.Promises = append(rep.Promises, p)
	}
	if rep.Sizes, err = sizesInRedis(ctx, cfg, srv, onRedis, log); err != nil {
		return err
	}
	if err := compareGroup(ctx, cfg, "redis", onRedis, cfg.sessions, srv, rep, log); err != nil {
		return err
	}
	return compareGroup(ctx, cfg, "memory", inMemory, cfg.memorySessions, nil, rep, log)
}

// wants reports whether the flag -only lets the contender be measured on the route.
func (c *config) wants(r route, of *contender) bool {
	return c.only.MatchString(string(r) + "/" + of.name)
}

// compareGroup measures contenders that keep their sessions in the same kind of store.
func compareGroup(ctx context.Context, cfg config, store string, group []*contender, sessions int, srv *server, rep *report, log io.Writer) error {
	entrants := make([]*entrant, 0, len(group))
	for _, c := range group {
		fmt.Fprintf(log, "%d sessions: %s\n", sessions, c.name)
		e, bytes, err := seedMeasured(c, sessions)
		if err != nil {
			return err
		}
		entrants = append(entrants, e)
		if srv == nil {
			rep.Sizes = append(rep.Sizes, size{Contender: c.name, Kind: c.kind, Store: store, Sessions: sessions, Bytes: bytes})
		}
	}
	if srv != nil {
		time.Sleep(cfg.settle)
	}
	for _, r := range measured {
		sent, err := commandsSent(ctx, srv, cfg, entrants, r)
		if err != nil {
			return err
		}
		for _, parallel := range cfg.parallel {
			fmt.Fprintf(log, "%s: %s, %d at a time\n", store, r, parallel)
			wanted := filter(entrants, func(e *entrant) bool { return e.has(r) && cfg.wants(r, e.contender) })
			m, rounds := newMeter(srv, cfg, parallel)
			results, err := m.block(ctx, wanted, r, parallel, rounds)
			if err != nil {
				return err
			}
			for i := range results {
				results[i].Store, results[i].Commands = store, sent[results[i].Contender]
			}
			rep.Results = append(rep.Results, results...)
		}
	}
	return nil
}
