package goredis

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redishash"
)

// What the errors of each method begin with.
const (
	opCreate = "goredis: create"
	opLoad   = "goredis: load"
	opApply  = "goredis: apply"
	opDelete = "goredis: delete"
	opPing   = "goredis: ping"
	opScan   = "goredis: scan"
)

// Options are the options of a Backend. Nil is the same as the zero value.
type Options struct {
	// Prefix is what the keys of records begin with; the ID follows. If empty, "session:". There is always
	// one: it is what an ACL rule can name and what tells records from everything else in the database.
	//
	// Backends with the same prefix share their records. No prefix may begin with another one that is in
	// use: IDs hold colons, too. A prefix with a hash tag, such as "{app}session:", would put all records
	// on one node of a cluster.
	Prefix string

	// WaitReplicas, if positive, has Create, Delete and every durable Apply, a login or a logout, return only
	// when so many replicas have acknowledged it, and else fail with backend.ErrNotReplicated. If zero, they
	// return when the master has done it. It takes a *redis.Client, one of Sentinel's too, or a
	// *redis.ClusterClient; with any other client every method fails, and says why.
	WaitReplicas int

	// WaitTimeout is how long they wait: less than the client's ReadTimeout. If zero, one second.
	WaitTimeout time.Duration

	// DisableBatching has each call sent by itself, where each is to have its own span in a trace, for example. If
	// false, calls that are made while many others are under way go together in a pipeline. See the package comment.
	DisableBatching bool
}

// Backend keeps records in Redis. It is safe for concurrent use, and holds nothing that is to be closed.
type Backend struct {
	client      redis.UniversalClient
	to          sender // what sends commands through client
	prefix      string
	unfit       error // why the client cannot be used, or nil
	replicas    int
	waitTimeout time.Duration
}

var (
	_ backend.Backend = (*Backend)(nil)
	_ backend.Pinger  = (*Backend)(nil)
	_ backend.Scanner = (*Backend)(nil)
)

// New returns a backend that uses client, which must not be nil. The client stays the caller's: the backend
// never closes it, and others may use it, too. See the package comment for how it is best set up.
func New(client redis.UniversalClient, opts *Options) *Backend {
	if client == nil {
		panic("goredis: New: no client")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	b := &Backend{
		client:      client,
		to:          alone{client},
		prefix:      cmp.Or(o.Prefix, redishash.DefaultPrefix),
		unfit:       unfit(client),
		replicas:    max(0, o.WaitReplicas),
		waitTimeout: cmp.Or(max(0, o.WaitTimeout), redishash.DefaultWaitTimeout),
	}
	if !o.DisableBatching {
		b.to = newSender(client)
	}
	if b.replicas > 0 && b.unfit == nil {
		b.unfit = unfitToWait(client)
	}
	return b
}

// errReplicas is what every method returns if the client reads from replicas.
var errReplicas = errors.New("goredis: the client reads from replicas (ReadOnly, RouteByLatency or RouteRandomly):" +
	" a session that was ended would live on there")

// unfit returns why a client cannot be used, as far as that can be seen.
func unfit(client redis.UniversalClient) error {
	if c, ok := client.(*redis.ClusterClient); ok {
		if o := c.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return errReplicas
		}
	}
	return nil
}

// ready returns the error of a call that is not to be sent.
func (b *Backend) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.unfit
}

// Create implements [backend.Backend] with one EVALSHA.
func (b *Backend) Create(ctx context.Context, id string, rec backend.Record) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	_, err := write(ctx, b, opCreate, true, redishash.Create(b.prefix+id, &rec), newAny)
	return err
}

// Load implements [backend.Backend] with one HGETALL, which is sent again if the connection ends under it.
func (b *Backend) Load(ctx context.Context, id string) (backend.Record, error) {
	if err := b.ready(ctx); err != nil {
		return backend.Record{}, err
	}
	key := b.prefix + id
	hash, err := do(ctx, b.to, key, newHash(ctx, "hgetall", key))
	for sent := 1; redishash.Again(ctx, err, sent); sent++ {
		hash, err = do(ctx, b.to, key, newHash(ctx, "hgetall", key))
	}
	if err != nil {
		return backend.Record{}, fail(ctx, opLoad, err)
	}
	return redishash.Record(opLoad, hash)
}

// Apply implements [backend.Backend] with one EVALSHA.
func (b *Backend) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if err := b.ready(ctx); err != nil {
		return backend.Record{}, err
	}
	counters := redishash.Counters(&p)
	call := redishash.Apply(b.prefix+id, &p, counters)
	if p.Load {
		hash, err := write(ctx, b, opApply, p.Durable, call, newLoaded)
		if err != nil {
			return backend.Record{}, err
		}
		return redishash.Record(opApply, hash)
	}
	sums, err := write(ctx, b, opApply, p.Durable, call, newSums)
	if err != nil {
		return backend.Record{}, err
	}
	return redishash.Sums(opApply, counters, sums)
}

// Delete implements [backend.Backend] with one DEL, or with one EVALSHA where it waits for replicas.
//
// That is sent once, too. A DEL that was run and is sent again may find another record by then: an ID that is
// not random, of an index for example, can be created anew as soon as the first DEL has run.
func (b *Backend) Delete(ctx context.Context, id string) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	if b.replicas > 0 {
		_, err := write(ctx, b, opDelete, true, redishash.Delete(b.prefix+id), newAny)
		return err
	}
	if _, err := do(ctx, b.to, b.prefix+id, newAny(ctx, "del", b.prefix+id)); err != nil {
		return fail(ctx, opDelete, err)
	}
	return nil
}

// Ping implements [backend.Pinger]. Beside a PING it asks the server, without writing anything, whether it lets
// this user run each command that the four methods of [backend.Backend] need, with these options, on keys with the
// prefix; the error names those that it refuses. A replica and a server out of memory refuse what writes. On a cluster
// it asks one node.
func (b *Backend) Ping(ctx context.Context) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	if err := b.client.Ping(ctx).Err(); err != nil {
		return fail(ctx, opPing+": PING", err)
	}
	call := redishash.Probe(b.prefix)
	args := evalsha(&call)
	if _, err := do(ctx, alone{b.client}, call.Key, newTexts(ctx, args...)); err != nil && !isNoScript(err) {
		return fail(ctx, opPing+": EVALSHA", err)
	}
	refused, err := do(ctx, alone{b.client}, call.Key, newTexts(ctx, eval(&call, args)...))
	if err != nil {
		return fail(ctx, opPing+": EVAL", err)
	}
	if err := redishash.Refused(opPing, refused); err != nil || b.replicas == 0 {
		return err
	}
	return b.pingWait(ctx, call.Key)
}

// fail returns the error of a call that has failed.
func fail(ctx context.Context, op string, err error) error {
	reply, _ := errors.AsType[redis.Error](err)
	return redishash.Fail(ctx, op, err, reply)
}
