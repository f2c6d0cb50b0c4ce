package rueidis_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/internal/redistest"
)

// clients are the kinds of client that users have, retries not being disabled.
var clients = []redissuite.Kind{
	{Name: "default", Open: onClient(func(tb testing.TB, addr string) rueidisclient.Client { return connect(tb, addr) })},
	{Name: "always pipelining", Open: onClient(func(tb testing.TB, addr string) rueidisclient.Client {
		return connectWith(tb, rueidisclient.ClientOption{InitAddress: []string{addr}, AlwaysPipelining: true})
	})},
	{Name: "never pipelining", Open: onClient(func(tb testing.TB, addr string) rueidisclient.Client {
		return connectWith(tb, rueidisclient.ClientOption{InitAddress: []string{addr}, DisableAutoPipelining: true})
	})},
	{Name: "RESP2", Open: onClient(func(tb testing.TB, addr string) rueidisclient.Client {
		return connectWith(tb, rueidisclient.ClientOption{InitAddress: []string{addr}, AlwaysRESP2: true, DisableCache: true})
	})},
	{Name: "with a replica", Open: onClient(func(tb testing.TB, addr string) rueidisclient.Client {
		return connectWith(tb, rueidisclient.ClientOption{
			InitAddress:    []string{addr},
			Standalone:     rueidisclient.StandaloneOption{ReplicaAddress: []string{addr}},
			SendToReplicas: func(cmd rueidisclient.Completed) bool { return cmd.IsReadOnly() },
		})
	})},
}

func TestDeadline(t *testing.T) { redissuite.Deadline(t, kit.Open) }

// No answer is never "no session".
func TestServerDown(t *testing.T) {
	server := redistest.Start(t, nil)
	s := newStore(t, connect(t, server.Addr()), server.Addr(), "session:")
	s.MustCreate(t, "x", nil)
	server.Kill()
	for _, c := range redissuite.Methods {
		redissuite.WantUnknown(t, c.Call(t.Context(), s))
	}
	redissuite.WantUnknown(t, s.Ping(t.Context()))
	for _, err := range s.Scan(t.Context()) {
		redissuite.WantUnknown(t, err)
	}
}

// An application that sends what only reads to replicas still has its sessions from the primary.
func TestReplicasAreNotRead(t *testing.T) {
	primary, other := redistest.Start(t, nil), redistest.Start(t, nil)
	client := connectWith(t, rueidisclient.ClientOption{
		InitAddress:    []string{primary.Addr()},
		Standalone:     rueidisclient.StandaloneOption{ReplicaAddress: []string{other.Addr()}},
		SendToReplicas: func(cmd rueidisclient.Completed) bool { return cmd.IsReadOnly() },
	})
	s := newStore(t, client, primary.Addr(), "session:")
	s.MustCreate(t, "x", map[string]string{"n": "1"})
	s.WantLoad(t, "x", map[string]string{"n": "1"})
	if diff := cmp.Diff([]string{"x"}, redissuite.Scanned(t, s.Backend)); diff != "" {
		t.Errorf("Scan, mismatch (-want +got):\n%s", diff)
	}
	if calls := other.Calls(t); calls["HGETALL"]+calls["SCAN"] != 0 {
		t.Errorf("the replica was sent %v", calls)
	}
}
