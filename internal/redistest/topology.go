package redistest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// clusterNode is a node as another one, or itself, sees it.
type clusterNode struct {
	id     string
	port   int
	master string // the id of its master, or "" if it is one
	failed bool   // or thought to be
	epoch  int
	slots  string // ranges, as in "0-99 200"
	self   bool   // the node that was asked
}

// parseNodes reads the reply of CLUSTER NODES, by port.
func parseNodes(text string) (map[int]clusterNode, error) {
	nodes := make(map[int]clusterNode)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 {
			return nil, fmt.Errorf("CLUSTER NODES: %q", line)
		}
		addr, _, _ := strings.Cut(f[1], "@") // "127.0.0.1:7000@17000,host"
		port, err := strconv.Atoi(addr[strings.LastIndexByte(addr, ':')+1:])
		if err != nil {
			return nil, fmt.Errorf("CLUSTER NODES: %q: %w", line, err)
		}
		epoch, err := strconv.Atoi(f[6])
		if err != nil {
			return nil, fmt.Errorf("CLUSTER NODES: %q: %w", line, err)
		}
		n := clusterNode{id: f[0], port: port, epoch: epoch, slots: strings.Join(served(f[8:]), " ")}
		flags := strings.Split(f[2], ",")
		n.self = slices.Contains(flags, "myself")
		n.failed = slices.Contains(flags, "fail") || slices.Contains(flags, "fail?")
		if f[3] != "-" {
			n.master = f[3]
		}
		nodes[port] = n
	}
	return nodes, nil
}

// served leaves out the slots that are on their way, such as "[93-<-id]".
func served(slots []string) []string {
	return slices.DeleteFunc(slots, func(s string) bool { return strings.HasPrefix(s, "[") })
}

// has reports whether the node serves a slot.
func (n clusterNode) has(slot int) bool {
	for r := range strings.FieldsSeq(n.slots) {
		low, high, ok := strings.Cut(r, "-")
		if !ok {
			high = low
		}
		first, _ := strconv.Atoi(low)
		last, _ := strconv.Atoi(high)
		if first <= slot && slot <= last {
			return true
		}
	}
	return false
}

// view returns the cluster as a node sees it.
func view(s *Server) (map[int]clusterNode, error) {
	r, err := s.Try("CLUSTER", "NODES")
	if err != nil {
		return nil, err
	}
	return parseNodes(r.String())
}

// selves returns what every node that answers says of itself.
func (c *Cluster) selves() (map[*Server]clusterNode, error) {
	nodes := make(map[*Server]clusterNode)
	for _, s := range c.nodes {
		if !s.answers() {
			continue
		}
		v, err := view(s)
		if err != nil {
			return nil, err
		}
		nodes[s] = v[s.port]
	}
	return nodes, nil
}

// owner returns the node that serves a slot by its own account, the last elected one if there are several.
func (c *Cluster) owner(slot int) (*Server, error) {
	nodes, err := c.selves()
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(nodes, func(_ *Server, n clusterNode) bool { return n.master != "" || !n.has(slot) })
	if len(nodes) == 0 {
		return nil, fmt.Errorf("no node serves slot %d", slot)
	}
	return slices.MaxFunc(slices.Collect(maps.Keys(nodes)), func(a, b *Server) int {
		return cmp.Compare(nodes[a].epoch, nodes[b].epoch)
	}), nil
}

// MasterOf returns the node that serves a key. It waits for one while there is none.
func (c *Cluster) MasterOf(tb testing.TB, key string) *Server {
	tb.Helper()
	return c.masterOfSlot(tb, Slot(key))
}

func (c *Cluster) masterOfSlot(tb testing.TB, slot int) (owner *Server) {
	tb.Helper()
	err := eventually(func() (err error) {
		owner, err = c.owner(slot)
		return err
	})
	if err != nil {
		tb.Fatalf("redistest: cluster: %v", err)
	}
	return owner
}

// ReplicaOf returns a running replica of the node that serves a key. It waits for one while there is none.
func (c *Cluster) ReplicaOf(tb testing.TB, key string) (replica *Server) {
	tb.Helper()
	err := eventually(func() error {
		nodes, err := c.selves()
		if err != nil {
			return err
		}
		owner, err := c.owner(Slot(key))
		if err != nil {
			return err
		}
		for s, n := range nodes {
			if n.master == nodes[owner].id {
				replica = s
				return nil
			}
		}
		return fmt.Errorf("%s has no replica", owner.Addr())
	})
	if err != nil {
		tb.Fatalf("redistest: cluster: %v", err)
	}
	return replica
}

// Masters returns the nodes that serve slots by their own account.
func (c *Cluster) Masters(tb testing.TB) []*Server {
	tb.Helper()
	var masters []*Server
	err := eventually(func() (err error) { // a node may be killed while it is asked
		masters, err = c.masters()
		return err
	})
	if err != nil {
		tb.Fatalf("redistest: cluster: %v", err)
	}
	return masters
}

func (c *Cluster) masters() ([]*Server, error) {
	nodes, err := c.selves()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(c.Nodes(), func(s *Server) bool {
		n, ok := nodes[s]
		return !ok || n.master != "" || n.slots == ""
	}), nil
}

// AwaitOK waits until the cluster is well: all nodes that answer agree on who serves what, those who serve are
// among them, every slot is served, and every replica is in step with its master. After a master's Kill that
// is when a replica has taken over.
func (c *Cluster) AwaitOK(tb testing.TB) {
	tb.Helper()
	if err := c.awaitOK(); err != nil {
		tb.Fatalf("redistest: cluster: %v", err)
	}
}

func (c *Cluster) awaitOK() error { return eventually(c.check) }

// check returns an error if the cluster is not well.
func (c *Cluster) check() error {
	up := make(map[int]bool)
	for _, s := range c.nodes {
		up[s.port] = s.answers()
	}
	var agreed map[int]clusterNode
	for _, s := range c.nodes {
		if !up[s.port] {
			continue
		}
		v, err := view(s)
		if err != nil {
			return err
		}
		if err := checkView(v, up); err != nil {
			return fmt.Errorf("as %s sees it: %w", s.Addr(), err)
		}
		if err := checkNode(s); err != nil {
			return fmt.Errorf("%s: %w", s.Addr(), err)
		}
		for port, n := range v {
			n.self = false
			v[port] = n
		}
		maps.DeleteFunc(v, func(port int, _ clusterNode) bool { return !up[port] })
		if agreed != nil && !maps.Equal(agreed, v) {
			return fmt.Errorf("nodes do not agree: %+v and %+v", agreed, v)
		}
		agreed = v
	}
	return nil
}

// checkView returns an error if a node does not see the cluster as it should be.
func checkView(v map[int]clusterNode, up map[int]bool) error {
	for port := range up {
		n, known := v[port]
		switch {
		case !known:
			return fmt.Errorf("node %d is unknown", port)
		case up[port] && n.failed:
			return fmt.Errorf("node %d is failed", port)
		case up[port] && n.master == "" && n.slots == "":
			return fmt.Errorf("node %d is neither a replica nor serves slots", port)
		case !up[port] && n.slots != "":
			return fmt.Errorf("node %d is down and serves slots", port)
		}
	}
	return nil
}

// checkNode returns an error if a node does not do its part.
func checkNode(s *Server) error {
	info, err := s.Try("CLUSTER", "INFO")
	if err != nil {
		return err
	}
	for _, want := range []string{"cluster_state:ok\r\n", fmt.Sprintf("cluster_slots_ok:%d\r\n", Slots)} {
		if !strings.Contains(info.String(), want) {
			return fmt.Errorf("not %q:\n%s", want, info)
		}
	}
	return checkReplica(s)
}

// checkReplica returns an error if a server is a replica that is not in step with its master.
func checkReplica(s *Server) error {
	info, err := s.Try("INFO", "replication")
	if err != nil {
		return err
	}
	text := info.String()
	if strings.Contains(text, "role:slave\r\n") && !strings.Contains(text, "master_link_status:up\r\n") {
		return errors.New("the replica's link is down")
	}
	return nil
}
