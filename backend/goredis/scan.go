package goredis

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend/internal/redishash"
)

// scanCount is how many keys a server looks at in one SCAN, during which it does nothing else.
const scanCount = 1000

// Scan implements [backend.Scanner] with SCAN, on every master of a cluster and every shard of a Ring that is up. It
// yields the ID of whatever is stored under a key with the prefix, also of what is no record. While slots of a
// cluster move from one node to another, it may miss records in them.
//
// An auto-pipelined client of a cluster does not let Scan reach the nodes: it fails. Give the Backend that
// scans the ClusterClient itself.
func (b *Backend) Scan(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := b.ready(ctx); err != nil {
			yield("", err)
			return
		}
		nodes, err := b.nodes(ctx)
		if err != nil {
			yield("", fail(ctx, opScan, err))
			return
		}
		for _, node := range nodes {
			if !b.scan(ctx, node, yield) {
				return
			}
		}
	}
}

// scan yields what one node holds. It reports false if there is nothing more to be yielded.
func (b *Backend) scan(ctx context.Context, node redis.Cmdable, yield func(string, error) bool) bool {
	pattern := redishash.Pattern(b.prefix)
	for cursor := uint64(0); ; {
		if err := ctx.Err(); err != nil {
			yield("", err)
			return false
		}
		keys, next, err := node.Scan(ctx, cursor, pattern, scanCount).Result()
		if err != nil {
			yield("", fail(ctx, opScan, err))
			return false
		}
		for _, key := range keys {
			if id, ok := redishash.ID(b.prefix, key); ok && !yield(id, nil) {
				return false
			}
		}
		if cursor = next; cursor == 0 {
			return true
		}
	}
}

// nodes returns a client for each node that holds records.
func (b *Backend) nodes(ctx context.Context) ([]redis.Cmdable, error) {
	var (
		mu    sync.Mutex
		nodes []redis.Cmdable
	)
	add := func(_ context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, node)
		return nil
	}
	switch c := b.client.(type) {
	case *redis.ClusterClient:
		err := c.ForEachMaster(ctx, add)
		return nodes, err
	case *redis.Ring:
		err := c.ForEachShard(ctx, add)
		return nodes, err
	case *redis.Client:
		return []redis.Cmdable{c}, nil
	default:
		return []redis.Cmdable{c}, wholeStore(ctx, c)
	}
}

// errOneNode is what Scan says to a client that reaches the nodes of a cluster, but does not say how.
var errOneNode = errors.New("this client of a cluster would scan one node only: use the *redis.ClusterClient itself")

// wholeStore returns an error if the client's server is one of several in a cluster. A user that may not ask
// that is on none: no client of a cluster works without CLUSTER SLOTS.
func wholeStore(ctx context.Context, client redis.Cmdable) error {
	slots, err := client.ClusterSlots(ctx).Result()
	if _, reply := errors.AsType[redis.Error](err); reply {
		return nil
	}
	masters := make(map[string]bool)
	for _, s := range slots {
		for _, node := range s.Nodes[:min(1, len(s.Nodes))] {
			masters[node.Addr] = true
		}
	}
	if len(masters) > 1 {
		return errOneNode
	}
	return err
}
