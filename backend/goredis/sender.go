package goredis

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend/internal/batch"
)

// A sender sends a command on a key, and returns when it has been answered. Where that says so, the answer, an error
// too, is in the command. The error returned is that of ctx, if that ends first, or of the client; then the command is not
// to be touched: it may still be sent, or answered.
type sender interface {
	send(ctx context.Context, key string, cmd redis.Cmder) error
}

// newSender returns what sends commands through client: together where it is known to which server they go, and one by
// one through clients that have several in another way, or gather commands themselves.
func newSender(client redis.UniversalClient) sender {
	switch c := client.(type) {
	case *redis.Client:
		return together{newQueue(c)}
	case *redis.ClusterClient:
		return &byNode{cluster: c}
	}
	return alone{client}
}

// alone sends each command by itself.
type alone struct{ client redis.UniversalClient }

func (a alone) send(ctx context.Context, _ string, cmd redis.Cmder) error {
	return a.client.Process(ctx, cmd)
}

// together sends commands of calls that are made at the same time in one pipeline.
type together struct{ *batch.Queue[redis.Cmder] }

func (t together) send(ctx context.Context, _ string, cmd redis.Cmder) error {
	_, err := t.Do(ctx, cmd)
	return err
}

// newQueue returns a queue to client. Each command has its error in it.
func newQueue(client redis.UniversalClient) *batch.Queue[redis.Cmder] {
	one := func(ctx context.Context, cmd redis.Cmder) redis.Cmder {
		_ = client.Process(ctx, cmd)
		return cmd
	}
	many := func(ctx context.Context, cmds []redis.Cmder) {
		pipe := client.Pipeline()
		_ = pipe.BatchProcess(ctx, cmds...)
		if _, err := pipe.Exec(ctx); err != nil {
			failRest(cmds, err)
		}
	}
	return batch.New(one, many)
}

// byNode sends commands together that go to the same node of a cluster, so that none waits for another node. It is the
// client that knows, and sends each to its node, also where a slot has moved meanwhile.
type byNode struct {
	cluster *redis.ClusterClient
	queues  sync.Map // of *batch.Queue[redis.Cmder], by the node's address
}

func (n *byNode) send(ctx context.Context, key string, cmd redis.Cmder) error {
	node, err := n.cluster.MasterForKey(ctx, key)
	if err != nil {
		return n.cluster.Process(ctx, cmd) // which says what is wrong
	}
	addr := node.Options().Addr
	queue, ok := n.queues.Load(addr)
	if !ok {
		queue, _ = n.queues.LoadOrStore(addr, newQueue(n.cluster))
	}
	_, err = queue.(*batch.Queue[redis.Cmder]).Do(ctx, cmd)
	return err
}

// failRest gives commands that have no error one that says that the pipeline has failed with err, unless err is the
// answer to one of them: a hook of the client may have failed before anything was sent, and a command without an error
// counts as answered.
func failRest(cmds []redis.Cmder, err error) {
	for _, cmd := range cmds {
		if own := cmd.Err(); own != nil && (errors.Is(err, own) || errors.Is(own, err)) {
			return
		}
	}
	for _, cmd := range cmds {
		if cmd.Err() == nil {
			cmd.SetErr(&unanswered{err})
		}
	}
}

// unanswered is the error of a command that may have been answered or not. It is no answer itself: what err says of
// another command, that its record is not there for example, is not true of this one.
type unanswered struct{ err error }

func (e *unanswered) Error() string { return "the pipeline failed: " + e.err.Error() }

// Unwrap returns what the pipeline has failed with if that is no reply of the server.
func (e *unanswered) Unwrap() error {
	if _, reply := errors.AsType[redis.Error](e.err); reply {
		return nil
	}
	return e.err
}
