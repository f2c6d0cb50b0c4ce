package redistest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	sentinels      = 3
	sentinelQuorum = 2

	defaultDownAfter = time.Second
)

// SentinelOptions is how servers under Sentinel are configured. The zero value, and nil, are the defaults.
type SentinelOptions struct {
	// Node is how the primary and the replica are configured. The sentinels and the replica log in as the
	// default user.
	Node Options

	// DownAfter is how long the primary may be silent before the sentinels take it for down. The replica
	// takes over about a second after that. If zero, one second.
	DownAfter time.Duration
}

// Sentinel is a primary and a replica, which three sentinels watch. To kill, pause or restart one of the
// processes, use the methods of its [Server]. Its methods are safe for concurrent use.
type Sentinel struct {
	nodes    []*Server // the first is the primary to begin with
	watchers []*Server
}

// StartSentinel starts servers under Sentinel for one test, which are stopped when the test ends. If opts is
// nil, the defaults of [SentinelOptions] are used.
func StartSentinel(tb testing.TB, opts *SentinelOptions) *Sentinel {
	tb.Helper()
	s, err := startSentinel(program(tb), tb.TempDir(), opts)
	if err != nil {
		tb.Fatalf("redistest: sentinel: %v", err)
	}
	tb.Cleanup(s.kill)
	return s
}

// startSentinel starts servers that keep their files below dir.
func startSentinel(path, dir string, opts *SentinelOptions) (*Sentinel, error) {
	if opts == nil {
		opts = new(SentinelOptions)
	}
	if opts.Node.TLS {
		return nil, errGroupTLS
	}
	s := new(Sentinel)
	for i := range 2 {
		s.nodes = append(s.nodes, &Server{path: path, dir: filepath.Join(dir, "node"+strconv.Itoa(i))})
	}
	for i := range sentinels {
		d := filepath.Join(dir, "sentinel"+strconv.Itoa(i))
		s.watchers = append(s.watchers, &Server{path: path, dir: d, args: []string{"--sentinel"}})
	}
	if err := s.boot(opts); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

// boot starts all processes and waits until they have found each other.
func (s *Sentinel) boot(opts *SentinelOptions) error {
	for _, p := range s.processes() {
		if err := os.Mkdir(p.dir, 0o700); err != nil {
			return err
		}
	}
	lines := append([]string{"repl-diskless-sync-delay 0"}, opts.Node.lines()...)
	primary, replica := s.nodes[0], s.nodes[1]
	if err := primary.start(lines); err != nil {
		return err
	}
	port := strconv.Itoa(primary.port)
	if err := replica.start(append(lines, "replicaof 127.0.0.1 "+port)); err != nil {
		return err
	}
	if err := eventually(func() error { return checkReplica(replica) }); err != nil {
		return err
	}
	watch := []string{
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %s %d", s.MasterName(), port, sentinelQuorum),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", s.MasterName(),
			cmp.Or(opts.DownAfter, defaultDownAfter).Milliseconds()),
		// A failover that fails is tried again after twice that time.
		fmt.Sprintf("sentinel failover-timeout %s 5000", s.MasterName()),
	}
	if err := s.watch(watch); err != nil {
		return err
	}
	return s.awaitOK()
}

// watch starts the sentinels at once.
func (s *Sentinel) watch(lines []string) error {
	errs := make([]error, len(s.watchers))
	var wg sync.WaitGroup
	for i, w := range s.watchers {
		wg.Go(func() {
			if errs[i] = w.start(lines); errs[i] == nil {
				hurry(w)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// hurry makes a sentinel look and speak more often than every few seconds, as far as its version can: servers
// that come back are then known within two seconds, and not ten. A stall of its process, on a machine under
// load, does not make it stand back.
func hurry(w *Server) {
	w.Try("SENTINEL", "DEBUG", "info-period", "500", "publish-period", "250", "tilt-trigger", "20000")
}

func (s *Sentinel) processes() []*Server { return slices.Concat(s.nodes, s.watchers) }

func (s *Sentinel) kill() {
	for _, p := range slices.Backward(s.processes()) {
		p.Kill()
	}
}

// MasterName is the name under which the sentinels know the primary.
func (s *Sentinel) MasterName() string { return "primary" }

// Addrs returns the addresses of the sentinels, for a client's configuration.
func (s *Sentinel) Addrs() []string {
	addrs := make([]string, len(s.watchers))
	for i, w := range s.watchers {
		addrs[i] = w.Addr()
	}
	return addrs
}

// Sentinels returns the sentinels.
func (s *Sentinel) Sentinels() []*Server { return slices.Clone(s.watchers) }

// Nodes returns the primary and the replica, in no order.
func (s *Sentinel) Nodes() []*Server { return slices.Clone(s.nodes) }

// Primary returns the primary that the sentinels name. It waits until they agree, and that it answers.
func (s *Sentinel) Primary(tb testing.TB) (primary *Server) {
	tb.Helper()
	err := eventually(func() (err error) {
		primary, err = s.primary()
		return err
	})
	if err != nil {
		tb.Fatalf("redistest: sentinel: %v", err)
	}
	return primary
}

// Replica returns the node that is not the primary. It may be down.
func (s *Sentinel) Replica(tb testing.TB) *Server {
	tb.Helper()
	if s.Primary(tb) == s.nodes[0] {
		return s.nodes[1]
	}
	return s.nodes[0]
}

// AwaitOK waits until all is well: the sentinels that answer agree on a primary, which answers as one, and if
// the other node is up, it is its replica and in step. After the primary's Kill that is when the replica has
// taken over.
func (s *Sentinel) AwaitOK(tb testing.TB) {
	tb.Helper()
	if err := s.awaitOK(); err != nil {
		tb.Fatalf("redistest: sentinel: %v", err)
	}
}

func (s *Sentinel) awaitOK() error { return eventually(s.check) }

// primary returns the primary that all sentinels name.
func (s *Sentinel) primary() (*Server, error) {
	var primary *Server
	for _, w := range s.watchers {
		if !w.answers() {
			continue
		}
		r, err := w.Try("SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.MasterName())
		if err != nil {
			return nil, err
		}
		named := s.node(r)
		if named == nil || primary != nil && named != primary {
			return nil, fmt.Errorf("the sentinels do not agree: %v", r)
		}
		primary = named
	}
	if primary == nil || !primary.answers() {
		return nil, errors.New("no primary is up")
	}
	return primary, checkRole(primary, "role:master\r\n")
}

// node returns the node at an address that a sentinel names.
func (s *Sentinel) node(r Reply) *Server {
	i := slices.IndexFunc(s.nodes, func(n *Server) bool {
		return slices.Equal(r.Strings(), []string{"127.0.0.1", strconv.Itoa(n.port)})
	})
	if i < 0 {
		return nil
	}
	return s.nodes[i]
}

// checkRole returns an error if a server's INFO does not have these lines.
func checkRole(n *Server, lines ...string) error {
	r, err := n.Try("INFO", "replication")
	if err != nil {
		return err
	}
	for _, l := range lines {
		if !strings.Contains(r.String(), l) {
			return fmt.Errorf("%s: not %q:\n%s", n.Addr(), l, r)
		}
	}
	return nil
}

// check returns an error if not all is well.
func (s *Sentinel) check() error {
	primary, err := s.primary()
	if err != nil {
		return err
	}
	up := 0
	for _, n := range s.nodes {
		if !n.answers() {
			continue
		}
		up++
		if n == primary {
			continue
		}
		master := fmt.Sprintf("master_port:%d\r\n", primary.port)
		if err := checkRole(n, "role:slave\r\n", master, "master_link_status:up\r\n"); err != nil {
			return err
		}
	}
	for _, w := range s.watchers {
		if !w.answers() {
			continue
		}
		if err := s.checkWatcher(w, up-1); err != nil {
			return fmt.Errorf("sentinel %s: %w", w.Addr(), err)
		}
	}
	return nil
}

// checkWatcher returns an error if a sentinel does not know the others, or the replica if that is up.
func (s *Sentinel) checkWatcher(w *Server, replicas int) error {
	r, err := w.Try("SENTINEL", "MASTER", s.MasterName())
	if err != nil {
		return err
	}
	m := r.Map()
	if m["flags"] != "master" || m["num-other-sentinels"] != strconv.Itoa(sentinels-1) {
		return fmt.Errorf("the primary is %s, and %s other sentinels are known", m["flags"], m["num-other-sentinels"])
	}
	if r, err = w.Try("SENTINEL", "REPLICAS", s.MasterName()); err != nil {
		return err
	}
	healthy := slices.DeleteFunc(r.Array(), func(e Reply) bool {
		m := e.Map()
		return m["flags"] != "slave" || m["master-link-status"] != "ok"
	})
	if len(healthy) != replicas {
		return fmt.Errorf("%d replicas are well, want %d", len(healthy), replicas)
	}
	return nil
}
