package goredis

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend/internal/redishash"
)

// errWaiting is what every method returns if the client cannot wait for replicas.
var errWaiting = errors.New("goredis: WaitReplicas needs a *redis.Client or a *redis.ClusterClient")

// unfitToWait returns why a client cannot wait for replicas.
func unfitToWait(client redis.UniversalClient) error {
	switch client.(type) {
	case *redis.Client, *redis.ClusterClient:
		return nil
	}
	return errWaiting
}

// count is a command that replies with an integer, and is not to be sent again.
type count struct{ *redis.IntCmd }

func (count) NoRetry() bool { return true }

// write runs a script, and waits for replicas where that is wanted.
func write[T any](ctx context.Context, b *Backend, op string, durable bool, call redishash.Call,
	newCommand func(context.Context, ...any) command[T]) (T, error) {
	if !durable || b.replicas == 0 {
		reply, err := run(ctx, b.to, call, newCommand)
		if err != nil {
			return reply, fail(ctx, op, err)
		}
		return reply, nil
	}
	args := evalsha(&call)
	source := false
	return durably(ctx, b, op, call.Key, func() command[T] {
		if source {
			return newCommand(ctx, eval(&call, args)...)
		}
		return newCommand(ctx, args...)
	}, func(err error) bool {
		missing := isNoScript(err) && !source
		source = source || missing
		return missing
	})
}

// durably sends the command that build returns, and WAIT after it on the same connection: the server counts the
// replicas that have what came before on that connection. It sends a command that was not run again, because the
// server redirects it or because again says so, and none that may have run.
func durably[T any](ctx context.Context, b *Backend, op, key string, build func() command[T],
	again func(error) bool) (T, error) {
	addr, asking := "", false
	for sent := 1; ; sent++ {
		cmd := build()
		acked, err := b.writeAndWait(ctx, key, addr, asking, cmd)
		if err != nil {
			var none T
			return none, fail(ctx, op, err)
		}
		reply, err := cmd.Result()
		if err == nil {
			n, err := acked.Result()
			return reply, redishash.Replicated(op, n, err, b.replicas, b.waitTimeout)
		}
		if sent < redishash.Redirects {
			if addr, asking = redis.IsAskError(err); asking {
				continue
			}
			// To the node that the server names: the client takes a while to look where slots are.
			var moved bool
			if addr, moved = redis.IsMovedError(err); moved && b.reload(ctx, sent) || again(err) {
				continue
			}
		}
		return reply, fail(ctx, op, err)
	}
}

// writeAndWait sends a command and WAIT on one connection, to the master of key, or to the node at addr, which a
// slot has moved to, or is moving to and wants to be asked, if that is not empty. The error says that there is no
// such node.
func (b *Backend) writeAndWait(ctx context.Context, key, addr string, asking bool, write redis.Cmder) (*redis.IntCmd, error) {
	wait := redis.NewIntCmd(ctx, "wait", b.replicas, redishash.Milliseconds(b.waitTimeout))
	node, err := b.node(ctx, key, addr, asking)
	if err != nil {
		return wait, err
	}
	pipe := node.Pipeline()
	if asking {
		_ = pipe.Process(ctx, newAny(ctx, "asking"))
	}
	_ = pipe.Process(ctx, write)
	_ = pipe.Process(ctx, count{wait})
	if cmds, err := pipe.Exec(ctx); err != nil {
		failAll(cmds, err)
	}
	return wait, nil
}

// pingWait asks whether the server lets this user wait for replicas, for none.
func (b *Backend) pingWait(ctx context.Context, key string) error {
	node, err := b.node(ctx, key, "", false)
	if err == nil {
		err = node.Process(ctx, redis.NewIntCmd(ctx, "wait", 0, 1))
	}
	if err != nil {
		return fail(ctx, opPing+": WAIT", err)
	}
	return nil
}

// node returns the client of the one server that has key, the one at addr if that is a master.
func (b *Backend) node(ctx context.Context, key, addr string, asking bool) (*redis.Client, error) {
	cluster, ok := b.client.(*redis.ClusterClient)
	if !ok {
		return b.client.(*redis.Client), nil // see unfitToWait
	}
	if addr == "" {
		return cluster.MasterForKey(ctx, key)
	}
	found := make(chan *redis.Client, 1)
	err := cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		if node.Options().Addr == addr {
			found <- node
		}
		return nil
	})
	select {
	case node := <-found:
		return node, nil
	default:
		if !asking { // a master since a moment ago
			return cluster.MasterForKey(ctx, key)
		}
		return nil, errors.Join(errors.New("slot is moving to an unknown node"), err)
	}
}

// reload has the client look where slots are by now, and reports whether ctx has not ended.
func (b *Backend) reload(ctx context.Context, sent int) bool {
	if cluster, ok := b.client.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(sent) * 20 * time.Millisecond):
		return true
	}
}
