package rueidis_test

import (
	"testing"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/backend/rueidis"
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

func TestDurable(t *testing.T) { redissuite.Durable(t, open) }

func TestFailover(t *testing.T) { redissuite.Failover(t, open) }

func TestCluster(t *testing.T) { redissuite.Cluster(t, open) }
