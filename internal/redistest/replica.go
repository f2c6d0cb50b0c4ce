package redistest

import (
	"net"
	"strings"
	"testing"
	"time"
)

// StartReplica starts a server that replicates another one, and waits until the two are in step. Options like
// those of [Start] are for the replica.
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
	for range 1000 {
		info, err := replica.Try("INFO", "replication")
		if err == nil && strings.Contains(info.String(), "master_link_status:up") {
			return replica
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Fatal("redistest: the replica does not find its master")
	return nil
}

// Promote makes a replica a master of its own.
func (s *Server) Promote(tb testing.TB) {
	tb.Helper()
	s.Do(tb, "REPLICAOF", "NO", "ONE")
}
