package rueidis

import (
	"context"
	"runtime"
	"time"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend/internal/batch"
	"github.com/faeeb396/session/backend/internal/redishash"
)

// The commands that are sent. None is marked as one that only reads, or may be sent again: rueidis sends such a
// command until it is answered, or for ever where its context has no deadline, and it is what an application
// sends to replicas, as a rule. MOVED and ASK are followed all the same: a server that redirects has not run the
// command.
//
// So a server that is down fails a read at once, too. Load itself sends one that was lost again.

// defaultTimeout is how long what the client would try for ever is tried where ctx has no deadline.
const defaultTimeout = 5 * time.Second

// do sends a command that has only a key.
func do(ctx context.Context, client rueidisclient.Client, command, key string) rueidisclient.RedisResult {
	return client.Do(ctx, client.B().Arbitrary(command).Keys(key).Build())
}

// hgetall reads a hash, together with those of calls that are made at the same time.
func (b *Backend) hgetall(ctx context.Context, key string) (map[string]string, error) {
	if b.reads == nil {
		return do(ctx, b.client, "HGETALL", key).AsStrMap()
	}
	r, err := b.reads.Do(ctx, read{command: b.client.B().Arbitrary("HGETALL").Keys(key).Build()})
	if err != nil {
		return nil, err
	}
	return r.result.AsStrMap()
}

// read is a command that reads, and the reply to it.
type read struct {
	command rueidisclient.Completed
	result  rueidisclient.RedisResult
}

// newReads returns what sends reads through client together. The client pipelines whatever it is given, but not as
// much at a time: together, reads cost up to a fifth less. Scripts, which take the server about five times as long, do
// not gain by it, and do not wait for each other's replies. It is nil for a cluster, where reads go to several servers.
func newReads(client rueidisclient.Client) *batch.Queue[read] {
	if client.Mode() == rueidisclient.ClientModeCluster {
		return nil
	}
	alone := func(ctx context.Context, r read) read {
		r.result = client.Do(ctx, r.command)
		return r
	}
	together := func(ctx context.Context, rs []read) {
		commands := make([]rueidisclient.Completed, len(rs))
		for i := range rs {
			commands[i] = rs[i].command
		}
		for i, result := range client.DoMulti(ctx, commands...) {
			rs[i].result = result
		}
	}
	return batch.New(2*runtime.GOMAXPROCS(0), alone, together)
}

// doCache is do through the client's cache, for HGETALL in any spelling. What the builder's Hgetall makes is marked,
// with Cache too, so this converts one that is not. The client sends either again as long as ctx allows it.
func doCache(ctx context.Context, client rueidisclient.Client, command, key string,
	ttl time.Duration) rueidisclient.RedisResult {
	read := client.B().Arbitrary(command).Keys(key).Build()
	return client.DoCache(ctx, rueidisclient.Cacheable(read), ttl)
}

// run runs a script.
func run(ctx context.Context, client rueidisclient.Client, call *redishash.Call) rueidisclient.RedisResult {
	result := evalsha(ctx, client, call)
	if isNoScript(result.Error()) {
		result = eval(ctx, client, call)
	}
	return result
}

// evalsha runs a script that the server may have.
func evalsha(ctx context.Context, client rueidisclient.Client, call *redishash.Call) rueidisclient.RedisResult {
	return client.Do(ctx, evalshaCommand(client, call))
}

func evalshaCommand(client rueidisclient.Client, call *redishash.Call) rueidisclient.Completed {
	return client.B().Arbitrary("EVALSHA", call.SHA1, "1").Keys(call.Key).Args(call.Args...).Build()
}

// eval runs a script that the server did not have.
func eval(ctx context.Context, client rueidisclient.Client, call *redishash.Call) rueidisclient.RedisResult {
	return client.Do(ctx, evalCommand(client, call))
}

func evalCommand(client rueidisclient.Client, call *redishash.Call) rueidisclient.Completed {
	return client.B().Arbitrary("EVAL", call.Source, "1").Keys(call.Key).Args(call.Args...).Build()
}

// loaded returns the record that a script replies with, packed or not.
func loaded(result rueidisclient.RedisResult) (map[string]string, error) {
	reply, err := result.ToMessage()
	if err != nil {
		return nil, err
	}
	if !reply.IsString() {
		return reply.AsStrMap()
	}
	text, err := reply.ToString()
	if err != nil {
		return nil, err
	}
	return redishash.Unpack(text)
}

func isNoScript(err error) bool {
	reply, ok := asReply(err)
	return ok && reply.IsNoScript()
}
