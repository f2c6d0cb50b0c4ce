package redissuite

import (
	"errors"
	"testing"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/redistest"
)

// WrappedReplies checks that refusals are found in the errors of a client that has text put around them.
func WrappedReplies(t *testing.T, open Open) {
	server := redistest.Start(t, nil)
	redistest.StartReplica(t, server, nil)
	for _, c := range []Config{
		{Prefix: "plain:"},
		{Prefix: "durable:", WaitReplicas: 1, WaitTimeout: waitTimeout},
	} {
		server.Do(t, "SCRIPT", "FLUSH") // it says of each script that it does not have it
		c.Addrs = []string{server.Addr()}
		b := open(t, c)
		if err := b.Create(t.Context(), "a", newRecord("x")); err != nil {
			t.Fatalf("%s Create = %v", c.Prefix, err)
		}
		server.Do(t, "HSET", c.Prefix+"garbled", "session_ttl", "1e3")
		server.Do(t, "SET", c.Prefix+"string", "v")
		apply := func(id string, p backend.Patch) error {
			p.Durable = true
			_, err := b.Apply(t.Context(), id, p)
			return err
		}
		_, loaded := b.Load(t.Context(), "string")
		for _, tt := range []struct {
			name      string
			got, want error
		}{
			{name: "Create", got: b.Create(t.Context(), "a", newRecord("x")), want: backend.ErrExists},
			{name: "Load of a string", got: loaded, want: backend.ErrUnreadable},
			{name: "touch", got: apply("absent", backend.Patch{Touch: true}), want: backend.ErrNotFound},
			{name: "condition", got: apply("a", backend.Patch{If: map[string]string{"n": "y"}}), want: backend.ErrConflict},
			{name: "counter", got: apply("a", backend.Patch{Add: map[string]int64{"n": 1}}), want: backend.ErrCounter},
			{name: "garbled", got: apply("garbled", backend.Patch{Touch: true}), want: backend.ErrUnreadable},
			{name: "string", got: apply("string", backend.Patch{Touch: true}), want: backend.ErrUnreadable},
		} {
			if !errors.Is(tt.got, tt.want) {
				t.Errorf("%s %s = %v, want %v", c.Prefix, tt.name, tt.got, tt.want)
			}
		}
		if err := b.Delete(t.Context(), "a"); err != nil {
			t.Errorf("%s Delete = %v", c.Prefix, err)
		}
		pinger, _ := backend.As[backend.Pinger](b)
		if err := pinger.Ping(t.Context()); err != nil {
			t.Errorf("%s Ping = %v", c.Prefix, err)
		}
	}
}
