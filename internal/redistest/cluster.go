package redistest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	clusterMasters = 3
	clusterNodes   = 2 * clusterMasters

	defaultNodeTimeout = time.Second
)

// ClusterOptions is how a cluster is configured. The zero value, and nil, are the defaults.
type ClusterOptions struct {
	// Node is how each node is configured. Nodes do not insist on full coverage: while a master is down, the
	// others answer. The line "cluster-require-full-coverage yes" changes that.
	Node Options

	// NodeTimeout is how long a node may be silent before the others take it for failed. A replica takes
	// over one to two seconds after that. If zero, one second. What is too short for a machine under load
	// makes replicas take over for no reason.
	NodeTimeout time.Duration
}

// Cluster is a Redis Cluster of three masters with a replica each. To kill, pause or restart a node, use the
// methods of its [Server]. Its methods are safe for concurrent use.
type Cluster struct {
	nodes []*Server
}

// StartCluster starts a cluster for one test, which is stopped when the test ends. It takes about two seconds.
// If opts is nil, the defaults of [ClusterOptions] are used.
func StartCluster(tb testing.TB, opts *ClusterOptions) *Cluster {
	tb.Helper()
	c, err := startCluster(program(tb), tb.TempDir(), opts)
	if err != nil {
		tb.Fatalf("redistest: cluster: %v", err)
	}
	tb.Cleanup(c.kill)
	return c
}

// startCluster starts a cluster whose nodes keep their files below dir.
func startCluster(path, dir string, opts *ClusterOptions) (*Cluster, error) {
	if opts == nil {
		opts = new(ClusterOptions)
	}
	if opts.Node.TLS {
		return nil, errGroupTLS
	}
	timeout := cmp.Or(opts.NodeTimeout, defaultNodeTimeout)
	node := opts.Node
	node.Config = append([]string{
		"cluster-enabled yes",
		// With a longer one the nodes also take longer to get to know each other.
		nodeTimeout(min(timeout, defaultNodeTimeout)),
		"cluster-require-full-coverage no",
		"cluster-replica-validity-factor 0", // a replica takes over however old its data are
		"cluster-allow-replica-migration no",
		"repl-diskless-sync-delay 0",
	}, node.Config...)

	c := &Cluster{nodes: make([]*Server, clusterNodes)}
	for i := range c.nodes {
		c.nodes[i] = &Server{path: path, dir: filepath.Join(dir, strconv.Itoa(i))}
	}
	err := c.each(func(s *Server) error {
		if err := os.Mkdir(s.dir, 0o700); err != nil {
			return err
		}
		return s.start(node.lines(), busPortOffset)
	})
	if err == nil {
		err = c.form()
	}
	if err == nil && timeout > defaultNodeTimeout {
		err = c.each(func(s *Server) error { return s.setNodeTimeout(timeout) })
	}
	if err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

func nodeTimeout(d time.Duration) string {
	return fmt.Sprintf("cluster-node-timeout %d", d.Milliseconds())
}

// setNodeTimeout sets the timeout, also for after a restart.
func (s *Server) setNodeTimeout(d time.Duration) error {
	if _, err := s.Try(append([]string{"CONFIG", "SET"}, strings.Fields(nodeTimeout(d))...)...); err != nil {
		return err
	}
	_, err := s.Try("CONFIG", "REWRITE")
	return err
}

// each runs f for every node at once.
func (c *Cluster) each(f func(*Server) error) error {
	errs := make([]error, len(c.nodes))
	var wg sync.WaitGroup
	for i, s := range c.nodes {
		wg.Go(func() { errs[i] = f(s) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// form makes a cluster of six nodes that do not know each other.
func (c *Cluster) form() error {
	for i, s := range c.nodes[:clusterMasters] {
		first, next := i*Slots/clusterMasters, (i+1)*Slots/clusterMasters
		if _, err := s.Try("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return err
		}
		if _, err := s.Try("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(next-1)); err != nil {
			return err
		}
	}
	if err := c.meet(); err != nil {
		return err
	}
	for i, s := range c.nodes[clusterMasters:] {
		id, err := c.nodes[i].Try("CLUSTER", "MYID")
		if err != nil {
			return err
		}
		if _, err := s.Try("CLUSTER", "REPLICATE", id.String()); err != nil {
			return err
		}
	}
	return c.awaitOK()
}

// meet introduces every node to every other one, and waits until they all know each other.
func (c *Cluster) meet() error {
	for i, s := range c.nodes {
		for _, peer := range c.nodes[i+1:] {
			if _, err := s.Try("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(peer.port)); err != nil {
				return err
			}
		}
	}
	return eventually(func() error {
		for _, s := range c.nodes {
			r, err := s.Try("CLUSTER", "NODES")
			if err != nil {
				return err
			}
			nodes := r.String()
			if n := strings.Count(nodes, "\n"); n != clusterNodes || strings.Contains(nodes, "handshake") {
				return fmt.Errorf("%s knows %d nodes:\n%s", s.Addr(), n, nodes)
			}
		}
		return nil
	})
}

func (c *Cluster) kill() {
	for _, s := range c.nodes {
		s.Kill()
	}
}

// Addrs returns the addresses of all nodes.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.nodes))
	for i, s := range c.nodes {
		addrs[i] = s.Addr()
	}
	return addrs
}

// Nodes returns all nodes, those too that are down. Which are masters changes, see [Cluster.Masters].
func (c *Cluster) Nodes() []*Server { return append([]*Server(nil), c.nodes...) }

// Prefix is [Server.Prefix] for a cluster. It looks at the keys only if all nodes are up.
func (c *Cluster) Prefix(tb testing.TB) string {
	tb.Helper()
	prefix := newPrefix(tb)
	tb.Cleanup(func() {
		for _, s := range c.nodes {
			if !s.answers() {
				return
			}
		}
		for _, s := range c.Masters(tb) {
			sweep(tb, s.Addr(), prefix)
		}
	})
	return prefix
}

// eventually calls f until it returns nil, for 30 seconds at most.
func eventually(f func() error) error {
	for start := time.Now(); ; time.Sleep(2 * pollInterval) {
		err := f()
		if err == nil || time.Since(start) > startTimeout {
			return err
		}
	}
}
