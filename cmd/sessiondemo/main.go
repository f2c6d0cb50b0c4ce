// Command sessiondemo is a small web application on top of package session, after the demo of Redis's session
// guide: start a session, count page views, change its time to live, watch it expire, log out; and, beyond the
// guide, a list of a user's sessions, which can be ended, "remember me" and tokens that are replaced on a timer.
//
//	sessiondemo                               sessions in memory, http://127.0.0.1:8080/
//	sessiondemo -backend goredis              in Redis on 127.0.0.1:6379, through go-redis
//	sessiondemo -backend rueidis -redis-url redis://user:password@host:6379/0
//	sessiondemo -rotate 10s                   replaces tokens that are 10 seconds old
//
// Other programs use it as the page does, with forms and JSON:
//
//	curl -c jar -b jar -d username=andrew -d ttl=60 -d remember=on http://127.0.0.1:8080/login
//	curl -c jar -b jar -d '' http://127.0.0.1:8080/increment       and /logout, /sessions/end-others
//	curl -c jar -b jar -d ttl=120 http://127.0.0.1:8080/ttl        in seconds
//	curl -c jar -b jar -d id=… http://127.0.0.1:8080/sessions/end  one of those that /sessions lists
//	curl -c jar -b jar http://127.0.0.1:8080/session               and /sessions
//
// It listens on the loopback interface alone. The cookie is the guide's plain "sid", which also travels over
// plain HTTP: this is a demo, and session.CookieOptions says what to use instead. There are no passwords either:
// whoever gives the same name is the same user.
//
// The exit status is 0 after Ctrl-C or SIGTERM, 2 for a command line that makes no sense, and 1 if the store or
// the port cannot be used, or if requests are still under way 5 seconds after the signal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(exitStatus(run(ctx, os.Args[1:], os.Stderr), os.Stderr))
}

// usageError says what is wrong with the command line.
type usageError struct{ error }

// exitStatus reports err in one line and returns the process's exit status.
func exitStatus(err error, log io.Writer) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(log, "sessiondemo: %v (sessiondemo -h lists the flags)\n", err)
		return 2
	}
	fmt.Fprintf(log, "sessiondemo: %v\n", err)
	return 1
}

// run serves until ctx ends, then finishes the requests under way.
func run(ctx context.Context, args []string, log io.Writer) error {
	f, err := parseFlags(args, log)
	if err != nil {
		return err
	}
	b, closeStore, err := f.store.open(ctx)
	if ctx.Err() != nil {
		return nil // stopped before it began
	}
	if err != nil {
		return err
	}
	defer closeStore()
	logger := slog.New(slog.NewTextHandler(log, nil))
	handler, err := newServer(b, settings{store: f.store.backend, rotate: f.rotate}, logger)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(f.port)))
	if err != nil {
		return err
	}
	fmt.Fprintf(log, "sessiondemo: sessions in %s, open http://%s/, Ctrl-C stops\n", storeLabels[f.store.backend], ln.Addr())
	return serve(ctx, ln, handler, logger)
}

// demoFlags is the command line.
type demoFlags struct {
	port   int
	rotate time.Duration
	store  storeFlags
}

// parseFlags reads the command line. It returns flag.ErrHelp after showing the flags on log, and a usageError
// for what makes no sense.
func parseFlags(args []string, log io.Writer) (demoFlags, error) {
	var f demoFlags
	flags := flag.NewFlagSet("sessiondemo", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // one line for an error, from exitStatus
	flags.IntVar(&f.port, "port", 8080, "TCP `port` to listen on, on the loopback interface; 0 picks a free one")
	flags.DurationVar(&f.rotate, "rotate", 5*time.Minute, "`age` at which a token is replaced, at least 1s; 0 for never")
	f.store.register(flags)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(log)
		fmt.Fprintln(log, "usage: sessiondemo [flags]")
		flags.PrintDefaults()
		return f, err
	case err != nil:
		return f, usageError{err}
	case flags.NArg() > 0:
		return f, usageError{fmt.Errorf("unexpected argument %q", flags.Arg(0))}
	case f.port < 0 || f.port > 65535:
		return f, usageError{fmt.Errorf("-port %d: must be 0 to 65535", f.port)}
	case f.rotate != 0 && f.rotate < time.Second:
		return f, usageError{fmt.Errorf("-rotate %v: must be 0 or at least 1s", f.rotate)}
	}
	if err := f.store.check(flags); err != nil {
		return f, usageError{err}
	}
	return f, nil
}

// grace is how long requests under way may take to finish once the server is to stop.
const grace = 5 * time.Second

// serve answers requests on ln until ctx ends.
func serve(ctx context.Context, ln net.Listener, handler http.Handler, logger *slog.Logger) error {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		_ = srv.Close()
		return fmt.Errorf("requests were still under way after %v", grace)
	}
	return nil
}
