package goredis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/internal/redistest"
)

// clients are the kinds of client that users have, each with its default settings.
var clients = []struct {
	name    string
	connect func(t *testing.T, addr string) redis.UniversalClient
}{
	{name: "Client", connect: func(t *testing.T, addr string) redis.UniversalClient { return connect(t, addr) }},
	{name: "ClusterClient", connect: func(t *testing.T, addr string) redis.UniversalClient {
		return connectCluster(t, nil, addr)
	}},
	{name: "Ring", connect: func(t *testing.T, addr string) redis.UniversalClient {
		client := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"shard": addr}})
		t.Cleanup(func() { client.Close() })
		return client
	}},
	{name: "auto-pipelined Client", connect: func(t *testing.T, addr string) redis.UniversalClient {
		return autoPipelined(t, connect(t, addr))
	}},
	{name: "auto-pipelined ClusterClient", connect: func(t *testing.T, addr string) redis.UniversalClient {
		return autoPipelined(t, connectCluster(t, nil, addr))
	}},
	{name: "deferring Client", connect: func(t *testing.T, addr string) redis.UniversalClient {
		auto, err := connect(t, addr).AsyncAutoPipeline()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { auto.Close() })
		return auto
	}},
}

// connectCluster returns a client to which the servers, which know nothing of it, are the masters of a cluster,
// each with its share of the slots. opts may be nil.
func connectCluster(t *testing.T, opts *redis.ClusterOptions, addrs ...string) *redis.ClusterClient {
	t.Helper()
	if opts == nil {
		opts = &redis.ClusterOptions{}
	}
	opts.ClusterSlots = func(context.Context) ([]redis.ClusterSlot, error) {
		var slots []redis.ClusterSlot
		for i, addr := range addrs {
			slots = append(slots, redis.ClusterSlot{
				Start: i * 16384 / len(addrs),
				End:   (i+1)*16384/len(addrs) - 1,
				Nodes: []redis.ClusterNode{{Addr: addr}},
			})
		}
		return slots, nil
	}
	client := redis.NewClusterClient(opts)
	t.Cleanup(func() { client.Close() })
	return client
}

// onProxy returns a store whose client has a proxy between it and the server. It has the record "x", and its
// connections and the scripts are there.
func onProxy(t *testing.T, connect func(t *testing.T, addr string) redis.UniversalClient) (*store, *redistest.Proxy) {
	t.Helper()
	server := redistest.Shared(t)
	proxy := redistest.NewProxy(t, server.Addr())
	s := newStore(t, connect(t, proxy.Addr()), server.Addr(), server.Prefix(t))
	s.create(t, "x", map[string]string{"n": "1"})
	if _, err := s.Apply(t.Context(), "x", backend.Patch{}); err != nil {
		t.Fatal(err)
	}
	proxy.ResetCalls()
	return s, proxy
}

// wantUnknown checks that an error says that the outcome is unknown.
func wantUnknown(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("no error, though the reply was lost")
	}
	for _, sentinel := range []error{
		backend.ErrNotFound, backend.ErrExists, backend.ErrConflict, backend.ErrCounter, backend.ErrUnreadable,
	} {
		if errors.Is(err, sentinel) {
			t.Errorf("%v says that nothing was written", err)
		}
	}
}

func TestWriteIsSentOnce(t *testing.T) {
	for _, kind := range clients {
		t.Run(kind.name, func(t *testing.T) {
			for _, tt := range []struct {
				call    string
				command string
				id      string
				after   map[string]string // what is then stored under id
			}{
				{"Create", "EVALSHA", "new", map[string]string{"a": "secret", "session_ttl": "3600"}},
				{"Apply", "EVALSHA", "x", map[string]string{"a": "secret", "n": "2", "session_ttl": "3600"}},
				{"Apply with Load", "EVALSHA", "x", map[string]string{"n": "2", "session_ttl": "3600"}},
				{"Delete", "DEL", "x", map[string]string{}},
			} {
				for _, do := range []redistest.Action{redistest.DropReply, redistest.CutReply} {
					s, proxy := onProxy(t, kind.connect)
					fault := proxy.Inject(redistest.Fault{Command: tt.command, Do: do, Times: redistest.Always})
					wantUnknown(t, call(t.Context(), s, tt.call))
					if n := proxy.Calls()[tt.command]; n != 1 || fault.Hits() != 1 {
						t.Errorf("%s: %s was sent %d times", tt.call, tt.command, n)
					}
					fault.Release()
					got := s.do(t, "HGETALL", s.prefix+tt.id).Map()
					if diff := cmp.Diff(tt.after, got); diff != "" {
						t.Errorf("%s: the store holds something else (-want +got):\n%s", tt.call, diff)
					}
				}
			}
		})
	}
}

// call makes one of calls, by its name.
func call(ctx context.Context, b backend.Backend, name string) error {
	for _, c := range calls {
		if c.name == name {
			return c.call(ctx, b)
		}
	}
	panic("no call " + name)
}

// A script that the server did not have is sent as EVAL; that is a first time, and there is no second.
func TestScriptIsSentOnceAfterNoScript(t *testing.T) {
	for _, kind := range clients {
		t.Run(kind.name, func(t *testing.T) {
			server := redistest.Start(t, nil)
			proxy := redistest.NewProxy(t, server.Addr())
			s := newStore(t, kind.connect(t, proxy.Addr()), server.Addr(), "session:")
			s.create(t, "x", nil)
			s.do(t, "SCRIPT", "FLUSH")
			proxy.ResetCalls()
			proxy.Inject(redistest.Fault{Command: "EVAL", Do: redistest.DropReply, Times: redistest.Always})
			wantUnknown(t, call(t.Context(), s, "Apply"))
			if sent := proxy.Calls(); sent["EVALSHA"] != 1 || sent["EVAL"] != 1 {
				t.Errorf("sent %v", sent)
			}
			if n := s.do(t, "HGET", "session:x", "n").String(); n != "1" {
				t.Errorf("the counter is %s, want 1", n)
			}
		})
	}
}

func TestLoadIsSentAgainWhenLost(t *testing.T) {
	for _, kind := range clients {
		t.Run(kind.name, func(t *testing.T) {
			for _, do := range []redistest.Action{redistest.DropReply, redistest.CutReply, redistest.RefuseCommand} {
				s, proxy := onProxy(t, kind.connect)
				proxy.Inject(redistest.Fault{Command: "HGETALL", Do: do})
				s.wantLoad(t, "x", map[string]string{"n": "1"})
				proxy.Inject(redistest.Fault{Command: "HGETALL", Do: do, Times: redistest.Always})
				proxy.ResetCalls()
				wantUnknown(t, call(t.Context(), s, "Load"))
				if n := proxy.Calls()["HGETALL"]; do != redistest.RefuseCommand && n != 5 {
					t.Errorf("HGETALL was sent %d times", n)
				}
			}
		})
	}
}

func TestLoadAfterIdleConnectionHasEnded(t *testing.T) {
	for _, kind := range clients {
		t.Run(kind.name, func(t *testing.T) {
			s, proxy := onProxy(t, kind.connect)
			proxy.Sever()
			s.wantLoad(t, "x", map[string]string{"n": "1"})
		})
	}
}

func TestDeadline(t *testing.T) {
	s, proxy := onProxy(t, func(t *testing.T, addr string) redis.UniversalClient {
		client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
		t.Cleanup(func() { client.Close() })
		return client
	})
	for _, tt := range []struct{ call, command string }{{"Load", "HGETALL"}, {"Apply", "EVALSHA"}, {"Delete", "DEL"}} {
		fault := proxy.Inject(redistest.Fault{Command: tt.command, Do: redistest.HangReply})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := call(ctx, s, tt.call)
		wantUnknown(t, err)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s = %v, want %v", tt.call, err, context.DeadlineExceeded)
		}
		if n := proxy.Calls()[tt.command]; n > 1 {
			t.Errorf("%s was sent %d times", tt.command, n)
		}
		fault.Release()
	}
}

// No answer is never "no session".
func TestServerDown(t *testing.T) {
	server := redistest.Start(t, nil)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), DialerRetries: 1})
	t.Cleanup(func() { client.Close() })
	s := newStore(t, client, server.Addr(), "session:")
	s.create(t, "x", nil)
	server.Kill()
	for _, c := range calls {
		wantUnknown(t, c.call(t.Context(), s))
	}
	wantUnknown(t, s.Ping(t.Context()))
	for _, err := range s.Scan(t.Context()) {
		wantUnknown(t, err)
	}
}

// refusing is a client of somebody's own, which fails before go-redis has seen the command.
type refusing struct{ redis.UniversalClient }

func (refusing) Process(context.Context, redis.Cmder) error { return errors.New("circuit open") }

func TestClientThatRefuses(t *testing.T) {
	server := redistest.Shared(t)
	s := newStore(t, refusing{connect(t, server.Addr())}, server.Addr(), server.Prefix(t))
	for _, c := range calls {
		wantUnknown(t, c.call(t.Context(), s))
	}
}

func TestReadsFromReplicasAreRefused(t *testing.T) {
	server := redistest.Shared(t)
	for name, opts := range map[string]*redis.ClusterOptions{
		"ReadOnly":       {ReadOnly: true},
		"RouteByLatency": {RouteByLatency: true},
		"RouteRandomly":  {RouteRandomly: true},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := redistest.NewProxy(t, server.Addr())
			b := goredis.New(connectCluster(t, opts, proxy.Addr()), nil)
			check := func(method string, err error) {
				t.Helper()
				if err == nil {
					t.Errorf("%s reads from replicas", method)
				}
			}
			for _, c := range calls {
				check(c.name, c.call(t.Context(), b))
			}
			check("Ping", b.Ping(t.Context()))
			for _, err := range b.Scan(t.Context()) {
				check("Scan", err)
			}
			if sent := proxy.Calls(); sent["HGETALL"]+sent["EVALSHA"]+sent["DEL"]+sent["SCAN"] != 0 {
				t.Errorf("sent %v", sent)
			}
		})
	}
}
