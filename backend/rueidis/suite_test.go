package rueidis_test

import (
	"testing"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/backend/rueidis"
)

// open connects with rueidis's default settings.
func open(tb testing.TB, c redissuite.Config) backend.Backend {
	client := connectWith(tb, rueidisclient.ClientOption{InitAddress: c.Addrs})
	return rueidis.New(client, &rueidis.Options{
		Prefix: c.Prefix, WaitReplicas: c.WaitReplicas, WaitTimeout: c.WaitTimeout,
	})
}

func TestDurable(t *testing.T) { redissuite.Durable(t, open) }
