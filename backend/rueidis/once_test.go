package rueidis_test

import (
	"testing"

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
