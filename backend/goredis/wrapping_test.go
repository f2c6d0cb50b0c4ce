package goredis_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/internal/redistest"
)

// wrapping is a hook that wraps errors as go-redis's README advises.
type wrapping struct{}

func (wrapping) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (wrapping) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := next(ctx, cmd); err != nil {
			cmd.SetErr(fmt.Errorf("redis %s: %w", cmd.Name(), err))
		}
		return cmd.Err()
	}
}

func (wrapping) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if err := cmd.Err(); err != nil {
				cmd.SetErr(fmt.Errorf("pipeline %s: %w", cmd.Name(), err))
			}
		}
		return err
	}
}

func TestHookThatWrapsErrors(t *testing.T) {
	redissuite.WrappedReplies(t, func(tb testing.TB, c redissuite.Config) backend.Backend {
		client := openClient(tb, c)
		client.AddHook(wrapping{})
		return newBackend(client, c)
	})
}

// Calls that go together find their own replies, too.
func TestHookThatWrapsErrorsOfCallsThatGoTogether(t *testing.T) {
	server := redistest.Shared(t)
	client, h := connect(t, server.Addr()), &hook{}
	client.AddHook(h)
	client.AddHook(wrapping{})
	b := goredis.New(client, &goredis.Options{Prefix: server.Prefix(t)})
	b.Patient()
	_, _ = b.Apply(t.Context(), "x", backend.Patch{Touch: true}) // the server has the script
	touch := func() {
		if _, err := b.Apply(t.Context(), "x", backend.Patch{Touch: true}); err != backend.ErrNotFound {
			t.Errorf("Apply = %v, want ErrNotFound", err)
		}
	}
	h.together(t, b, touch, touch)
	if h.pipelines.Load() == 0 {
		t.Error("each call went by itself")
	}
}
