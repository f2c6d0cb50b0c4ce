package redistest

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
)

// StartReplica starts a server that replicates another one, and waits until it holds what the other one does.
// Options like those of [Start] are for the replica.
func StartReplica(tb testing.TB, master *Server, opts *Options) *Server {
	tb.Helper()
	var o Options
	if opts != nil {
		o = *opts
	}
	host, port, err := net.SplitHostPort(master.Addr())
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	master.Do(tb, "CONFIG", "SET", "repl-diskless-sync-delay", "0")
	o.Config = append([]string{"replicaof " + host + " " + port}, o.Config...)
	replica := Start(tb, &o)
	err = eventually(func() error {
		info, err := replica.Try("INFO", "replication")
		if err == nil && !strings.Contains(info.String(), "master_link_status:up") {
			return errors.New("the replica does not find its master")
		}
		return err
	})
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	master.Do(tb, "PUBLISH", "redistest", "") // replicated, and changes nothing
	master.AwaitReplicas(tb)
	return replica
}

// AwaitReplicas waits until every replica of this server, at least one, has acknowledged what was written before
// the call, which must be something.
//
// A replica whose link is up may be without it. For up to a second after the first synchronization, until the
// replica has acknowledged that, the master keeps back all that is written.
func (s *Server) AwaitReplicas(tb testing.TB) {
	tb.Helper()
	written := -1
	err := eventually(func() error {
		r, err := s.Try("ROLE")
		if err != nil {
			return err
		}
		role := r.Array()
		if role[0].String() != "master" || len(role[2].Array()) == 0 {
			return fmt.Errorf("no master with a replica: %v", r)
		}
		if written < 0 {
			written = role[1].Int()
		}
		for _, replica := range role[2].Array() {
			// One that has acknowledged nothing yet is at 0.
			if at := replica.Array()[2].Int(); at < max(written, 1) {
				return fmt.Errorf("a replica is at %d, and not at %d: %v", at, written, r)
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
}

// Promote makes a replica a master of its own.
func (s *Server) Promote(tb testing.TB) {
	tb.Helper()
	s.Do(tb, "REPLICAOF", "NO", "ONE")
}
