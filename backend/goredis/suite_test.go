package goredis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/internal/redistest"
)

// open connects with the settings that the package comment gives.
func open(tb testing.TB, c redissuite.Config) backend.Backend {
	return newBackend(openClient(tb, c), c)
}

// openPipelined is open with an auto-pipelined client.
func openPipelined(tb testing.TB, c redissuite.Config) backend.Backend {
	auto, err := openClient(tb, c).AutoPipeline()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = auto.Close() })
	return newBackend(auto, c)
}

func newBackend(client redis.UniversalClient, c redissuite.Config) backend.Backend {
	return goredis.New(client, &goredis.Options{
		Prefix: c.Prefix, WaitReplicas: c.WaitReplicas, WaitTimeout: c.WaitTimeout,
	})
}

func openClient(tb testing.TB, c redissuite.Config) redis.UniversalClient {
	opts := &redis.UniversalOptions{
		Addrs: c.Addrs, IsClusterMode: c.Cluster, MasterName: c.Sentinel,
		Username: c.User.Name, Password: c.User.Password, TLSConfig: c.TLS,
		ContextTimeoutEnabled: !c.Defaults,
	}
	var client redis.UniversalClient
	if c.Cluster {
		cluster := opts.Cluster()
		if !c.Defaults {
			cluster.ClusterStateReloadInterval = time.Second
		}
		client = redis.NewClusterClient(cluster)
	} else {
		client = redis.NewUniversalClient(opts)
	}
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// kit connects for the tests on single servers.
var kit = redissuite.Kit{
	Name:     "goredis",
	Open:     onClient(func(tb testing.TB, addr string) redis.UniversalClient { return connect(tb, addr) }),
	OpenMini: onClient(connectMini),
	IsReply:  isReply,
	Kinds:    clients,
}

// onClient returns what connects a client and returns the backend on it.
func onClient(connect func(tb testing.TB, addr string) redis.UniversalClient) redissuite.Connect {
	return func(tb testing.TB, addr, prefix string) backend.Backend {
		return goredis.New(connect(tb, addr), &goredis.Options{Prefix: prefix})
	}
}

func TestRecords(t *testing.T) { redissuite.Records(t, kit) }

func TestCommands(t *testing.T) { redissuite.Commands(t, kit) }

func TestWriteIsSentOnce(t *testing.T) { redissuite.WriteIsSentOnce(t, kit) }

func TestScriptIsSentOnceAfterNoScript(t *testing.T) {
	redissuite.ScriptIsSentOnceAfterNoScript(t, kit)
}

func TestLoadIsSentAgainWhenLost(t *testing.T) { redissuite.LoadIsSentAgainWhenLost(t, kit) }

func TestLoadAfterIdleConnectionHasEnded(t *testing.T) {
	redissuite.LoadAfterIdleConnectionHasEnded(t, kit)
}

func TestEndedContextSendsNothing(t *testing.T) { redissuite.EndedContextSendsNothing(t, kit) }

func TestCrowd(t *testing.T) { redissuite.Crowd(t, kit) }

func TestDurable(t *testing.T) {
	t.Parallel() // it mostly waits
	redissuite.Durable(t, open)
}

func TestLeaks(t *testing.T) { redissuite.Leaks(t, open) }

func TestWithoutDeadline(t *testing.T) {
	t.Parallel() // it mostly waits
	redissuite.WithoutDeadline(t, open)
}

func TestDurableDeadline(t *testing.T) {
	t.Parallel() // it mostly waits
	redissuite.DurableDeadline(t, open)
}

func TestSuiteLeastPrivilege(t *testing.T) { redissuite.LeastPrivilege(t, open, redissuite.NoMore) }

func TestConformanceLeastPrivilege(t *testing.T) {
	t.Parallel() // it mostly waits
	redissuite.LeastPrivilegeConformance(t, open, redissuite.NoMore)
}

func TestTLS(t *testing.T) { redissuite.TLS(t, open) }

func TestFailover(t *testing.T) {
	t.Parallel() // it mostly waits
	redissuite.Failover(t, open)
}

func TestFaults(t *testing.T) {
	t.Parallel() // it mostly waits
	redissuite.Faults(t, open)
}

func TestCluster(t *testing.T) { redissuite.Cluster(t, open) }

func TestClusterAutoPipelined(t *testing.T) { redissuite.ClusterCalls(t, openPipelined) }

func TestConformanceOnCluster(t *testing.T) {
	t.Parallel() // it mostly waits
	redissuite.ClusterConformance(t, open)
}

func TestConformanceOnClusterAutoPipelined(t *testing.T) {
	t.Parallel() // it mostly waits
	redissuite.ClusterConformance(t, redissuite.CallsOnly(openPipelined))
}

func TestWaitReplicasNeedsAClientThatCan(t *testing.T) {
	server := redistest.Shared(t)
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": server.Addr()}})
	defer ring.Close()
	b := goredis.New(ring, &goredis.Options{Prefix: server.Prefix(t), WaitReplicas: 1})
	err := b.Delete(t.Context(), "a")
	if err == nil || errors.Is(err, backend.ErrNotReplicated) || b.Ping(t.Context()) == nil {
		t.Errorf("Delete = %v, want an error that says that the client cannot wait", err)
	}
}
