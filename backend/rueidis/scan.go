package rueidis

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend/internal/redishash"
)

// scanCount is how many keys a server looks at in one SCAN, during which it does nothing else.
const scanCount = "1000"

// Scan implements [backend.Scanner] with SCAN, on every master of a cluster. It yields the ID of whatever is
// stored under a key with the prefix, also of what is no record. While slots of a cluster move from one node to
// another, it may miss records in them.
func (b *Backend) Scan(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := ctx.Err(); err != nil {
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
func (b *Backend) scan(ctx context.Context, node rueidisclient.Client, yield func(string, error) bool) bool {
	pattern := redishash.Pattern(b.prefix)
	for cursor := uint64(0); ; {
		if err := ctx.Err(); err != nil {
			yield("", err)
			return false
		}
		page, err := node.Do(ctx, node.B().Arbitrary("SCAN", strconv.FormatUint(cursor, 10)).
			Args("MATCH", pattern, "COUNT", scanCount).Build()).AsScanEntry()
		if err != nil {
			yield("", fail(ctx, opScan, err))
			return false
		}
		for _, key := range page.Elements {
			if id, ok := redishash.ID(b.prefix, key); ok && !yield(id, nil) {
				return false
			}
		}
		if cursor = page.Cursor; cursor == 0 {
			return true
		}
	}
}

// errMaster is what Scan says if a master is missing among the nodes that the client knows or reaches.
var errMaster = errors.New("not every master of the cluster is known or can be reached")

// nodes returns a client for each node that holds records. The nodes that rueidis knows are replicas, too, and
// perhaps not all masters after a failover; CLUSTER SLOTS and CLUSTER MYID tell which are.
func (b *Backend) nodes(ctx context.Context) ([]rueidisclient.Client, error) {
	if b.client.Mode() != rueidisclient.ClientModeCluster {
		return []rueidisclient.Client{b.client}, nil
	}
	known := b.client.Nodes()
	var (
		missing map[string]bool // IDs of masters
		masters []rueidisclient.Client
		cause   error
	)
	for _, node := range known { // one may be down
		if missing, cause = masterIDs(node.Do(ctx, node.B().ClusterSlots().Build())); cause == nil {
			break
		}
	}
	for _, node := range known {
		id, err := node.Do(ctx, node.B().ClusterMyid().Build()).ToString()
		switch {
		case err != nil:
			cause = err
		case missing[id]:
			delete(missing, id)
			masters = append(masters, node)
		}
	}
	switch {
	case len(masters) > 0 && len(missing) == 0:
		return masters, nil
	case cause != nil:
		return nil, fmt.Errorf("%w: %w", errMaster, cause)
	default:
		return nil, errMaster
	}
}

// masterIDs reads the IDs of all masters from the reply to CLUSTER SLOTS: of ranges with their first and last slot,
// the master, and the replicas, each a list of address, port and ID.
func masterIDs(reply rueidisclient.RedisResult) (map[string]bool, error) {
	ranges, err := reply.ToArray()
	if err != nil {
		return nil, err
	}
	ids := make(map[string]bool)
	for _, r := range ranges {
		parts, err := r.ToArray()
		if err != nil || len(parts) < 3 {
			return nil, errors.New("CLUSTER SLOTS: a range of slots without a master")
		}
		master, err := parts[2].AsStrSlice()
		if err != nil || len(master) < 3 {
			return nil, errors.New("CLUSTER SLOTS: a master without an ID")
		}
		ids[master[2]] = true
	}
	return ids, nil
}
