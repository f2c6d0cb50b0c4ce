package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/backend/rueidis"
)

// storeLabels names the backends, by their flag's values, to people.
var storeLabels = map[string]string{
	"memory":  "memory",
	"goredis": "Redis through go-redis",
	"rueidis": "Redis through rueidis",
}

// storeFlags say where the sessions are kept.
type storeFlags struct {
	backend string
	host    string
	port    int
	url     string
}

func (f *storeFlags) register(flags *flag.FlagSet) {
	flags.StringVar(&f.backend, "backend", "memory", "where the sessions are kept: memory, goredis or rueidis")
	flags.StringVar(&f.host, "redis-host", "127.0.0.1", "Redis `host`")
	flags.IntVar(&f.port, "redis-port", 6379, "Redis `port`")
	flags.StringVar(&f.url, "redis-url", "", "Redis `URL`, redis://user:password@host:port/db, in place of host and port")
}

// check refuses values and combinations that make no sense, rather than to ignore a flag in silence.
func (f *storeFlags) check(flags *flag.FlagSet) error {
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if _, ok := storeLabels[f.backend]; !ok {
		return fmt.Errorf("-backend %q: must be memory, goredis or rueidis", f.backend)
	}
	for _, name := range []string{"redis-url", "redis-host", "redis-port"} {
		if given[name] && f.backend == "memory" {
			return fmt.Errorf("-%s needs -backend goredis or -backend rueidis", name)
		}
		if given[name] && given["redis-url"] && name != "redis-url" {
			return fmt.Errorf("-redis-url takes the place of -%s: give one of them", name)
		}
	}
	switch {
	case f.port < 1 || f.port > 65535:
		return fmt.Errorf("-redis-port %d: must be 1 to 65535", f.port)
	case f.host == "":
		return errors.New("-redis-host must not be empty")
	case given["redis-url"] && f.url == "":
		return errors.New("-redis-url must not be empty")
	}
	return nil
}

// openTimeout is how long Redis has to answer for the first time.
const openTimeout = 2 * time.Second

// open returns the backend, and what closes its client. It fails if Redis is asked for and cannot be used.
func (f *storeFlags) open(ctx context.Context) (backend.Backend, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	redisURL := f.url
	if redisURL == "" {
		redisURL = (&url.URL{Scheme: "redis", Host: net.JoinHostPort(f.host, strconv.Itoa(f.port))}).String()
	}
	switch f.backend {
	case "goredis":
		return openGoRedis(ctx, redisURL)
	case "rueidis":
		return openRueidis(ctx, redisURL)
	}
	return memory.New(nil), func() {}, nil
}

func openGoRedis(ctx context.Context, redisURL string) (backend.Backend, func(), error) {
	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		return nil, nil, usageError{errURL}
	}
	opts.ContextTimeoutEnabled = true
	opts.DialTimeout = openTimeout
	opts.DialerRetries = 1   // a second try comes with the next request
	redis.SetLogger(quiet{}) // what it would log is in the errors
	client := redis.NewClient(opts)
	b := goredis.New(client, nil)
	if err := b.Ping(ctx); err != nil {
		_ = client.Close()
		return nil, nil, noRedis(opts.Addr, err)
	}
	return b, func() { _ = client.Close() }, nil
}

func openRueidis(ctx context.Context, redisURL string) (backend.Backend, func(), error) {
	opts, err := rueidisclient.ParseURL(redisURL)
	if err != nil {
		return nil, nil, usageError{errURL}
	}
	opts.Dialer.Timeout = openTimeout // NewClient takes no context
	opts.DisableCache = true          // the demo reads everything from the server
	client, err := rueidisclient.NewClient(opts)
	if err != nil {
		return nil, nil, noRedis(opts.InitAddress[0], err)
	}
	b := rueidis.New(client, nil)
	if err := b.Ping(ctx); err != nil {
		client.Close()
		return nil, nil, noRedis(opts.InitAddress[0], err)
	}
	return b, client.Close, nil
}

// errURL does not say more: the parsers' errors show parts of the password.
var errURL = errors.New("-redis-url must look like redis://user:password@host:port/db, rediss:// for TLS; " +
	"characters with a meaning in URLs are written as %XX")

// timedOut reports whether err says that the store took too long. Clients that turn a context's deadline into
// the connection's return the connection's error.
func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

func noRedis(addr string, err error) error {
	if timedOut(err) {
		return fmt.Errorf("no answer from Redis at %s within %v", addr, openTimeout)
	}
	return fmt.Errorf("cannot use Redis at %s: %w", addr, err)
}

// quiet is a logger for go-redis that drops everything.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
