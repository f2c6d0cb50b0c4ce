package goredis

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend/internal/batch"
)

// A sender sends a command on a key, and returns when it has been answered: the answer, an error too, is in the
// command. The error returned is that of ctx, if that ends first, or of the client; then the command is not to be
// touched: it may still be sent, or answered.
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
		// A write goes first: the client looks at the first reply alone to find out that the server is a replica by
		// now, and the connection is to be closed.
		first := max(0, slices.IndexFunc(cmds, writes))
		_ = pipe.BatchProcess(ctx, cmds[first:]...)
		_ = pipe.BatchProcess(ctx, cmds[:first]...)
		if _, err := pipe.Exec(ctx); err != nil {
			failAll(cmds, err)
		}
	}
	return batch.New(2*runtime.GOMAXPROCS(0), one, many)
}

func writes(cmd redis.Cmder) bool { return cmd.Name() != "hgetall" }

// byNode sends commands together that go to the same node of a cluster, so that none waits for another node. It is the
// client that knows, and sends each to its node, also where a slot has moved meanwhile.
type byNode struct {
	cluster *redis.ClusterClient

	mu     sync.RWMutex
	queues map[string]*batch.Queue[redis.Cmder] // by the node's address
}

// maxNodes is how many nodes are remembered, more than a cluster has. Where nodes come and go, those that are gone
// would gather; the calls that wait in a queue keep it until they are done.
const maxNodes = 1000

func (n *byNode) send(ctx context.Context, key string, cmd redis.Cmder) error {
	node, err := n.cluster.MasterForKey(ctx, key)
	if err != nil {
		return n.cluster.Process(ctx, cmd) // which says what is wrong
	}
	_, err = n.queue(node.Options().Addr).Do(ctx, cmd)
	return err
}

// queue returns the queue of the node with this address.
func (n *byNode) queue(addr string) *batch.Queue[redis.Cmder] {
	n.mu.RLock()
	q := n.queues[addr]
	n.mu.RUnlock()
	if q != nil {
		return q
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if q = n.queues[addr]; q != nil {
		return q
	}
	if n.queues == nil || len(n.queues) == maxNodes {
		n.queues = make(map[string]*batch.Queue[redis.Cmder])
	}
	q = newQueue(n.cluster)
	n.queues[addr] = q
	return q
}

// failAll gives commands the error of their pipeline if none of them has one, and all of them would count as answered:
// a hook of the client has failed before anything was sent. If one has an error, the client has told all what is
// theirs.
func failAll(cmds []redis.Cmder, err error) {
	for _, cmd := range cmds {
		if cmd.Err() != nil {
			return
		}
	}
	for _, cmd := range cmds {
		cmd.SetErr(&unanswered{err})
	}
}

// unanswered is the error of a command that was not sent, or not answered. It is no reply of the server, whatever the
// hook has returned: one that says that a script is missing would have a write sent again.
type unanswered struct{ err error }

func (e *unanswered) Error() string { return "the pipeline failed: " + e.err.Error() }

func (e *unanswered) Unwrap() error {
	if _, reply := errors.AsType[redis.Error](e.err); reply {
		return nil
	}
	return e.err
}
