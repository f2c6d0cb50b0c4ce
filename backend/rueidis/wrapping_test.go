package rueidis_test

import (
	"context"
	"fmt"
	"testing"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/backend/rueidis"
)

// wrapping is a client of somebody's own that puts text around errors.
type wrapping struct{ rueidisclient.Client }

func (w wrapping) Do(ctx context.Context, cmd rueidisclient.Completed) rueidisclient.RedisResult {
	return wrapped(w.Client.Do(ctx, cmd))
}

func (w wrapping) Dedicate() (rueidisclient.DedicatedClient, func()) {
	conn, release := w.Client.Dedicate()
	return wrappingConn{conn}, release
}

type wrappingConn struct{ rueidisclient.DedicatedClient }

func (w wrappingConn) DoMulti(ctx context.Context, multi ...rueidisclient.Completed) []rueidisclient.RedisResult {
	results := w.DedicatedClient.DoMulti(ctx, multi...)
	for i := range results {
		results[i] = wrapped(results[i])
	}
	return results
}

func wrapped(result rueidisclient.RedisResult) rueidisclient.RedisResult {
	if err := result.Error(); err != nil {
		return rueidisclient.NewErrorResult(fmt.Errorf("redis: %w", err))
	}
	return result
}

func TestClientThatWrapsErrors(t *testing.T) {
	redissuite.WrappedReplies(t, func(tb testing.TB, c redissuite.Config) backend.Backend {
		client := wrapping{connectWith(tb, rueidisclient.ClientOption{InitAddress: c.Addrs})}
		return rueidis.New(client, &rueidis.Options{
			Prefix: c.Prefix, WaitReplicas: c.WaitReplicas, WaitTimeout: c.WaitTimeout,
		})
	})
}
