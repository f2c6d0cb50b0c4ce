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

// onKey returns a command that has only a key.
func onKey(client rueidisclient.Client, command, key string) rueidisclient.Completed {
	return client.B().Arbitrary(command).Keys(key).Build()
}

// send sends a command, together with those of calls that are made at the same time. The error is that of ctx, if that
// ends first; then the command may still be sent, or run.
func (b *Backend) send(ctx context.Context, command rueidisclient.Completed) (rueidisclient.RedisResult, error) {
	if b.queue == nil {
		return b.client.Do(ctx, command), nil
	}
	sent, err := b.queue.Do(ctx, call{command: command})
	return sent.result, err
}

// call is a command, and the reply to it.
type call struct {
	command rueidisclient.Completed
	result  rueidisclient.RedisResult
}

// newQueue returns what sends commands through client together. The client pipelines whatever it is given, but not as
// much at a time: together, they cost this process and the server up to a fifth less. It is nil for a cluster, where
// they go to several servers.
func newQueue(client rueidisclient.Client) *batch.Queue[call] {
	if client.Mode() == rueidisclient.ClientModeCluster {
		return nil
	}
	alone := func(ctx context.Context, c call) call {
		c.result = client.Do(ctx, c.command)
		return c
	}
	together := func(ctx context.Context, calls []call) {
		commands := make([]rueidisclient.Completed, len(calls))
		for i := range calls {
			commands[i] = calls[i].command
		}
		for i, result := range client.DoMulti(ctx, commands...) {
			calls[i].result = result
		}
	}
	return batch.New(2*runtime.GOMAXPROCS(0), alone, together)
}

// doCache is HGETALL through the client's cache. What the builder's Hgetall makes is marked, with Cache too, so
// this converts one that is not. The client sends either again as long as ctx allows it.
func doCache(ctx context.Context, client rueidisclient.Client, key string, ttl time.Duration) rueidisclient.RedisResult {
	read := client.B().Arbitrary("HGETALL").Keys(key).Build()
	return client.DoCache(ctx, rueidisclient.Cacheable(read), ttl)
}

// run runs a script. The error is send's.
func (b *Backend) run(ctx context.Context, script *redishash.Call) (rueidisclient.RedisResult, error) {
	result, err := b.send(ctx, evalshaCommand(b.client, script))
	if err == nil && isNoScript(result.Error()) {
		return b.client.Do(ctx, evalCommand(b.client, script)), nil
	}
	return result, err
}

// evalshaCommand runs a script that the server may have.
func evalshaCommand(client rueidisclient.Client, call *redishash.Call) rueidisclient.Completed {
	return client.B().Arbitrary("EVALSHA", call.SHA1, "1").Keys(call.Key).Args(call.Args...).Build()
}

// evalCommand runs a script that the server did not have.
func evalCommand(client rueidisclient.Client, call *redishash.Call) rueidisclient.Completed {
	return client.B().Arbitrary("EVAL", call.Source, "1").Keys(call.Key).Args(call.Args...).Build()
}

func isNoScript(err error) bool {
	reply, ok := rueidisclient.IsRedisErr(err)
	return ok && reply.IsNoScript()
}
