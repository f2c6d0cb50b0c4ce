package rueidis_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/backend/rueidis"
	"github.com/faeeb396/session/internal/redistest"
)

// open connects with the settings that the package comment gives.
func open(tb testing.TB, c redissuite.Config) backend.Backend {
	client := connectWith(tb, rueidisclient.ClientOption{
		InitAddress:      c.Addrs,
		Sentinel:         rueidisclient.SentinelOption{MasterSet: c.Sentinel},
		Username:         c.User.Name,
		Password:         c.User.Password,
		TLSConfig:        c.TLS,
		AlwaysPipelining: !c.Defaults,
	})
	return rueidis.New(client, &rueidis.Options{
		Prefix: c.Prefix, WaitReplicas: c.WaitReplicas, WaitTimeout: c.WaitTimeout, LocalCache: c.LocalCache,
	})
}

// kit connects for the tests on single servers.
var kit = redissuite.Kit{
	Name:     "rueidis",
	Open:     onClient(connect),
	OpenMini: onClient(connectMini),
	IsReply:  isReply,
	Kinds:    clients,
}

// onClient returns what connects a client and returns the backend on it.
func onClient(connect func(tb testing.TB, addr string) rueidisclient.Client) redissuite.Connect {
	return func(tb testing.TB, addr, prefix string) backend.Backend {
		return rueidis.New(connect(tb, addr), &rueidis.Options{Prefix: prefix})
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

// tracking is what a client with a cache needs.
func tracking(version int, cluster bool) []string {
	if cluster && version >= 8 {
		return []string{"+client|tracking", "+cluster|shards"}
	}
	return []string{"+client|tracking"}
}

func TestSuiteLeastPrivilege(t *testing.T) { redissuite.LeastPrivilege(t, open, tracking) }

func TestConformanceLeastPrivilege(t *testing.T) {
	t.Parallel() // it mostly waits
	redissuite.LeastPrivilegeConformance(t, open, tracking)
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

func TestConformanceOnCluster(t *testing.T) {
	t.Parallel() // it mostly waits
	redissuite.ClusterConformance(t, open)
}

func TestLocalCacheLeastPrivilege(t *testing.T) {
	user := redistest.User{Name: "app", Password: "password", Rules: "~session:* +hgetall +evalsha +eval +del +exists" +
		" +hset +expire +hmget +hincrby +hdel +pttl +ping +client|tracking +client|caching +multi +exec"}
	server := redistest.Start(t, &redistest.Options{Users: []redistest.User{user}})
	other := open(t, redissuite.Config{Addrs: []string{server.Addr()}})
	cached := open(t, redissuite.Config{Addrs: []string{server.Addr()}, User: user, LocalCache: time.Minute})
	mustCreate(t, other, "a")
	get(t, cached, "a")
	if calls := server.CallsDuring(t, func() { get(t, cached, "a") }); calls["HGETALL"] != 0 {
		t.Errorf("a read sent %v: nothing is cached", calls)
	}
	set(t, other, "a", "changed")
	eventually(t, "the invalidation", func() bool { return get(t, cached, "a") == "changed" })
}

// Without one of these nothing is cached and each read asks twice, or the server does not tell of changes.
func TestPingNamesWhatTheLocalCacheMisses(t *testing.T) {
	const rules = "~session:* +hgetall +evalsha +eval +del +exists +hset +expire +hmget +hincrby +hdel +pttl +ping" +
		" +client|tracking "
	for _, tt := range []struct{ allowed, missing string }{
		{allowed: "+client|caching +multi +exec"},
		{allowed: "+multi +exec", missing: "CLIENT CACHING"},
		{allowed: "+client|caching +exec", missing: "MULTI"},
		{allowed: "+client|caching +multi", missing: "EXEC"},
	} {
		user := redistest.User{Name: "app", Password: "password", Rules: rules + tt.allowed}
		server := redistest.Start(t, &redistest.Options{Users: []redistest.User{user}})
		c := redissuite.Config{Addrs: []string{server.Addr()}, User: user, LocalCache: time.Minute}
		b := open(t, c).(backend.Pinger)
		for range 2 { // what Ping reads is not cached
			err := b.Ping(t.Context())
			if (err == nil) != (tt.missing == "") || err != nil && !strings.Contains(err.Error(), tt.missing) {
				t.Errorf("Ping with %s = %v, want an error that names %q, if any", tt.allowed, err, tt.missing)
			}
		}
	}
}

// How old a record from the local cache is as a rule, after another process has changed it. A measurement: it
// asserts nothing.
func TestLocalCacheStaleness(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("SESSION_TEST_ROUNDS"))
	if rounds == 0 {
		t.Skip("a measurement: set SESSION_TEST_ROUNDS to how many changes to make")
	}
	server := redistest.Shared(t)
	c := redissuite.Config{Addrs: []string{server.Addr()}, Prefix: server.Prefix(t)}
	other := open(t, c)
	c.LocalCache = time.Minute
	cached := open(t, c)
	mustCreate(t, other, "a")
	stale, ages := 0, make([]time.Duration, rounds)
	for i := range ages {
		want := strconv.Itoa(i)
		get(t, cached, "a")
		set(t, other, "a", want)
		acknowledged := time.Now()
		for reads := 0; get(t, cached, "a") != want; reads++ {
			if reads == 0 {
				stale++
			}
		}
		ages[i] = time.Since(acknowledged)
	}
	slices.Sort(ages)
	t.Logf("the first read was stale in %d of %d rounds; the new value was read after p50 %v, p99 %v, at most %v",
		stale, rounds, ages[rounds/2], ages[rounds*99/100], ages[rounds-1])
}
