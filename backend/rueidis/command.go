package rueidis

import (
	"context"
	"time"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend/internal/redishash"
)

// The commands that are sent. None is marked as one that only reads, or may be sent again: rueidis sends such a
// command until it is answered, or for ever where its context has no deadline, and it is what an application
// sends to replicas, as a rule. MOVED and ASK are followed all the same: a server that redirects has not run the
// command.
//
// So a server that is down fails a read at once, too. Load itself sends one that was lost again.

// do sends a command that has only a key.
func do(ctx context.Context, client rueidisclient.Client, command, key string) rueidisclient.RedisResult {
	return client.Do(ctx, client.B().Arbitrary(command).Keys(key).Build())
}

// doCache is do for HGETALL through the client's cache. What the builder's Hgetall makes is marked, with Cache too, so
// this converts one that is not. The client sends either again as long as ctx allows it.
func doCache(ctx context.Context, client rueidisclient.Client, key string, ttl time.Duration) rueidisclient.RedisResult {
	read := client.B().Arbitrary("HGETALL").Keys(key).Build()
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

func isNoScript(err error) bool {
	reply, ok := rueidisclient.IsRedisErr(err)
	return ok && reply.IsNoScript()
}
