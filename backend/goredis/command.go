package goredis

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend/internal/redishash"
)

// The commands that are sent. None is to be sent again: with its default settings go-redis would send a command,
// a script too, up to three times more when its reply is lost. A ClusterClient still follows MOVED and ASK,
// because a server that redirects has not run the command.
//
// The same goes for reads. What is not to be sent again is not answered from a cache in go-redis either, which
// may be stale, and a server that is down fails it at once. Load itself sends one that was lost again.
type (
	hash   struct{ *redis.MapStringStringCmd }
	loaded struct{ *redis.Cmd }
	sums   struct{ *redis.IntSliceCmd }
	texts  struct{ *redis.StringSliceCmd }
	whole  struct{ *redis.Cmd }
)

// NoRetry is what go-redis asks a command.
func (hash) NoRetry() bool   { return true }
func (loaded) NoRetry() bool { return true }
func (sums) NoRetry() bool   { return true }
func (texts) NoRetry() bool  { return true }
func (whole) NoRetry() bool  { return true }

// Result returns the record that a script replies with, packed or not.
func (l loaded) Result() (map[string]string, error) {
	reply, err := l.Cmd.Result()
	if err != nil {
		return nil, err
	}
	switch reply := reply.(type) {
	case string:
		return redishash.Unpack(reply)
	case []any:
		return pairs(reply)
	}
	return nil, redishash.ErrReply
}

// pairs makes a hash of names and values.
func pairs(reply []any) (map[string]string, error) {
	hash := make(map[string]string, len(reply)/2)
	for pair := range slices.Chunk(reply, 2) {
		name, ok := pair[0].(string)
		value, both := pair[len(pair)-1].(string)
		if !ok || !both || len(pair) != 2 {
			return nil, redishash.ErrReply
		}
		hash[name] = value
	}
	return hash, nil
}

// A command waits for a reply of type T.
type command[T any] interface {
	redis.Cmder
	Result() (T, error)
}

func newHash(ctx context.Context, args ...any) command[map[string]string] {
	return hash{redis.NewMapStringStringCmd(ctx, args...)}
}

func newLoaded(ctx context.Context, args ...any) command[map[string]string] {
	return loaded{redis.NewCmd(ctx, args...)}
}

func newSums(ctx context.Context, args ...any) command[[]int64] {
	return sums{redis.NewIntSliceCmd(ctx, args...)}
}

func newTexts(ctx context.Context, args ...any) command[[]string] {
	return texts{redis.NewStringSliceCmd(ctx, args...)}
}

func newAny(ctx context.Context, args ...any) command[any] {
	return whole{redis.NewCmd(ctx, args...)}
}

// do sends a command on a key and waits for its reply.
func do[T any](ctx context.Context, to sender, key string, cmd command[T]) (T, error) {
	if err := to.send(ctx, key, cmd); err != nil {
		var none T
		return none, err
	}
	return cmd.Result() // it may have been deferred
}

// run runs a script.
func run[T any](ctx context.Context, to sender, call redishash.Call,
	newCommand func(context.Context, ...any) command[T]) (T, error) {
	args := evalsha(&call)
	reply, err := do(ctx, to, call.Key, newCommand(ctx, args...))
	if isNoScript(err) {
		reply, err = do(ctx, to, call.Key, newCommand(ctx, eval(&call, args)...))
	}
	return reply, err
}

// evalsha returns the command that calls a script that the server may have. Arguments are passed as pointers:
// that saves an allocation each, and keeps them out of what go-redis and its hooks print of a command. (What they print
// of a reply is the session's data: see the package comment.)
func evalsha(call *redishash.Call) []any {
	args := make([]any, 4+len(call.Args))
	args[0], args[1], args[2], args[3] = "evalsha", &call.SHA1, "1", &call.Key
	for i := range call.Args {
		args[4+i] = &call.Args[i]
	}
	return args
}

// eval returns the command that calls the script that the server did not have.
func eval(call *redishash.Call, evalsha []any) []any {
	args := slices.Clone(evalsha)
	args[0], args[1] = "eval", &call.Source
	return args
}

func isNoScript(err error) bool { return redis.HasErrorPrefix(err, "NOSCRIPT") }
